"""What a card cites and links, and the machine and number format that it names."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from manifests.facts import Citation
from manifests.fields import HttpsUrl, RepoId
from release.importing.card_faults import Faults
from release.importing.card_lines import CardLine
from release.importing.printable import one_line
from validators.readme.card_text import CardText

FindPaper = Callable[[str], Citation | None]

_ARXIV = re.compile(r"(?<![\d.])(\d{4}\.\d{4,5})(?:v\d{1,2})?(?![\d.]\d)")
_IS_ARXIV = re.compile(r"arxiv", re.IGNORECASE)
_ENTRY = re.compile(r"\s*@[a-z]{3,20}\{\s*(?P<key>[^,\s]{1,80}),", re.IGNORECASE)
_FIELD = re.compile(
    r"\s*(?P<key>[a-z]{3,20})\s{0,9}=\s{0,9}[{\"]{0,2}(?P<value>.{1,600}?)[}\",\s]*$", re.I
)
_REPOSITORY = re.compile(r"https://github\.com/[\w.-]{1,60}/[\w.-]{1,90}")
_CODE = re.compile(
    r"(?:source )?code\b(?: repository)?:?\s*(?P<id>[\w.-]{1,60}/[\w.-]{1,90})", re.I
)
_COLLECTION = re.compile(
    r"\b(?:part of|collection)\b[^\n]{0,80}?[:\s(](?P<id>[\w.-]{1,60}/[\w.-]{1,90})", re.IGNORECASE
)
_DATE = re.compile(r"\btrained:?\s?(?:on )?(?P<date>20\d\d-[01]\d-[0-3]\d)", re.IGNORECASE)
_MEMORY = re.compile(r"(\d{1,3}(?:\.\d)?) ?Gi?B\b")
_CAPABILITY = re.compile(r"compute capability (\d{1,2}\.\d)\b", re.IGNORECASE)
_SYSTEM = re.compile(r"\b(?:Windows|Ubuntu|Debian|Linux|macOS)\b[^,;()]{0,30}")
_DEVICE = re.compile(r"(?:GPU|hardware|device):\s*(?P<device>[^(,\n]{3,120})", re.IGNORECASE)
_SOFTWARE = re.compile(
    r"software(?: stack| versions?)?:\s*(?P<items>[^()\n]{3,300})", re.IGNORECASE
)
_PACKAGE = re.compile(r"[A-Za-z][\w-]{1,30} v?\d[\w.+]{0,20}")
_DRIVER = re.compile(r"\bdriver \d[\d.]{1,12}\b")
_BNB = re.compile(r"BitsAndBytesConfig\s*\(")
_SAID = re.compile(
    r"\b(?P<weights>nf4|fp4)\b[^\n.]{0,40}?\b(?P<compute>fp16|bf16|fp32) compute", re.I
)
_SHORT = {"float16": "fp16", "bfloat16": "bf16", "float32": "fp32"}
_BNB_LINES, _MOST_WORKS = 10, 30


@dataclass(frozen=True)
class StatedReferences:
    """Citations, links, machine and precision of one card; None or empty where it names none."""

    citations: tuple[dict[str, Any], ...] = ()
    code: str | None = None
    collection: str | None = None
    trained_on: str | None = None
    machine: dict[str, Any] = field(default_factory=dict)
    precision: dict[str, Any] | None = None


def stated_references(
    card: CardText, lines: tuple[CardLine, ...], faults: Faults, *, find_paper: FindPaper
) -> StatedReferences:
    """Read them; `find_paper` gives a work that is known by its arXiv id."""
    prose = [line for line in lines if line.kind != "code"]
    return StatedReferences(
        citations=tuple(_citations(card, find_paper)),
        code=_first(_code(prose)),
        collection=_first(_collection(prose)),
        trained_on=next(
            (
                found["date"]
                for line in prose
                if (found := _DATE.search(line.text)) and is_valid(datetime.date, found["date"])
            ),
            None,
        ),
        machine=_machine(prose, faults),
        precision=_precision(card, prose),
    )


def arxiv_ids(card: CardText) -> tuple[str, ...]:
    """Every arXiv id on the card, in its order."""
    found = [
        number[1]
        for line in card.lines
        if _IS_ARXIV.search(line)
        for number in _ARXIV.finditer(line[:4_000])
    ]
    return tuple(dict.fromkeys(found))


def _citations(card: CardText, find_paper: FindPaper) -> Iterator[dict[str, Any]]:
    """Works by BibTeX entry and by arXiv id; a known work is cited as it is known."""
    seen: set[str] = set()
    for entry in _entries(card):
        cited = _cited(entry)
        known = find_paper(cited["arxiv"]) if "arxiv" in cited else None
        chosen = _as_keys(known) if known else cited
        if known or is_valid(Citation, chosen):
            seen.add(chosen.get("arxiv", ""))
            yield chosen
    for arxiv in arxiv_ids(card):
        known = find_paper(arxiv) if arxiv not in seen else None
        if known is not None:
            yield _as_keys(known)


def _entries(card: CardText) -> Iterator[dict[str, str]]:
    n_entries = 0
    for at, line in enumerate(card.lines):
        opened = _ENTRY.match(line) if n_entries < _MOST_WORKS else None
        if not opened:
            continue
        n_entries += 1
        entry = {"": opened["key"]}
        for inner in card.lines[at + 1 : at + 20]:
            if inner.strip() == "}":
                break
            if found := _FIELD.match(inner[:1_000]):
                entry[found["key"].lower()] = found["value"].strip('{}" ')
        yield entry


def _cited(entry: dict[str, str]) -> dict[str, Any]:
    names = [name for name in re.split(r"\s+and\s+", entry.get("author", "")) if name.strip()]
    everywhere = " ".join(entry.values())
    arxiv = _ARXIV.search(everywhere) if _IS_ARXIV.search(everywhere) else None
    year = re.search(r"\b(?:19|20)\d\d\b", entry.get("year", ""))
    keys: dict[str, Any] = {
        "key": one_line(entry[""]),
        "title": one_line(entry.get("title", ""), at_most=300),
        "authors": [one_line(_first_name_first(name)) for name in names],
        "year": int(year[0]) if year else 0,
    }
    if arxiv:
        keys |= {"arxiv": arxiv[1], "url": f"https://arxiv.org/abs/{arxiv[1]}"}
    return keys


def _first_name_first(name: str) -> str:
    last, comma, first = name.strip().partition(",")
    return f"{first.strip()} {last.strip()}" if comma else last.strip()


def _as_keys(citation: Citation) -> dict[str, Any]:
    return citation.model_dump(mode="json", exclude_none=True)


def _code(prose: list[CardLine]) -> Iterator[str]:
    for line in prose:
        if found := _REPOSITORY.search(line.raw):
            yield found[0].rstrip(".")
        elif named := _CODE.match(line.text):
            yield f"https://github.com/{named['id'].rstrip('.')}"


def _collection(prose: list[CardLine]) -> Iterator[str]:
    for line in prose:
        found = _COLLECTION.search(line.text)
        if found and is_valid(RepoId, found["id"].rstrip(".")):
            yield found["id"].rstrip(".")


def _machine(prose: list[CardLine], faults: Faults) -> dict[str, Any]:
    """The GPU's line and the software, without what something was found in."""
    machine: dict[str, Any] = {}
    software: list[str] = []
    for line in prose:
        device = _DEVICE.match(line.text) if not machine else None
        if device and re.search(r"\d", line.text):
            machine = read_machine(line.text[device.start("device") :])
            memory = _MEMORY.search(line.text, device.start("device"))
            if memory and faults.spoils(line.number, line.text, *memory.span()):
                machine.pop("memory_gb", None)
            software += [found[0] for found in _DRIVER.finditer(line.text)]
        if stack := _SOFTWARE.match(line.text):
            for package in _PACKAGE.finditer(line.text, stack.start("items"), stack.end("items")):
                if not faults.spoils(line.number, line.text, *package.span()):
                    software.append(re.sub(r"\+$", " or later", package[0]))
    return machine | ({"software": one_line(", ".join(software))} if software else {})


def read_machine(text: str) -> dict[str, Any]:
    """A line such as `GPU name, 4 GB VRAM, Windows 11 Pro` as the keys of a machine."""
    device = re.split(r"\s*[(,]", text, maxsplit=1)[0]
    memory, capability = _MEMORY.search(text), _CAPABILITY.search(text)
    system = _SYSTEM.search(text)
    keys = {
        "device": one_line(device) or None,
        "memory_gb": (float(memory[1]) or None) if memory else None,
        "compute_capability": capability[1] if capability else None,
        "system": one_line(system[0]) if system else None,
    }
    if isinstance(keys["memory_gb"], float) and keys["memory_gb"].is_integer():
        keys["memory_gb"] = int(keys["memory_gb"])
    return {key: value for key, value in keys.items() if value is not None}


def _precision(card: CardText, prose: list[CardLine]) -> dict[str, Any] | None:
    """By the arguments of a BitsAndBytesConfig, else by words such as `nf4 ..., fp16 compute`."""
    for at, written in enumerate(card.lines):
        if _BNB.search(written) is None:
            continue
        arguments = "\n".join(card.lines[at : at + _BNB_LINES]).partition(")")[0]
        if re.search(r"load_in_8bit\s*=\s*True", arguments):
            return {"weights": "int8", "compute": "fp16"}
        if re.search(r"load_in_4bit\s*=\s*True", arguments):
            kind = re.search(r"quant_type\s*=\s*[\"'](nf4|fp4)", arguments)
            compute = re.search(r"compute_dtype\s*=\s*(?:torch\.)?(\w{4,8})", arguments)
            double = bool(re.search(r"use_double_quant\s*=\s*True", arguments))
            return _quantised(kind[1] if kind else "fp4", compute[1] if compute else "", double)
    for line in prose:
        if said := _SAID.search(line.text):
            double = bool(re.search(r"double[- ]?quant", line.text, re.IGNORECASE))
            return _quantised(said["weights"].lower(), said["compute"].lower(), double)
    return None


def _quantised(weights: str, compute: str, double: bool) -> dict[str, Any]:
    short = _SHORT.get(compute, compute)
    known = {"compute": short} if short in _SHORT.values() else {}
    return {"weights": weights, **known, **({"double_quantization": True} if double else {})}


def _first(urls: Iterator[str]) -> str | None:
    return next((each for each in urls if is_valid(HttpsUrl, each) or is_valid(RepoId, each)), None)


def is_valid(kind: Any, value: Any) -> bool:
    """Whether a manifest would take a value as of this type."""
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True
