"""Faults that the checks W notice."""

from __future__ import annotations

import torch
from faults.damage import GATED, JUMPRELU, TOPK, Fault, filled, tensor, without_first_row

FAULTS = (
    Fault("W001", "topk_with_threshold", lambda d: d.edit_weights(
        "topk", lambda t: t.update(threshold=torch.ones(64))), TOPK),
    Fault("W001", "gated_with_b_enc", lambda d: d.edit_weights(
        "gated", lambda t: t.update(b_enc=torch.ones(64))), GATED),
    Fault("W002", "transposed_encoder", tensor("topk", "W_enc", torch.t), TOPK),
    Fault("W003", "half_precision_weights", tensor("topk", "W_enc", torch.Tensor.half), TOPK),
    Fault("W003", "integer_weights", tensor("topk", "W_enc", torch.Tensor.char), TOPK),
    Fault("W101", "nan_in_b_dec", tensor("topk", "b_dec", filled(torch.nan)), TOPK),
    Fault("W101", "infinite_threshold", tensor("jumprelu", "threshold", filled(torch.inf)),
          JUMPRELU),
    Fault("W102", "zero_thresholds", tensor("jumprelu", "threshold", filled(0.0)), JUMPRELU),
    Fault("W102", "log_thresholds", tensor("jumprelu", "threshold", torch.log), JUMPRELU),
    Fault("W103", "thresholds_at_init", tensor("jumprelu", "threshold", filled(0.1)), JUMPRELU),
    Fault("W103", "constant_thresholds", tensor("jumprelu", "threshold", filled(0.7)), JUMPRELU),
    Fault("W104", "zero_decoder_row", tensor("topk", "W_dec", without_first_row), TOPK),
    Fault("W105", "permuted_decoder", tensor("topk", "W_dec", lambda t: t.roll(1, 0)), TOPK),
)  # fmt: skip
