"""Which SAEs of a repository are in a format that is not SAELens' own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from weakref import WeakKeyDictionary

from validators.foreign.dictionary_learning import dictionary_learning, saebench
from validators.foreign.found import ForeignSae
from validators.foreign.gemma_scope import gemma_scope_1, gemma_scope_2
from validators.foreign.listing import Listing
from validators.foreign.openmoss import llama_scope, openmoss
from validators.foreign.pickles import pickles
from validators.foreign.sparsify import sparsify
from validators.reading.repository import Repository

__all__ = ["ForeignSae", "recognise"]

# The first that knows a file has it; the ones that go by a name alone come last.
_RECOGNISERS: tuple[Callable[[Listing], Iterator[ForeignSae]], ...] = (
    sparsify,
    dictionary_learning,
    saebench,
    gemma_scope_1,
    gemma_scope_2,
    llama_scope,
    openmoss,
    pickles,
)

# A repository is at one fixed state for as long as it lives, so the answer is too.
_answers: WeakKeyDictionary[Repository, tuple[ForeignSae, ...]] = WeakKeyDictionary()


def recognise(repository: Repository) -> tuple[ForeignSae, ...]:
    """SAEs of other projects, sorted by folder and file; none for what SAELens saved.

    Decided from the names of the files, and where these leave it open from at most 64 configs
    and safetensors headers. Nothing is unpickled.

    Args:
        repository: a folder, or a commit on a Hub.

    Raises:
        HubUnavailable: the Hub gave no answer.
    """
    if repository not in _answers:
        _answers[repository] = _recognise(repository)
    return _answers[repository]


def _recognise(repository: Repository) -> tuple[ForeignSae, ...]:
    listing = Listing(repository)
    taken: set[str] = set()
    found: list[ForeignSae] = []
    for recogniser in _RECOGNISERS:
        for sae in recogniser(listing):
            if sae.files[0] not in taken:
                taken.update(sae.files)
                found.append(sae)
    return tuple(sorted(found, key=lambda sae: (sae.folder, sae.files)))
