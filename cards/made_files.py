"""Which files of SAEs a card is about, by digest, and whether a section of a report fits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS
from validators.report import Digests


@dataclass(frozen=True)
class MadeFiles:
    """By sae_id and file name the SHA-256; `named_by` is the file that has them."""

    named_by: str
    by_sae: dict[str, dict[str, str]]


def different_files(whose: str, made: MadeFiles, inputs: Digests) -> Iterator[str]:
    """Files of SAEs whose digest a section (`whose`, in the plural) lacks or has otherwise."""
    for sae_id, files in sorted(made.by_sae.items()):
        for name in (SAE_CONFIG, SAE_WEIGHTS):
            digest, measured = files.get(name), inputs.get(f"{sae_id}/{name}")
            if measured is None:
                yield f"{whose} name no digest of {sae_id}/{name}"
            elif measured != digest:
                yield (
                    f"{whose} are of {sae_id}/{name} with the digest {measured}, "
                    f"{made.named_by} has {digest}"
                )
