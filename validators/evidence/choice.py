"""Which activations a repository is judged on: what was asked for, else the best there is."""

from __future__ import annotations

from collections.abc import Iterable

from manifests.progress import Progress
from validators.base_models.access import BaseModelAccess
from validators.claim import Claim
from validators.evidence.completions import CompletionEvidence
from validators.evidence.documents import DocumentEvidence
from validators.evidence.evidence import Evidence, JudgedSae
from validators.evidence.saved import SavedEvidence
from validators.evidence.text import TextEvidence
from validators.evidence.text_corpus import corpus_of_file, shipped_corpus
from validators.options import ValidateOptions


def choose_evidence(
    saes: Iterable[JudgedSae], claim: Claim | None, options: ValidateOptions, progress: Progress
) -> Evidence:
    """Saved activations or a text if given; else the claim's own data; else the shipped text.

    A claim is never judged on text that it does not name: SAEs of pooled completions may be right
    and still fail on prose.

    Raises:
        UsageError: the text file cannot be read.
    """
    judged = tuple(saes)
    if options.activations is not None:
        return SavedEvidence(judged, options.activations)
    access = BaseModelAccess(claim, judged, override=options.base_model, device=options.device)
    if options.text is not None:
        return TextEvidence(judged, corpus_of_file(options.text), access, progress)
    if claim is not None and claim.manifest.data.text is not None:
        return DocumentEvidence(judged, claim, access, progress)
    if claim is not None:
        return CompletionEvidence(judged, claim, access, progress, keep_in=options.keep_vectors)
    return TextEvidence(judged, shipped_corpus(), access, progress)
