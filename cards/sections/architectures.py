"""What a card says about an architecture: its label, paper, formula, and what its file holds.

Source: SAELens 6.54 (`sae_lens/saes`), whose names, axes and formulas the exported files follow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from cards.escaping import Markdown
from manifests.matrix import SaeSpec
from manifests.model import Manifest
from manifests.sae_recipes import Architecture, JumpreluRecipe, SavedArchitecture

Tensors = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class ArchitectureFacts:
    """One kind of SAE.

    Attributes:
        name: the architecture that was trained, in the manifest's word.
        saved_as: what cfg.json calls it.
        label: as the card calls it.
        paper: who described it and when.
        reference: the paper's address as shown, and its link.
        formula: the latents, of `q = (x - b_dec) @ W_enc` and `p = q + b_enc`.
        l0: what its L0 says, as Markdown.
        tensors: names with their axes, in words of the configuration.
        is_relu: thresholds of 0 make it a ReLU, whatever its file says.
    """

    name: Architecture
    saved_as: SavedArchitecture
    label: str
    paper: str
    reference: tuple[str, str]
    formula: str
    l0: Markdown
    tensors: Tensors
    is_relu: bool = False


def _arxiv(number: str) -> tuple[str, str]:
    return f"arXiv:{number}", f"https://arxiv.org/abs/{number}"


_MATRICES = (("W_enc", ("d_in", "d_sae")), ("W_dec", ("d_sae", "d_in")), ("b_dec", ("d_in",)))
_WITH_BIAS = (*_MATRICES, ("b_enc", ("d_sae",)))
_WITH_THRESHOLD = (*_WITH_BIAS, ("threshold", ("d_sae",)))
_ABOVE_THRESHOLD = "relu(p) if p > threshold, else 0"
_L0_OF_THE_PENALTY = Markdown(
    "what the sparsity term of training has led to; it differs between vectors"
)
_L0_OF_A_MEAN_K = Markdown(
    "while training, `k` was the mean over a batch; here one threshold decides for every vector, "
    "so the mean may lie off `k`"
)

ARCHITECTURES: dict[Architecture, ArchitectureFacts] = {
    "topk": ArchitectureFacts(
        name="topk",
        saved_as="topk",
        label="TopK",
        paper="Gao et al. 2024",
        reference=_arxiv("2406.04093"),
        formula="relu(p) if p is among the k largest of its vector, else 0",
        l0=Markdown("at most `k` for every vector"),
        tensors=_WITH_BIAS,
    ),
    "jumprelu": ArchitectureFacts(
        name="jumprelu",
        saved_as="jumprelu",
        label="JumpReLU",
        paper="Rajamanoharan et al. 2024",
        reference=_arxiv("2407.14435"),
        formula=_ABOVE_THRESHOLD,
        l0=_L0_OF_THE_PENALTY,
        tensors=_WITH_THRESHOLD,
    ),
    "gated": ArchitectureFacts(
        name="gated",
        saved_as="gated",
        label="Gated",
        paper="Rajamanoharan et al. 2024",
        reference=_arxiv("2404.16014"),
        formula="relu(exp(r_mag) * q + b_mag) if q + b_gate > 0, else 0",
        l0=_L0_OF_THE_PENALTY,
        tensors=(
            *_MATRICES,
            ("b_gate", ("d_sae",)),
            ("r_mag", ("d_sae",)),
            ("b_mag", ("d_sae",)),
        ),
    ),
    "batchtopk": ArchitectureFacts(
        name="batchtopk",
        saved_as="jumprelu",
        label="BatchTopK",
        paper="Bussmann et al. 2024",
        reference=_arxiv("2412.06410"),
        formula=f"{_ABOVE_THRESHOLD}; one threshold for all latents",
        l0=_L0_OF_A_MEAN_K,
        tensors=_WITH_THRESHOLD,
    ),
    "matryoshka_batchtopk": ArchitectureFacts(
        name="matryoshka_batchtopk",
        saved_as="jumprelu",
        label="Matryoshka BatchTopK",
        paper="Bussmann et al. 2025",
        reference=_arxiv("2503.17547"),
        formula=f"{_ABOVE_THRESHOLD}; one threshold for all latents",
        l0=_L0_OF_A_MEAN_K,
        tensors=_WITH_THRESHOLD,
    ),
    "standard": ArchitectureFacts(
        name="standard",
        saved_as="standard",
        label="Standard",
        paper="Bricken et al. 2023, Towards Monosemanticity",
        reference=(
            "transformer-circuits.pub",
            "https://transformer-circuits.pub/2023/monosemantic-features",
        ),
        formula="relu(p)",
        l0=_L0_OF_THE_PENALTY,
        tensors=_WITH_BIAS,
    ),
}

FIXED_AT_ZERO = replace(
    ARCHITECTURES["jumprelu"],
    label="ReLU saved as JumpReLU (thresholds fixed at zero)",
    formula="relu(p), since every threshold is 0",
    is_relu=True,
)


def facts_of(manifest: Manifest, spec: SaeSpec) -> ArchitectureFacts:
    """The kind of one SAE, by its architecture and its recipe."""
    recipe = manifest.recipe.of(spec.architecture, spec.variant)
    if isinstance(recipe, JumpreluRecipe) and recipe.threshold == "fixed_at_zero":
        return FIXED_AT_ZERO
    return ARCHITECTURES[spec.architecture]


def thresholds_of(manifest: Manifest, spec: SaeSpec) -> str | None:
    """Where an SAE's thresholds come from: learned, fixed_at_zero or one_for_all; None without."""
    if spec.saved_architecture != "jumprelu":
        return None
    if facts_of(manifest, spec).is_relu:
        return "fixed_at_zero"
    return "learned" if spec.architecture == "jumprelu" else "one_for_all"


def kinds_of(manifest: Manifest, specs: tuple[SaeSpec, ...]) -> tuple[ArchitectureFacts, ...]:
    """The kinds among some SAEs, each once, in the order of this page."""
    found = {facts_of(manifest, spec) for spec in specs}
    return tuple(kind for kind in (*ARCHITECTURES.values(), FIXED_AT_ZERO) if kind in found)
