"""What a card says of its SAEs in general, against the configs: sizes, k, kinds, layers, counts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from validators.readme.amounts import COUNT, count_of
from validators.readme.card_tables import tables
from validators.readme.card_text import CardText, Passage, Statement
from validators.readme.config_kinds import lint_config_kinds
from validators.readme.config_shares import lint_config_shares
from validators.readme.config_widths import lint_config_widths
from validators.readme.findings import Finding, SaeFacts, Surroundings

_N = r"`?(\d{1,3}(?:,\d{3})+|\d{1,9})(?![\w]|[.,]\d)"
_IS = r"`?(?: {0,12}[=:|]| is| of|) ?"
_D_IN = re.compile(rf"(?<![\w.])d_in{_IS}{_N}")
_D_MODEL = re.compile(rf"(?<![\w.])d_model{_IS}{_N}")
_D_SAE = re.compile(rf"(?<![\w.])d_sae{_IS}{_N}")
_K = re.compile(
    r"\bTopK[ ,]{1,2}\(?k ?= ?(\d{1,6})\b"
    r"|\bk(?: is| ?=) (\d{1,6})(?= (?:everywhere|for all|for every|throughout))"
)
_TIMES = re.compile(
    rf"\b({COUNT})(?: latents)? "
    r"(?:times as wide|times overcomplete|(?:latents )?per input dim\w*)\b"
)
_KIND = r"(TopK|JumpReLU|Gated)"
_AUTOENCODERS = rf"(?:{_KIND} )?(?:SAEs?\b|(?:[Ss]parse )?[Aa]uto-?encoders?\b)"
# Sentences with which a card opens: what the whole repository is.
_OPENS = re.compile(
    rf"^\W{{0,3}}({COUNT}) {_AUTOENCODERS}"
    rf"|\b(?:repository|release|suite|collection|repo) "
    rf"(?:holds|contains|has|consists of|comprises) ({COUNT}) {_AUTOENCODERS}"
    rf"|^(?:These|Here) are (?:the )?({COUNT}) {_AUTOENCODERS}"
)
_LAYERS = re.compile(r"L?\d{1,3}(?:, ?(?:and )?L?\d{1,3}| and L?\d{1,3}){1,99}")
_ARCHITECTURES = ("topk", "jumprelu", "gated", "standard")
_L0_IS = re.compile(
    r"\bL0 (?:is|=) (\d{1,6}(?:\.\d{1,3})?) (?:on|for|at) (?:every|each|all) tokens?\b"
)


# A size may be of what others trained.
_OF_OTHERS = re.compile(
    r"\b(?:(?:prior|previous|earlier|related) work|(?:cross|other|another|different)[- ]models?"
    r"|et al)\b",
    re.IGNORECASE,
)


def lint_config_claims(card: CardText, known: Surroundings) -> Iterator[Finding]:
    """Statements about all SAEs that no config bears out; nothing without configs."""
    if not known.saes:
        return
    for statement in card.statements:
        if not _OF_OTHERS.search(statement.text):
            yield from _sizes(statement, known)
    yield from _opening(card, known)
    for table in tables(card):
        for row in table.rows:
            yield from _row(row, known)
    yield from lint_config_widths(card, known)
    yield from lint_config_kinds(card, known)
    yield from lint_config_shares(card, known)


def _values(known: Surroundings, of: Callable[[SaeFacts], int | None]) -> set[int]:
    """What the configs say; empty where one says nothing."""
    values = [of(sae) for sae in known.saes]
    return set() if None in values else {value for value in values if value is not None}


def _sizes(statement: Statement, known: Surroundings) -> Iterator[Finding]:
    widths = _values(known, lambda sae: sae.d_in)
    of_stream = all(".hook_resid_" in (sae.hook_name or "") for sae in known.saes)
    for pattern, name, values in (
        (_D_IN, "d_in", widths),
        (_D_MODEL, "d_model", widths if of_stream else set()),
        (_D_SAE, "d_sae", _values(known, lambda sae: sae.d_sae)),
    ):
        for found in pattern.finditer(statement.text):
            # `24k (24,576)` gives the number right behind, and a code's `d_sae == 8192` its own.
            if values and count_of(found[1]) not in values:
                yield _finding(statement.line, f"{name} {found[1]}", values, found[0])
    ks = {sae.k for sae in known.saes if sae.k is not None}
    for found in _K.finditer(statement.text):
        if ks and int(found[1] or found[2]) not in ks:
            yield _finding(statement.line, f"k = {found[1] or found[2]}", ks, found[0])
    if all(sae.architecture == "topk" for sae in known.saes) and ks:
        for found in _L0_IS.finditer(statement.text):
            if not any(float(found[1]) <= k for k in ks):
                what = f"L0 is {found[1]} of TopK SAEs, and the configs have k = {_list(ks)}"
                yield Finding(statement.line, what, "fail", found[0])
    times = {
        sae.d_sae // sae.d_in
        for sae in known.saes
        if sae.d_in and sae.d_sae and sae.d_sae % sae.d_in == 0
    }
    for found in _TIMES.finditer(statement.text):
        if times and count_of(found[1]) not in times:
            yield _finding(statement.line, found[0], times, found[0])


def _opening(card: CardText, known: Surroundings) -> Iterator[Finding]:
    """How many SAEs the first paragraphs speak of, before a second title."""
    n_titles = 0
    for passage in card.passages:
        n_titles += passage.kind == "heading"
        if n_titles > 1:
            return
        if passage.kind != "paragraph":
            continue
        yield from _there_are(passage, known)
        for sentence in passage.sentences[:1]:
            found = _OPENS.search(sentence.text.replace("\n", " "))
            if not found:
                continue
            stated = count_of(found[1] or found[3] or found[5])
            kind = (found[2] or found[4] or found[6] or "").lower()
            n = sum(not kind or sae.architecture == kind for sae in known.saes)
            if stated != n:
                what = f"{found[0].strip()!r:.60}, and this repository holds {n}"
                yield Finding(sentence.line_of(found.start()), what, "warn", found[0])


def _there_are(passage: Passage, known: Surroundings) -> Iterator[Finding]:
    """`TopK SAEs that fit a laptop. There are 8: ...`."""
    first, *rest = passage.sentences or [Statement(passage.line, "")]
    for sentence in rest[:1] if re.match(rf"\W{{0,3}}{_AUTOENCODERS}", first.text) else ():
        found = re.match(rf"There are ({COUNT})(?=[:,.])", sentence.text)
        if found and count_of(found[1]) != len(known.saes):
            what = f"{found[0]!r}, and this repository holds {len(known.saes)}"
            yield Finding(sentence.line, what, "warn", found[0])


def _row(row: Passage, known: Surroundings) -> Iterator[Finding]:
    """A row that is named for something that the configs have too."""
    if len(row.cells) < 2:
        return
    label, value = row.cells[0].strip("`* ").lower(), row.cells[1].strip("` ")
    if label in ("saes", "number of saes", "sparse autoencoders"):
        found = re.match(rf"({COUNT})\b", value)
        if found and count_of(found[1]) != len(known.saes):
            yield _finding(row.line, f"{value} SAEs", {len(known.saes)}, value, "the repository")
    elif label in ("layer", "layers"):
        layers = _values(known, lambda sae: sae.layer)
        if layers and _LAYERS.fullmatch(value):
            extra = {int(n) for n in re.findall(r"\d+", value)} - layers
            if extra:
                what = f"no SAE is of layer {_list(extra)}: the configs have {_list(layers)}"
                yield Finding(row.line, what, "warn", value)
    elif label in ("architecture", "architectures"):
        kinds = {sae.architecture or "" for sae in known.saes}
        named = {name for name in _ARCHITECTURES if re.search(rf"\b{name}\b", value, re.I)}
        # BatchTopK is saved as jumprelu.
        is_saved_otherwise = re.search(r"batch|matryoshka", value, re.IGNORECASE)
        if not is_saved_otherwise and named - kinds and kinds <= {*_ARCHITECTURES}:
            yield _finding(row.line, f"architecture {value}", kinds, value)
    elif label == "k":
        ks = {sae.k for sae in known.saes if sae.k is not None}
        if ks and value.isdigit() and int(value) not in ks:
            yield _finding(row.line, f"k {value}", ks, value)
    elif label in ("expansion", "expansion factor"):
        times = {sae.d_sae / sae.d_in for sae in known.saes if sae.d_in and sae.d_sae}
        stated = {int(n) for n in re.findall(r"(?<![\w.])(\d{1,4})[x\u00d7]?(?![\w.])", value)}
        if times and stated and stated != times:
            yield _finding(row.line, f"expansion {value}", {round(t, 2) for t in times}, value)


def _finding(
    line: int, said: str, values: set[int] | set[str] | set[float], excerpt: str,
    who: str = "the configs",
) -> Finding:  # fmt: skip
    has = "have" if who.endswith("s") else "has"
    return Finding(line, f"{said}, and {who} {has} {_list(values)}", "warn", excerpt)


def _list(values: set[int] | set[str] | set[float]) -> str:
    return ", ".join(str(value) for value in sorted(values)[:8])
