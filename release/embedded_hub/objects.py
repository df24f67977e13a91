"""Large files by content: `objects/ab/cd/<sha256>`, complete and verified or not there at all."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable
from pathlib import Path

from release.embedded_hub.errors import Refusal
from release.embedded_hub.names import is_sha256
from release.embedded_hub.state_files import retry_while_open_elsewhere


class IncomingObject:
    """Bytes on their way into the store, hashed as they arrive."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._path = store.incoming / f"{uuid.uuid4().hex}.part"
        self._stream = self._path.open("wb")
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    def write(self, chunk: bytes) -> None:
        """Append a chunk."""
        self._stream.write(chunk)
        self._digest.update(chunk)
        self.size_bytes += len(chunk)

    def keep_as(self, sha256: str) -> None:
        """Move the finished file to its place.

        Raises:
            Refusal: 400, the bytes do not have this digest; they are thrown away.
        """
        self._stream.close()
        if self._digest.hexdigest() != sha256:
            self.discard()
            raise Refusal(400, f"The uploaded content is not that of object {sha256}")
        self._store.adopt(self._path, sha256)

    def discard(self) -> None:
        """Throw the bytes away."""
        self._stream.close()
        self._path.unlink(missing_ok=True)


class ObjectStore:
    """All large files of one hub, shared by its repositories.

    Objects are written once and never changed or removed, so they can be served without a lock.
    Parts of multipart uploads wait in `incoming`, which is emptied at start-up.
    """

    def __init__(self, root: Path) -> None:
        self._folder = root / "objects"
        self.incoming = root / "incoming"
        self._folder.mkdir(exist_ok=True)
        self.incoming.mkdir(exist_ok=True)
        for leftover in self.incoming.iterdir():
            leftover.unlink()

    def path(self, sha256: str) -> Path:
        """Where an object lies, or would."""
        if not is_sha256(sha256):
            raise Refusal(400, "Invalid object id: expected a SHA-256 in hexadecimal")
        return self._folder / sha256[:2] / sha256[2:4] / sha256

    def size_bytes(self, sha256: str) -> int | None:
        """The size of an object, None if it is not here."""
        path = self.path(sha256)
        return path.stat().st_size if path.is_file() else None

    def receive(self) -> IncomingObject:
        """Begin to write an object."""
        return IncomingObject(self)

    def adopt(self, finished: Path, sha256: str) -> None:
        """Move a verified file into the store; if another upload was faster, drop this one."""
        target = self.path(sha256)
        if target.exists():
            finished.unlink()
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        retry_while_open_elsewhere(lambda: finished.replace(target))

    def part_path(self, sha256: str, number: int) -> Path:
        """Where one part of a multipart upload waits for the others."""
        self.path(sha256)
        return self.incoming / f"{sha256}.{number:05d}"

    def join(self, sha256: str, numbers: Iterable[int]) -> None:
        """Make an object from its parts, in the order given, and delete the parts.

        Raises:
            Refusal: 400, a part is missing or the whole has another digest.
        """
        parts = [self.part_path(sha256, number) for number in numbers]
        whole = self.receive()
        for part in parts:
            if not part.is_file():
                whole.discard()
                raise Refusal(400, f"Part {part.suffix[1:]} of {sha256} was not uploaded")
            with part.open("rb") as stream:
                while chunk := stream.read(1 << 20):
                    whole.write(chunk)
        whole.keep_as(sha256)
        for part in parts:
            part.unlink(missing_ok=True)
