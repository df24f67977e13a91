"""Every number of a report is defined in docs/terms.md, once."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import BaseModel
from random_saes import D_IN, D_SAE, random_sae

from manifests.load import load_manifest
from manifests.matrix import sae_specs
from manifests.measure import Measure
from validators import evaluation, loss_measurements, report
from validators.base_models.effective_bits import EffectiveBits, Stored
from validators.base_models.named_precisions import named_precision
from validators.evidence.claimed_data import Part
from validators.measuring.comparisons import compared
from validators.measuring.contrasts import Judged, contrasts
from validators.measuring.kept_results import KeptResults
from validators.measuring.labelled import Labelled
from validators.measuring.layers import MeasuredLayer
from validators.measuring.probing import probe_measurements, probed, unprobed
from validators.measuring.sae_results import effects, seed_metrics, split_metrics
from validators.measuring.saes import MeasuredSae
from validators.measuring.settings import Settings
from validators.metrics.paired_differences import per_vector
from validators.metrics.undefined import UndefinedMetric
from validators.places.place import Place
from validators.portability.comparing import shifts_of
from validators.portability.precision_run import PrecisionRun
from validators.portability.stage import _loaded
from validators.portability.trained_elsewhere import _cell
from validators.report import Measurement, SaeTables
from validators.subjects import SaeSubject

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "manifests" / "demo-smollm2-135m-instruct.yaml"
TERMS = ROOT / "docs" / "terms.md"
N = 40
FEW = {"permutations": 99, "stability": {"splits": 2, "top": 3}}


def headings() -> list[str]:
    """The names that the headings of docs/terms.md define."""
    found = re.findall(r"^### (.+)$", TERMS.read_text(encoding="utf-8"), re.MULTILINE)
    return [name for heading in found for name in re.findall(r"`(\w+)`", heading)]


def validated() -> set[str]:
    """Names in the section `measurements`."""
    source = inspect.getsource(evaluation.evaluate)
    return set(re.findall(r'"(\w+)": (?:held|trained|apart)\(', source)) | set(
        loss_measurements.UNITS
    )


@pytest.fixture(scope="module")
def settings() -> Settings:
    manifest = load_manifest(DEMO).manifest
    changed = manifest.model_copy(update={"measure": Measure.model_validate(FEW)})
    return Settings(changed, base_digest="", inputs={})


@pytest.fixture
def rows() -> Labelled:
    """40 completions of 10 scenarios, both labels in each; every fourth is held out."""
    number = np.arange(N)
    return Labelled(
        rows=(), y=number % 2 == 1, groups=number // 4, is_held_out=number // 2 % 4 == 3
    )


def latents(seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((N, D_SAE), dtype=np.float32)


def vectors(seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((N, D_IN)).astype(np.float32)


def of_one_sae(values: NDArray[np.float32], rows: Labelled, settings: Settings) -> set[str]:
    """Names of metrics and verdicts that are made of an SAE's latents [n, d_sae]."""
    decoders = [np.random.default_rng(seed).random((D_SAE, D_IN), np.float32) for seed in (0, 1)]
    halves, of_halves = split_metrics(values, rows, settings)
    wanted = settings.measure.stability
    seeds, of_seeds = seed_metrics([values, latents(1)], decoders, rows, wanted)
    return {*effects(values, rows, settings).metrics, *halves, *seeds, *of_halves, *of_seeds}


def of_comparisons(rows: Labelled, settings: Settings) -> tuple[set[str], set[str]]:
    """Names of an SAE's differences to raw probes, and of those to another SAE."""
    first, second = sae_specs(settings.manifest)[:2]
    probe = probed(latents(), rows, settings)
    run = per_vector(vectors(), vectors(1), latents())
    judged = Judged(first, run, rows.groups)
    sae = MeasuredSae(SaeTables(metrics={}), probe, judged, top_latent=None)
    layers = {str(first.layer): MeasuredLayer({}, probe)}
    tables = compared(layers, {first.sae_id: sae}, rows, settings)
    assert second.layer == first.layer
    found = contrasts([judged, Judged(second, run, rows.groups)])
    assert found
    return (
        set(tables[first.sae_id].metrics),
        {name for contrast in found for name in contrast.differences},
    )


def of_fields() -> set[str]:
    """Numbers of a report that have a key of their own: of the peak, of latents, of steering."""
    models = [one for _, one in inspect.getmembers(report, inspect.isclass)]
    return {
        name
        for model in models
        if issubclass(model, BaseModel)
        for name, field in model.model_fields.items()
        if field.annotation in (Measurement, Measurement | None)
    }


def random_subject() -> SaeSubject:
    """What the numbers need of an SAE: SAELens' own with random weights, and a manifest."""
    manifest = load_manifest(DEMO).manifest
    subject: Any = SimpleNamespace(
        sae_id="any",
        saelens=random_sae("topk"),
        manual=SimpleNamespace(decodes_latents_alone=True),
        claim=SimpleNamespace(manifest=manifest),
        claimed=SimpleNamespace(condition=next(iter(manifest.data.conditions))),
    )
    return cast(SaeSubject, subject)


def run_of_random_vectors(label: str, seed: int) -> PrecisionRun:
    """As if a base model of one place had been run at a precision."""
    place = Place("layer")
    stored = Stored(f"{label} linear", False, 6, weight_bytes=24, scale_bytes=0, constant_bytes=0)
    return PrecisionRun(
        label=label,
        held_out=Part({place: vectors(seed)}, np.arange(N) // 4, np.zeros(N, np.int64)),
        train=None,
        size=EffectiveBits((stored,), buffer_bytes=0),
        losses={"any": dict.fromkeys(loss_measurements.UNITS, Measurement(value=0, n=N))},
        base_digest="",
        base_source="",
        own_columns={"any": lambda part: part.vectors[place]},
    )


def tables(rows: Labelled, settings: Settings) -> set[str]:
    of_raw, of_pairs = of_comparisons(rows, settings)
    probe = probe_measurements(probed(latents(), rows, settings))
    return {*probe, *of_one_sae(latents(), rows, settings), *of_raw, *of_pairs, *of_fields()}


def portability() -> set[str]:
    """Names in the section `portability`: by precision, by SAE and precision, and trained again."""
    sae, labels = random_subject(), ("fp32", "fp16")
    runs = {label: run_of_random_vectors(label, seed) for seed, label in enumerate(labels)}
    moved = shifts_of(sae, runs, "fp32", inputs={}, kept=KeptResults(None))["fp16"]
    own = load_manifest(DEMO).manifest.base_model.precision
    loaded = _loaded(named_precision("fp32", trained_at=own), runs["fp32"], None)
    retrained = _cell(sae, vectors(), vectors(1), np.arange(N) // 4)
    return {*moved.metrics, *loaded.metrics, *retrained}


def test_every_metric_has_one_definition_and_every_definition_a_metric(
    rows: Labelled, settings: Settings
) -> None:
    written = Counter(headings())
    assert [name for name, count in written.items() if count > 1] == []
    assert validated() | tables(rows, settings) | portability() == set(written)
    assert len(validated()) == 22


def test_the_names_of_all_tables_were_asked_for(rows: Labelled, settings: Settings) -> None:
    # One of every function that names metrics, so that none of them is left out above.
    assert {"probe_chance", "beats_peak", "d_over_1", "seeds_mmcs", "stability_splits"} <= tables(
        rows, settings
    )
    assert {"peak", "trend", "d_held_out", "positive_rate"} <= of_fields()
    assert {"weights_bytes", "jaccard", "probe_transferred", "kl"} <= portability()


def test_what_two_saes_are_compared_in_is_what_validation_measures(
    rows: Labelled, settings: Settings
) -> None:
    _, of_pairs = of_comparisons(rows, settings)
    assert of_pairs <= validated()


def test_undefined_metrics_have_the_names_of_defined_ones(
    rows: Labelled, settings: Settings
) -> None:
    dead = np.zeros((N, D_SAE), np.float32)
    verdicts = {"stability_splits", "stability_seeds"}
    assert of_one_sae(dead, rows, settings) == of_one_sae(latents(), rows, settings) - verdicts
    probe = probed(latents(), rows, settings)
    assert set(unprobed(UndefinedMetric("one class only"))) == set(probe_measurements(probe))
