"""Steps, tokens per step, contexts and tokens: what has to multiply, within one section."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from validators.readme.amounts import COUNT, PLAIN, Amount, amount_of, amounts, count_of
from validators.readme.card_tables import Table, tables
from validators.readme.card_text import CardText, Passage
from validators.readme.findings import Finding
from validators.readme.quantities import shown

_A = PLAIN
_STEPS_OF = re.compile(
    rf"({_A}) (?:training )?steps(?: of|,|\s?[x\u00d7]|) ({_A}) tokens(?: each)?"
)
_STEPS = re.compile(
    rf"({_A}) (?:training )?steps\b(?! (?:\(|of warm|per|each))"
    rf"|\bsteps(?: ?[:|=]| \|) ({_A})(?! ?\()"
)
_NO_STEPS = re.compile(r"warm|decay|anneal|epoch|last|first|every", re.IGNORECASE)
_BATCH = re.compile(
    rf"({_A}) tokens (?:per|a|each) (?:step|batch)\b"
    rf"|\bbatch(?:es)?(?: size)?(?: ?[:|=]| \||(?: of| have| has)|) ({_A}) tokens\b"
    rf"|\bbatches of ({_A})(?=[,.;:)] ?(?!each|with|\d)| activations\b)"
)
_TOKENS = re.compile(
    rf"({_A}) tokens\b(?! (?:each\b(?<!,)|per (?:step|batch|second|context)|a (?:step|batch)"
    rf"|in each))"
    rf"|\btokens(?: per SAE| in total)?(?: ?[:|=]| \|) ({_A})"
)
_LENGTH = re.compile(
    rf"\bcontexts? (?:length|size)?(?: ?[:|=]| \||of|) ?({_A})(?: tokens)?\b"
    rf"|\b(?:packed|cut) (?:in)?to (?:contexts of )?({_A}) tokens\b"
)
_CONTEXTS = re.compile(rf"({_A}) contexts\b(?! ?(?:per|a|in|each))")
_IN_BATCH = re.compile(rf"\b({COUNT}) contexts (?:per|a|in a|in each|in one) (?:batch|step)\b")
_FOR_ALL = re.compile(
    rf"({_A})(?: tokens)? (?:per|for each|for an|for one) SAE,? (?:and )?(?:about )?({_A})"
    rf"(?: tokens)? (?:for|over|across) (?:the|all)(?: the)? ({COUNT})\b"
)
_RATE = re.compile(rf"({_A}) tokens (?:per|a|each) second\b|({_A}) tokens/s\b")
_HOURS = re.compile(
    rf"\btook (?:about |roughly )?({_A}) hours\b"
    rf"|\bin (?:about |roughly )?({_A}) hours "
    rf"\((?=(?:about |roughly )?{_A} tokens (?:per|a) second)"
)
# Several runs or machines, whose hours and tokens may be counted together.
_SEVERAL = re.compile(
    r"\b(?:each|every|per SAE|all|both|GPUs|[2-9]\d? ?[x\u00d7]|runs|parallel|seeds|SAEs|layers)\b"
)
_ROW = re.compile(
    r"(?P<tokens>tokens(?: per SAE| seen| in all)?$)"
    r"|(?P<batch>batch(?: size)? ?(?:\(tokens\)|in tokens)$)"
    r"|(?P<steps>(?:training )?steps$)",
    re.IGNORECASE,
)
_FEWEST = 100_000
_MOST = 200
# A rate is taken while it runs; starting and stopping, and several machines, are besides.
_SLOW, _FAST = Decimal("0.5"), Decimal(2)


@dataclass
class _Said:
    """What a section says, each with its line."""

    steps: list[tuple[int, Amount]] = field(default_factory=list)
    batches: list[tuple[int, Amount]] = field(default_factory=list)
    tokens: list[tuple[int, Amount]] = field(default_factory=list)
    lengths: list[tuple[int, Amount]] = field(default_factory=list)


def lint_token_budgets(card: CardText) -> Iterator[Finding]:
    """Products of steps and batches against the tokens beside them."""
    lengths: set[Decimal] = set()
    for table in tables(card):
        yield from _rows(table)
    for section in _sections(card):
        said = _Said()
        for passage in section:
            _read(passage, said)
        yield from _products(said)
        lengths |= {length.value for _, length in said.lengths}
        for passage in section:
            yield from _sentences(passage, said)
            yield from _hours(passage, said)


def _rows(table: Table) -> Iterator[Finding]:
    """Rows for tokens, for the tokens of a batch and for steps, with a column for each run."""
    named: dict[str, Passage] = {}
    for row in table.rows:
        if found := _ROW.match(row.cells[0].strip("`* ")):
            name = next(key for key, group in found.groupdict().items() if group)
            if name in named:
                return
            named[name] = row
    if len(named) != len(_ROW.groupindex):
        return
    columns = [
        {name: amount_of(row.cells[at]) for name, row in named.items() if at < len(row.cells)}
        for at in range(1, len(table.header))
    ]
    holds: list[tuple[bool, str]] = []
    for column in columns:
        n, batch, total = (column.get(name) for name in ("steps", "batch", "tokens"))
        if n and batch and total:
            fits = total.may_be(n.low * batch.low, n.high * batch.high)
            what = f"{n.text} steps of {batch.text} tokens (line {named['batch'].line}) are "
            what += f"{shown(n.value * batch.value)}, and line {named['tokens'].line} has "
            holds.append((fits, what + total.text))
    broken = [what for fits, what in holds if not fits]
    if len(broken) == 1 < len(holds):
        yield Finding(named["steps"].line, broken[0], "warn", "steps")


def _sections(card: CardText) -> Iterator[list[Passage]]:
    section: list[Passage] = []
    for passage in card.prose:
        if passage.kind == "heading":
            yield section
            section = []
        else:
            section.append(passage)
    yield section


def _first(found: re.Match[str], text: str) -> tuple[int, Amount] | None:
    """What the first group that took part holds, and how many lines further down it stands."""
    at = next((n for n, group in enumerate(found.groups(), start=1) if group), 0)
    amount = next(amounts(found[at]), None) if at else None
    return None if amount is None else (text.count("\n", 0, found.start(at)), amount)


def _read(passage: Passage, said: _Said) -> None:
    text = passage.text
    if passage.kind == "row" and len(passage.cells) > 3:
        return  # one of many columns: which of them belong together is the table's to say
    for pattern, into in (
        (_STEPS, said.steps), (_BATCH, said.batches), (_TOKENS, said.tokens),
        (_LENGTH, said.lengths),
    ):  # fmt: skip
        for found in pattern.finditer(text.replace("\n", " ")):
            before = text[max(0, found.start() - 16) : found.end() + 12]
            if into is said.steps and _NO_STEPS.search(before):
                continue
            first = _first(found, text)
            if first is not None and not first[1].unit and len(into) < _MOST:
                into.append((passage.line + first[0], first[1]))


def _products(said: _Said) -> Iterator[Finding]:
    """Where a section has one number of steps and one batch: some number of tokens is theirs."""
    steps = {amount.value: (line, amount) for line, amount in said.steps}
    batches = {amount.value: (line, amount) for line, amount in said.batches}
    tokens = [(line, amount) for line, amount in said.tokens if amount.value >= _FEWEST]
    if len(steps) != 1 or len(batches) != 1 or not tokens:
        return
    ((line, n), (other, batch)) = (*steps.values(), *batches.values())
    low, high = n.low * batch.low, n.high * batch.high
    if n.value < 100 or batch.value < 2 or any(total.may_be(low, high) for _, total in tokens):
        return
    # A batch may be one of sequences.
    each = [(length.low, length.high) for _, length in said.lengths]
    if any(t.may_be(low * a, high * b) for _, t in tokens for a, b in each):
        return
    at, total = tokens[0]
    what = (
        f"{n.text.strip()} steps (line {line}) of {batch.text.strip()} tokens (line {other}) are "
        f"{shown(n.value * batch.value)} tokens, and line {at} has {total.text.strip()}"
    )
    yield Finding(line, what, "warn", n.text)


def _sentences(passage: Passage, said: _Said) -> Iterator[Finding]:
    text = passage.text.replace("\n", " ")
    for found in _STEPS_OF.finditer(text):
        n, each = (next(amounts(part)) for part in _two(found))
        totals = [t for _, t in said.tokens if t.value >= _FEWEST and t.value > each.value]
        fits = any(t.may_be(n.low * each.low, n.high * each.high) for t in totals)
        if totals and not fits and not n.unit and not each.unit:
            what = f"{found[0]} are {shown(n.value * each.value)}, and not {totals[0].text} tokens"
            yield Finding(passage.line_of(found.start()), what, "warn", found[0])
    lengths = {length.value for _, length in said.lengths}
    if len(lengths) == 1:
        (length,) = lengths
        yield from _contexts(passage, text, length, said)
    for found in _FOR_ALL.finditer(text):
        each, whole = (next(amounts(part)) for part in _two(found))
        times = count_of(found.groups()[-1])
        if each.unit == whole.unit and not whole.may_be(times * each.low, times * each.high):
            what = f"{times} times {each.text} are {shown(times * each.value)}, not {whole.text}"
            yield Finding(passage.line_of(found.start()), what, "fail", found[0])


def _hours(passage: Passage, said: _Said) -> Iterator[Finding]:
    """`took 14.5 hours, about 19k tokens per second`: the tokens of the section, at that rate."""
    text = passage.text.replace("\n", " ")
    rates, hours = [*_RATE.finditer(text)], [*_HOURS.finditer(text)]
    totals = [t for _, t in said.tokens if t.value >= _FEWEST]
    if len(rates) != 1 or len(hours) != 1:
        return
    # Hours with their rate in brackets are one run's, whatever the next sentence is about.
    about = text if hours[0][1] else text[: text.find(". ", hours[0].end())]
    steps, batches = ({a.value: a for _, a in each} for each in (said.steps, said.batches))
    if not totals and len(steps) == len(batches) == 1:
        ((n,), (batch,)) = ([*steps.values()], [*batches.values()])
        whole = shown(n.value * batch.value)
        totals = [next(amounts(whole))]
    if not totals or _SEVERAL.search(about):
        return
    rate = next(amounts(rates[0][1] or rates[0][2]))
    taken = next(amounts(hours[0][1] or hours[0][2]))
    low, high = rate.low * taken.low * 3600, rate.high * taken.high * 3600
    if taken.unit or any(t.low * _SLOW <= high and low <= t.high * _FAST for t in totals):
        return
    what = (
        f"{rate.text.strip()} tokens per second for {taken.text.strip()} hours are "
        f"{shown(rate.value * taken.value * 3600)} tokens, and not {totals[0].text.strip()}"
    )
    yield Finding(passage.line_of(rates[0].start()), what, "warn", hours[0][0])


def _contexts(passage: Passage, text: str, length: Decimal, said: _Said) -> Iterator[Finding]:
    totals = [t for _, t in said.tokens if t.value >= _FEWEST]
    for found in _CONTEXTS.finditer(text):
        n = next(amounts(found[1]))
        fits = any(t.may_be(n.low * length, n.high * length) for t in totals)
        if n.value >= 1000 and totals and not fits:
            what = f"{found[0]} of {length} tokens are {shown(n.value * length)} tokens"
            yield Finding(passage.line_of(found.start()), f"{what}, not {totals[0].text}",
                          "warn", found[0])  # fmt: skip
    batches = {batch.value for _, batch in said.batches}
    for found in _IN_BATCH.finditer(text):
        n_contexts = count_of(found[1])
        if batches and n_contexts * length not in batches:
            line, batch = said.batches[0]
            what = f"{found[0]} of {length} tokens are {n_contexts * length}, and not {batch.text}"
            yield Finding(passage.line_of(found.start()), f"{what} (line {line})", "warn", found[0])


def _two(found: re.Match[str]) -> tuple[str, str]:
    return found[1], found[2]
