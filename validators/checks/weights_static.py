"""W0: names, shapes and dtypes of the tensors, from the header alone."""

from __future__ import annotations

from validators.check import Passed, Problem, Verdict, sae_check
from validators.saelens_format import SHAPED_ARCHITECTURES, TENSOR_SHAPES, canonical_dtype
from validators.safetensors_header import FLOAT_DTYPES
from validators.subjects import SaeSubject


@sae_check(
    "W001", "the tensors are those of the architecture", tier="static",
    requires=("C004", "F005"), architectures=SHAPED_ARCHITECTURES,
)  # fmt: skip
def tensors_are_complete(sae: SaeSubject) -> Verdict:
    """SAELens loads strictly: one tensor too few or too many, and loading ends in an error.

    Example: a TopK file with a `threshold` (dictionary_learning writes one), a gated one with
    `b_enc`, a JumpReLU one with `log_threshold` in place of `threshold`.

    To mend it: write exactly the tensors of the architecture; a JumpReLU threshold as the value
    itself, not its logarithm.
    """
    wanted, found = TENSOR_SHAPES[sae.cfg["architecture"]], sae.header.tensors
    missing, extra = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    if not missing and not extra:
        return Passed(f"{len(found)} tensors")
    parts = [f"{', '.join(missing)} missing"] if missing else []
    parts += [f"{', '.join(extra)} not expected"] if extra else []
    return Problem(
        "; ".join(parts),
        f"{', '.join(wanted)} for {sae.cfg['architecture']}",
        "write the file again with exactly these tensors",
    )


@sae_check(
    "W002", "shapes agree with cfg.json", tier="static",
    requires=("W001",), architectures=SHAPED_ARCHITECTURES,
)  # fmt: skip
def shapes_agree(sae: SaeSubject) -> Verdict:
    """Loading ends in an error where a shape is wrong; where the SAE is square, it does not.

    W_enc is [d_in, d_sae] and W_dec [d_sae, d_in]; PyTorch's `Linear` stores both the other way
    round.

    Example: W_dec of shape (768, 24576) where the config says d_in 768 and d_sae 24576.

    To mend it: transpose the tensor, or correct the sizes in cfg.json.
    """
    wrong = []
    transposed = True
    for name, sizes in TENSOR_SHAPES[sae.cfg["architecture"]].items():
        wanted = tuple(sae.cfg[size] for size in sizes)
        found = sae.header.tensors[name].shape
        if found != wanted:
            wrong.append(f"{name} is {found}, not {wanted}")
            transposed &= found == wanted[::-1]
    if not wrong:
        return Passed()
    return Problem(
        "; ".join(wrong),
        f"shapes for d_in {sae.cfg['d_in']} and d_sae {sae.cfg['d_sae']}, by cfg.json",
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
    return Problem(
        ", ".join(f"{name} is {dtype}" for name, dtype in wrong.items()),
        f"{declared}, by cfg.json",
        "write weights and config in the same dtype",
    )
