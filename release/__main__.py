"""`python -m release`, the command line without its console script."""

from release.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
