"""The mends of one SAE, in the order in which each finds what it needs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from validators.mending.active_latents import drop_k_tensor, state_k
from validators.mending.draft import Context, Draft
from validators.mending.hook_names import name_the_base_model, name_the_place
from validators.mending.nesting import (
    drop_activation_keys,
    name_the_architecture,
    nest_flat_config,
    state_switches,
)
from validators.mending.norms import fold_rescaling, fold_scaling
from validators.mending.number_format import agree_on_dtype
from validators.mending.orientation import turn_matrices
from validators.mending.thresholds import (
    as_inference_sae,
    drop_superfluous_tensors,
    write_thresholds_as_values,
)
from validators.mending.traces import forget_paths, forget_the_device

Step = Callable[[Draft, Context], Draft]

STEPS: tuple[Step, ...] = (
    nest_flat_config,
    name_the_architecture,
    turn_matrices,
    state_k,
    drop_k_tensor,
    drop_activation_keys,
    state_switches,
    as_inference_sae,
    drop_superfluous_tensors,
    write_thresholds_as_values,
    # Norms before the scale: folding the scale changes the norms that decide the ranking.
    fold_rescaling,
    fold_scaling,
    agree_on_dtype,
    name_the_place,
    name_the_base_model,
    forget_the_device,
    forget_paths,
)


def mend_draft(draft: Draft, context: Context) -> Draft:
    """Apply every mend in turn."""
    # Values that are not finite stay so, and are what W101 is about.
    with np.errstate(all="ignore"):
        for step in STEPS:
            draft = step(draft, context)
    return draft
