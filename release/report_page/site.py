"""The folder of the report page: which files it has, and how they get there.

`report-page.json` lists the files, so that the next run takes away pages of repositories that it
does not show, and touches nothing that somebody else put there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath

from manifests.build_folder import write_atomically
from manifests.errors import UsageError
from manifests.tool_version import tool_version
from release.report_page.findings import PageFinding
from release.report_page.notice import Notice
from release.report_page.page import RepositoryPage
from release.report_page.rendering import render
from validators.report import OutcomeKind

FORMAT = "sae-release.report-page/1"
INDEX = "report-page.json"
_MAX_INDEX_BYTES = 10_000_000
_OURS = re.compile(
    r"(?:index|saes)\.html|README\.md|\.nojekyll|(?:assets|repositories)/\w[\w.-]*", re.ASCII
)
# What makes the folder a static Space on the Hub.
_SPACE = """\
---
title: {title}
sdk: static
---

A report page that `release report` of sae-release wrote; `index.html` is where it starts.
"""


@dataclass(frozen=True)
class Attention:
    """A check that did not pass somewhere: in which repositories, gravest kind first."""

    kind: str
    word: str
    code: str
    title: str
    where: tuple[tuple[RepositoryPage, PageFinding], ...]


@dataclass(frozen=True)
class Site:
    """All pages.

    Attributes:
        title: what the overview is headed with.
        asked_at: when the Hub was asked, in words; empty where it was not.
        notices: what could not be shown at all.
    """

    title: str
    pages: tuple[RepositoryPage, ...]
    asked_at: str = ""
    notices: tuple[Notice, ...] = ()

    @property
    def n_saes(self) -> int:
        """SAEs of all repositories."""
        return sum(page.n_saes for page in self.pages)

    @property
    def n_measured(self) -> int:
        """SAEs whose explained variance is known."""
        return sum(page.n_measured for page in self.pages)

    def distinct(self, field: str) -> tuple[str, ...]:
        """The values of a column of all tables, for a filter."""
        found = {value: None for page in self.pages for value in page.table.distinct(field)}
        return tuple(
            sorted(found, key=lambda v: (not v.isdecimal(), int(v) if v.isdecimal() else 0, v))
        )

    @property
    def attention(self) -> tuple[Attention, ...]:
        """Failures, gaps and warnings of all repositories, each check once."""
        groups: dict[tuple[int, str], list[tuple[RepositoryPage, PageFinding]]] = {}
        kinds: tuple[OutcomeKind, ...] = ("failed", "crashed", "skipped", "warned")
        for page in self.pages:
            for found in page.findings.of(*kinds) if page.findings else ():
                groups.setdefault((kinds.index(found.kind), found.code), []).append((page, found))
        return tuple(
            Attention(kinds[kind], where[0][1].word, code, where[0][1].title, tuple(where))
            for (kind, code), where in sorted(groups.items(), key=lambda item: item[0])
        )


def file_names(names: Iterable[str]) -> tuple[str, ...]:
    """A file name for each page: letters, digits, `.`, `_` and `-`, no two alike on any disk."""
    taken: set[str] = set()
    files = []
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name.replace("/", "--")).strip("-.")[:80] or "page"
        unique, n = plain, 2
        while unique.lower() in taken:
            unique, n = f"{plain}-{n}", n + 1
        taken.add(unique.lower())
        files.append(f"{unique}.html")
    return tuple(files)


def site_files(site: Site) -> dict[str, bytes]:
    """Every file of the folder by its path; equal sources give equal bytes."""
    assets = _assets()
    # A browser that holds former assets fetches these where they differ.
    digest = hashlib.sha256(b"".join(assets[name] for name in sorted(assets))).hexdigest()[:12]
    shared = {"site": site, "tool_version": tool_version(), "assets_version": digest}
    files = {
        "index.html": render("index.html.j2", root="", **shared),
        "saes.html": render("saes.html.j2", root="", **shared),
        "README.md": _SPACE.format(title=json.dumps(site.title)).encode("utf-8"),
        ".nojekyll": b"",
    }
    for page in site.pages:
        files[f"repositories/{page.file}"] = render(
            "repository.html.j2", root="../", page=page, **shared
        )
    files |= {f"assets/{name}": content for name, content in assets.items()}
    return files


class UnusableFolder(UsageError):
    """The folder of `--out` is not one that pages can be written to."""


def write_site(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files, and take away those of a former run that are not among them.

    Raises:
        UnusableFolder: the folder holds files of others and no report page, or cannot be written.
    """
    former = _former_files(folder)
    with _told(folder):
        for path, content in files.items():
            place = folder.joinpath(*PurePosixPath(path).parts)
            if not (place.is_file() and place.read_bytes() == content):
                write_atomically(place, content)
        for path in sorted(former - set(files)):
            place = folder.joinpath(*PurePosixPath(path).parts)
            # A folder of that name is not of our making.
            if not place.is_dir():
                place.unlink(missing_ok=True)
        index = {"format": FORMAT, "tool_version": tool_version(), "files": sorted(files)}
        write_atomically(folder / INDEX, (json.dumps(index, indent=2) + "\n").encode("utf-8"))


def refuse_unusable(folder: Path) -> None:
    """Find out whether pages can be written to a folder, before anything is asked for them.

    Raises:
        UnusableFolder: they cannot be.
    """
    _former_files(folder)
    with _told(folder):
        nearest = next((place for place in (folder, *folder.parents) if place.is_dir()), folder)
        # Permission bits do not tell it everywhere.
        probe = nearest / f".{secrets.token_hex(8)}.tmp"
        probe.touch(exist_ok=False)
        probe.unlink()


def _former_files(folder: Path) -> set[str]:
    """What a former run wrote, by its own list; only names that this tool writes are believed.

    Raises:
        UnusableFolder: the folder is a file or below one, cannot be read, or holds files of others
            and no report page.
    """
    with _told(folder):
        for place in (folder, *folder.parents):
            if place.exists() and not place.is_dir():
                of = "is a file" if place == folder else f"is below the file {place}"
                raise UnusableFolder(
                    f"--out {of}: {folder}",
                    expected="a folder, or a name that is free",
                    next_step="name a folder with --out",
                )
        if not folder.is_dir() or not any(folder.iterdir()):
            return set()
    try:
        text = (folder / INDEX).read_bytes()[:_MAX_INDEX_BYTES]
        index = json.loads(text)
        if index["format"] != FORMAT:
            raise ValueError(index["format"])
        return {path for path in index["files"] if _OURS.fullmatch(path)}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UnusableFolder(
            f"{folder} holds files, and no report page",
            expected="an empty folder, or one that `release report` wrote",
            next_step="name another folder with --out",
        ) from error


@contextlib.contextmanager
def _told(folder: Path) -> Iterator[None]:
    """What the system refuses of the folder, as an error that a reader can mend."""
    try:
        yield
    except OSError as error:
        raise UnusableFolder(
            f"the pages cannot be written: {error.strerror or error}",
            where=str(error.filename2 or folder),
            expected="a folder that files can be made in, with room for them",
            next_step="name another folder with --out",
        ) from error


def _assets() -> dict[str, bytes]:
    return {
        entry.name: entry.read_bytes()
        for entry in resources.files("release.report_page").joinpath("assets").iterdir()
        if entry.is_file() and not entry.name.startswith((".", "_"))
    }
