"""SAEs in pickles, told apart by their names alone: nothing is opened."""

from __future__ import annotations

import re
from collections.abc import Iterator

from validators.foreign.found import ForeignSae
from validators.foreign.listing import Listing, is_pickle, parent_of, path_in, phrase

_QWEN_SCOPE = re.compile(r"layer(\d+)\.sae\.pt")
_GOODFIRE = re.compile(r"Llama-3\.\d-\d+B-Instruct-SAE-l(\d+)\.pth?")
_OLD_SAELENS = re.compile(
    r"(?:(?:final_|\d+_)?sparse_autoencoder|sae_group)_.*\.(?:pt|pkl|pkl\.gz)", re.IGNORECASE
)
_SPARSITY = re.compile(r"log_feature_sparsity", re.IGNORECASE)
_SAE_WORD = re.compile(
    r"(?:^|[^a-z])(?:saes?|ae|autoencoder|dictionary|transcoder|crosscoder)(?:[^a-z]|$)",
    re.IGNORECASE,
)
# Not weights of an SAE: what trainers keep beside them, and what transformers calls its models.
TRAINING_STATES = frozenset(
    {
        "activations_store_state.pt",
        "optimizer.bin",
        "optimizer.pt",
        "rng_state.pth",
        "scheduler.bin",
        "scheduler.pt",
        "trainer_state.pt",
        "training_args.bin",
    }
)
_MODELS = re.compile(r"pytorch_model(?:-\d+-of-\d+)?\.bin")


def pickles(listing: Listing) -> Iterator[ForeignSae]:
    """Every pickle that holds an SAE, by the habits of those who wrote it."""
    for folder, names in listing.folders.items():
        # Beside SAELens' own two files a pickle is a left-over, which F006 names.
        is_saelens = {"cfg.json", "sae_weights.safetensors"} <= names
        is_dictionary = "ae.pt" in names or listing.has(parent_of(folder), "ae.pt")
        if is_saelens or is_dictionary or folder.endswith(".dcp"):
            continue
        for name in sorted(names):
            if is_pickle(name) and not _is_something_else(name):
                found = _by_name(listing, folder, name, names)
                if found is not None:
                    yield found


def _is_something_else(name: str) -> bool:
    known = name in TRAINING_STATES or name == "sae_weights.pt"
    return known or bool(_MODELS.fullmatch(name) or _SPARSITY.search(name))


def _by_name(listing: Listing, folder: str, name: str, names: frozenset[str]) -> ForeignSae | None:
    path = path_in(folder, name)
    if match := _QWEN_SCOPE.fullmatch(name):
        return ForeignSae("qwen_scope", folder, (path,), f"layer {match[1]}")
    if match := _GOODFIRE.fullmatch(name):
        return ForeignSae("goodfire", folder, (path,), f"layer {match[1]}")
    if _OLD_SAELENS.fullmatch(name):
        return ForeignSae("saelens_pickle", folder, (path,), "config and weights in one pickle")
    stem = name.partition(".")[0]
    beside = [n for n in (f"{stem}_cfg.json", f"{stem}.json", "cfg.json") if n in names]
    if not beside and not _SAE_WORD.search("/".join(path.split("/")[-2:])):
        return None
    detail = "no config beside it"
    if beside:
        cfg = listing.config(folder, beside[0])
        d_in = cfg.get("d_in", cfg.get("act_size"))
        d_sae = cfg.get("d_sae", cfg.get("dict_size"))
        stated = phrase(architecture=cfg.get("architecture"), d_in=d_in, d_sae=d_sae)
        detail = f"{beside[0]}: {stated}" if stated else f"with {beside[0]}"
    files = (path, *(path_in(folder, n) for n in beside[:1]))
    return ForeignSae("pickled_state_dict", folder, files, detail)
