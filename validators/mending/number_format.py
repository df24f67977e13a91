"""The dtype that the config states, and the one that the file holds."""

from __future__ import annotations

from typing import Any

from validators.mending.draft import Context, Draft, with_keys
from validators.reading.safetensors_header import FLOAT_DTYPES
from validators.saelens.format import DTYPES, canonical_dtype

_BY_WIDTH = ("F64", "F32", "BF16", "F16")


def agree_on_dtype(draft: Draft, context: Context) -> Draft:  # noqa: ARG001
    """State the dtype that the weights are stored in, under a name that SAELens knows.

    Where the file mixes dtypes, all are stored in the widest, which changes no value; a float32
    threshold beside 16-bit weights is right and stays.
    """
    held = {dtype for name, dtype in draft.dtypes.items() if not _is_threshold(draft, name)}
    if not held or not held <= FLOAT_DTYPES.keys():
        return draft
    widest = "F32" if held == {"BF16", "F16"} else min(held, key=_BY_WIDTH.index)
    dtypes = {
        name: dtype if _is_threshold(draft, name) else widest
        for name, dtype in draft.dtypes.items()
    }
    wanted, stated = FLOAT_DTYPES[widest], draft.cfg.get("dtype")
    if dtypes != draft.dtypes:
        draft = draft.mended(
            "W003",
            f"stored all tensors in {wanted}",
            f"the file mixed {', '.join(FLOAT_DTYPES[dtype] for dtype in sorted(held))}",
            cfg=with_keys(draft.cfg, dtype=wanted),
            tensors=dict(draft.tensors),
            dtypes=dtypes,
        )
        return draft
    if isinstance(stated, str) and canonical_dtype(stated) == wanted:
        return draft
    return draft.mended(
        _code(stated),
        f"stated dtype {wanted!r}" + (f" in place of {stated!r:.40}" if stated is not None else ""),
        "it is what the file holds",
        cfg=with_keys(draft.cfg, dtype=wanted),
    )


def _code(stated: Any) -> str:
    if stated is None:
        return "C003"
    return "W003" if isinstance(stated, str) and canonical_dtype(stated) in DTYPES else "C009"


def _is_threshold(draft: Draft, name: str) -> bool:
    return name == "threshold" and draft.dtypes[name] == "F32"
