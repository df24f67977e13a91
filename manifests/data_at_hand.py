"""Which data is read, the manifest's or what `--data` puts in its place, and its digest."""

from __future__ import annotations

from pathlib import Path

from manifests.data import Data, DataAtHand, HeldOut
from manifests.digests import file_sha256, json_sha256
from manifests.errors import ReleaseError

_TEXT_SUFFIXES = (".txt", ".jsonl")


class DataUnreadable(ReleaseError):
    """The file or folder of the data cannot be read."""

    exit_code = 2


def data_at_hand(stated: Data, replacement: Path | None) -> DataAtHand:
    """The facts that reading the data takes.

    With a replacement, the manifest's own pooling and split hold; where it leaves them open, the
    last token is read (of plain text every token) and a quarter held out.

    Raises:
        DataNotAtHand: there is no replacement, and the manifest leaves something open.
        DataUnreadable: the replacement cannot be read.
    """
    if replacement is None:
        return stated.at_hand()
    return DataAtHand(
        file=replacement.name,
        sha256=data_sha256(replacement),
        pooling=stated.pooling or ("last_token" if stated.text is None else "every_token"),
        held_out=stated.held_out or HeldOut(),
    )


def data_sha256(path: Path) -> str:
    """SHA-256 of a file; of a folder, of the JSON {relative path: SHA-256} of its text files.

    Raises:
        DataUnreadable: there is no such file or folder, or no text file in it.
    """
    try:
        if path.is_dir():
            files = {one.relative_to(path).as_posix(): one for one in text_files(path)}
            return json_sha256({name: file_sha256(one) for name, one in files.items()})
        return file_sha256(path)
    except OSError as error:
        raise DataUnreadable(
            f"cannot be read: {error.strerror or error}",
            where=str(path),
            expected="the file that data.file of the manifest or --data names",
        ) from error


def text_files(folder: Path) -> list[Path]:
    """The .txt and .jsonl files below a folder, by their path in it.

    Raises:
        DataUnreadable: there is none.
    """
    found = [path for path in folder.rglob("*") if path.suffix in _TEXT_SUFFIXES]
    if not found:
        raise DataUnreadable(
            "holds no text file", where=str(folder), expected="files that end in .txt or .jsonl"
        )
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())
