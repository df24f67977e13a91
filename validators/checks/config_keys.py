"""C014, C015: keys that nobody reads, since they are misspelt or unknown."""

from __future__ import annotations

from validators.check import Passed, Problem, Verdict, sae_check
from validators.saelens.config import (
    PLACE_KEYS,
    TRAINER_METADATA_KEYS,
    architectures_with,
    known_keys,
)
from validators.saelens.config_values import nearest
from validators.saelens.format import SUPERSEDED_KEYS
from validators.subjects import SaeSubject


@sae_check(
    "C014", "every key of the config is known", tier="static", severity="warn",
    requires=("C002", "C004"),
)  # fmt: skip
def keys_are_known(sae: SaeSubject) -> Verdict:
    """SAELens drops an unknown key when it loads the SAE, without a word.

    A misspelt key is as good as a missing one: its default is taken instead.

    Example: `"apply_b_dec_to_inputs": false`; the default is true.

    To mend it: correct the spelling; put what is only for readers into `metadata`, which SAELens
    keeps whole.
    """
    known = known_keys(sae.cfg["architecture"])
    unknown = [
        key
        for key in sorted(sae.cfg)
        if key not in known | PLACE_KEYS | SUPERSEDED_KEYS.keys() and not architectures_with(key)
    ]
    if not unknown:
        return Passed(f"{len(sae.cfg)} keys")
    absent = (known | PLACE_KEYS) - sae.cfg.keys()
    hints = [(key, nearest(key, absent)) for key in unknown]
    named = [f"{key!r:.60}" + (f" (meant: {near})" if near else "") for key, near in hints[:6]]
    rest = f" and {len(unknown) - 6} more" if len(unknown) > 6 else ""
    return Problem(
        f"SAELens drops {', '.join(named)}{rest}",
        "keys that SAELens reads, and everything else in metadata",
        "correct the spelling" if any(near for _, near in hints) else "move them into metadata",
    )


@sae_check(
    "C015", "no key of metadata is misspelt", tier="static", severity="warn",
    requires=("C002",),
)  # fmt: skip
def metadata_keys_are_spelt_right(sae: SaeSubject) -> Verdict:
    """SAELens reads a key that is not there as None, so a misspelt one is as good as missing.

    `metadata` may hold any key; only those are named that nearly are one that SAELens reads.

    Example: `"hookname": "blocks.8.hook_resid_post"`; `sae.cfg.metadata.hook_name` is None.

    To mend it: correct the spelling.
    """
    known = PLACE_KEYS | TRAINER_METADATA_KEYS
    absent = known - sae.metadata.keys()
    meant = {
        key: near
        for key in sorted(sae.metadata.keys() - known)
        if (near := nearest(key, absent)) is not None
    }
    if not meant:
        return Passed()
    return Problem(
        f"metadata has {', '.join(f'{key!r:.60}' for key in meant)}, which nothing reads",
        ", ".join(sorted(meant.values())),
        "correct the spelling",
    )
