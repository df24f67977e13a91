"""Damage of scales and biases, and weights that are another SAE's."""

from __future__ import annotations

from collections.abc import Callable

import torch
from injection import Damage, Fits, Injection, Row, edits, has
from release_copy import ReleaseCopy, Target, Tensors
from weight_damage import BEHAVIOUR, VALUES, one_row, some_rows, whole

_SCALED = Row("scaled weights", f"{VALUES} {BEHAVIOUR}", changes_function=True)
_BIASES = Row("biases", f"{VALUES} {BEHAVIOUR}", changes_function=True)
_FOREIGN = Row("weights of another SAE", f"{VALUES} {BEHAVIOUR}", changes_function=True)

_W_ENC = has("W_enc")


def _both_scaled(encoder: float, decoder: float) -> Damage:
    def damage(tensors: Tensors, _: Target) -> None:
        tensors["W_enc"] = tensors["W_enc"] * encoder
        tensors["W_dec"] = tensors["W_dec"] * decoder

    return edits(damage)


def _unfolded(factor: float) -> Damage:
    """Weights for activations that were divided by `factor`, as scaled training leaves them."""

    def damage(tensors: Tensors, _: Target) -> None:
        tensors["W_enc"] = tensors["W_enc"] * factor
        tensors["W_dec"] = tensors["W_dec"] / factor
        tensors["b_dec"] = tensors["b_dec"] / factor

    return edits(damage)


def _unit_rows(tensors: Tensors, _: Target) -> None:
    """Decoder rows of norm 1, with nothing done to make up for it."""
    tensors["W_dec"] = torch.nn.functional.normalize(tensors["W_dec"].float(), dim=1).to(
        tensors["W_dec"].dtype
    )


def _taken(*names: str, whose: Callable[[Target], Target | None]) -> Damage:
    """These tensors, or all, are another SAE's."""

    def damage(copy: ReleaseCopy, target: Target) -> None:
        other = whose(target)
        assert other is not None
        theirs = copy.tensors(other.sae_id)
        copy.edit_tensors(
            target.sae_id,
            lambda mine: mine.update({n: theirs[n].clone() for n in names or theirs}),
        )

    return damage


def _exchanged(whose: Callable[[Target], Target | None]) -> Damage:
    def damage(copy: ReleaseCopy, target: Target) -> None:
        other = whose(target)
        assert other is not None
        file = "sae_weights.safetensors"
        copy.swap(f"{target.sae_id}/{file}", f"{other.sae_id}/{file}")

    return damage


def _layer(target: Target) -> Target | None:
    return target.other_layer


def _condition(target: Target) -> Target | None:
    return target.other_condition


def _there_is(whose: Callable[[Target], Target | None], *names: str) -> Fits:
    return lambda target: whose(target) is not None and target.tensors.issuperset(names)


INJECTIONS: tuple[Injection, ...] = (
    _SCALED(
        "encoder 10% too large",
        "subtle",
        whole("W_enc", lambda t: t * 1.1),
        tier="activations",
        fits=_W_ENC,
    ),
    _SCALED(
        "encoder twice as large",
        "medium",
        whole("W_enc", lambda t: t * 2),
        tier="activations",
        fits=_W_ENC,
    ),
    _SCALED(
        "decoder 10% too large", "subtle", whole("W_dec", lambda t: t * 1.1), tier="activations"
    ),
    _SCALED("decoder half as large", "medium", whole("W_dec", lambda t: t / 2), tier="activations"),
    _SCALED(
        "decoder ten times as large", "gross", whole("W_dec", lambda t: t * 10), tier="activations"
    ),
    _SCALED(
        "encoder and decoder scaled against each other",
        "medium",
        _both_scaled(4.0, 0.25),
        tier="activations",
        fits=_W_ENC,
    ),
    _SCALED(
        "for activations a quarter as large",
        "gross",
        _unfolded(4.0),
        tier="activations",
        fits=_W_ENC,
    ),
    _SCALED(
        "for activations 20% smaller", "subtle", _unfolded(1.2), tier="activations", fits=_W_ENC
    ),
    _SCALED(
        "one decoder row a thousand times as large",
        "medium",
        one_row("last", lambda row: row * 1000),
    ),
    _SCALED(
        "30% of the decoder rows twice as large",
        "medium",
        some_rows(0.3, lambda rows: rows * 2),
        tier="activations",
    ),
    _SCALED(
        "decoder rows brought to norm 1, nothing else",
        "medium",
        edits(_unit_rows),
        tier="activations",
    ),
    _BIASES("b_dec zero", "medium", whole("b_dec", torch.zeros_like), tier="activations"),
    _BIASES("b_dec 10% too small", "subtle", whole("b_dec", lambda t: t * 0.9), tier="activations"),
    _BIASES("b_dec twice as large", "medium", whole("b_dec", lambda t: t * 2), tier="activations"),
    _BIASES("b_dec with the other sign", "gross", whole("b_dec", lambda t: -t), tier="activations"),
    _BIASES(
        "b_dec shifted by one dimension",
        "medium",
        whole("b_dec", lambda t: t.roll(1)),
        tier="activations",
    ),
    *(
        _BIASES(
            f"{name} zero",
            "medium",
            whole(name, torch.zeros_like),
            tier="activations",
            fits=has(name),
        )
        for name in ("b_enc", "b_gate", "b_mag", "r_mag")
    ),
    _BIASES(
        "b_gate and b_mag exchanged",
        "medium",
        edits(lambda t, _: t.update(b_gate=t["b_mag"], b_mag=t["b_gate"])),
        tier="activations",
        fits=has("b_gate"),
    ),
    _BIASES(
        "r_mag with the other sign",
        "subtle",
        whole("r_mag", lambda t: -t),
        tier="activations",
        fits=has("r_mag"),
    ),
    _FOREIGN(
        "the weights of another layer",
        "medium",
        _taken(whose=_layer),
        tier="activations",
        fits=_there_is(_layer),
    ),
    _FOREIGN(
        "two layers' weights exchanged",
        "medium",
        _exchanged(_layer),
        tier="activations",
        fits=_there_is(_layer),
    ),
    _FOREIGN(
        "the weights of another condition",
        "subtle",
        _taken(whose=_condition),
        tier="activations",
        fits=_there_is(_condition),
        knowable="by manifest",
    ),
    _FOREIGN(
        "two conditions' weights exchanged",
        "subtle",
        _exchanged(_condition),
        tier="activations",
        fits=_there_is(_condition),
        knowable="by manifest",
    ),
    _FOREIGN(
        "the encoder of another layer",
        "gross",
        _taken("W_enc", whose=_layer),
        fits=_there_is(_layer, "W_enc"),
    ),
    _FOREIGN(
        "the decoder of another condition",
        "medium",
        _taken("W_dec", whose=_condition),
        fits=_there_is(_condition),
    ),
    _FOREIGN(
        "b_dec of another layer",
        "medium",
        _taken("b_dec", whose=_layer),
        tier="activations",
        fits=_there_is(_layer),
    ),
    _FOREIGN(
        "b_dec of another condition",
        "subtle",
        _taken("b_dec", whose=_condition),
        tier="activations",
        fits=_there_is(_condition),
    ),
    _FOREIGN(
        "thresholds of another condition",
        "subtle",
        _taken("threshold", whose=_condition),
        tier="activations",
        fits=_there_is(_condition, "threshold"),
    ),
)
