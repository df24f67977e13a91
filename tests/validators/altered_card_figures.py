"""What the checks of a card find on cards that were altered by someone who had not read them.

`altered_cards/cards` holds eight cards of made-up repositories with what those hold (`NAME.json`);
`alterations.json` makes one statement of a card wrong at a time, `harmless.json` says the same in
other words. Run as a program it writes docs/altered-cards.md; `test_altered_cards.py` holds the
page to what is found.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from manifests.progress import Silent
from validators.options import ValidateOptions
from validators.reading.local_repository import LocalRepository
from validators.registry import checks_up_to
from validators.runner import run_checks
from validators.selection import Selection
from validators.subjects import RepositorySubject

FOLDER = Path(__file__).parent / "altered_cards"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "altered-cards.md"
CARDS = tuple(sorted(path.stem for path in (FOLDER / "cards").glob("*.md")))
Outcome = Literal["found", "elsewhere", "missed"]

_OPTIONS = ValidateOptions(selection=Selection(select=("R",)))
_LINE = re.compile(r"\blines? (\d+)(?:-(\d+))?")
_ITEM = re.compile(r"(?:(?<=README\.md, )|(?<=; ))(?=line \d+: )")
_TENSORS = {
    "topk": ("b_dec", "b_enc"),
    "jumprelu": ("b_dec", "b_enc", "threshold"),
    "gated": ("b_dec", "b_gate", "b_mag", "r_mag"),
}


@dataclass(frozen=True)
class Altered:
    """One card with one thing changed.

    Attributes:
        name: the alteration's.
        card: which card it is of.
        text: the whole card.
        lines: where it differs from the card, from 1.
        kind: what sort of mistake, or of harmless change.
        what: the alteration in words.
        is_mechanical: a rule could find it from the card and its repository, as its author thinks.
        difficulty: as its author sees it.
    """

    name: str
    card: str
    text: str
    lines: frozenset[int]
    kind: str
    what: str
    is_mechanical: bool
    difficulty: str


@dataclass(frozen=True)
class Found:
    """One finding: the check's code, every line that it names, its words."""

    code: str
    lines: tuple[int, ...]
    what: str


def original(card: str) -> str:
    """A card as it was written."""
    return (FOLDER / "cards" / f"{card}.md").read_text(encoding="utf-8")


def altered(file: Literal["alterations", "harmless"]) -> Iterator[Altered]:
    """Every altered card of a list."""
    for one in json.loads((FOLDER / f"{file}.json").read_text(encoding="utf-8")):
        text = original(one["card"])
        assert text.count(one["old"]) == 1, one["id"]
        start = text.index(one["old"])
        first = text.count("\n", 0, start) + 1
        text = text.replace(one["old"], one["new"])
        changed = range(first, first + one["new"].count("\n") + 1)
        lines = text.split("\n")
        named = [at for at in changed if one["line_contains"] in lines[at - 1]]
        yield Altered(
            one["id"], one["card"], text, frozenset(named or changed), one["kind"], one["what"],
            one["mechanical"], one["difficulty"],
        )  # fmt: skip


def write_repository(card: str, folder: Path) -> None:
    """What the facts of a card say that its repository holds; the weights are headers alone."""
    facts = json.loads((FOLDER / "cards" / f"{card}.json").read_text(encoding="utf-8"))
    for sae_id in facts["sae_ids"]:
        sae = facts["saes"][sae_id]
        (folder / sae_id).mkdir(parents=True)
        cfg = json.dumps(_cfg(sae, facts["model_name"]))
        (folder / sae_id / "cfg.json").write_text(cfg, encoding="utf-8", newline="\n")
        (folder / sae_id / "sae_weights.safetensors").write_bytes(_header(sae))
    for path in facts["extra_files"]:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("", encoding="utf-8")


def findings(folder: Path, text: str) -> tuple[Found, ...]:
    """What `release validate` finds on this card, in a repository that is there already."""
    (folder / "README.md").write_text(text, encoding="utf-8", newline="\n")
    subject = RepositorySubject(LocalRepository(folder), None, options=_OPTIONS, progress=Silent())
    found = []
    for outcome in run_checks(subject, checks_up_to("static"), Silent()):
        assert outcome.outcome != "crashed", outcome.found
        if outcome.outcome in ("failed", "warned", "noted"):
            for item in _ITEM.split(outcome.found)[1:]:
                found.append(Found(outcome.code, _lines(item), item.removesuffix("; ")))
    return tuple(found)


@dataclass(frozen=True)
class Measured:
    """What is found on all cards.

    Attributes:
        good: findings on each card as it was written; every one is a false alarm.
        harmless: findings that each harmless change adds; every one is a false alarm.
        outcomes: of each alteration.
        codes: what found it, or stands elsewhere.
    """

    good: dict[str, tuple[Found, ...]]
    harmless: dict[str, tuple[Found, ...]]
    outcomes: dict[str, Outcome]
    codes: dict[str, tuple[str, ...]]


def measured(folder: Path) -> Measured:
    """Ask the checks of every card; their repositories are made in the folder, once for each."""
    for card in CARDS:
        (folder / card).mkdir()
        write_repository(card, folder / card)
    good = {card: findings(folder / card, original(card)) for card in CARDS}
    harmless = {}
    for one in altered("harmless"):
        harmless[one.name] = added(good[one.card], findings(folder / one.card, one.text))
    outcomes: dict[str, Outcome] = {}
    codes = {}
    for one in altered("alterations"):
        new = added(good[one.card], findings(folder / one.card, one.text))
        outcomes[one.name] = judged(one, new)
        codes[one.name] = tuple(sorted({found.code for found in new}))
    return Measured(good, harmless, outcomes, codes)


def added(before: tuple[Found, ...], after: tuple[Found, ...]) -> tuple[Found, ...]:
    """Findings that the card had not before, wherever its lines have moved."""
    known = {_unplaced(found) for found in before}
    return tuple(found for found in after if _unplaced(found) not in known)


def judged(one: Altered, new: tuple[Found, ...]) -> Outcome:
    """Whether a finding that the card did not have before names a changed line."""
    if any(one.lines & set(found.lines) for found in new):
        return "found"
    return "elsewhere" if new else "missed"


def _lines(text: str) -> tuple[int, ...]:
    ends = ((int(m[1]), int(m[2] or m[1])) for m in _LINE.finditer(text))
    return tuple(dict.fromkeys(line for a, b in ends for line in range(a, min(b, a + 99) + 1)))


def _unplaced(found: Found) -> tuple[str, str]:
    return found.code, _LINE.sub("line", found.what)


def _cfg(sae: dict[str, Any], model_name: str) -> dict[str, Any]:
    """As SAELens 6 writes it."""
    cfg = {
        "architecture": sae["architecture"], "d_in": sae["d_in"], "d_sae": sae["d_sae"],
        "dtype": "float32", "device": "cpu", "apply_b_dec_to_input": True,
        "normalize_activations": "none", "reshape_activations": "none",
        "metadata": {
            "sae_lens_version": "6.5.0", "model_name": model_name,
            "hook_name": sae["hook_name"], "hf_hook_name": sae["hf_hook_name"],
        },
    }  # fmt: skip
    return cfg | ({"k": sae["k"]} if "k" in sae else {})


def _header(sae: dict[str, Any]) -> bytes:
    wide, narrow = sae["d_sae"], sae["d_in"]
    shapes = {"W_enc": [narrow, wide], "W_dec": [wide, narrow]}
    shapes |= {n: [narrow if n == "b_dec" else wide] for n in _TENSORS[sae["architecture"]]}
    header, at = {}, 0
    for name, shape in shapes.items():
        size = 4 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text


# Why nothing finds it, for what its author took to be mechanical.
REASONS = {
    "pythia160m_register-verdict-l6": 'A verdict in words: "there" is the layer named before it.',
    "tinyllama_resid-share-swap": "Which share is of which width is said by word order.",
    "gemma2_nf4-fp4": "A setting of the code against a name in the text; both are valid.",
    "gemma2_nf4-overlap": "Takes the formula of the Jaccard index for two sets of equal size.",
    "gemma2_nf4-paren": "Found, at the bracket that is never closed, four lines above.",
    "llama32_text_suite-dataset": "Data sets have several names, and a card may speak of others.",
    "llama32_text_suite-why-double": "A cause in words; the table would have to be read for it.",
    "qwen05b_minimal-dates": "The order of dates is not looked at.",
    "pythia410m_sentiment-headline": "A number without a name; whose mean it is, is context.",
    "pythia410m_sentiment-auroc-as-acc": "The number is on the card, under another metric.",
    "pythia410m_sentiment-pct-more": "What it is a share of stands in a table, unnamed.",
    "qwen15b_code-shape-comment": "A shape in a comment; takes running the code (R103).",
    "qwen15b_code-gated-tensors": "Which tensors a file has, in words: replaced, or joined.",
}
NOT_MECHANICAL = "Not mechanical, as its author says."


def page(now: Measured) -> str:
    """docs/altered-cards.md."""
    blind = json.loads((FOLDER / "blind.json").read_text(encoding="utf-8"))
    every = [*altered("alterations")]
    mechanical = [one for one in every if one.is_mechanical]
    n_found = Counter(now.outcomes[one.name] for one in mechanical)["found"]
    n_blind = Counter(blind["outcomes"][one.name] for one in mechanical)["found"]
    n_wrong = len(mechanical)
    n_harmless = len([*altered("harmless")])
    by_kind = sorted({one.kind for one in mechanical})
    rows = [_row(kind, [o for o in mechanical if o.kind == kind], blind, now) for kind in by_kind]
    rows += [
        _row(f"*{level}*", [o for o in mechanical if o.difficulty == level], blind, now)
        for level in ("gross", "medium", "subtle")
    ]
    rows.append(_row("**all mechanical**", mechanical, blind, now))
    others = [one for one in every if not one.is_mechanical]
    rows.append(_row("**not mechanical**", others, blind, now))
    missed = [one for one in every if now.outcomes[one.name] != "found"]
    listed = [f"| {o.name} | {o.what} | {REASONS.get(o.name, NOT_MECHANICAL)} |" for o in missed]
    return _PAGE.format(
        n_cards=len(CARDS), n_all=len(every), n_wrong=n_wrong, n_blind=n_blind, n_found=n_found,
        n_harmless=n_harmless, rows="\n".join(rows), missed="\n".join(listed),
        false_good=len(blind["false"]["good"]), false_harmless=len(blind["false"]["harmless"]),
        now_good=sum(map(len, now.good.values())),
        now_harmless=sum(1 for found in now.harmless.values() if found),
    )  # fmt: skip


def _row(name: str, ones: list[Altered], blind: dict[str, Any], now: Measured) -> str:
    cells = [name, str(len(ones))]
    for outcomes in (blind["outcomes"], now.outcomes):
        n = Counter(outcomes[one.name] for one in ones)
        cells += [str(n["found"]), str(n["elsewhere"]), str(n["missed"])]
    return f"| {' | '.join(cells)} |"


_PAGE = """# Altered cards, and what the checks find on them

{n_cards} cards of made-up repositories, each right as far as its author could make it, and
{n_all} alterations, each of which makes one statement wrong: {n_wrong} of them a rule could find
from the card and its repository, as their author judged before anything was measured. Besides,
{n_harmless} changes that are harmless: other words, units, digits and order for the same numbers.
All were written by someone who had not read the checks. They lie in
`tests/validators/altered_cards/`.

Each card is asked of as `release validate FOLDER --tier static --select R` does, with the configs
that it describes and without a manifest. An alteration counts as **found** where a finding that the
unaltered card does not have is on an altered line, or names it; as **elsewhere** where there are
new findings on other lines only.

**Blind**, before any change to the checks: {n_blind} of {n_wrong} found, {false_good} findings on
the cards as written and {false_harmless} of {n_harmless} harmless changes with a finding: false
alarms all of them.

**Present**, after rules were added with these cards at hand: {n_found} of {n_wrong} found,
{now_good} findings on the cards as written, {now_harmless} of {n_harmless} harmless changes with a
finding. **This figure is not blind.** The rules are general, and no rule names a card, but which
rules were written was decided by what was missed here; on cards that nobody has seen yet fewer will
be found. The false alarms are the better figure: the same rules raise nothing new on the
[four published cards](seed-cards.md) and on rendered ones.

## By kind

| kind | n | blind: found | elsewhere | missed | present: found | elsewhere | missed |
|---|---|---|---|---|---|---|---|
{rows}

## Not found

| alteration | what is wrong | why it is not found |
|---|---|---|
{missed}

## Measure again

`python -m pytest tests/validators/test_altered_cards.py` holds the cards to these figures, and
`python tests/validators/altered_card_figures.py` writes this page anew. The blind outcomes of each
alteration are kept in `tests/validators/altered_cards/blind.json`; they are not measured again.
"""


def main() -> None:
    """Write the page."""
    with TemporaryDirectory() as folder:
        PAGE.write_text(page(measured(Path(folder))), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
