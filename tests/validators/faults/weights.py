"""Faults that the checks W notice."""

from __future__ import annotations

from typing import Any

import torch
from faults.damage import GATED, JUMPRELU, TOPK, Fault, cfg, filled, tensor, without_first_row


def untrained(tensors: dict[str, torch.Tensor]) -> None:
    """A random decoder, its transpose as the encoder, and biases of zero."""
    generator = torch.Generator().manual_seed(0)
    decoder = torch.nn.init.kaiming_uniform_(tensors["W_dec"], generator=generator)
    biases = {name: torch.zeros_like(tensors[name]) for name in ("b_enc", "b_dec")}
    tensors.update(W_dec=decoder, W_enc=decoder.T.contiguous(), **biases)


def exchange_two_latents(decoder: torch.Tensor) -> torch.Tensor:
    return decoder[[1, 0, *range(2, len(decoder))]]


def negate_one_latent(decoder: torch.Tensor) -> torch.Tensor:
    return torch.cat([-decoder[:1], decoder[1:]])


def draw_some_latents(decoder: torch.Tensor) -> torch.Tensor:
    """Six of 64 rows, each orthogonal to what was there: of no relation to their columns."""
    others = torch.roll(decoder[:6], 1, dims=1) * torch.tensor([1.0, -1.0] * 8)
    own = decoder[:6]
    drawn = others - (others * own).sum(dim=1, keepdim=True) * own
    return torch.cat([drawn, decoder[6:]])


def repeat_one_latent(decoder: torch.Tensor) -> torch.Tensor:
    return torch.cat([decoder[:-1], 2 * decoder[:1]])


def without_first_column(encoder: torch.Tensor) -> torch.Tensor:
    return torch.cat([torch.zeros_like(encoder[:, :1]), encoder[:, 1:]], dim=1)


def some(n: int, value: float) -> Any:
    """The first n values of a tensor become `value`."""
    return lambda t: torch.cat([torch.full_like(t[:n], value), t[n:]])


def noise_around(value: float) -> Any:
    return lambda t: value + 1e-4 * value * torch.linspace(-1, 1, len(t))


def make_a_growing_pursuit(d: Any) -> None:
    settings = {"residual_threshold": 0.01, "max_iterations": None}
    cfg("topk", architecture="matching_pursuit", stop_on_duplicate_support=True, **settings)(d)

    def keep_decoder(tensors: dict[str, torch.Tensor]) -> None:
        tensors["W_dec"] = 2 * tensors["W_dec"]
        del tensors["W_enc"], tensors["b_enc"]

    d.edit_weights("topk", keep_decoder)


FAULTS = (
    Fault("W112", "part_of_the_rows_twice_as_large",
          tensor("topk", "W_dec", lambda t: torch.cat([t[:20] * 2, t[20:]])), TOPK),
    Fault("W001", "topk_with_threshold", lambda d: d.edit_weights(
        "topk", lambda t: t.update(threshold=torch.ones(64))), TOPK),
    Fault("W001", "gated_with_b_enc", lambda d: d.edit_weights(
        "gated", lambda t: t.update(b_enc=torch.ones(64))), GATED),
    Fault("W001", "log_threshold", lambda d: d.edit_weights(
        "jumprelu", lambda t: t.update(log_threshold=t.pop("threshold").log())), JUMPRELU),
    Fault("W001", "autoencoder_called_a_skip_transcoder", cfg(
        "topk", architecture="skip_transcoder", d_out=16), TOPK),
    Fault("W001", "temporal_without_attention", cfg("topk", architecture="temporal"), TOPK),
    Fault("W001", "temporal_with_half_a_layer", cfg(
        "topk", architecture="temporal", n_attn_layers=0.5), TOPK),
    Fault("W002", "transposed_encoder", tensor("topk", "W_enc", torch.t), TOPK),
    Fault("W002", "other_output_width", cfg("topk", architecture="transcoder", d_out=12), TOPK),
    Fault("W002", "output_width_not_stated", cfg("topk", architecture="transcoder"), TOPK),
    Fault("W003", "half_precision_weights", tensor("topk", "W_enc", torch.Tensor.half), TOPK),
    Fault("W003", "integer_weights", tensor("topk", "W_enc", torch.Tensor.char), TOPK),
    Fault("W003", "eight_bit_floats", tensor(
        "topk", "W_dec", lambda t: t.to(torch.float8_e4m3fn)), TOPK),
    Fault("W101", "nan_in_b_dec", tensor("topk", "b_dec", filled(torch.nan)), TOPK),
    Fault("W101", "infinite_threshold", tensor("jumprelu", "threshold", filled(torch.inf)),
          JUMPRELU),
    Fault("W102", "zero_thresholds", tensor("jumprelu", "threshold", filled(0.0)), JUMPRELU),
    Fault("W102", "log_thresholds", tensor("jumprelu", "threshold", torch.log), JUMPRELU),
    Fault("W102", "half_of_the_thresholds_zero", tensor(
        "jumprelu", "threshold", some(32, 0.0)), JUMPRELU),
    Fault("W102", "one_threshold_zero", tensor(
        "jumprelu", "threshold", some(1, 0.0)), JUMPRELU, "warned"),
    Fault("W102", "one_threshold_negative", tensor(
        "jumprelu", "threshold", some(1, -1.0)), JUMPRELU),
    Fault("W103", "thresholds_at_init", tensor("jumprelu", "threshold", filled(0.1)), JUMPRELU),
    Fault("W103", "thresholds_near_init", tensor(
        "jumprelu", "threshold", noise_around(0.1)), JUMPRELU),
    Fault("W103", "most_thresholds_at_init", tensor(
        "jumprelu", "threshold", some(60, 0.1)), JUMPRELU),
    Fault("W103", "half_of_the_thresholds_at_init", tensor(
        "jumprelu", "threshold", some(40, 0.1)), JUMPRELU, "warned"),
    Fault("W103", "constant_thresholds", tensor("jumprelu", "threshold", filled(0.7)), JUMPRELU),
    Fault("W103", "noise_around_one_value", tensor(
        "jumprelu", "threshold", noise_around(0.7)), JUMPRELU),
    Fault("W104", "zero_decoder_row", tensor("topk", "W_dec", without_first_row), TOPK),
    Fault("W104", "zero_decoder", tensor("topk", "W_dec", filled(0.0)), TOPK, "failed"),
    Fault("W105", "permuted_decoder", tensor("topk", "W_dec", lambda t: t.roll(1, 0)), TOPK),
    Fault("W105", "decoder_of_the_other_sign", tensor("topk", "W_dec", torch.neg), TOPK),
    Fault("W106", "two_latents_exchanged", tensor("gated", "W_dec", exchange_two_latents), GATED),
    Fault("W106", "one_latent_negated", tensor("gated", "W_dec", negate_one_latent), GATED),
    Fault("W106", "some_latents_random", tensor("topk", "W_dec", draw_some_latents),
          TOPK, "warned"),
    Fault("W107", "one_latent_repeated", tensor("topk", "W_dec", repeat_one_latent), TOPK),
    Fault("W107", "all_rows_the_same", tensor(
        "topk", "W_dec", lambda t: t[:1].expand_as(t).clone()), TOPK, "failed"),
    Fault("W108", "zero_encoder_column", tensor("topk", "W_enc", without_first_column), TOPK),
    Fault("W108", "zero_encoder", tensor("gated", "W_enc", filled(0.0)), GATED, "failed"),
    Fault("W109", "zero_encoder", tensor("topk", "W_enc", filled(0.0)), TOPK),
    Fault("W109", "zero_decoder_bias", tensor("topk", "b_dec", filled(0.0)), TOPK, "noted"),
    Fault("W110", "integers_as_floats", tensor(
        "topk", "W_dec", lambda t: (127 * t).round()), TOPK),
    Fault("W110", "one_absurd_weight", tensor(
        "topk", "W_enc", lambda t: t.index_fill(0, torch.tensor([3]), 1e9)), TOPK, "warned"),
    Fault("W110", "scale_that_is_no_logarithm", tensor(
        "gated", "r_mag", filled(40.0)), GATED, "warned"),
    Fault("W111", "as_before_training", lambda d: d.edit_weights("topk", untrained), TOPK),
    Fault("W104", "rows_longer_than_the_pursuit_bears", make_a_growing_pursuit, TOPK),
)  # fmt: skip
