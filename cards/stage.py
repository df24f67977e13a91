"""The stage `render`: manifest, report, training record -> README.md, indices, card, figures.

`rendered_files` is pure: equal sources give equal bytes on every machine. Figures stand apart:
which there are follows from the sources, their bytes from the library that drew them as well.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cards.block_results import kept_blocks
from cards.context import card_context, measured_figures, template_of
from cards.figures.figure import Figure
from cards.figures.files import digests_of, existing, figure_files, stale_figures
from cards.overrides import digests_of as override_digests
from cards.root_index import root_index
from cards.sources import Sources, read_sources
from cards.templating import render_template
from manifests.build_folder import BuildFolder, write_atomically
from manifests.digests import bytes_sha256
from manifests.load import LoadedManifest
from manifests.progress import Progress

FORMAT = "sae-release.card/1"
README = "README.md"
ROOT_INDEX = "config.json"


@dataclass(frozen=True)
class Rendered:
    """The files of a card, README.md before the others: those written, and those right already.

    `deleted` are files of figures that the report has no numbers for.
    """

    written: tuple[Path, ...]
    unchanged: tuple[Path, ...]
    deleted: tuple[Path, ...] = ()


def render(loaded: LoadedManifest, build: BuildFolder, *, progress: Progress) -> Rendered:
    """Render a build's card and index, leaving files that are right already untouched.

    Without a report the card says what the manifest says, and that nothing was measured.

    Raises:
        UnreadableReport, UnreadableTrainingRecord: a source is damaged, or the report is missing
            beside a training record.
        SourcesDisagree: report, training record and manifest are not of the same weights.
        MissingMetric: the report lacks a number that the card prints.
        ClaimNotHeld: the report does not bear out a claim of the manifest.
        TemplateProblem, BadOverride: a template names what is not there, or stands for none.
        MissingExtra: a figure must be drawn, and matplotlib is not installed; nothing is written.
    """
    sources = read_sources(loaded, build)
    figures = measured_figures(sources)
    files: dict[str, bytes | None] = {
        **_text_files(sources, figures, build.repository),
        **figure_files(existing(figures), build.repository),
    }
    written, unchanged, deleted = [], [], []
    with progress.task("Rendering the card", total=len(files)) as task:
        for path_in_repo, content in files.items():
            path = build.repository / path_in_repo
            if content is None:
                path.unlink(missing_ok=True)
                deleted.append(path)
                progress.note(f"{path_in_repo} deleted")
            elif path.is_file() and path.read_bytes() == content:
                unchanged.append(path)
                progress.note(f"{path_in_repo} is up to date")
            else:
                write_atomically(path, content)
                written.append(path)
                progress.note(f"{path_in_repo} written")
            task.advance()
    return Rendered(tuple(written), tuple(unchanged), tuple(deleted))


def stale_files(loaded: LoadedManifest, build: BuildFolder) -> dict[str, str]:
    """The rendered files of a build that differ from what `render` would write now.

    Returns:
        path_in_repo -> unified diff from what lies there to what would be rendered; for a figure,
        why it would be drawn again or deleted. No figure is drawn for this.

    Raises:
        ReleaseError: as `render`.
    """
    stale = {}
    sources = read_sources(loaded, build)
    figures = measured_figures(sources)
    for path_in_repo, content in _text_files(sources, figures, build.repository).items():
        path = build.repository / path_in_repo
        on_disk = path.read_bytes() if path.is_file() else b""
        if on_disk != content:
            stale[path_in_repo] = _diff(path_in_repo, on_disk, content)
    for path_in_repo, reason in stale_figures(existing(figures), build.repository).items():
        stale[path_in_repo] = f"{path_in_repo}: {reason}\n"
    return stale


def rendered_files(sources: Sources) -> dict[str, bytes]:
    """All files of a card but its figures, by path_in_repo.

    `card.json` comes last; it has the others' SHA-256, those of the user's own partials, and the
    digests of what the figures show.
    """
    return _text_files(sources, measured_figures(sources), None)


def _text_files(
    sources: Sources, figures: dict[str, Figure | None], repository: Path | None
) -> dict[str, bytes]:
    """The files; what was found on running the card's code is kept from `repository`."""
    manifest = sources.loaded.manifest
    template = f"{template_of(sources)}.md.j2"
    readme = render_template(template, card_context(sources, figures), sources.overrides)
    files = {
        README: readme.encode("utf-8"),
        ROOT_INDEX: _json(root_index(sources)),
        "manifest.json": _json(manifest.resolved(), sort_keys=True),
    }
    card: dict[str, Any] = {
        "format": FORMAT,
        "tool_version": sources.tool_version,
        "manifest_digest": sources.loaded.digest,
        "report_digest": sources.report_digest,
        "training_digest": sources.training_digest,
        "template": template,
        "overrides": override_digests(sources.overrides),
        "files": {path: bytes_sha256(content) for path, content in files.items()},
        "figures": digests_of(existing(figures)),
    }
    blocks = kept_blocks(repository, files, _sae_digests(sources)) if repository else None
    if blocks is not None:
        card["blocks"] = blocks
    files["card.json"] = _json(card)
    return files


def _sae_digests(sources: Sources) -> dict[str, str]:
    """SHA-256 of the SAEs' files by path, as the sources name them: a fresh clone has no others."""
    by_sae = sources.made.by_sae if sources.made else {}
    return {
        f"{sae_id}/{name}": digest
        for sae_id, files in by_sae.items()
        for name, digest in files.items()
    }


def _json(value: Any, *, sort_keys: bool = False) -> bytes:
    text = json.dumps(value, indent=2, sort_keys=sort_keys, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode("utf-8")


def _diff(path_in_repo: str, on_disk: bytes, content: bytes) -> str:
    """A unified diff; bytes that are not UTF-8 are shown as backslash escapes."""
    lines = difflib.unified_diff(
        on_disk.decode("utf-8", "backslashreplace").splitlines(keepends=True),
        content.decode("utf-8").splitlines(keepends=True),
        fromfile=f"{path_in_repo} (on disk)",
        tofile=f"{path_in_repo} (rendered now)",
    )
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
