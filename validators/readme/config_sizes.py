"""What files take on disk, as a card says it, against what the shapes and types of configs give."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from validators.readme.amounts import COUNT, PLAIN, Amount, amounts, count_of
from validators.readme.card_text import CardText, Passage
from validators.readme.findings import Finding, SaeFacts, Surroundings
from validators.readme.quantities import shown

_ALL = re.compile(
    rf"\b(?:[Aa]ll|[Tt]he) ({COUNT}) (?:SAEs|of them|files|autoencoders)\b[^.;\d]{{0,50}}?({PLAIN})"
)
_ALL_ARE = re.compile(rf"\ball ({COUNT}) (?:are|take|have) (?:about |roughly )?({PLAIN})(?=[.;,])")
_EACH = re.compile(
    rf"\b[Ee]ach (?:sae_weights\.safetensors|file|SAE) (?:is|takes|has) (?:about )?({PLAIN}) in "
    r"(float32|fp32|float16|fp16|bfloat16|bf16)\b"
)
_TOGETHER = re.compile(rf"({PLAIN}) (?:altogether|in total|in all)\b")
_ROW_TOTAL = re.compile(r"total size|size in total|all files", re.IGNORECASE)
_ROW_FILE = re.compile(r"(?:file|weights|size|file size)$", re.IGNORECASE)
_FILE = re.compile(
    rf"\b[Tt]he (?:weights )?file (?:is|takes|weighs|holds [^.;]{{1,60}}? and weighs) ({PLAIN})"
)
_KIND = re.compile(
    rf"\b(TopK|JumpReLU|Gated) (?:file|SAE) (?:is|takes|weighs|of|has) (?:about )?({PLAIN})"
)
_PARAMETERS = re.compile(
    rf"({PLAIN}) (float32|fp32|float16|fp16|bfloat16|bf16) parameters"
    rf"(?:,| take| at| are)? ({PLAIN})"
)
_COUNT_SIZE = re.compile(rf"\b({COUNT}) (?:files|SAEs),? ({PLAIN})(?! (?:each|apiece|per|a )\b)")
_WHOLE = re.compile(
    rf"\b(?:whole|entire) repo(?:sitory)? (?:is|takes|weighs) (?:about |roughly |around )?({PLAIN})"
)
_T = r"(float32|fp32|float16|fp16|bfloat16|bf16)"
_IN_TYPES = re.compile(
    rf"({PLAIN}) parameters(?:,|:| \(| or| take| takes) ?({PLAIN}) in {_T}"
    rf"(?:(?:,| and|, and| or) ({PLAIN}) in {_T})?\b"
)
# Files that may be as large as the weights, or larger.
_HEAVY = (
    ".pt", ".pth", ".bin", ".npz", ".npy", ".parquet", ".ckpt", ".zip", ".gz", ".jsonl", ".arrow",
    ".h5", ".pkl", ".gguf", ".tar", ".mp4",
)  # fmt: skip
_BYTES = {"float32": 4, "fp32": 4, "float16": 2, "fp16": 2, "bfloat16": 2, "bf16": 2}
# Headers of files, and what is left out of a sum, are no contradiction.
_LEAST, _MOST = 0.98, 1.02


def lint_config_sizes(card: CardText, known: Surroundings) -> Iterator[Finding]:
    """Bytes of one SAE, of all of them, and of a number of parameters."""
    sizes = [sae.n_bytes for sae in known.saes if sae.n_bytes]
    total = sum(sizes) if sizes and len(sizes) == len(known.saes) else None
    for passage in card.prose:
        text = passage.text.replace("\n", " ")
        for found in _PARAMETERS.finditer(text):
            n, size = next(amounts(found[1])), next(amounts(found[3]))
            taken = int(n.value) * _BYTES[found[2]]
            if size.unit == "bytes" and not _fits(size, taken):
                yield _finding(passage, found, size, taken, f"{found[1]} parameters in {found[2]}")
        yield from _in_types(passage, text, len(known.saes))
        if total is None:
            continue
        for found in _COUNT_SIZE.finditer(text):
            if count_of(found[1]) == len(known.saes):
                yield from _asked(passage, found, found[2], {total, *sizes}, "all SAEs", 2)
        if not any(path.endswith(_HEAVY) for path in known.files):
            for found in _WHOLE.finditer(text):
                yield from _whole(passage, found, total)
        for found in _ALL.finditer(text):
            if count_of(found[1]) == len(known.saes):
                yield from _asked(passage, found, found[2], {total}, "all SAEs", 2)
        for found in _ALL_ARE.finditer(text):
            if count_of(found[1]) == len(known.saes):
                yield from _asked(passage, found, found[2], {total}, "all SAEs", 2)
        for found in _EACH.finditer(text):
            counts = {sae.n_parameters for sae in known.saes if sae.n_parameters}
            each = {n * _BYTES[found[2]] for n in counts}
            yield from _asked(passage, found, found[1], each, f"the SAEs in {found[2]}")
        for found in _TOGETHER.finditer(text):
            yield from _asked(passage, found, found[1], {total}, "all SAEs")
        for found in _KIND.finditer(text):
            of_kind = _of(known.saes, found[1].lower())
            yield from _asked(passage, found, found[2], of_kind, f"a {found[1]} SAE", 2)
        if len(known.saes) == 1:
            for found in _FILE.finditer(text):
                yield from _asked(passage, found, found[1], {total}, "the SAE")
        yield from _row(passage, known, total)


def _in_types(passage: Passage, text: str, n_saes: int) -> Iterator[Finding]:
    """`N parameters: A MB in float32 and B MB in bfloat16`."""
    for found in _IN_TYPES.finditer(text):
        n = next(amounts(found[1]))
        for group in (2, 4) if found[4] else (2,):
            size, taken = next(amounts(found[group])), int(n.value) * _BYTES[found[group + 1]]
            both = (taken, taken * max(n_saes, 1))
            if size.unit == "bytes" and not any(_fits(size, each) for each in both):
                who = f"{n.text} parameters in {found[group + 1]}"
                yield _finding(passage, found, size, taken, who, group)


def _whole(passage: Passage, found: re.Match[str], total: int) -> Iterator[Finding]:
    """What else there is, is small; a fifth more is left to it."""
    size = next(amounts(found[1]))
    if size.unit == "bytes" and not (total * _LEAST <= size.high and size.low <= 1.2 * total):
        yield _finding(passage, found, size, total, "all SAEs")


def _row(passage: Passage, known: Surroundings, total: int) -> Iterator[Finding]:
    if passage.kind != "row" or len(passage.cells) != 2:
        return
    label = passage.cells[0].strip("`* ")
    is_total = _ROW_TOTAL.fullmatch(label) is not None
    if not is_total and not (_ROW_FILE.fullmatch(label) and len(known.saes) == 1):
        return
    sizes = [size for size in amounts(passage.cells[1]) if size.unit == "bytes"]
    if sizes and not any(_fits(size, total) for size in sizes):
        yield Finding(passage.line, _words(sizes[0], total, "the SAEs"), "warn", sizes[0].text)


def _of(saes: tuple[SaeFacts, ...], kind: str) -> set[int]:
    return {sae.n_bytes for sae in saes if sae.architecture == kind and sae.n_bytes}


def _asked(
    passage: Passage, found: re.Match[str], text: str, taken: set[int], who: str, group: int = 1
) -> Iterator[Finding]:
    size = next(amounts(text))
    if size.unit == "bytes" and taken and not any(_fits(size, each) for each in taken):
        yield _finding(passage, found, size, min(taken), who, group)


def _fits(size: Amount, taken: int) -> bool:
    return float(size.low) * _LEAST <= taken <= float(size.high) * _MOST


def _finding(
    passage: Passage, found: re.Match[str], size: Amount, taken: int, who: str, group: int = 1
) -> Finding:
    line = passage.line_of(found.start(group))
    return Finding(line, _words(size, taken, who), "warn", found[0])


def _words(size: Amount, taken: int, who: str) -> str:
    by = 10**9 if taken >= 10**9 else 10**6
    return (
        f"{size.text}, and {who} take {shown(Decimal(taken) / by)} {'GB' if by > 10**6 else 'MB'}"
    )
