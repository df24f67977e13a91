"""Damage a good release in every way, check each damaged copy, and count what was noticed."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from corpus_effect import Effect, effect_of, vectors_like
from injection import Injection, Tier, seeded
from release_copy import ReleaseCopy, Target, targets_of

from manifests.errors import ReleaseError
from manifests.progress import Silent
from validators.claim import Claim
from validators.evidence.choice import choose_evidence
from validators.evidence.completions import CompletionEvidence
from validators.evidence.evidence import Evidence
from validators.options import ValidateOptions
from validators.places.place import Place
from validators.reading.local_repository import LocalRepository
from validators.registry import checks_up_to
from validators.report import Outcome
from validators.runner import run_checks
from validators.subjects import RepositorySubject

Verdict = Literal["caught", "other code", "missed", "equivalent", "not knowable", "later tier"]
TIERS: tuple[Tier, ...] = ("static", "load", "activations")
_BAD = ("failed", "warned", "crashed")


@dataclass(frozen=True)
class Result:
    """What became of one injection into one SAE.

    Attributes:
        verdict: `caught` by an expected code on the right subject; by another code or on another
            subject; by none; `equivalent`: the damaged SAE computes the same, and is no defect;
            `not knowable` here: only the manifest says otherwise, and there is none; `later tier`:
            only a tier that was not asked for could see it.
        codes: of everything that was found beyond what the good release gives.
        effect: what the damage does on vectors; None where the SAE cannot be run.
    """

    injection: Injection
    sae_id: str
    verdict: Verdict
    codes: tuple[str, ...]
    effect: Effect | None


class DefectCorpus:
    """A good release, and what all checks of damaged copies of it share."""

    def __init__(
        self,
        good: Path,
        *,
        claim: Claim | None,
        tier: Tier,
        options: ValidateOptions | None = None,
        records: bool = False,
        every: int = 1,
        progress: Any = None,
    ) -> None:
        """Prepare; nothing is checked yet.

        Args:
            good: the release's folder.
            claim: its manifest; None: as for a repository that has none, though it may hold one.
            tier: up to which tier copies are checked.
            options: base model and text of the activations tier.
            records: leave training.json in place, whose digests give every change away.
            every: read one in so many of the manifest's completions, for speed.
            progress: told which injection is on.
        """
        self.good, self.claim, self.tier = good, claim, tier
        self.options = options or ValidateOptions()
        self.records = records
        self.every = every
        self.progress = progress
        self._folder = tempfile.TemporaryDirectory(prefix="damaged-", dir=_near(good))
        self._count = 0
        self._checks = checks_up_to(tier)
        self._baseline: dict[str, frozenset[str]] = {}

    def __enter__(self) -> DefectCorpus:
        """The corpus; copies are removed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove what is left of the copies."""
        self._folder.cleanup()

    @cached_property
    def targets(self) -> tuple[Target, ...]:
        """Every SAE of the release."""
        n_layers = self.claim.manifest.base_model.n_layers if self.claim else 0
        return targets_of(self.good, n_layers=n_layers or self._n_layers_of_base_model)

    @cached_property
    def _n_layers_of_base_model(self) -> int:
        config = Path(self.options.base_model or "nowhere") / "config.json"
        if not config.is_file():
            return 0
        stated = json.loads(config.read_text(encoding="utf-8"))
        return int(stated.get("num_hidden_layers") or stated.get("n_layer") or 0)

    @cached_property
    def evidence(self) -> Evidence:
        """Activations at every place that an injection may name, captured once."""
        good = self._subject(self._copy().root, None)
        evidence = good.evidence
        everywhere: set[Place] = set(evidence.places)
        modules = dict(evidence.base.model.named_modules())
        for target in self.targets:
            if target.module is None or target.layer is None:
                continue
            for layer in {target.layer - 1, target.layer, target.layer + 1, 0, target.n_layers - 1}:
                block = target.module.replace(f".{target.layer}", f".{layer}", 1)
                places = [Place(block), Place(block, "input")]
                places += [
                    Place(f"{block}.{part}")
                    for part in ("mlp", "self_attn", "post_attention_layernorm")
                ]
                everywhere |= {place for place in places if place.module in modules}
        evidence.__dict__["places"] = frozenset(everywhere)
        if self.every > 1 and isinstance(evidence, CompletionEvidence):
            whole = evidence.split
            evidence.__dict__["split"] = replace(
                whole, train=whole.train[:: self.every], held_out=whole.held_out[:: self.every]
            )
        return evidence

    def run(self, injections: Iterable[Injection], *, per_injection: int = 2) -> list[Result]:
        """Every injection into some SAEs that it fits, of different architectures and layers."""
        results = []
        for number, injection in enumerate(injections):
            for target in self._spread(injection, number, per_injection):
                results.append(self.inject(injection, target))
                if self.progress is not None:
                    self.progress(results[-1])
        return results

    def inject(self, injection: Injection, target: Target) -> Result:
        """Damage one SAE in a copy, check it, and say what was noticed."""
        target = seeded(target, injection)
        copy = self._copy()
        try:
            injection.damage(copy, target)
            outcomes = list(self._outcomes(copy.root, copy.touched | {target.sae_id}))
            effect = self._effect(copy, target, injection)
        finally:
            _remove(copy.root)
        before = self._baseline_codes(target)
        new = [o for o in outcomes if o.outcome in _BAD and o.code not in before]
        if self._is_noted(injection):
            new += [o for o in outcomes if o.outcome == "noted" and o.code in injection.codes]
        codes = tuple(sorted({o.code for o in new}))
        return Result(
            injection,
            target.sae_id,
            self._verdict(injection, target, copy, new, effect),
            codes,
            effect,
        )

    def _verdict(
        self,
        injection: Injection,
        target: Target,
        copy: ReleaseCopy,
        new: Sequence[Outcome],
        effect: Effect | None,
    ) -> Verdict:
        if injection.changes_function and effect is not None and effect.is_none:
            return "equivalent"
        names = copy.touched | {target.sae_id}
        if any(o.code in injection.codes and _is_at(o, names, injection) for o in new):
            return "caught"
        if new:
            return "other code"
        if TIERS.index(injection.tier) > TIERS.index(self.tier):
            return "later tier"
        if injection.knowable == "never":
            return "not knowable"
        if injection.knowable == "by manifest" and self.claim is None:
            return "not knowable"
        return "missed"

    @staticmethod
    def _is_noted(injection: Injection) -> bool:
        """Leaks are notes: SAELens itself writes the device."""
        return injection.row == "paths and device"

    def _effect(self, copy: ReleaseCopy, target: Target, injection: Injection) -> Effect | None:
        damaged = copy.root / target.sae_id
        if not injection.changes_function or not damaged.is_dir():
            return None
        return effect_of(self.good / target.sae_id, damaged, self._vectors(target))

    def _vectors(self, target: Target) -> np.ndarray[Any, Any]:
        if self.tier == "activations":
            for sae in self._subject(self.good, {target.sae_id}).saes:
                try:
                    return self.evidence.sample(sae, train=False).vectors[:512]
                except ReleaseError:
                    break
        return vectors_like(self.good / target.sae_id)

    def _outcomes(self, root: Path, touched: set[str]) -> Iterator[Outcome]:
        """All checks on the SAEs that were touched, and those of the repository as a whole."""
        of_saes = self._subject(root, touched)
        for outcome in run_checks(of_saes, self._checks, Silent()):
            if outcome.subject:
                yield outcome
        whole = self._subject(root, None)
        if self.tier == "activations":
            whole.evidence = of_saes.evidence
        of_repository = [c for c in self._checks if c.subject == "repository" and not c.asked_last]
        yield from run_checks(whole, tuple(of_repository), Silent())

    def _baseline_codes(self, target: Target) -> frozenset[str]:
        """What is found of the good release, on the target, its like, and the whole."""
        if target.sae_id not in self._baseline:
            likes = (target, target.other_layer, target.other_condition, target.other_architecture)
            copy = self._copy()
            names = {like.sae_id for like in likes if like is not None}
            found = self._outcomes(copy.root, names)
            self._baseline[target.sae_id] = frozenset(o.code for o in found if o.outcome in _BAD)
            _remove(copy.root)
        return self._baseline[target.sae_id]

    def _subject(self, root: Path, names: set[str] | None) -> RepositorySubject:
        subject = RepositorySubject(
            LocalRepository(root), self.claim, options=self.options, progress=Silent()
        )
        if names is not None:
            subject.__dict__["saes"] = tuple(
                sae
                for sae in subject.saes
                if sae.sae_id.partition("/")[0] in names or sae.sae_id in names
            )
            if self.tier == "activations":
                subject.evidence = self._evidence_for(subject)
        return subject

    def _evidence_for(self, subject: RepositorySubject) -> Evidence:
        """The shared evidence; of its own where an SAE names a place that was not read."""
        known = self.evidence.captured
        for sae in subject.saes:
            try:
                place = self.evidence.place_of(sae)
            except ReleaseError:
                continue
            if place not in known.vectors:
                own = choose_evidence(subject.saes, self.claim, self.options, Silent())
                # The loaded base model is shared; loading it again would take most of the time.
                own._access = self.evidence._access  # type: ignore[attr-defined]
                return own
        return self.evidence

    def _copy(self) -> ReleaseCopy:
        self._count += 1
        root = Path(self._folder.name) / str(self._count) / self.good.name
        return ReleaseCopy(self.good, root, records=self.records, claims=self.claim is not None)

    def _spread(self, injection: Injection, number: int, at_most: int) -> list[Target]:
        """SAEs that the injection fits: one of each architecture first, from a moving start."""
        fitting = [target for target in self.targets if injection.fits(target)]
        turned = (
            fitting[number % len(fitting) :] + fitting[: number % len(fitting)] if fitting else []
        )
        first: dict[str, Target] = {}
        for target in turned:
            first.setdefault(target.architecture, target)
        rest = [target for target in turned if target not in first.values()]
        return [*first.values(), *rest][:at_most]


_NAMED: dict[str, Verdict] = {
    "missed": "missed",
    "by another code": "other code",
    "equivalent, not counted": "equivalent",
    "not knowable here, not counted": "not knowable",
}


def table(results: Sequence[Result]) -> str:
    """Classes by what was noticed; then every miss by name."""
    head = ("class", "injected", "caught", "other code", "missed", "not counted")
    rows: list[tuple[str, ...]] = []
    for row in dict.fromkeys(result.injection.row for result in results):
        rows.append(_counts(row, [r for r in results if r.injection.row == row]))
    rows.append(_counts("all", results))
    for strength in ("gross", "medium", "subtle"):
        rows.append(_counts(strength, [r for r in results if r.injection.strength == strength]))
    widths = [max(len(line[i]) for line in (head, *rows)) for i in range(len(head))]
    lines = [
        "  ".join(
            c.ljust(w) if not i else c.rjust(w)
            for i, (c, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in (head, *rows)
    ]
    for title, verdict in _NAMED.items():
        named = [result for result in results if result.verdict == verdict]
        if named:
            lines += ["", f"{title}:"]
            lines += [f"  {line(result)}" for result in named]
    return "\n".join(lines)


def line(result: Result) -> str:
    """One result in words."""
    codes = f" [{' '.join(result.codes)}]" if result.codes else ""
    effect = f" ({result.effect})" if result.effect else ""
    return (
        f"{result.injection.label} ({result.injection.strength}) in {result.sae_id}{codes}{effect}"
    )


def counted(results: Sequence[Result]) -> Counter[str]:
    """How many results are of each verdict."""
    return Counter(result.verdict for result in results)


def _counts(name: str, results: Sequence[Result]) -> tuple[str, ...]:
    n = counted(results)
    not_counted = n["equivalent"] + n["not knowable"] + n["later tier"]
    cells = (len(results) - not_counted, n["caught"], n["other code"], n["missed"], not_counted)
    return (name, *map(str, cells))


def _is_at(outcome: Outcome, names: set[str], injection: Injection) -> bool:
    if any(outcome.subject == name or outcome.subject.startswith(f"{name}/") for name in names):
        return True
    named = any(name in outcome.found for name in names)
    return outcome.subject == "" and (named or injection.whole)


def _near(good: Path) -> str | None:
    """A folder on the same file system, so that files can be linked; None: the system's own."""
    parent = good.resolve().parent
    return (
        None if parent.stat().st_dev == Path(tempfile.gettempdir()).stat().st_dev else str(parent)
    )


def _remove(root: Path) -> None:
    shutil.rmtree(root.parent, ignore_errors=True)
