"""What a card says about an architecture: its label, its paper and the tensors of its weight file.

Source: SAELens 6.54 (`sae_lens/saes`), whose names, axes and formulas the exported files follow.
"""

from __future__ import annotations

from dataclasses import dataclass

from manifests.recipe import Architecture


@dataclass(frozen=True)
class ArchitectureFacts:
    """One architecture; `tensors` are names with their axes, in words of the configuration."""

    name: Architecture
    label: str
    paper: str
    arxiv: str
    tensors: tuple[tuple[str, tuple[str, ...]], ...]


_MATRICES = (("W_enc", ("d_in", "d_sae")), ("W_dec", ("d_sae", "d_in")), ("b_dec", ("d_in",)))

ARCHITECTURES: dict[Architecture, ArchitectureFacts] = {
    "topk": ArchitectureFacts(
        name="topk",
        label="TopK",
        paper="Gao et al. 2024",
        arxiv="2406.04093",
        tensors=(*_MATRICES, ("b_enc", ("d_sae",))),
    ),
    "jumprelu": ArchitectureFacts(
        name="jumprelu",
        label="JumpReLU",
        paper="Rajamanoharan et al. 2024",
        arxiv="2407.14435",
        tensors=(*_MATRICES, ("b_enc", ("d_sae",)), ("threshold", ("d_sae",))),
    ),
    "gated": ArchitectureFacts(
        name="gated",
        label="Gated",
        paper="Rajamanoharan et al. 2024",
        arxiv="2404.16014",
        tensors=(
            *_MATRICES,
            ("b_gate", ("d_sae",)),
            ("r_mag", ("d_sae",)),
            ("b_mag", ("d_sae",)),
        ),
    ),
}
