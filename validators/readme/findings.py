"""What the linters of a card report, and what they may know besides the card."""

from __future__ import annotations

from dataclasses import dataclass, field

from validators.report import Severity


@dataclass(frozen=True)
class Finding:
    """One thing on the card that does not hold.

    Attributes:
        line: of README.md, from 1.
        what: both sides of it, in words.
        severity: fail only where arithmetic or the repository leaves no other reading.
        excerpt: the words of that line that it is about.
    """

    line: int
    what: str
    severity: Severity
    excerpt: str = ""


# What a rule says of one text: an offset into it, what does not hold, and the words.
Said = tuple[int, str, str]


@dataclass(frozen=True)
class SaeFacts:
    """What the config of one SAE says; None for what it does not say.

    Attributes:
        sae_id: its folder.
        architecture: SAELens' name.
        d_in, d_sae, k: as in the config.
        hook_name: `metadata.hook_name`.
        module_path: `metadata.hf_hook_name`.
        layer: of the hook's name, from 0.
        model_name: `metadata.model_name`.
        n_bytes: what its weights take, by their shapes and type.
        n_parameters: entries of its tensors, by their shapes.
    """

    sae_id: str
    architecture: str | None = None
    d_in: int | None = None
    d_sae: int | None = None
    k: int | None = None
    hook_name: str | None = None
    module_path: str | None = None
    layer: int | None = None
    model_name: str | None = None
    n_bytes: int | None = None
    n_parameters: int | None = None


@dataclass(frozen=True)
class Surroundings:
    """What is known besides the card, each None or empty where it is not.

    Attributes:
        n_layers: blocks of the base model, by the manifest.
        blocks_path: module path of the list of blocks, such as `model.layers`, by the manifest.
        model_type: transformers' name of the base model's kind, by the manifest.
        n_saes: folders that hold an SAE.
        hook_names: `metadata.hook_name` of the configs, without repeats.
        subtracts_b_dec: whether any config subtracts b_dec from the input; None without configs.
        files: paths in the repository.
        papers: title and authors by arXiv id, by the manifest.
        saes: what the configs say, one entry for each SAE; empty unless every config could be read.
    """

    n_layers: int | None = None
    blocks_path: str | None = None
    model_type: str | None = None
    n_saes: int = 0
    hook_names: tuple[str, ...] = ()
    subtracts_b_dec: bool | None = None
    files: frozenset[str] = frozenset()
    papers: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    saes: tuple[SaeFacts, ...] = ()
