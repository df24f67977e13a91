"""What a job runs: lays out the files it was sent, trains, and uploads the SAEs.

It is sent as it stands and starts before the tool is known to work there, so it imports nothing
but the standard library. Arguments: the plan (JSON), then the files in the order of the plan.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_CHUNK_BYTES = 1 << 20


def main(arguments: Sequence[str], *, work: Path) -> int:
    """Do what the plan says below `work`; the exit code of the first command that fails, else 0.

    Raises:
        SystemExit: a file did not arrive as it was sent.
    """
    plan = json.loads(Path(arguments[0]).read_text("utf-8"))
    for sent, file in zip(arguments[1:], plan["files"], strict=True):
        _lay_out(Path(sent), work / file["path"], file["sha256"])
    for command in plan["commands"]:
        sys.stderr.write(f"$ {' '.join(command)}\n")
        sys.stderr.flush()
        # By this interpreter: it sees what was installed for the job, whatever the PATH is.
        ended = subprocess.run([sys.executable, "-m", *command], cwd=work, check=False)  # noqa: S603
        if ended.returncode:
            return ended.returncode
    return 0


def _lay_out(sent: Path, target: Path, sha256: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with sent.open("rb") as source, target.open("wb") as copy:
        while chunk := source.read(_CHUNK_BYTES):
            digest.update(chunk)
            copy.write(chunk)
    if digest.hexdigest() != sha256:
        raise SystemExit(f"{sent} has the SHA-256 {digest.hexdigest()}, and {sha256} was sent")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], work=Path("work").resolve()))
