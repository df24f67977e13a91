"""The formats of other projects: what they are called, and what can be done with them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ForeignFormat:
    """One way in which SAEs are kept that is not SAELens' own.

    Attributes:
        title: the format as its users call it.
        in_saelens: what `SAE.load_from_disk` and `SAE.from_pretrained(repo_id, folder)` make of it.
        is_converted: whether `release validate TARGET --fix` writes it in SAELens' format.
    """

    title: str
    in_saelens: str
    is_converted: bool


def _own_loader(name: str, where: str) -> str:
    return f"SAELens opens it only with its loader {name!r}, and {where}"


_REGISTERED = "only for releases in its own list"

# Loaders are those of sae_lens.loading.pretrained_sae_loaders, sae_lens 6.54.12.
FORMATS: dict[str, ForeignFormat] = {
    "sparsify": ForeignFormat(
        "sparsify (eai-sparsify)",
        _own_loader("sparsify", "that one refuses files of sparsify 1.3"),
        is_converted=True,
    ),
    "dictionary_learning": ForeignFormat(
        "dictionary_learning", _own_loader("dictionary_learning_1", _REGISTERED), is_converted=True
    ),
    "saebench": ForeignFormat("SAEBench custom SAE", "SAELens cannot open it", is_converted=False),
    "gemma_scope_1": ForeignFormat(
        "Gemma Scope 1", _own_loader("gemma_2", _REGISTERED), is_converted=True
    ),
    "gemma_scope_2": ForeignFormat(
        "Gemma Scope 2", _own_loader("gemma_3", _REGISTERED), is_converted=True
    ),
    "llama_scope": ForeignFormat(
        "Llama Scope", _own_loader("llama_scope", _REGISTERED), is_converted=True
    ),
    "llama_scope_r1": ForeignFormat(
        "Llama Scope R1", _own_loader("llama_scope_r1_distill", _REGISTERED), is_converted=False
    ),
    "qwen_scope": ForeignFormat(
        "Qwen Scope", _own_loader("qwen_scope", _REGISTERED), is_converted=False
    ),
    "goodfire": ForeignFormat("Goodfire", _own_loader("goodfire", _REGISTERED), is_converted=False),
    "openmoss": ForeignFormat(
        "OpenMOSS llamascopium", "SAELens cannot open it", is_converted=False
    ),
    "pickled_state_dict": ForeignFormat(
        "pickled state dict", "SAELens cannot open it", is_converted=True
    ),
    "saelens_pickle": ForeignFormat(
        "pickle of SAELens before 3.0", "SAELens 6 cannot open it", is_converted=False
    ),
}
