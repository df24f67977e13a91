"""The figures of a build on disk, and which of them must be drawn again.

`figures/figures.json` says of each file by which numbers it was drawn and which bytes came out.
Bytes are only ever compared with the file's own record: another version of matplotlib draws other
ones from the same numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from cards.figures.drawing import drawn, drawn_with
from cards.figures.figure import FOLDER, Figure
from manifests.digests import bytes_sha256, file_sha256

INDEX = f"{FOLDER}/figures.json"
FORMAT = "sae-release.figures/1"
# An index may come from a stranger's repository, and files that it names can be deleted.
FigurePath = Annotated[str, StringConstraints(pattern=rf"^{FOLDER}/[a-z_]+\.svg$")]


class DrawnFigure(BaseModel):
    """What a figure's file was drawn by (`data_sha256`), and its own digest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_sha256: str
    sha256: str
    drawn_with: str


class FigureIndex(BaseModel):
    """The file `figures/figures.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str = FORMAT
    figures: dict[FigurePath, DrawnFigure]


def stale_figures(figures: Iterable[Figure], repository: Path) -> dict[str, str]:
    """The files that are missing, of other numbers, changed, or of no figure; each with why."""
    wanted = {figure.path_in_repo: figure for figure in figures}
    index = _read_index(repository)
    stale = {}
    for path, figure in wanted.items():
        reason = _why_stale(figure, index.get(path), repository / path)
        if reason is not None:
            stale[path] = reason
    for path in sorted(set(index) - set(wanted)):
        stale[path] = "nothing that the report holds is shown by it"
    if (repository / INDEX).is_file() and not wanted:
        stale[INDEX] = "there are no figures"
    elif wanted and not (repository / INDEX).is_file():
        stale[INDEX] = "it is missing"
    return stale


def figure_files(figures: Iterable[Figure], repository: Path) -> dict[str, bytes | None]:
    """The content of every figure's file and of the index; None for one that must go.

    A figure is drawn only where its file is not what its record says, or is of other numbers.

    Raises:
        MissingExtra: one must be drawn, and matplotlib is not installed.
    """
    figures = tuple(figures)
    index = _read_index(repository)
    stale = stale_figures(figures, repository)
    files: dict[str, bytes | None] = {path: None for path in stale}
    entries = {}
    for figure in figures:
        path = figure.path_in_repo
        if path in stale:
            content = drawn(figure)
            entries[path] = DrawnFigure(
                data_sha256=figure.digest, sha256=bytes_sha256(content), drawn_with=drawn_with()
            )
        else:
            content = (repository / path).read_bytes()
            entries[path] = index[path]
        files[path] = content
    if entries:
        files.pop(INDEX, None)
        files[INDEX] = _json(FigureIndex(figures=entries).model_dump())
    return files


def digests_of(figures: Iterable[Figure]) -> dict[str, str]:
    """By path_in_repo the digest of the numbers that a figure shows, as card.json has it."""
    return {figure.path_in_repo: figure.digest for figure in figures}


def existing(figures: dict[str, Figure | None]) -> tuple[Figure, ...]:
    """Those that there are numbers for."""
    return tuple(_not_none(figures.values()))


def _not_none(figures: Iterable[Figure | None]) -> Iterator[Figure]:
    yield from (figure for figure in figures if figure is not None)


def _why_stale(figure: Figure, record: DrawnFigure | None, path: Path) -> str | None:
    if not path.is_file():
        return "it is missing"
    if record is None:
        return "figures.json does not name it"
    if record.data_sha256 != figure.digest:
        return "it was drawn by other numbers"
    if record.sha256 != file_sha256(path):
        return "it is not the file that was drawn"
    return None


def _read_index(repository: Path) -> dict[str, DrawnFigure]:
    """The records; none where the index is missing or damaged, so that everything is drawn anew."""
    try:
        content = (repository / INDEX).read_bytes()
        return dict(FigureIndex.model_validate_json(content, strict=True).figures)
    except (OSError, ValidationError):
        return {}


def _json(value: Any) -> bytes:
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
    return (text + "\n").encode("utf-8")
