"""Run a Python program in an empty folder, against one Hub, within a time limit."""

from __future__ import annotations

import os
import site
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from validators.saelens import at_commit
from validators.saelens.hub_access import ServedRepository

# What a process needs in order to run at all; nothing of it says who the user is.
_NEEDED = (
    "PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV",
    "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT",
    "LANG", "LC_ALL", "TZ", "OMP_NUM_THREADS", "MKL_NUM_THREADS",
    "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy",
)  # fmt: skip
_LAST_CHARACTERS = 2_000


@dataclass(frozen=True)
class Ended:
    """How the program ended.

    Attributes:
        returncode: None: it was stopped at the time limit.
        last_words: the end of what it wrote to stderr.
    """

    returncode: int | None
    last_words: str

    @property
    def in_words(self) -> str:
        """One line on an end that should not have been."""
        lines = [line for line in self.last_words.splitlines() if line.strip()]
        said = f": {lines[-1].strip():.300}" if lines else ""
        if self.returncode is None:
            return f"was stopped at its time limit{said}"
        return f"ended with exit status {self.returncode}{said}"


def run_python(
    program: str,
    *,
    folder: Path,
    served: ServedRepository,
    stdin: str,
    timeout_s: float,
) -> Ended:
    """Run a program with nothing of the user's but the means to run.

    Its home, its temporary files and its Hub cache lie in `folder`; it has no token but the one of
    `served`, and the variables that may hold secrets are not handed on. That keeps accidents away,
    and is no sandbox.

    Args:
        program: the path of a Python file.
        folder: an empty folder; the program runs in `work` below it.
        served: the Hub for HF_ENDPOINT, and the cache to begin with.
        stdin: what the program reads.
        timeout_s: seconds until it is killed.
    """
    work = folder / "work"
    for path in (work, folder / "home", folder / "temporary"):
        path.mkdir(parents=True)
    log = folder / "stderr.txt"
    with log.open("wb") as stderr:
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter
                # -P: the folder of the program is no place to import from.
                [sys.executable, "-P", *_at_commit(served), program],
                input=stdin.encode("utf-8"),
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                cwd=work,
                env=_environment(folder, served),
                timeout=timeout_s,
                check=False,
            )
            returncode = done.returncode
        except subprocess.TimeoutExpired:
            returncode = None
    text = log.read_bytes()[-_LAST_CHARACTERS:].decode("utf-8", "replace")
    return Ended(returncode=returncode, last_words=text)


def _at_commit(served: ServedRepository) -> list[str]:
    """What stands before the program where the repository stands still at a commit."""
    if served.commit is None:
        return []
    return [at_commit.__file__, served.repo_id, served.commit]


def _environment(folder: Path, served: ServedRepository) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _NEEDED if name in os.environ}
    if served.token is not None:
        kept["HF_TOKEN"] = served.token
    home = str(folder / "home")
    return kept | {
        "HOME": home,
        "USERPROFILE": home,
        "TMPDIR": str(folder / "temporary"),
        "TEMP": str(folder / "temporary"),
        "TMP": str(folder / "temporary"),
        "HF_ENDPOINT": served.endpoint,
        "HF_HOME": str(folder / "home" / "huggingface"),
        "HF_HUB_CACHE": str(served.cache_dir or folder / "home" / "hub"),
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": "0" if served.token else "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_SYMLINKS_WARNING": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "NO_PROXY": ",".join(filter(None, (os.environ.get("NO_PROXY"), "127.0.0.1"))),
        "PYTHONIOENCODING": "utf-8",
        # Packages installed for the user alone lie in the real home.
        "PYTHONUSERBASE": site.getuserbase(),
        "PYTHONUTF8": "1",
    }
