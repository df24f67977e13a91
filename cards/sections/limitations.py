"""Limits that follow from the manifest, the report and the training record, beside the author's."""

from __future__ import annotations

from dataclasses import dataclass

from cards import numbers
from cards.escaping import Markdown
from cards.sections.architectures import thresholds_of
from cards.sections.metrics import DEAD_FRACTION, L0, MAIN_TABLE, THRESHOLD_MOVED, measurement
from cards.sections.stability import retrained
from cards.sources import Sources
from manifests.base_model import PackagedWeights
from manifests.model import Caveat
from validators.metrics.conventions import L0_TOLERANCE
from validators.presenting.tally import tally
from validators.report import Outcome

# At this share of latents that never fired, the card says so in words as well as in the table.
MOSTLY_DEAD = 0.5

# The codes of checks of the page itself.
_OF_THE_PAGE = "R"


@dataclass(frozen=True)
class DeadLatents:
    """An SAE most of whose latents fired on none of the `n` held-out vectors."""

    sae_id: str
    share: Markdown
    n: Markdown


@dataclass(frozen=True)
class FewVectors:
    """A condition with fewer training vectors than its SAEs have latents."""

    condition: str
    n_train: Markdown


@dataclass(frozen=True)
class UnequalL0:
    """A layer whose SAEs differ in mean L0 by more than the tolerance: the lowest and highest."""

    layer: int
    lowest: Markdown
    highest: Markdown


@dataclass(frozen=True)
class NotMeasured:
    """A metric without a value, and why."""

    sae_id: str
    metric: str
    reason: str


@dataclass(frozen=True)
class CheckCase:
    """What one check found, and on which SAEs or files, or on the `repository`.

    `is_every_sae` is whether the subjects are all SAEs, of which there are several.
    """

    subjects: tuple[str, ...]
    found: str
    is_every_sae: bool


@dataclass(frozen=True)
class CheckFindings:
    """One check that did not pass, with everything it did not pass on."""

    code: str
    outcome: str
    title: str
    cases: tuple[CheckCase, ...]


@dataclass(frozen=True)
class AcceptedFailure:
    """A check that fails on `subjects`, and what the manifest says of that."""

    code: str
    title: str
    subjects: tuple[str, ...]
    since: str
    why: str


@dataclass(frozen=True)
class Replaced:
    """Something that training took in the place of what the manifest names."""

    what: str
    stated: str
    used: str


@dataclass(frozen=True)
class Limitations:
    """What the card lists under limitations; an empty tuple leaves its item out.

    `n_trained_once` of the repository's SAEs were trained from one seed only, None where nobody
    recorded that; `n_checks_passed` is None where nothing was checked.
    """

    caveats: tuple[Caveat, ...]
    mostly_dead_share: Markdown
    mostly_dead: tuple[DeadLatents, ...]
    few_vectors: tuple[FewVectors, ...]
    d_sae: Markdown
    n_trained_once: int | None
    unequal_l0: tuple[UnequalL0, ...]
    l0_tolerance: Markdown
    not_measured: tuple[NotMeasured, ...]
    accepted: tuple[AcceptedFailure, ...]
    checks_with_findings: tuple[CheckFindings, ...]
    n_checks_passed: int | None
    package: PackagedWeights | None
    replaced: tuple[Replaced, ...]


def limitations(sources: Sources) -> Limitations:
    """Collect the limits, each list in the manifest's or the report's order.

    Raises:
        MissingMetric: the report lacks a metric that they rest on.
    """
    manifest, specs = sources.loaded.manifest, sources.loaded.saes
    outcomes = sources.checks.outcomes if sources.checks else ()
    d_sae = manifest.base_model.d_model * manifest.saes.expansion
    return Limitations(
        caveats=manifest.caveats,
        mostly_dead_share=numbers.share(MOSTLY_DEAD),
        mostly_dead=_mostly_dead(sources),
        few_vectors=_few_vectors(sources, d_sae),
        d_sae=numbers.count(d_sae),
        n_trained_once=None
        if sources.training is None
        else len(specs) - len(retrained(sources.tables, specs)),
        unequal_l0=_unequal_l0(sources),
        l0_tolerance=numbers.share(L0_TOLERANCE),
        not_measured=_not_measured(sources),
        accepted=_accepted(outcomes),
        checks_with_findings=_checks_with_findings(outcomes, {spec.sae_id for spec in specs}),
        n_checks_passed=tally(outcomes).passed if sources.checks else None,
        package=manifest.base_model.package,
        replaced=_replaced(sources),
    )


def _replaced(sources: Sources) -> tuple[Replaced, ...]:
    """What `--base-model` and `--data` put in place of the manifest's."""
    substituted = None if sources.training is None else sources.training.substituted
    if substituted is None:
        return ()
    parts = (("base model", substituted.base_model), ("data", substituted.data))
    return tuple(
        Replaced(what, part.stated or "none", part.used) for what, part in parts if part is not None
    )


def _checks_with_findings(
    outcomes: tuple[Outcome, ...], sae_ids: set[str]
) -> tuple[CheckFindings, ...]:
    """By check, what it found, each finding with all that it was found on."""
    subjects: dict[tuple[str, str, str], dict[str, list[str]]] = {}
    for outcome in outcomes:
        if outcome.outcome == "skipped" and outcome.code.startswith(_OF_THE_PAGE):
            # There was no page yet; a push asks them of this one.
            continue
        if outcome.outcome in ("failed", "crashed", "warned", "skipped"):
            key = (outcome.code, outcome.outcome, outcome.title)
            by_finding = subjects.setdefault(key, {})
            by_finding.setdefault(outcome.found, []).append(outcome.subject or "repository")
    return tuple(
        CheckFindings(
            *key,
            tuple(
                CheckCase(tuple(where), found, len(sae_ids) > 1 and {*where} == sae_ids)
                for found, where in by_finding.items()
            ),
        )
        for key, by_finding in sorted(subjects.items())
    )


def _accepted(outcomes: tuple[Outcome, ...]) -> tuple[AcceptedFailure, ...]:
    subjects: dict[tuple[str, str, str, str], list[str]] = {}
    for outcome in outcomes:
        if outcome.acceptance is not None:
            since, why = outcome.acceptance.since.isoformat(), outcome.acceptance.why
            key = (outcome.code, outcome.title, since, why)
            subjects.setdefault(key, []).append(outcome.subject or "repository")
    return tuple(
        AcceptedFailure(code, title, tuple(where), since, why)
        for (code, title, since, why), where in sorted(subjects.items())
    )


def _mostly_dead(sources: Sources) -> tuple[DeadLatents, ...]:
    found: list[DeadLatents] = []
    for spec in sources.loaded.saes if sources.has_measurements else ():
        dead = measurement(sources.report, spec.sae_id, DEAD_FRACTION)
        if dead.value is not None and dead.value >= MOSTLY_DEAD:
            found.append(DeadLatents(spec.sae_id, numbers.share(dead.value), numbers.count(dead.n)))
    return tuple(found)


def _few_vectors(sources: Sources, d_sae: int) -> tuple[FewVectors, ...]:
    if not sources.has_measurements:
        return ()
    counts = sources.measurements.n_vectors
    return tuple(
        FewVectors(condition, numbers.count(counts[condition]["train"]))
        for condition in sorted({spec.condition for spec in sources.loaded.saes})
        if counts[condition]["train"] < d_sae
    )


def _unequal_l0(sources: Sources) -> tuple[UnequalL0, ...]:
    if not sources.has_measurements:
        return ()
    found = []
    for layer in sorted({spec.layer for spec in sources.loaded.saes}):
        l0 = [
            measurement(sources.report, spec.sae_id, L0).value
            for spec in sources.loaded.saes
            if spec.layer == layer
        ]
        known = [value for value in l0 if value is not None]
        if known and max(known) > (1 + L0_TOLERANCE) * min(known):
            lowest, highest = L0.written(min(known)), L0.written(max(known))
            found.append(UnequalL0(layer, lowest, highest))
    return tuple(found)


def _not_measured(sources: Sources) -> tuple[NotMeasured, ...]:
    found: list[NotMeasured] = []
    for spec in sources.loaded.saes if sources.has_measurements else ():
        learned = thresholds_of(sources.loaded.manifest, spec) == "learned"
        thresholds = (THRESHOLD_MOVED,) if learned else ()
        for metric in (*MAIN_TABLE, *thresholds):
            measured = measurement(sources.report, spec.sae_id, metric)
            if measured.reason is not None:
                found.append(NotMeasured(spec.sae_id, metric.name, measured.reason))
    return tuple(found)
