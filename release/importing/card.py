"""What a README.md states of the matrix and the recipe, in its front matter, tables and lists."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from manifests.yaml_source import YamlProblem, parse_yaml
from release.importing.card_lines import (
    MAX_CHARACTERS,
    CardLine,
    Paragraph,
    card_lines,
    has_markup,
    paragraphs,
)
from release.importing.card_tables import table_rows
from release.importing.findings import Finding
from release.importing.names import ARCHITECTURES
from release.importing.printable import one_line
from validators.reading.repository import Repository, UnreadableFile
from validators.readme.card_text import read_card

README = "README.md"
MAX_CARD_BYTES = 1_000_000

_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(?P<yaml>.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_REPO_ID = re.compile(r"""repo_id\s*=\s*["'](?P<id>[\w.-]+/[\w.-]+)["']""")
_COUNT = re.compile(r"(?P<n>[0-9]{1,6})\s+(?:SAEs|sparse autoencoders?)\b", re.IGNORECASE)
_LAYER = re.compile(r"\bL(?P<layer>[0-9]{1,4})\b")
_CONDITION_COUNT = re.compile(
    r"\b(?P<name>[a-z][a-z_]{2,40})\s*\(\s*(?:all\s+)?n\s*=\s*(?P<n>[0-9][0-9,]{0,8})\s*\)"
)
# Neither part may hold what opens or closes one: each character is then passed once or twice, and
# not once for every bracket before it.
_LINK = re.compile(r"\[([^\[\]]{0,300})\]\([^()]{0,500}\)")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_BATCHTOPK = re.compile(r"\bbatch[ _-]?top[ _-]?k\b")
_MATRYOSHKA = re.compile(r"\bmatryoshka(?:[ _-]batchtopk)?\b")
_NO_SENTENCE = ("`", "<", ">", "!", "[")
_LABELS = {"epochs": "epochs", "batch size": "batch_size", "learning rate": "learning_rate"}


@dataclass(frozen=True)
class CardFacts:
    """The facts of one card; empty or None where it states none.

    `counts` are all statements of a number of SAEs, by the line they stand in.
    """

    front_matter: Mapping[str, Any] = field(default_factory=dict)
    title: str | None = None
    summary: str | None = None
    summary_lines: frozenset[int] = frozenset()
    repo_ids: tuple[str, ...] = ()
    counts: tuple[tuple[str, int], ...] = ()
    layers: frozenset[int] = frozenset()
    architectures: frozenset[str] = frozenset()
    d_in: frozenset[int] = frozenset()
    d_sae: frozenset[int] = frozenset()
    k: frozenset[int] = frozenset()
    recipe: Mapping[str, float] = field(default_factory=dict)
    condition_counts: Mapping[str, int] = field(default_factory=dict)
    hardware: str | None = None
    label_rule: str | None = None

    def front_matter_text(self, key: str) -> str | None:
        """A front matter value that is one text, or a list of one text."""
        value = self.front_matter.get(key)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        return one_line(value) or None if isinstance(value, str) else None

    def front_matter_texts(self, key: str) -> tuple[str, ...]:
        """A front matter value as a list of texts."""
        value = self.front_matter.get(key)
        values = value if isinstance(value, list) else [value]
        return tuple(one_line(each) for each in values if isinstance(each, str) and each.strip())


def read_readme(repository: Repository) -> tuple[str | None, tuple[Finding, ...]]:
    """The text of a repository's card; None and a finding where it cannot be read."""
    if README not in repository.files:
        return None, (Finding("warn", README, "does not exist", "a card"),)
    try:
        return repository.read_text(README, max_bytes=MAX_CARD_BYTES), ()
    except UnreadableFile as error:
        return None, (Finding("warn", README, one_line(error.what), "a text in UTF-8"),)


def card_facts(text: str) -> tuple[CardFacts, tuple[Finding, ...]]:
    """The facts of a card's text, and what is wrong with its front matter."""
    front, findings = _front_matter(text)
    match = _FRONT_MATTER.match(text)
    body = text[match.end() :] if match else text
    page = read_card(text[:MAX_CHARACTERS])
    parts = card_lines(page)
    # Steps of a numbered list are sentences; what a repository holds stands in plain ones.
    bullets = [p.text for p in parts if p.kind == "bullet" and not p.raw[:1].isdigit()]
    table = {row.label.lower(): row.values[0] for row in table_rows(parts) if len(row.values) == 1}
    lists = _lists(bullets)
    expansion = table.get("expansion factor", "")
    sizes = [int(number) for number in re.findall(r"[0-9]{2,7}", expansion)]
    if len(sizes) == 2:
        lists["d_in"].add(sizes[0])
        lists["d_sae"].add(sizes[1])
    summary = _summary(parts, has_markup=has_markup(page))
    facts = CardFacts(
        front_matter=front,
        title=_title(parts),
        summary=one_line(summary.text, at_most=600) if summary else None,
        summary_lines=summary.numbers if summary else frozenset(),
        repo_ids=tuple(sorted({found["id"] for found in _REPO_ID.finditer(body)})),
        counts=tuple(
            (one_line(bullet, at_most=60), int(found["n"]))
            for bullet in bullets
            # "39 SAEs - 30 original + 9 ..." states 39; its parts are not counts of the whole.
            if (found := _COUNT.search(_plain(bullet)))
        ),
        layers=frozenset(lists["layers"]),
        architectures=frozenset(lists["architectures"]),
        d_in=frozenset(lists["d_in"]),
        d_sae=frozenset(lists["d_sae"]),
        k=frozenset(lists["k"]),
        recipe=_recipe(table),
        condition_counts={
            found["name"]: int(found["n"].replace(",", ""))
            for found in _CONDITION_COUNT.finditer(_plain(table.get("training conditions", "")))
        },
        hardware=one_line(table["hardware"]) if table.get("hardware") else None,
        label_rule=one_line(f"LLM classifier: {table['llm classifier']}.")
        if table.get("llm classifier")
        else None,
    )
    return facts, findings


def _front_matter(text: str) -> tuple[dict[str, Any], tuple[Finding, ...]]:
    match = _FRONT_MATTER.match(text)
    expected = "a YAML block between two lines of ---, from which the Hub makes tags and links"
    if match is None:
        return {}, (Finding("warn", README, "has no front matter", expected),)
    try:
        data = parse_yaml(match["yaml"], shown_as=README).data
    except YamlProblem as error:
        return {}, (Finding("warn", README, f"front matter {one_line(error.what)}", expected),)
    if not isinstance(data, dict):
        return {}, (Finding("warn", README, "has front matter that is no mapping", expected),)
    return data, ()


def _lists(bullets: Iterable[str]) -> dict[str, set[Any]]:
    """What the bullets enumerate: layers, architectures, sizes, k."""
    found: dict[str, set[Any]] = {
        name: set() for name in ("layers", "architectures", "d_in", "d_sae", "k")
    }
    for bullet in bullets:
        plain = _plain(bullet)
        lower = plain.lower()
        if "layer" in lower:
            found["layers"] |= {int(each["layer"]) for each in _LAYER.finditer(plain)}
        if "architecture" in lower and "saelens" not in lower:
            joined = _BATCHTOPK.sub("batchtopk", lower)
            joined = _MATRYOSHKA.sub("matryoshka_batchtopk", joined)
            found["architectures"] |= {
                name for name in ARCHITECTURES if re.search(rf"\b{name}\b", joined)
            }
            found["k"] |= {int(n) for n in re.findall(r"\bk\s*=\s*([0-9]{1,6})\b", lower)}
        for name in ("d_in", "d_sae"):
            found[name] |= {
                int(n) for n in re.findall(rf"\b{name}\b\s*[=:]\s*([0-9]{{1,8}})", lower)
            }
    return found


def _recipe(table: Mapping[str, str]) -> dict[str, float]:
    """Epochs, batch size and learning rate, where a table states them as numbers."""
    return {
        key: value
        for label, key in _LABELS.items()
        if (number := _NUMBER.fullmatch(_plain(table.get(label, ""))))
        and math.isfinite(value := float(number[0]))
    }


def _title(parts: tuple[CardLine, ...]) -> str | None:
    """The first heading; on a page without markup, its first line."""
    headings = (line for line in parts if line.kind == "heading")
    first = next(headings, None)
    return one_line(_plain(first.text)) or None if first is not None else None


def _summary(parts: tuple[CardLine, ...], *, has_markup: bool) -> Paragraph | None:
    """The first paragraph of plain text."""
    for paragraph in paragraphs(parts, has_markup=has_markup):
        if paragraph.lines[0].kind == "text" and not paragraph.raw.startswith(_NO_SENTENCE):
            return paragraph
    return None


def _plain(text: str) -> str:
    """Markdown without emphasis, code marks, and links around their text."""
    return re.sub(r"[*`]", "", _LINK.sub(r"\1", text)).strip()
