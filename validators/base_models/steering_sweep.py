"""How the labels of what a base model writes change with the strength of a steering vector."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manifests.data import Label, Sampling, Scenario
from manifests.errors import UsageError
from manifests.labels import check_label_rule, label_completion
from manifests.progress import Progress, Task
from validators.base_models.base_model import BaseModel, prompt_token_ids
from validators.base_models.continuation import batch_seed, completion_text
from validators.base_models.steering import steered_continuations
from validators.metrics.directions import unit
from validators.metrics.label_trend import LabelTrend, Outcomes, label_trend
from validators.metrics.rates import Rate, rate
from validators.metrics.undefined import UndefinedMetric
from validators.places.place import Place

# In typical lengths of the place's activations; much beyond, a model writes no sentences any more.
ALPHAS = (-0.6, -0.4, -0.2, 0.0, 0.2, 0.4, 0.6)
# Rows of one pass: bounds the memory of its logits and of its keys and values.
MAX_ROWS = 112
# Written beyond what the keyword rule reads, since a further token may change how the last ones are
# decoded: some tokenizers join "do" and "n't".
CHARACTERS_BEYOND = 8


@dataclass(frozen=True)
class SteeredCompletion:
    """One completion that was written under steering.

    Attributes:
        alpha: how strongly.
        scenario: whose prompt was continued.
        sample: number of the draw within the scenario; the same number at another alpha met the
            same random numbers.
        text: what the model wrote, up to `max_new_tokens` and at least as far as the keyword rule
            reads.
        label: by the keyword rule; None where it wrote nothing.
    """

    alpha: float
    scenario: str
    sample: int
    text: str
    label: Label | None


@dataclass(frozen=True)
class AlphaCounts:
    """What the completions at one alpha were labelled; the counts add up to n."""

    alpha: float
    n: int
    n_deceptive: int
    n_honest: int
    n_ambiguous: int
    n_empty: int

    def deceptive_rate(self) -> Rate:
        """Deceptive ones among those labelled deceptive or honest.

        Raises:
            UndefinedMetric: none is labelled so.
        """
        if self.n_deceptive + self.n_honest == 0:
            raise UndefinedMetric("no completion is labelled deceptive or honest")
        return rate(self.n_deceptive, self.n_deceptive + self.n_honest)

    def deceptive_share(self) -> Rate:
        """Deceptive ones among all completions, ambiguous and empty ones included."""
        return rate(self.n_deceptive, self.n)

    def undecided_share(self) -> Rate:
        """Ambiguous and empty ones among all: a model that steering broke answers nothing."""
        return rate(self.n_ambiguous + self.n_empty, self.n)


@dataclass(frozen=True)
class SteeringResult:
    """A whole sweep.

    Attributes:
        place: where was steered, as its name reads.
        scale: length of what alpha = 1 adds, in units of the activation.
        n_per_scenario: completions of each scenario at each alpha.
        seed: from which all batches' seeds are made.
        counts: one for each alpha, ascending.
        completions: all of them, by scenario, sample and alpha.
    """

    place: str
    scale: float
    n_per_scenario: int
    seed: int
    counts: tuple[AlphaCounts, ...]
    completions: tuple[SteeredCompletion, ...]

    def trend(self) -> LabelTrend:
        """Slope of the deceptive rate over alpha, and its p-value.

        Raises:
            UndefinedMetric: see `label_trend`.
        """
        alphas = [counts.alpha for counts in self.counts]
        series = [row for row in self.completions if row.alpha == alphas[0]]
        labels = np.array([row.label or "" for row in self.completions], dtype=np.str_)
        labels = labels.reshape(len(series), len(alphas))
        names = {name: number for number, name in enumerate({row.scenario: 0 for row in series})}
        return label_trend(
            Outcomes(
                doses=np.array(alphas),
                is_positive=labels == "deceptive",
                is_labelled=(labels == "deceptive") | (labels == "honest"),
                groups=np.array([names[row.scenario] for row in series], dtype=np.int64),
            )
        )


def measure_steering(
    base: BaseModel,
    place: Place,
    direction: NDArray[np.floating[Any]],
    scale: float,
    scenarios: Sequence[Scenario],
    sampling: Sampling,
    *,
    alphas: Sequence[float] = ALPHAS,
    n_per_scenario: int,
    seed: int,
    progress: Progress,
) -> SteeringResult:
    """Continue every scenario's prompt at every alpha and label what comes.

    Added is `alpha * scale * direction / ||direction||` at the place, see `steered_continuations`.
    With `typical_length` of the place's vectors as `scale`, alpha is a share of the activation: it
    means the same at every layer, for every model and for every direction, however long the
    direction itself is. All alphas share the random numbers of their draws.

    Args:
        base: the model and its tokenizer.
        place: where is steered.
        direction: [d_in]; only its direction counts.
        scale: length of what alpha = 1 adds, above 0, in units of the activation.
        scenarios: whose prompts are continued; one at least, of different ids.
        sampling: read are `temperature`, `max_new_tokens` and `opening_characters`.
        alphas: different, with 0 and for each one its opposite, in any order.
        n_per_scenario: completions of each scenario at each alpha.
        seed: of the sweep; the batches of `release sample` with the same seed are other ones.
        progress: counts completions.

    Raises:
        UsageError: the alphas, the scale or the number is none to measure with.
        UndefinedMetric: the direction has no length, or is not finite.
        LabelRuleProblem: a keyword pattern is not a regular expression.
        NoSuchPlace: the model has no such module.
        NotSteered: the place does not run once in every pass, or is of another width.
    """
    ordered = sorted(float(alpha) for alpha in alphas)
    _check_request(ordered, scale, len(scenarios), n_per_scenario)
    check_label_rule(sampling.model_copy(update={"scenarios": tuple(scenarios)}))
    offsets = np.outer(ordered, scale * unit(direction))
    rows: list[SteeredCompletion] = []
    with progress.task("steering", total=len(scenarios) * n_per_scenario * len(ordered)) as task:
        for scenario in scenarios:
            written = _texts(base, place, offsets, scenario, sampling, n_per_scenario, seed, task)
            for sample, texts in enumerate(written):
                for alpha, text in zip(ordered, texts, strict=True):
                    label = _label(text, scenario, sampling)
                    rows.append(SteeredCompletion(alpha, scenario.id, sample, text, label))
    return SteeringResult(
        place=str(place),
        scale=scale,
        n_per_scenario=n_per_scenario,
        seed=seed,
        counts=tuple(_count(alpha, rows) for alpha in ordered),
        completions=tuple(rows),
    )


def _check_request(
    alphas: list[float], scale: float, n_scenarios: int, n_per_scenario: int
) -> None:
    problems = []
    if len(set(alphas)) < 3 or len(set(alphas)) < len(alphas) or not np.isfinite(alphas).all():
        problems.append("alphas are 3 or more different finite numbers")
    elif 0 not in alphas or alphas != [-alpha for alpha in reversed(alphas)]:
        problems.append("alphas hold 0 and the opposite of each")
    if not (np.isfinite(scale) and scale > 0):
        problems.append("scale is a finite length above 0")
    if n_scenarios < 1 or n_per_scenario < 1:
        problems.append("there is a scenario, and a completion of each")
    if problems:
        raise UsageError(
            f"alphas {alphas}, scale {scale}, {n_scenarios} scenarios, {n_per_scenario} each",
            where="steering",
            expected="; ".join(problems),
        )


def _texts(
    base: BaseModel,
    place: Place,
    offsets: NDArray[np.float64],
    scenario: Scenario,
    sampling: Sampling,
    n_samples: int,
    seed: int,
    task: Task,
) -> Iterator[tuple[str, ...]]:
    """For each sample what was written at each offset."""
    prompt_ids = prompt_token_ids(base.tokenizer, scenario.prompt, scenario.opening)
    n_characters = sampling.opening_characters + CHARACTERS_BEYOND

    def is_read(token_ids: list[int]) -> bool:
        return len(completion_text(base, prompt_ids, token_ids)) >= n_characters

    batch_size = max(1, MAX_ROWS // len(offsets))
    for first in range(0, n_samples, batch_size):
        n_rows = min(batch_size, n_samples - first)
        # Not the seeds of `release sample`: the direction may come from what those drew.
        own_seed = batch_seed(seed, f"{scenario.id}:steered", first // batch_size)
        by_offset = steered_continuations(
            base,
            place,
            offsets,
            prompt_ids,
            sampling,
            n_rows=n_rows,
            seed=own_seed,
            is_enough=is_read,
        )
        for tokens in zip(*by_offset, strict=True):
            yield tuple(completion_text(base, prompt_ids, own) for own in tokens)
        task.advance(n_rows * len(offsets))


def _label(text: str, scenario: Scenario, sampling: Sampling) -> Label | None:
    if not text.strip():
        return None
    return label_completion(text, scenario, opening_characters=sampling.opening_characters)


def _count(alpha: float, rows: list[SteeredCompletion]) -> AlphaCounts:
    labels = Counter(row.label for row in rows if row.alpha == alpha)
    return AlphaCounts(
        alpha=alpha,
        n=labels.total(),
        n_deceptive=labels["deceptive"],
        n_honest=labels["honest"],
        n_ambiguous=labels["ambiguous"],
        n_empty=labels[None],
    )
