"""What the checks of a card find on cards that were altered by people who had not read them.

Each set has `cards` of made-up repositories with what those hold (`NAME.json`), `alterations.json`,
which makes one statement of a card wrong at a time, and `harmless.json`, which says the same in
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

from altered_card_texts import RULES, SECTIONS, TABLES, TEXT

from manifests.progress import Silent
from validators.options import ValidateOptions
from validators.reading.local_repository import LocalRepository
from validators.registry import checks_up_to
from validators.runner import run_checks
from validators.selection import Selection
from validators.subjects import RepositorySubject

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "altered-cards.md"
Outcome = Literal["found", "elsewhere", "missed"]

_OPTIONS = ValidateOptions(selection=Selection(select=("R",)))
_LINE = re.compile(r"\blines? (\d+)(?:-(\d+))?")
_ITEM = re.compile(r"(?:(?<=README\.md, )|(?<=; ))(?=line \d+: )")
_TENSORS = {
    "standard": ("b_dec", "b_enc"),
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


@dataclass(frozen=True)
class CardSet:
    """Cards and their alterations, all of one author.

    Attributes:
        name: the folder beside this file.
    """

    name: str

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return HERE / self.name

    @property
    def cards(self) -> tuple[str, ...]:
        """The names of its cards."""
        return tuple(sorted(path.stem for path in (self.folder / "cards").glob("*.md")))

    @property
    def reasons(self) -> dict[str, str]:
        """Why nothing finds an alteration, for what its author took to be mechanical."""
        reasons: dict[str, str] = self.read("reasons.json")
        return reasons

    @property
    def right(self) -> dict[str, list[str]]:
        """By card, what is found on it as it was written and is true of it."""
        if not (self.folder / "right.json").is_file():
            return {}
        right: dict[str, list[str]] = self.read("right.json")
        return right

    def read(self, path: str) -> Any:
        """One of its JSON files."""
        return json.loads((self.folder / path).read_text(encoding="utf-8"))

    def original(self, card: str) -> str:
        """A card as it was written."""
        return (self.folder / "cards" / f"{card}.md").read_text(encoding="utf-8")


SETS = tuple(
    CardSet(name) for name in ("altered_cards", "altered_cards_second", "altered_cards_third")
)


def altered(cards: CardSet, file: Literal["alterations", "harmless"]) -> Iterator[Altered]:
    """Every altered card of a list."""
    for one in cards.read(f"{file}.json"):
        text = cards.original(one["card"])
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


def write_repository(cards: CardSet, card: str, folder: Path) -> None:
    """What the facts of a card say that its repository holds; the weights are headers alone."""
    facts = cards.read(f"cards/{card}.json")
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
        good: findings on each card as it was written; but for `right.json`, false alarms.
        harmless: findings that each harmless change adds; every one is a false alarm.
        outcomes: of each alteration.
        codes: what found it, or stands elsewhere.
    """

    good: dict[str, tuple[Found, ...]]
    harmless: dict[str, tuple[Found, ...]]
    outcomes: dict[str, Outcome]
    codes: dict[str, tuple[str, ...]]


def measured(cards: CardSet, folder: Path) -> Measured:
    """Ask the checks of every card; their repositories are made in the folder, once for each."""
    for card in cards.cards:
        (folder / card).mkdir()
        write_repository(cards, card, folder / card)
    good = {card: findings(folder / card, cards.original(card)) for card in cards.cards}
    harmless = {}
    for one in altered(cards, "harmless"):
        harmless[one.name] = added(good[one.card], findings(folder / one.card, one.text))
    outcomes: dict[str, Outcome] = {}
    codes = {}
    for one in altered(cards, "alterations"):
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
        "dtype": sae.get("dtype", "float32"), "device": "cpu", "apply_b_dec_to_input": True,
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
    n_bytes, dtype = (2, "BF16") if sae.get("dtype") == "bfloat16" else (4, "F32")
    header, at = {}, 0
    for name, shape in shapes.items():
        size = n_bytes * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text


NOT_MECHANICAL = "Not mechanical, as its author says."


def page(now: dict[str, Measured]) -> str:
    """docs/altered-cards.md, by the measurements of each set."""
    parts = {cards.name: _section(cards, now[cards.name]) for cards in SETS}
    return TEXT.format(
        summary="\n".join(_summary(cards, now[cards.name]) for cards in SETS),
        first=parts["altered_cards"], second=parts["altered_cards_second"],
        third=parts["altered_cards_third"],
    )  # fmt: skip


def _mechanical(cards: CardSet) -> list[Altered]:
    return [one for one in altered(cards, "alterations") if one.is_mechanical]


def _summary(cards: CardSet, now: Measured) -> str:
    """One row of the table of all sets."""
    blind, mechanical = cards.read("blind.json"), _mechanical(cards)
    n_blind, n_now = _n_found(mechanical, blind["outcomes"]), _n_found(mechanical, now.outcomes)
    n_named = len(blind.get("named", ()))
    said = f"{n_blind + n_named} of {len(mechanical)}"
    if n_named:
        said += f" ({n_blind} on an altered line)"
    rules, alarms = RULES[cards.name], len(blind["false"]["good"])
    return (
        f"| {rules} | {said} | {alarms} | {n_now} of {len(mechanical)} | {_n_false(cards, now)} |"
    )


def _n_false(cards: CardSet, now: Measured) -> int:
    """Findings on cards as they were written that are not true of them."""
    return sum(map(len, now.good.values())) - sum(map(len, cards.right.values()))


def _section(cards: CardSet, now: Measured) -> str:
    blind = cards.read("blind.json")
    every = [*altered(cards, "alterations")]
    mechanical = _mechanical(cards)
    by_kind = sorted({one.kind for one in mechanical})
    rows = [_row(kind, [o for o in mechanical if o.kind == kind], blind, now) for kind in by_kind]
    rows += [
        _row(f"*{level}*", [o for o in mechanical if o.difficulty == level], blind, now)
        for level in ("gross", "medium", "subtle")
        if any(one.difficulty == level for one in mechanical)
    ]
    rows.append(_row("**all mechanical**", mechanical, blind, now))
    others = [one for one in every if not one.is_mechanical]
    rows.append(_row("**not mechanical**", others, blind, now))
    missed = [one for one in every if now.outcomes[one.name] != "found"]
    reasons = cards.reasons
    return SECTIONS[cards.name].format(
        n_cards=len(cards.cards), n_all=len(every), n_wrong=len(mechanical),
        n_blind=_n_found(mechanical, blind["outcomes"]),
        n_found=_n_found(mechanical, now.outcomes),
        n_harmless=len(now.harmless), n_right=len(blind.get("right", ())),
        false_good=len(blind["false"]["good"]), false_harmless=len(blind["false"]["harmless"]),
        n_named=len(blind.get("named", ())),
        n_of_named=_n_found(mechanical, blind["outcomes"]) + len(blind.get("named", ())),
        false_altered=sum(map(len, blind.get("false_on_altered", {}).values())),
        now_good=_n_false(cards, now),
        now_harmless=sum(1 for found in now.harmless.values() if found),
    ) + TABLES.format(
        rows="\n".join(rows),
        missed="\n".join(
            f"| {o.name} | {o.what} | {reasons.get(o.name, NOT_MECHANICAL)} |" for o in missed
        ),
    )  # fmt: skip


def _n_found(ones: list[Altered], outcomes: dict[str, Outcome]) -> int:
    return Counter(outcomes[one.name] for one in ones)["found"]


def _row(name: str, ones: list[Altered], blind: dict[str, Any], now: Measured) -> str:
    cells = [name, str(len(ones))]
    for outcomes in (blind["outcomes"], now.outcomes):
        n = Counter(outcomes[one.name] for one in ones)
        cells += [str(n["found"]), str(n["elsewhere"]), str(n["missed"])]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Write the page."""
    now = {}
    for cards in SETS:
        with TemporaryDirectory() as folder:
            now[cards.name] = measured(cards, Path(folder))
    PAGE.write_text(page(now), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
