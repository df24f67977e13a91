"""SAEs of other projects as drafts in SAELens' format."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from validators.claim import Claim
from validators.foreign.found import ForeignSae
from validators.mending.conversion_source import Converted, NotConverted, Source
from validators.mending.from_dictionary_learning import from_dictionary_learning
from validators.mending.from_gemma_scope import from_gemma_scope_1, from_gemma_scope_2
from validators.mending.from_openmoss import from_llama_scope, from_openmoss
from validators.mending.from_sparsify import from_sparsify
from validators.mending.from_state_dict import from_goodfire, from_qwen_scope, from_state_dict
from validators.reading.repository import Repository

__all__ = ["CONVERTERS", "Converted", "NotConverted", "convert"]

# By the id of the format; the ids are those of validators.foreign.formats.
CONVERTERS: Mapping[str, Callable[[Source], Converted]] = {
    "dictionary_learning": from_dictionary_learning,
    "gemma_scope_1": from_gemma_scope_1,
    "gemma_scope_2": from_gemma_scope_2,
    "goodfire": from_goodfire,
    "llama_scope": from_llama_scope,
    "llama_scope_r1": from_openmoss,
    "openmoss": from_openmoss,
    "pickled_state_dict": from_state_dict,
    "qwen_scope": from_qwen_scope,
    "saebench": from_state_dict,
    "saelens_pickle": from_state_dict,
    "sparsify": from_sparsify,
}


def convert(
    repository: Repository, claim: Claim | None, sae: ForeignSae, *, is_alone: bool
) -> Converted:
    """Read an SAE of another project, and write its config and weights anew.

    Args:
        repository: where its files are.
        claim: the manifest; its k and architecture are used where the files have none.
        sae: what was recognised.
        is_alone: whether it is the only SAE of its folder; else each gets a folder of its own,
            named after its file.

    Raises:
        NotConverted: the format has no converter, or this SAE is none that SAELens has a class for,
            or its files cannot be read without running code.
        MissingExtra: torch is needed to read a pickle, and is not installed.
    """
    converter = CONVERTERS.get(sae.format)
    if converter is None:
        raise NotConverted("F010", f"the format {sae.format} has no converter", sae.detail)
    return converter(Source(repository, claim, sae, is_alone=is_alone))
