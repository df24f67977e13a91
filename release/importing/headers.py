"""Shapes and number formats from a safetensors header, without a byte of the tensors."""

from __future__ import annotations

from dataclasses import dataclass

from validators.reading.repository import Repository
from validators.reading.safetensors_header import (
    FLOAT_DTYPES,
    LENGTH_BYTES,
    MalformedSafetensors,
    SafetensorsHeader,
    header_length,
    parse_header,
)
from validators.saelens.format import TENSOR_SHAPES

MAX_HEADER_BYTES = 1_000_000

# What a header can tell apart; `standard` and `topk` hold the same tensors.
_TELLING = ("gated", "jumprelu", "topk")


@dataclass(frozen=True)
class HeaderFacts:
    """Sizes of one SAE, `W_enc [d_in, d_sae]`, and the dtypes of its tensors in cfg.json's words.

    `fits` are the architectures whose tensors these are, by their names.
    """

    d_in: int | None
    d_sae: int | None
    dtypes: tuple[str, ...]
    names: tuple[str, ...]
    fits: tuple[str, ...]


def read_exact_header(repository: Repository, path: str) -> SafetensorsHeader:
    """The header of a safetensors file, in two reads that end where the tensors begin.

    Raises:
        MalformedSafetensors: the header cannot be trusted, or the file is cut short.
        UnreadableFile: there is no such file.
    """
    size = repository.size_of(path)
    start = repository.read_range(path, 0, min(size, LENGTH_BYTES))
    length = header_length(start, size_bytes=size, where=path)
    if length > MAX_HEADER_BYTES:
        raise MalformedSafetensors(
            f"has a header of {length} bytes",
            where=path,
            expected=f"the few tensors of an SAE, in at most {MAX_HEADER_BYTES} bytes",
        )
    content = start + repository.read_range(path, LENGTH_BYTES, length)
    return parse_header(content, size_bytes=size, where=path)


def header_facts(header: SafetensorsHeader) -> HeaderFacts:
    """Read the facts of one header."""
    d_in = d_sae = None
    for name, axes in (("W_enc", (0, 1)), ("W_dec", (1, 0))):
        tensor = header.tensors.get(name)
        if d_in is None and tensor is not None and len(tensor.shape) == 2:
            d_in, d_sae = (tensor.shape[axis] for axis in axes)
    dtypes = {FLOAT_DTYPES.get(each.dtype, each.dtype) for each in header.tensors.values()}
    names = tuple(header.tensors)
    return HeaderFacts(
        d_in=d_in,
        d_sae=d_sae,
        dtypes=tuple(sorted(dtypes)),
        names=names,
        fits=tuple(each for each in _TELLING if set(TENSOR_SHAPES[each]) == set(names)),
    )
