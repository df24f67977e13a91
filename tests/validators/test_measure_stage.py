"""The stage `measure`: every table from a build, kept by SAE, beside what validation wrote."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from manifests.build_folder import SAE_WEIGHTS, BuildFolder
from manifests.load import LoadedManifest
from manifests.measure import Measure
from manifests.progress import Silent
from validators.measuring.labelled import OwnerMeans, labelled
from validators.measuring.stage import MeasuredBuild, measure_build
from validators.metrics.undefined import UndefinedMetric
from validators.options import ValidateOptions
from validators.report import Report, Tables, read_report

SAES = {f"tiny_{architecture}_L1_mixed" for architecture in ("topk", "jumprelu", "gated")}
FEW = {"permutations": 99, "stability": {"splits": 2, "top": 3}}


def with_measure(loaded: LoadedManifest, **settings: Any) -> LoadedManifest:
    measure = Measure.model_validate(FEW | settings)
    manifest = loaded.manifest.model_copy(update={"measure": measure})
    return dataclasses.replace(loaded, manifest=manifest)


def measured(good_release: Any, build: BuildFolder, **settings: Any) -> MeasuredBuild:
    options = ValidateOptions(base_model=str(good_release.base_model), keep_vectors=build.vectors)
    loaded = with_measure(good_release.loaded, **settings)
    return measure_build(loaded, build, options=options, progress=Silent())


def tables_of(found: MeasuredBuild) -> Tables:
    assert found.report.tables is not None
    return found.report.tables


@pytest.fixture(scope="module")
def whole(good_release: Any, tmp_path_factory: pytest.TempPathFactory) -> BuildFolder:
    build = BuildFolder(tmp_path_factory.mktemp("measured") / "tiny")
    shutil.copytree(good_release.repository, build.repository)
    measured(good_release, build)
    return build


@pytest.fixture
def build(whole: BuildFolder, tmp_path: Path) -> BuildFolder:
    copy = BuildFolder(tmp_path / "tiny")
    shutil.copytree(whole.root, copy.root)
    return copy


def test_every_sae_and_layer_has_its_tables_with_n(whole: BuildFolder) -> None:
    tables = read_report(whole.report_json).tables
    assert tables is not None
    # 120 completions, half of them deceptive.
    assert tables.labels == {"deceptive": 60, "honest": 60}
    assert set(tables.layers) == {"1"}
    assert tables.peak_layer == "1"
    assert set(tables.saes) == SAES
    raw = tables.layers["1"]
    assert raw["probe_balanced_accuracy"].n == raw["probe_auroc"].n == 120
    assert tables.peak is not None
    assert tables.peak.value == raw["probe_auroc"].value
    # One layer is the best of one, so both p-values ask the same.
    assert tables.peak.p_value == raw["probe_auroc"].p_value
    for sae in tables.saes.values():
        assert sae.metrics["probe_balanced_accuracy"].n == 120
        assert sae.metrics["majority_share"].value == 0.5
        assert sae.metrics["d_max"].n == 90
        assert sae.metrics["d_max_held_out"].n == 30
        chance = sae.metrics["d_max_chance"]
        assert chance.low is not None
        assert chance.high is not None
        assert 0 < chance.low < chance.high
        layer, peak = sae.metrics["beats_layer"], sae.metrics["beats_peak"]
        # There is one layer, so it is the peak as well.
        assert layer == peak
        assert len(sae.features) == 5
        for feature in sae.features:
            assert all(example.label in tables.labels for example in feature.examples)


def test_architectures_are_contrasted_on_the_same_held_out_vectors(whole: BuildFolder) -> None:
    tables = read_report(whole.report_json).tables
    assert tables is not None
    pairs = {(contrast.kind, contrast.first, contrast.second) for contrast in tables.contrasts}
    assert len(pairs) == 3
    assert {kind for kind, *_ in pairs} == {"architecture"}
    for contrast in tables.contrasts:
        assert {m.n for m in contrast.differences.values()} == {30}


def test_two_runs_give_the_same_bytes(good_release: Any, build: BuildFolder) -> None:
    before = build.report_json.read_bytes()
    build.report_json.unlink()
    shutil.rmtree(build.work)
    assert measured(good_release, build).n_made == 4
    assert build.report_json.read_bytes() == before


def test_what_is_unchanged_is_not_computed_again(good_release: Any, build: BuildFolder) -> None:
    assert measured(good_release, build).n_made == 0


def test_only_a_changed_sae_is_measured_again(good_release: Any, build: BuildFolder) -> None:
    changed, other = sorted(SAES)[:2]
    before = tables_of(measured(good_release, build))
    weights = build.sae_folder(changed) / SAE_WEIGHTS
    from safetensors.numpy import load_file, save_file

    tensors = load_file(weights)
    tensors["W_enc"] = tensors["W_enc"] * 0.5
    save_file(tensors, weights)
    found = measured(good_release, build)
    assert found.n_made == 1
    after = tables_of(found)
    assert after.saes[changed].metrics["d_max"] != before.saes[changed].metrics["d_max"]
    assert after.saes[other].metrics["d_max"] == before.saes[other].metrics["d_max"]


def test_a_further_seed_costs_no_new_forward_pass(
    good_release: Any, build: BuildFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from validators.evidence import completions

    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError("the base model was run again")

    monkeypatch.setattr(completions, "capture_completions", refused)
    assert measured(good_release, build, seed=1).n_made == 4


def test_the_other_sections_stay(good_release: Any, build: BuildFolder) -> None:
    from validators.stage import validate_build

    options = ValidateOptions(base_model=str(good_release.base_model))
    validate_build(good_release.loaded, build, options=options, progress=Silent())
    report = read_report(build.report_json)
    assert report.tables is not None
    assert report.checks is not None
    again = measured(good_release, build, seed=2).report
    assert again.checks == report.checks
    assert again.measurements == report.measurements
    assert again.tables != report.tables


def test_some_saes_are_measured_and_nothing_is_written(
    good_release: Any, build: BuildFolder
) -> None:
    before = build.report_json.read_bytes()
    options = ValidateOptions(
        base_model=str(good_release.base_model), keep_vectors=build.vectors, only=("*gated*",)
    )
    loaded = with_measure(good_release.loaded)
    found = measure_build(loaded, build, options=options, progress=Silent())
    assert set(tables_of(found).saes) == {"tiny_gated_L1_mixed"}
    assert build.report_json.read_bytes() == before


def test_a_damaged_kept_result_is_made_again(good_release: Any, build: BuildFolder) -> None:
    before = tables_of(measured(good_release, build))
    build.report_json.unlink()
    for path in (build.work / "measured").glob("*.npz"):
        path.write_bytes(path.read_bytes()[:-100])
    found = measured(good_release, build)
    assert found.n_made == 4
    assert tables_of(found) == before


def test_the_report_stays_readable_and_names_no_machine(whole: BuildFolder) -> None:
    text = whole.report_json.read_text(encoding="utf-8")
    assert str(whole.root.parent) not in text
    assert Report.model_validate(json.loads(text)).tables is not None


class OneVectorEach:
    """Evidence of completions that all lie at one place, one vector each."""

    def __init__(self, labels: list[str], vectors: list[float]) -> None:
        rows = [SimpleNamespace(id=str(i), label=x, scenario="s") for i, x in enumerate(labels)]
        self.judged = SimpleNamespace(train=rows[:-1], held_out=rows[-1:])
        self._vectors = np.array(vectors, dtype=np.float32)[:, None]

    def place_of(self, _: Any) -> str:
        return "place"

    def vectors_of(self, _: Any, rows: list[Any]) -> tuple[Any, Any]:
        indices = [int(row.id) for row in rows]
        return self._vectors[indices], np.arange(len(rows))


def test_labels_of_one_kind_are_refused() -> None:
    evidence = OneVectorEach(["deceptive", "deceptive", "ambiguous"], [1, 1, 1])
    with pytest.raises(UndefinedMetric, match="deceptive only"):
        labelled(evidence, (object(),), Measure.model_validate({}))


def test_a_completion_of_outlying_norm_is_left_out_and_ambiguous_ones_are_not_asked() -> None:
    labels = ["deceptive", "honest", "deceptive", "ambiguous", "honest"]
    rows = labelled(
        OneVectorEach(labels, [1, 1, 100, 1, 1]), (object(),), Measure.model_validate({})
    )
    assert [row.id for row in rows.rows] == ["0", "1", "4"]
    assert rows.y.tolist() == [True, False, False]
    assert rows.is_held_out.tolist() == [False, False, True]


def test_means_over_the_vectors_of_each_completion() -> None:
    means = OwnerMeans(np.array([0, 0, 1]), 2)
    means.add(np.array([[1.0], [3.0]], dtype=np.float32))
    means.add(np.array([[5.0]], dtype=np.float32))
    assert means.means().tolist() == [[2.0], [5.0]]
