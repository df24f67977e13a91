"""From a repository to what a linter of its card found: the one way that checks ask."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from itertools import islice

from manifests.hooks import BLOCKS_PATH
from validators.check import Passed, Problem, Skipped, Verdict
from validators.reading.repository import UnreadableFile
from validators.readme.card_text import CardText, read_card
from validators.readme.findings import Finding, Surroundings
from validators.readme.sae_facts import sae_facts
from validators.readme.snippets import MAX_README_BYTES, README
from validators.report import Severity
from validators.subjects import RepositorySubject

_SHOWN = 12
_COUNTED = 500
_ORDER: tuple[Severity, ...] = ("fail", "warn", "note")
_READ: weakref.WeakKeyDictionary[RepositorySubject, CardText] = weakref.WeakKeyDictionary()
_AROUND: weakref.WeakKeyDictionary[RepositorySubject, Surroundings] = weakref.WeakKeyDictionary()


def linted(subject: RepositorySubject, lint: Callable[[CardText], Iterable[Finding]]) -> Verdict:
    """What a linter makes of the card: the worst finding decides what the problem amounts to."""
    if README not in subject.repository.files:
        return Skipped("there is no README.md", required=False)
    try:
        card = card_text(subject)
    except UnreadableFile:
        return Skipped("README.md cannot be read, as R001 says", required=False)
    findings = sorted(
        set(islice(lint(card), _COUNTED)), key=lambda f: (_ORDER.index(f.severity), f.line, f.what)
    )
    if not findings:
        return Passed()
    by_line = sorted(findings[:_SHOWN], key=lambda f: (f.line, f.what))
    more = f"; and {len(findings) - _SHOWN} more" if len(findings) > _SHOWN else ""
    return Problem(
        f"{README}, " + "; ".join(f"line {f.line}: {f.what}" for f in by_line) + more,
        "a card that agrees with itself and with what it describes",
        "correct the lines, or render the card from a manifest",
        severity=findings[0].severity,
    )


def card_text(subject: RepositorySubject) -> CardText:
    """The card of a repository that has one, read once.

    Raises:
        UnreadableFile: it is too long, or not UTF-8.
    """
    if subject not in _READ:
        text = subject.repository.read_text(README, max_bytes=MAX_README_BYTES)
        _READ[subject] = read_card(text)
    return _READ[subject]


def surroundings(subject: RepositorySubject) -> Surroundings:
    """What the manifest, the configs and the files say that a card may speak of."""
    if subject not in _AROUND:
        _AROUND[subject] = _surroundings(subject)
    return _AROUND[subject]


def _surroundings(subject: RepositorySubject) -> Surroundings:
    base = subject.claim.manifest.base_model if subject.claim else None
    hook_names: dict[str, None] = {}
    subtracting: set[bool] = set()
    for sae in subject.saes:
        try:
            cfg = sae.cfg
        except UnreadableFile:
            continue  # C001 says so
        name = sae.hook_metadata.get("hook_name", cfg.get("hook_name"))
        if isinstance(name, str):
            hook_names.setdefault(name)
        subtracting.add(cfg.get("apply_b_dec_to_input") is not False)
    cited = subject.claim.manifest.citations if subject.claim else ()
    return Surroundings(
        n_layers=base.n_layers if base else None,
        blocks_path=BLOCKS_PATH.get(base.model_type) if base else None,
        model_type=base.model_type if base else None,
        n_saes=len(subject.sae_folders),
        hook_names=tuple(hook_names),
        subtracts_b_dec=any(subtracting) if subtracting else None,
        files=frozenset(subject.repository.files),
        papers={paper.arxiv: (paper.title, paper.authors) for paper in cited if paper.arxiv},
        saes=sae_facts(subject),
    )
