"""The keys of a draft that only a card states: results, citations, limitations, what was wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from manifests.facts import Reported
from release.importing.card_faults import FEW_VECTORS, PEAK
from release.importing.printable import one_line
from release.importing.stated import Stated
from release.importing.stated_references import is_valid, read_machine
from release.importing.yaml_text import Entries, Entry

MAX_RESOLUTIONS = 120
_DECIDED_BEFORE = re.compile(r" Decided in [^ ]+, for README\.md lines? [\d, ]+\.$")
_NO_NULL = (
    "The largest d has no null distribution",
    "Of many latents, one separates any two groups well by chance, and with few samples more so. "
    "The original page says of no largest d what random latents or permuted labels give.",
)
_OF_TRAINING = (
    "alive_latents", "explained_variance", "l0", "mse", "n_completions", "training_seconds",
)  # fmt: skip


def hardware_entries(stated: Stated, table_row: str | None) -> Entries:
    """`hardware`: the machine by a table's row, else by a line on its GPU."""
    machine = dict(stated.references.machine)
    for place in stated.decided.left_out:
        table_row = table_row.replace(place.words, "") if table_row else None
    if table_row:
        machine = read_machine(table_row) | (
            {"software": machine["software"]} if "software" in machine else {}
        )
    if "device" not in machine:
        return ()
    keys = ("device", "memory_gb", "compute_capability", "system", "software")
    ran_on = tuple(Entry(key, machine[key]) for key in keys if key in machine)
    return (Entry("hardware", (Entry("ran_on", ran_on, "from the card"),)),)


def stated_entries(
    stated: Stated,
    assumed: dict[str, str],
    *,
    commit: str | None,
    on_base_model: tuple[str, ...] = (),
) -> Entries:
    """The keys behind `data`, in the order of the model, each only where it has something."""
    references = stated.references
    uses = _uses(stated)
    values: dict[str, Any] = {
        "citations": list(references.citations),
        "collection": references.collection,
        "code": references.code,
        "reported": _reported(stated, commit),
        "caveats": _caveats(stated),
        "uses": uses,
        "context": [*stated.texts.context, *on_base_model],
        "resolutions": _resolutions(stated),
        "assumed": tuple(Entry(key, why) for key, why in assumed.items()),
    }
    comments = {
        "citations": "from the card: check titles and authors",
        "reported": "from the card: check what each is of",
        "caveats": "from the card",
        "resolutions": "what the checks found on the card: decide what holds",
        "assumed": "what no file states: check each",
    }
    return tuple(Entry(key, value, comments.get(key)) for key, value in values.items() if value)


def _reported(stated: Stated, commit: str | None) -> list[dict[str, Any]]:
    trained_on = stated.references.trained_on
    found = []
    for number in stated.numbers:
        entry = number.as_reported()
        if commit is not None:
            entry["source"] += f" at {commit[:10]}"
        if trained_on is not None and number.metric in _OF_TRAINING:
            entry["date"] = trained_on
        if is_valid(Reported, entry):
            found.append(entry)
    return found


def _caveats(stated: Stated) -> list[dict[str, str]]:
    found = [{"title": each.title, "text": each.text} for each in stated.texts.caveats]
    about = {
        PEAK: "No SAE at the layer of the peak",
        FEW_VECTORS: "Numbers of the vectors that the SAEs were trained on",
    }
    for mended, title in about.items():
        said = [fault.what for fault in stated.faults.all if fault.mended == mended]
        if said:
            found.append({"title": title, "text": f"By the original page: {'; '.join(said)}."})
    for each in stated.decided.decided:
        if each.places and each.resolution.caveat and each.caveat:
            found.append({"title": each.resolution.caveat, "text": each.caveat})
    has_largest = any(number.metric == "cohens_d_max" for number in stated.numbers)
    if has_largest and not stated.has_null:
        found.append({"title": _NO_NULL[0], "text": _NO_NULL[1]})
    return found


def _uses(stated: Stated) -> Entries:
    uses = stated.texts.uses
    values = {
        "measures": uses.measures,
        "does_not_measure": uses.does_not_measure,
        "recommended": list(uses.recommended),
        "not_recommended": list(uses.not_recommended),
    }
    return tuple(Entry(key, value) for key, value in values.items() if value)


def _resolutions(stated: Stated) -> list[dict[str, Any]]:
    """What people decided before, then one entry for each thing that was found, with its lines."""
    lines: dict[tuple[str, str, str | None], list[int]] = {}
    for fault in stated.faults.all:
        key = (fault.code, fault.what, fault.mended)
        if fault.line not in lines.setdefault(key, []):
            lines[key].append(fault.line)
    found: list[dict[str, Any]] = list(_decided(stated))
    for (code, what, mended), numbers in list(lines.items())[:MAX_RESOLUTIONS]:
        resolved = f"{mended[:1].upper()}{mended[1:]}: {code}." if mended else f"Left out: {code}."
        said = one_line(f"{_lines(numbers)}: {what}", at_most=400)
        found.append({"found": said, "resolved": resolved})
    return found


def _decided(stated: Stated) -> Iterator[dict[str, Any]]:
    """The resolutions whose words stand on the card, with them: a further import goes by these."""
    for each in stated.decided.decided:
        if each.places:
            where = f"Decided in {stated.decided.source}, for {_lines(each.lines)}."
            before = _DECIDED_BEFORE.sub("", each.resolution.resolved)
            corrections = {place.correction.words: place.correction for place in each.places}
            kept = {"caveat": each.resolution.caveat} if each.caveat else {}
            yield {
                "found": each.resolution.found,
                "resolved": f"{before} {where}",
                "corrections": [
                    correction.model_dump(exclude_none=True) for correction in corrections.values()
                ],
                **kept,
            }


def _lines(numbers: Iterable[int]) -> str:
    where = [str(number) for number in numbers]
    return f"README.md line{'s' if len(where) > 1 else ''} {', '.join(where)}"
