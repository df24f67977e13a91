"""What a README.md states in its front matter, its tables and its lists; sentences are not read."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from manifests.yaml_source import YamlProblem, parse_yaml
from release.importing.findings import Finding
from release.importing.names import ARCHITECTURES
from release.importing.printable import one_line
from validators.reading.repository import Repository, UnreadableFile

README = "README.md"
MAX_CARD_BYTES = 1_000_000
MAX_LINES = 20_000

_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(?P<yaml>.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_BULLET = re.compile(r"\s{0,8}[-*+•]\s+(?P<text>\S.*)")
_ROW = re.compile(r"\s{0,3}\|(?P<cells>.*)\|\s*")
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
_LABELS = {"epochs": "epochs", "batch size": "batch_size", "learning rate": "learning_rate"}


@dataclass(frozen=True)
class CardFacts:
    """The facts of one card; empty or None where it states none.

    `counts` are all statements of a number of SAEs, by the line they stand in.
    """

    front_matter: Mapping[str, Any] = field(default_factory=dict)
    title: str | None = None
    summary: str | None = None
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


def read_card(repository: Repository) -> tuple[CardFacts, tuple[Finding, ...]]:
    """Read the card of a repository; what cannot be read is a finding."""
    if README not in repository.files:
        return CardFacts(), (Finding("warn", README, "does not exist", "a card"),)
    try:
        text = repository.read_text(README, max_bytes=MAX_CARD_BYTES)
    except UnreadableFile as error:
        return CardFacts(), (Finding("warn", README, one_line(error.what), "a text in UTF-8"),)
    return card_facts(text)


def card_facts(text: str) -> tuple[CardFacts, tuple[Finding, ...]]:
    """The facts of a card's text, and what is wrong with its front matter."""
    front, findings = _front_matter(text)
    match = _FRONT_MATTER.match(text)
    body = text[match.end() :] if match else text
    lines = [line[:2_000] for line in body.splitlines()[:MAX_LINES]]
    bullets = [found["text"] for line in lines if (found := _BULLET.fullmatch(line))]
    table = dict(_two_columns(lines))
    lists = _lists(bullets)
    expansion = table.get("expansion factor", "")
    sizes = [int(number) for number in re.findall(r"[0-9]{2,7}", expansion)]
    if len(sizes) == 2:
        lists["d_in"].add(sizes[0])
        lists["d_sae"].add(sizes[1])
    facts = CardFacts(
        front_matter=front,
        title=_title(lines),
        summary=_summary(lines),
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
        label_rule=one_line(table["llm classifier"]) if table.get("llm classifier") else None,
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


def _two_columns(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    """Rows of tables with two columns, the first one in lower case."""
    for line in lines:
        row = _ROW.fullmatch(line)
        cells = [cell.strip() for cell in row["cells"].split("|")] if row else []
        if len(cells) == 2 and not set(cells[0]) <= set("-: "):
            yield _plain(cells[0]).lower(), cells[1]


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
        if "architecture" in lower:
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


def _title(lines: Iterable[str]) -> str | None:
    headings = (line[2:] for line in lines if line.startswith("# "))
    return next((one_line(_plain(heading)) or None for heading in headings), None)


def _summary(lines: list[str]) -> str | None:
    """The first paragraph, when it is one of plain text."""
    for line in lines:
        text = _plain(line)
        if text and not line.startswith(("#", "|", "-", "*", "•", "`", "<", ">", "!", "[")):
            return one_line(text, at_most=600)
    return None


def _plain(text: str) -> str:
    """Markdown without emphasis, code marks, and links around their text."""
    return re.sub(r"[*`]", "", _LINK.sub(r"\1", text)).strip()
