"""M: numbers that somebody typed into a text, where a card prints those that are known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from manifests.completions import read_completions
from manifests.data import Label
from manifests.digests import file_sha256
from manifests.errors import ReleaseError
from manifests.load import LoadedManifest
from manifests.numbers_in_text import occurrences
from manifests.prose_numbers import Untraced, untraced_numbers
from manifests.stated_numbers import StatedNumber
from manifests.yaml_source import Origin
from validators.check import Passed, Problem, Skipped, Verdict, repository_check
from validators.readme.template_literals import literals_in
from validators.subjects import RepositorySubject

# `cards.overrides.FOLDER`, which this package comes before; a test holds them together.
OWN_PARTIALS = "cards"
_NO_FILE = Skipped("the manifest is the published one, without its lines", required=False)


@repository_check(
    "M003", "numbers in the manifest's texts are its facts", tier="static",
    severity="warn", needs_manifest=True,
)  # fmt: skip
def prose_numbers_are_facts(subject: RepositorySubject) -> Verdict:
    """A card prints a manifest's texts as they are, so a number in one outlives the fact behind it.

    Looked at are title, summary, caveats, texts on the data, claims, `assumed` and the reasons of
    `accept`. A number is right that the manifest states, that follows from its matrix or from the
    data file, or from two numbers of its sentence, rounded to the digits that are printed. Names
    with digits (4-bit, Gemma 4, L25), versions, dates, layers and references to lines are none.

    Example: `study.yaml:93: 57 in caveats.0.text; the nearest is 54, the number of SAEs`.

    To mend it: correct the number; or state it, with its source, under `reported`; or say it
    without a number.
    """
    assert subject.claim is not None
    loaded = subject.claim.loaded
    if loaded is None:
        return _NO_FILE
    counted = _counts_of_the_file(loaded)
    found = untraced_numbers(loaded.manifest, counted or ())
    if counted is None:
        # What the file would count is not known here.
        found = tuple(number for number in found if number.path[0] != "data")
    if not found:
        return Passed()
    return Problem(
        "\n".join(
            f"{_place(loaded, number)}: {number.text} in {'.'.join(map(str, number.path))}; "
            f"the nearest is {number.nearest.value:.6g}, {number.nearest.name}"
            for number in found
        ),
        "numbers that the manifest states as facts",
        "correct them, state them with their source under `reported`, or say it without a number",
    )


@repository_check(
    "M004", "your own partials print no number of their own", tier="static",
    severity="warn", needs_manifest=True,
)  # fmt: skip
def partials_print_values(subject: RepositorySubject) -> Verdict:
    """A number typed into a partial is on every card, whatever the manifest and the report say.

    Looked at are the Markdown partials in the folder `cards` beside the manifest, and of them the
    text outside of Jinja's braces, code, links and HTML tags. Names such as SHA-256, L0 and
    float32 are no numbers.

    Example: `cards/data.md.j2:4: 25%`, where the manifest has `held_out.fraction: 0.2`.

    To mend it: take the value from the context, `{{ data.held_out_share }}`; the names that there
    are stand in cards/context.py.
    """
    assert subject.claim is not None
    loaded = subject.claim.loaded
    if loaded is None:
        return _NO_FILE
    partials = sorted((loaded.path.parent / OWN_PARTIALS).glob("*.md.j2"))
    if not partials:
        return Passed("there are none")
    found = [line for path in partials for line in _literals(path)]
    if not found:
        return Passed(f"{len(partials)} looked at")
    return Problem(
        "\n".join(found), "values of the context", "print the value: {{ contents.n_saes | count }}"
    )


def _literals(path: Path) -> Iterator[str]:
    """A line for each literal of a partial, or one that says why it cannot be read."""
    shown = f"{OWN_PARTIALS}/{path.name}"
    try:
        for literal in literals_in(path.read_text(encoding="utf-8")):
            yield f"{shown}:{literal.line}: {literal.number}"
    except (OSError, UnicodeDecodeError, ReleaseError) as error:
        yield f"{shown}: cannot be read: {error}"


def _counts_of_the_file(loaded: LoadedManifest) -> tuple[StatedNumber, ...] | None:
    """How many completions of each label the data file has; None where it is not at hand.

    A file that is not the one that the manifest names by its digest counts nothing.
    """
    data = loaded.manifest.data
    if data.file is None and data.dataset is None:
        return ()
    path = loaded.file_beside(data.file) if data.file else None
    if path is None or data.text is not None or data.sha256 is None or not path.is_file():
        return None
    if file_sha256(path) != data.sha256:
        return None
    labels: dict[Label, int] = {}
    for row in read_completions(path, data.sha256):
        labels[row.label] = labels.get(row.label, 0) + 1
    conditions = {
        name: sum(labels.get(label, 0) for label in condition.labels)
        for name, condition in data.conditions.items()
    }
    return (
        StatedNumber(f"the completions of {data.file}", sum(labels.values())),
        *(StatedNumber(f"{label} completions of {data.file}", n) for label, n in labels.items()),
        *(StatedNumber(f"completions of the condition {c}", n) for c, n in conditions.items()),
    )


def _place(loaded: LoadedManifest, number: Untraced) -> str:
    """File name and line of a number: a folded text begins lines above most of its words."""
    origin = loaded.resolved.as_source().origin_of(number.path)
    assert origin is not None, "a text of the manifest was read from a file"
    return f"{Path(origin.file).name}:{_line(origin, number)}"


def _line(origin: Origin, number: Untraced) -> int:
    try:
        lines = Path(origin.file).read_text(encoding="utf-8-sig").splitlines()
    except OSError:
        return origin.line
    left = number.occurrence
    for index, line in enumerate(lines[origin.line - 1 :], start=origin.line):
        shown = line[origin.column - 1 :] if index == origin.line else line
        here = len(occurrences(shown, number.text))
        if here > left:
            return index
        left -= here
    return origin.line
