"""Damage of the values in the weights: not finite, not trained, repeated, out of order."""

from __future__ import annotations

import math

import torch
from injection import Damage, Injection, Row, edits, has, only
from release_copy import Target, Tensors
from weight_damage import (
    BEHAVIOUR,
    VALUES,
    drawn,
    one_row,
    one_value,
    permuted,
    random_like,
    some,
    some_rows,
    whole,
)

_FINITE = Row("non-finite values", "W101")
_THRESHOLDS = Row("thresholds", "W101 W102 W103 W109")
_DEAD = Row("dead or repeated rows", f"{VALUES} N209")
_PERMUTED = Row(
    "untrained or permuted weights", f"W111 {VALUES} {BEHAVIOUR}", changes_function=True
)

_W_ENC, _THRESHOLD = has("W_enc"), has("threshold")
_ALIVE = only("gated", "jumprelu", "topk", "abstopk", "standard")
_NAN, _INF = math.nan, math.inf


def _all_random(tensors: Tensors, target: Target) -> None:
    generator = target.generator
    for name, tensor in tensors.items():
        if name in ("W_enc", "W_dec"):
            tensors[name] = random_like(tensor, generator)


def _initial(tensors: Tensors, target: Target) -> None:
    """What training starts from: a random unit decoder, its transpose as encoder, no biases."""
    rows = torch.randn(tensors["W_dec"].shape, generator=target.generator)
    rows = torch.nn.functional.normalize(rows, dim=1)
    for name in tensors:
        if name in ("b_enc", "b_dec", "b_gate", "b_mag", "r_mag"):
            tensors[name] = torch.zeros_like(tensors[name])
    tensors["W_dec"] = rows.to(tensors["W_dec"].dtype)
    if "W_enc" in tensors:
        tensors["W_enc"] = rows.T.to(tensors["W_enc"].dtype).contiguous()


def _duplicated(share: float) -> Damage:
    """Some latents become copies of others, in every tensor."""

    def damage(tensors: Tensors, target: Target) -> None:
        chosen = some(2 * share, target.d_sae, target.generator)
        half = len(chosen) // 2
        for name, tensor in tensors.items():
            by_latent = tensor.T if name == "W_enc" else tensor
            if by_latent.shape[0] == target.d_sae:
                by_latent[chosen[:half]] = by_latent[chosen[half : 2 * half]].clone()

    return edits(damage)


def _silenced(share: float) -> Damage:
    """A bias keeps some latents from ever firing."""

    def damage(tensors: Tensors, target: Target) -> None:
        name = "b_gate" if "b_gate" in tensors else "b_enc"
        tensors[name][some(share, target.d_sae, target.generator)] = -1e4

    return edits(damage)


def _sign_of_pair(tensors: Tensors, target: Target) -> None:
    """One latent is read and written with the other sign."""
    at = target.d_sae // 2
    tensors["W_enc"][:, at] *= -1
    tensors["W_dec"][at] *= -1


INJECTIONS: tuple[Injection, ...] = (
    *(
        _FINITE(
            f"one {value} in {name}, {where}",
            "subtle",
            one_value(name, where, value),
            fits=has(name),
        )
        for name, where, value in (
            ("W_enc", "first", _NAN),
            ("W_enc", "middle", _INF),
            ("W_dec", "middle", _NAN),
            ("W_dec", "last", -_INF),
            ("b_dec", "last", _NAN),
            ("b_enc", "middle", _NAN),
            ("b_gate", "middle", _NAN),
            ("r_mag", "last", _INF),
            ("threshold", "first", _NAN),
            ("threshold", "middle", _INF),
        )
    ),
    _FINITE("W_dec all NaN", "gross", whole("W_dec", lambda t: torch.full_like(t, _NAN))),
    _THRESHOLDS("all zero", "gross", whole("threshold", torch.zeros_like), fits=_THRESHOLD),
    _THRESHOLDS("one is zero", "subtle", one_value("threshold", "middle", 0.0), fits=_THRESHOLD),
    _THRESHOLDS(
        "half are zero",
        "medium",
        drawn("threshold", lambda t, g: t * (torch.rand(t.shape, generator=g) > 0.5)),
        fits=_THRESHOLD,
    ),
    _THRESHOLDS("all negative", "gross", whole("threshold", lambda t: -t), fits=_THRESHOLD),
    _THRESHOLDS(
        "one is negative", "subtle", one_value("threshold", "last", -0.01), fits=_THRESHOLD
    ),
    _THRESHOLDS(
        "logarithms",
        "medium",
        whole("threshold", lambda t: t.clamp(min=1e-9).log()),
        fits=_THRESHOLD,
    ),
    _THRESHOLDS(
        "all 0.01",
        "medium",
        whole("threshold", lambda t: torch.full_like(t, 0.01)),
        fits=_THRESHOLD,
    ),
    _THRESHOLDS(
        "all 0.001",
        "medium",
        whole("threshold", lambda t: torch.full_like(t, 0.001)),
        fits=_THRESHOLD,
    ),
    _THRESHOLDS(
        "all the same, trained value",
        "medium",
        whole("threshold", lambda t: torch.full_like(t, float(t.mean()))),
        fits=_THRESHOLD,
    ),
    _THRESHOLDS(
        "infinite for a third",
        "gross",
        drawn(
            "threshold",
            lambda t, g: torch.where(
                torch.rand(t.shape, generator=g) < 0.33, torch.full_like(t, _INF), t
            ),
        ),
        fits=_THRESHOLD,
    ),
    _THRESHOLDS(
        "ten times as high",
        "medium",
        whole("threshold", lambda t: t * 10),
        tier="activations",
        fits=_THRESHOLD,
        codes=BEHAVIOUR,
    ),
    _THRESHOLDS(
        "5% too high",
        "subtle",
        whole("threshold", lambda t: t * 1.05),
        tier="activations",
        fits=_THRESHOLD,
        codes=BEHAVIOUR,
    ),
    _THRESHOLDS(
        "5% too low",
        "subtle",
        whole("threshold", lambda t: t * 0.95),
        tier="activations",
        fits=_THRESHOLD,
        codes=BEHAVIOUR,
    ),
    _THRESHOLDS(
        "in another order",
        "medium",
        permuted(1.0, "threshold"),
        tier="activations",
        fits=_THRESHOLD,
        codes=BEHAVIOUR,
    ),
    _DEAD("one decoder row zero", "subtle", one_row("middle", torch.zeros_like)),
    _DEAD("a tenth of the decoder rows zero", "medium", some_rows(0.1, torch.zeros_like)),
    _DEAD("half of the decoder rows zero", "gross", some_rows(0.5, torch.zeros_like)),
    _DEAD("one latent a copy of another", "subtle", _duplicated(0.0), fits=_ALIVE),
    _DEAD("a tenth of the latents copies", "medium", _duplicated(0.1), fits=_ALIVE),
    _DEAD(
        "all decoder rows the same", "gross", whole("W_dec", lambda t: t[:1].expand_as(t).clone())
    ),
    _DEAD(
        "97% of the latents never fire",
        "gross",
        _silenced(0.97),
        fits=_ALIVE,
        tier="activations",
        codes=BEHAVIOUR,
    ),
    _DEAD(
        "a third of the latents never fire",
        "medium",
        _silenced(0.33),
        fits=_ALIVE,
        tier="activations",
        codes=BEHAVIOUR,
    ),
    _PERMUTED("encoder and decoder random", "gross", edits(_all_random), fits=_W_ENC),
    _PERMUTED("as before training", "gross", edits(_initial), tier="activations"),
    _PERMUTED("encoder random", "gross", drawn("W_enc", random_like), fits=_W_ENC),
    _PERMUTED("decoder random", "gross", drawn("W_dec", random_like)),
    _PERMUTED("all decoder rows in another order", "gross", permuted(1.0, "W_dec")),
    _PERMUTED("a tenth of the decoder rows in another order", "medium", permuted(0.1, "W_dec")),
    _PERMUTED("1% of the decoder rows in another order", "subtle", permuted(0.01, "W_dec")),
    _PERMUTED("two decoder rows exchanged", "subtle", permuted(0.0, "W_dec")),
    _PERMUTED("all encoder columns in another order", "gross", permuted(1.0, "W_enc"), fits=_W_ENC),
    _PERMUTED(
        "encoder biases in another order",
        "medium",
        permuted(1.0, "b_enc"),
        tier="activations",
        fits=has("b_enc"),
    ),
    _PERMUTED(
        "gate biases in another order",
        "medium",
        permuted(1.0, "b_gate"),
        tier="activations",
        fits=has("b_gate"),
    ),
    _PERMUTED("the decoder with the other sign", "gross", whole("W_dec", lambda t: -t)),
    _PERMUTED("one decoder row with the other sign", "subtle", one_row("middle", lambda row: -row)),
    _PERMUTED(
        "one latent read and written with the other sign",
        "subtle",
        edits(_sign_of_pair),
        knowable="never",
        tier="activations",
        fits=only("gated", "jumprelu", "topk", "standard"),
    ),
    _PERMUTED(
        "dimensions of the decoder in another order",
        "gross",
        whole("W_dec", lambda t: t.roll(1, dims=1)),
    ),
    _PERMUTED(
        "a tenth noise on the decoder",
        "subtle",
        drawn("W_dec", lambda t, g: t + 0.1 * random_like(t, g)),
        knowable="never",
        tier="activations",
    ),
)
