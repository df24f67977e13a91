"""W0: names, shapes and dtypes of the tensors, from the header alone."""

from __future__ import annotations

from collections.abc import Iterable

from validators.check import Passed, Problem, Verdict, sae_check
from validators.reading.safetensors_header import FLOAT_DTYPES
from validators.saelens.format import (
    SHAPED_ARCHITECTURES,
    canonical_dtype,
    expected_names,
    expected_shapes,
)
from validators.subjects import SaeSubject

_SHOWN = 8


@sae_check(
    "W001", "the tensors are those of the architecture", tier="static",
    requires=("C004", "F005"), architectures=SHAPED_ARCHITECTURES,
)  # fmt: skip
def tensors_are_complete(sae: SaeSubject) -> Verdict:
    """SAELens loads strictly: one tensor too few or too many, and loading ends in an error.

    A temporal SAE has W_enc only where its weights are not tied, and a set of attention tensors for
    each of its `n_attn_layers`; matching pursuit has no encoder at all.

    Example: a TopK file with a `threshold` (dictionary_learning writes one), a gated one with
    `b_enc`, a JumpReLU one with `log_threshold` in place of `threshold`.

    To mend it: write exactly the tensors of the architecture; a JumpReLU threshold as the value
    itself, not its logarithm.
    """
    wanted, found = expected_names(sae.cfg), sae.header.tensors
    missing = sorted(set(wanted) - found.keys())
    extra = sorted(found.keys() - set(wanted))
    if not missing and not extra:
        return Passed(f"{len(found)} tensors")
    parts = [f"{_some(missing)} missing"] if missing else []
    parts += [f"{_some(extra)} not expected"] if extra else []
    return Problem(
        "; ".join(parts),
        f"{_some(wanted)} for {sae.cfg['architecture']}",
        "write exp(log_threshold) as threshold"
        if "log_threshold" in extra and "threshold" in missing
        else "write the file again with exactly these tensors",
    )


@sae_check(
    "W002", "shapes agree with cfg.json", tier="static",
    requires=("W001",), architectures=SHAPED_ARCHITECTURES,
)  # fmt: skip
def shapes_agree(sae: SaeSubject) -> Verdict:
    """Loading ends in an error where a shape is wrong; where the SAE is square, it does not.

    W_enc is [d_in, d_sae] and W_dec [d_sae, d_in], or [d_sae, d_out] for a transcoder, whose W_skip
    is [d_out, d_in]; PyTorch's `Linear` stores the first two the other way round.

    Example: W_dec of shape (768, 24576) where the config says d_in 768 and d_sae 24576.

    To mend it: transpose the tensor, or correct the sizes in cfg.json.
    """
    wrong = []
    transposed = True
    for name, wanted in expected_shapes(sae.cfg).items():
        found = sae.header.tensors[name].shape
        if found != wanted:
            wrong.append(f"{name} is {found}, not {wanted}")
            transposed &= found == wanted[::-1]
    if not wrong:
        return Passed()
    sizes = [f"{key} {sae.cfg[key]}" for key in ("d_in", "d_sae", "d_out") if key in sae.cfg]
    return Problem(
        _some(wrong, "; "),
        f"shapes for {', '.join(sizes)}, by cfg.json",
        "transpose it and save again" if transposed else "correct cfg.json or the weights",
    )


@sae_check("W003", "dtypes agree with cfg.json", tier="static", requires=("C009", "F005"))
def dtypes_agree(sae: SaeSubject) -> Verdict:
    """SAELens casts every tensor to the config's dtype while reading, integers included.

    So int8 weights become floats without their scale, and float32 weights under a config that
    says bfloat16 are rounded for every user. A threshold in float32 beside bfloat16 weights is
    right: SAELens keeps it so.

    Example: `"dtype": "float32"` over a file in BF16.

    To mend it: write weights and config in the same dtype.
    """
    declared = canonical_dtype(sae.cfg["dtype"])
    wrong = {
        name: tensor.dtype
        for name, tensor in sae.header.tensors.items()
        if FLOAT_DTYPES.get(tensor.dtype) != declared
        and not (name == "threshold" and tensor.dtype == "F32")
    }
    if not wrong:
        return Passed(declared)
    are_integers = any(dtype not in FLOAT_DTYPES for dtype in wrong.values())
    return Problem(
        _some(f"{name} is {dtype}" for name, dtype in wrong.items()),
        f"{declared}, by cfg.json",
        "multiply quantised values by their scale, and write the weights in that dtype"
        if are_integers
        else "write weights and config in the same dtype",
    )


def _some(parts: Iterable[str], separator: str = ", ") -> str:
    """The first of them, and how many more there are: a file may hold any number of tensors."""
    all_parts = list(parts)
    shown = separator.join(part[:80] for part in all_parts[:_SHOWN])
    more = len(all_parts) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
