"""Every way to damage a good release."""

from __future__ import annotations

import injected_cards
import injected_config
import injected_files
import injected_places
import injected_scales
import injected_weights
from injection import Injection

ALL: tuple[Injection, ...] = (
    *injected_cards.INJECTIONS,
    *injected_files.INJECTIONS,
    *injected_config.INJECTIONS,
    *injected_places.INJECTIONS,
    *injected_weights.INJECTIONS,
    *injected_scales.INJECTIONS,
)
