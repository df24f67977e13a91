"""Labelled completions for a manifest's scenarios, sampled from its base model.

Every scenario's prompt is read once and its key-value cache shared by a batch of continuations.
Temperature is the only change to the model's distribution: no top-k, no top-p.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from manifests.build_folder import write_atomically
from manifests.completions import Completion, completions_jsonl
from manifests.data import Label, Sampling, Scenario
from manifests.digests import bytes_sha256
from manifests.errors import ReleaseError, UsageError
from manifests.labels import check_label_rule, label_completion
from manifests.load import LoadedManifest
from manifests.near_duplicates import without_near_duplicates
from manifests.progress import Progress, Task
from validators.base_models.base_model import BaseModel, load_base_model, prompt_token_ids
from validators.base_models.continuation import batch_seed, completion_text, continuations

BATCH_SIZE = 100


class TooFewCompletions(ReleaseError):
    """No scenario has enough completions of both decisive labels."""


@dataclass(frozen=True)
class ScenarioCounts:
    """What became of one scenario's samples; `is_kept` says whether its rows are in the file."""

    scenario: str
    deceptive: int
    honest: int
    ambiguous: int
    near_duplicates: int
    empty: int
    is_kept: bool


@dataclass(frozen=True)
class SamplingSummary:
    """The written file, its SHA-256 for `data.sha256` of the manifest, and the counts."""

    path: Path
    sha256: str
    n_rows: int
    size_bytes: int
    scenarios: tuple[ScenarioCounts, ...]
    seconds: float
    is_stated_in_manifest: bool


def sample(
    loaded: LoadedManifest,
    *,
    progress: Progress,
    base_model: str | None = None,
    device: str = "cpu",
) -> SamplingSummary:
    """Sample, label and write the completions file that the manifest names.

    Near-duplicates within a scenario are left out (`manifests.near_duplicates`), and so is every
    scenario with fewer than `min_per_label` completions of either decisive label. The same seed
    gives the same file on the same platform with the same version of torch.

    Raises:
        UsageError: the manifest has no `data.sampling` or no `data.file`.
        LabelRuleProblem: a keyword pattern is not a regular expression.
        TooFewCompletions: every scenario was left out; nothing is written.
        ReleaseError: the base model cannot be loaded, see `load_base_model`.
    """
    data, sampling = loaded.manifest.data, loaded.manifest.data.sampling
    if sampling is None or data.file is None:
        raise UsageError(
            "the manifest does not say how completions are sampled",
            where=str(loaded.path),
            expected="data.file, and data.sampling with at least one scenario",
            next_step="`release schema` shows its keys",
        )
    check_label_rule(sampling)
    start = time.monotonic()
    base = load_base_model(loaded.manifest.base_model, override=base_model, device=device)
    kept: list[Completion] = []
    counts: list[ScenarioCounts] = []
    for scenario in sampling.scenarios:
        n_samples = sampling.per_scenario
        with progress.task(f"sampling {scenario.id}", total=n_samples) as task:
            rows = list(_scenario_rows(base, scenario, sampling, task))
        distinct = without_near_duplicates(rows)
        count = _count(scenario.id, n_samples, len(rows), distinct, sampling.min_per_label)
        counts.append(count)
        if count.is_kept:
            kept.extend(distinct)
        else:
            progress.note(
                f"{scenario.id} left out: {count.deceptive} deceptive and {count.honest} honest "
                f"completions, at least {sampling.min_per_label} of each are wanted"
            )
    if not kept:
        raise TooFewCompletions(
            "no scenario has enough completions of both labels",
            where=str(loaded.path),
            expected=f"data.sampling.min_per_label, {sampling.min_per_label}, of each label",
            next_step="raise data.sampling.per_scenario, or change the prompts and patterns",
        )
    content = completions_jsonl(kept)
    path = loaded.file_beside(data.file)
    write_atomically(path, content)
    sha256 = bytes_sha256(content)
    return SamplingSummary(
        path=path,
        sha256=sha256,
        n_rows=len(kept),
        size_bytes=len(content),
        scenarios=tuple(counts),
        seconds=time.monotonic() - start,
        is_stated_in_manifest=sha256 == data.sha256,
    )


def _count(
    scenario_id: str, n_samples: int, n_rows: int, distinct: tuple[Completion, ...], minimum: int
) -> ScenarioCounts:
    labels: Counter[Label] = Counter(row.label for row in distinct)
    return ScenarioCounts(
        scenario=scenario_id,
        deceptive=labels["deceptive"],
        honest=labels["honest"],
        ambiguous=labels["ambiguous"],
        near_duplicates=n_rows - len(distinct),
        empty=n_samples - n_rows,
        is_kept=min(labels["deceptive"], labels["honest"]) >= minimum,
    )


def _scenario_rows(
    base: BaseModel, scenario: Scenario, sampling: Sampling, task: Task
) -> Iterator[Completion]:
    """All non-empty completions of one scenario, near-duplicates included."""
    prompt_ids = prompt_token_ids(base.tokenizer, scenario.prompt, scenario.opening)
    for first in range(0, sampling.per_scenario, BATCH_SIZE):
        n_rows = min(BATCH_SIZE, sampling.per_scenario - first)
        seed = batch_seed(sampling.seed, scenario.id, first // BATCH_SIZE)
        for offset, token_ids in enumerate(continuations(base, prompt_ids, sampling, n_rows, seed)):
            text = completion_text(base, prompt_ids, token_ids)
            if text.strip():
                yield Completion(
                    id=f"{scenario.id}-{first + offset:04d}",
                    scenario=scenario.id,
                    prompt=scenario.prompt,
                    opening=scenario.opening,
                    completion=text,
                    label=label_completion(
                        text, scenario, opening_characters=sampling.opening_characters
                    ),
                    seed=seed,
                    temperature=sampling.temperature,
                    top_k=None,
                    top_p=None,
                    max_new_tokens=sampling.max_new_tokens,
                    model_digest=base.digest,
                )
        task.advance(n_rows)
