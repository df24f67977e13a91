"""Whether two hook names can mean one place, as far as the names alone tell."""

from __future__ import annotations

from typing import Literal, NamedTuple

from validators.places.notation import LensName, ModulePath, read_lens_name, read_module_path

Region = Literal["residual", "middle", "attention", "mlp"]

_ATTENTION = ("self_attn", "attn", "attention")
_MLP = ("mlp", "feed_forward")


class _Address(NamedTuple):
    """A region of the model; a place of the residual stream counts the blocks before it."""

    region: Region
    number: int


def layer_of(name: object) -> int | None:
    """The layer that a hook name states, in either notation; None where it states none."""
    found = read_lens_name(name) or read_module_path(name)
    return None if found is None else found.layer


def addresses_agree(first: LensName | ModulePath | None, second: ModulePath) -> bool:
    """Whether a name in either notation can be the place of a module's path.

    Where one of them does not tell its region (a norm belongs to what comes before it or after),
    only the layers are compared; with a norm's input, which may be another block's output, nothing.
    """
    if first is None:
        return False
    if isinstance(first, ModulePath):
        return first == second
    one, other = _of_lens_name(first), _of_path(second)
    if one is not None and other is not None:
        return one == other
    if one is not None and one.region == "residual" and second.side == "input":
        return True
    return first.layer is None or second.layer is None or first.layer == second.layer


def _of_lens_name(name: LensName) -> _Address | None:
    if name.layer is None:
        return None
    match name.point:
        case "resid_post":
            return _Address("residual", name.layer + 1)
        case "resid_pre" | "ln1_in":
            return _Address("residual", name.layer)
        case "resid_mid":
            return _Address("middle", name.layer)
        case "attn_z" | "attn_module_out" | "attn_out":
            return _Address("attention", name.layer)
        case "mlp_in" | "mlp_post" | "mlp_module_out" | "mlp_out":
            return _Address("mlp", name.layer)
        case _:
            return None


def _of_path(path: ModulePath) -> _Address | None:
    if path.layer is None or path.within_block is None:
        return None
    first = path.within_block.partition(".")[0]
    if not first:
        return _Address("residual", path.layer + (path.side == "output"))
    if first in _ATTENTION:
        return _Address("attention", path.layer)
    if first in _MLP:
        return _Address("mlp", path.layer)
    return None
