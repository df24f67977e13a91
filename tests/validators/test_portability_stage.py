"""The stage `portability`: one tiny release at every precision that a CPU can run."""

from __future__ import annotations

import dataclasses
import shutil
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from manifests.build_folder import SAE_WEIGHTS, BuildFolder
from manifests.errors import UsageError
from manifests.load import LoadedManifest
from manifests.model import Manifest
from manifests.progress import Silent
from validators.base_models import access
from validators.base_models import base_model as base_model_module
from validators.base_models import named_precisions as named_precisions_module
from validators.base_models.base_model import load_base_model
from validators.evidence import completions
from validators.evidence.activations import capture_completions
from validators.options import ValidateOptions
from validators.portability import shifts
from validators.portability.requirements import out_of_date
from validators.portability.stage import measure_portability
from validators.report import Portability, Report, read_report

# The third folder of the release, which the manifest here does not name, is left aside.
SAES = {f"tiny_{architecture}_L1_mixed" for architecture in ("topk", "gated")}
NAMES = ("fp16", "bf16", "int8", "nf4", "nf4-dq:fp16", "fp4", "fp8")
LABELS = ("fp32", "fp16", "bf16", "int8:fp32", "nf4:fp32", "nf4-dq:fp16", "fp4:fp32")
INTERVALS = {
    "residual_error", "residual_error_about_mean", "explained_variance",
    "explained_variance_drop", "jaccard", "found_again", "identical_share",
}  # fmt: skip
PLAIN = {"l0", "alive", "alive_shift", "latent_correlation", "d_max", "d_of_own_best",
         "probe_own", "probe_transferred", "ce_increase", "kl"}  # fmt: skip


def with_manifest(loaded: LoadedManifest, **changes: Any) -> LoadedManifest:
    """The same manifest with other values at dotted paths, which stand with `__` for a dot."""
    content = loaded.manifest.model_dump(mode="json")
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = content
        for name in parents:
            place = place[name]
        place[last] = value
    return dataclasses.replace(loaded, manifest=Manifest.model_validate(content))


def two_of(loaded: LoadedManifest) -> LoadedManifest:
    return dataclasses.replace(
        loaded, saes=tuple(spec for spec in loaded.saes if spec.sae_id in SAES)
    )


def measured(
    good_release: Any,
    build: BuildFolder,
    precisions: tuple[str, ...],
    *,
    loaded: LoadedManifest | None = None,
    base_model: Path | None = None,
    only: tuple[str, ...] = (),
    retrained: dict[str, Path] | None = None,
) -> Report:
    options = ValidateOptions(
        base_model=str(base_model or good_release.base_model),
        keep_vectors=build.vectors,
        only=only,
    )
    return measure_portability(
        two_of(loaded or good_release.loaded),
        build,
        precisions=precisions,
        options=options,
        retrained=retrained,
        progress=Silent(),
    )


def section_of(report: Report) -> Portability:
    assert report.portability is not None
    return report.portability


class Watched:
    """What the base model was asked for, and how many of them were in memory at a time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loads: list[str] = []
        self.alive_at_load: list[int] = []
        self.captures: list[int] = []
        self.shifts: list[tuple[str, str]] = []
        self._models: list[weakref.ref[Any]] = []
        load, capture = load_base_model, capture_completions

        def watched_load(spec: Any, **options: Any) -> Any:
            self.alive_at_load.append(sum(model() is not None for model in self._models))
            self.loads.append(spec.precision.weights)
            base = load(spec, **options)
            self._models.append(weakref.ref(base.model))
            return base

        def watched_capture(base: Any, rows: Any, places: Any, *rest: Any) -> Any:
            self.captures.append(len(rows))
            return capture(base, rows, places, *rest)

        at = shifts.ShiftMeter.at

        def watched_at(meter: Any, label: str, *rest: Any, **options: Any) -> Any:
            self.shifts.append((meter._sae.sae_id, label))
            return at(meter, label, *rest, **options)

        monkeypatch.setattr(access, "load_base_model", watched_load)
        monkeypatch.setattr(completions, "capture_completions", watched_capture)
        monkeypatch.setattr(shifts.ShiftMeter, "at", watched_at)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(monkeypatch)


@dataclasses.dataclass(frozen=True)
class Whole:
    build: BuildFolder
    seen: Watched


@pytest.fixture(scope="module")
def whole(good_release: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    build = BuildFolder(tmp_path_factory.mktemp("ported") / "tiny")
    shutil.copytree(good_release.repository, build.repository)
    with pytest.MonkeyPatch.context() as patch:
        seen = Watched(patch)
        measured(good_release, build, NAMES)
    yield Whole(build, seen)


@pytest.fixture
def build(whole: Whole, tmp_path: Path) -> BuildFolder:
    copy = BuildFolder(tmp_path / "tiny")
    shutil.copytree(whole.build.root, copy.root)
    return copy


@pytest.fixture
def section(whole: Whole) -> Portability:
    return section_of(read_report(whole.build.report_json))


def test_each_precision_is_loaded_once_and_let_go_before_the_next(whole: Whole) -> None:
    assert whole.seen.loads == ["fp32", "fp16", "bf16", "int8", "nf4", "nf4", "fp4"]
    assert whole.seen.alive_at_load == [0] * 7


def test_one_pass_reads_the_data_for_all_saes(whole: Whole) -> None:
    # 90 training completions, to fit probes on, at the own precision; 30 held-out ones at each.
    assert whole.seen.captures == [120, *[30] * 6]


def test_every_sae_and_precision_has_its_numbers_with_n_and_intervals(
    section: Portability,
) -> None:
    assert set(section.saes) == SAES
    assert section.trained_at == "fp32"
    for sae_shifts in section.saes.values():
        assert tuple(sae_shifts) == (*LABELS, "fp8:fp32")
        for label in LABELS:
            metrics = sae_shifts[label].metrics
            assert set(metrics) == INTERVALS | PLAIN | {"ce_recovered"}
            for name in INTERVALS:
                found = metrics[name]
                assert found.low is not None and found.high is not None and found.value is not None
                assert found.low <= found.value <= found.high
            for name in PLAIN:
                assert metrics[name].value is not None, (label, name, metrics[name].reason)
            assert {metrics[name].n for name in INTERVALS | {"l0", "d_max", "probe_own"}} == {30}


def test_the_own_precision_is_where_nothing_moves(section: Portability) -> None:
    for sae_shifts in section.saes.values():
        own = sae_shifts["fp32"].metrics
        for name in ("residual_error", "explained_variance_drop", "alive_shift"):
            assert own[name].value == 0
        for name in ("jaccard", "found_again", "identical_share"):
            assert own[name].value == 1
        assert own["latent_correlation"].value == pytest.approx(1)
        assert own["probe_own"].value == own["probe_transferred"].value
        d, best = own["d_max"].value, own["d_of_own_best"].value
        assert d is not None and best is not None
        assert d == abs(best)


def test_coarser_weights_move_activations_more(section: Portability) -> None:
    for sae_shifts in section.saes.values():
        moved = [sae_shifts[label].metrics["residual_error"].value for label in LABELS]
        fp32, fp16, bf16, int8, nf4, _, fp4 = moved
        assert 0 == fp32 < fp16 < bf16 < int8 < nf4 < fp4  # type: ignore[operator]
        # Another compute format and doubly quantised scales change little beside nf4 itself.
        dq = sae_shifts["nf4-dq:fp16"].metrics["residual_error"]
        assert dq.value == pytest.approx(nf4, rel=0.1)


def test_every_verdict_names_the_number_that_decided_it(section: Portability) -> None:
    for sae_shifts in section.saes.values():
        for label in LABELS:
            verdict = sae_shifts[label].verdict
            assert verdict.regime == label
            assert verdict.decided_by is not None
            assert verdict.value == sae_shifts[label].metrics[verdict.decided_by].value
            overlap = sae_shifts[label].metrics["jaccard"].value
            assert overlap is not None
            assert verdict.verdict == ("works" if overlap >= 0.67 else "works with other latents")
        assert sae_shifts["fp16"].verdict.verdict == "works"


def test_what_cannot_be_run_is_not_measured_and_says_why(section: Portability) -> None:
    fp8 = section.precisions["fp8:fp32"]
    assert fp8.refused is not None and "compute capability 8.9" in fp8.refused
    assert fp8.metrics == {}
    for sae_shifts in section.saes.values():
        assert sae_shifts["fp8:fp32"].verdict.verdict == "not measured"
        assert fp8.refused in sae_shifts["fp8:fp32"].verdict.sentence
    (elsewhere,) = section.elsewhere
    assert elsewhere.sentence == "not measured: this run had one device, cpu"


def test_the_sizes_are_those_of_the_formats(section: Portability) -> None:
    size = {label: section.precisions[label].metrics for label in LABELS}
    assert size["fp32"]["bits_per_parameter"].value == 32
    assert size["fp16"]["bits_per_parameter"].value == 16
    assert size["fp32"]["bits_per_quantised_parameter"].value is None
    # 4 bits and a float32 scale for each 64 weights; every matrix here is whole blocks.
    assert size["nf4:fp32"]["bits_per_quantised_parameter"].value == 4.5
    bytes_of = [size[label]["weights_bytes"].value for label in ("fp32", "fp16", "nf4:fp32")]
    assert bytes_of == sorted(bytes_of, reverse=True)  # type: ignore[type-var]
    for found in size.values():
        largest, share = found["largest_activation"].value, found["share_of_fp16_range"].value
        assert largest is not None
        assert share == pytest.approx(largest / 65504)
        assert found["vectors_not_finite"].value == 0


def test_the_report_names_no_place_of_the_machine(whole: Whole, good_release: Any) -> None:
    text = whole.build.report_json.read_text(encoding="utf-8")
    for folder in (whole.build.root, good_release.base_model, Path.home()):
        assert str(folder) not in text
    assert str(whole.build.root.parent) not in text


def test_two_runs_give_the_same_bytes(good_release: Any, build: BuildFolder) -> None:
    names = ("nf4-dq:fp16",)
    measured(good_release, build, names)
    before = build.report_json.read_bytes()
    build.report_json.unlink()
    shutil.rmtree(build.work)
    measured(good_release, build, names)
    assert build.report_json.read_bytes() == before


def test_a_further_precision_costs_what_that_one_costs(
    good_release: Any, build: BuildFolder, watched: Watched
) -> None:
    before = section_of(read_report(build.report_json))
    found = section_of(measured(good_release, build, (*NAMES[:2], "fp4-dq")))
    assert watched.captures == [30]
    assert sorted(watched.shifts) == sorted((sae_id, "fp4-dq:fp32") for sae_id in SAES)
    for sae_id in SAES:
        for label in ("fp32", "fp16", "bf16"):
            assert found.saes[sae_id][label] == before.saes[sae_id][label]


def test_a_changed_sae_is_measured_alone(
    good_release: Any, build: BuildFolder, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.numpy import load_file, save_file

    from validators import loss_measurements

    asked, measure_loss = [], loss_measurements.measure_loss

    def counted(sae: Any) -> Any:
        asked.append(sae.sae_id)
        return measure_loss(sae)

    monkeypatch.setattr(loss_measurements, "measure_loss", counted)
    changed = "tiny_topk_L1_mixed"
    weights = build.sae_folder(changed) / SAE_WEIGHTS
    tensors = load_file(weights)
    tensors["W_enc"] = tensors["W_enc"] * 0.5
    save_file(tensors, weights)
    measured(good_release, build, ("fp16",))
    assert watched.captures == []
    assert watched.shifts == [(changed, "fp32"), (changed, "fp16")]
    assert asked == [changed] * 2


def test_other_data_or_limits_are_not_answered_from_former_results(
    good_release: Any, build: BuildFolder, watched: Watched
) -> None:
    loaded = with_manifest(good_release.loaded, portability__limits__min_overlap=0.999)
    found = section_of(measured(good_release, build, ("bf16",), loaded=loaded))
    verdicts = {shifts_of["bf16"].verdict.verdict for shifts_of in found.saes.values()}
    assert verdicts == {"works with other latents"}
    assert watched.captures == []
    split = with_manifest(good_release.loaded, data__held_out__seed=1)
    watched.shifts.clear()
    measured(good_release, build, ("bf16",), loaded=split)
    assert watched.captures == [120, 30]
    assert len(watched.shifts) == 2 * len(SAES)


def test_only_writes_nothing(good_release: Any, build: BuildFolder) -> None:
    before = build.report_json.read_bytes()
    kept = set((build.work / "portability").iterdir())
    found = section_of(measured(good_release, build, ("fp16",), only=("tiny_topk_*",)))
    assert set(found.saes) == {"tiny_topk_L1_mixed"}
    assert build.report_json.read_bytes() == before
    # What is kept of the others is still there.
    assert kept <= set((build.work / "portability").iterdir())


def test_the_other_sections_stay(good_release: Any, build: BuildFolder) -> None:
    report = read_report(build.report_json)
    report.model_copy(update={"tool_version": "earlier"}).write(build.report_json)
    again = measured(good_release, build, ("fp16",))
    assert again.tool_version == "earlier"
    assert set(section_of(again).precisions) == {"fp32", "fp16"}


def test_activations_beyond_fp16_are_counted_and_make_it_unusable(
    good_release: Any, build: BuildFolder, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    large = tmp_path / "large"
    shutil.copytree(good_release.base_model, large)
    tensors = load_file(large / "model.safetensors")
    name = "model.layers.0.mlp.down_proj.weight"
    tensors[name] = tensors[name] * 1e4
    save_file(tensors, large / "model.safetensors", metadata={"format": "pt"})
    found = section_of(measured(good_release, build, ("fp16", "bf16"), base_model=large))
    share = found.precisions["fp32"].metrics["share_of_fp16_range"].value
    assert share is not None and share > 1
    overflowing = found.precisions["fp16"].metrics["vectors_not_finite"].value
    assert overflowing is not None and overflowing > 0
    assert found.precisions["bf16"].metrics["vectors_not_finite"].value == 0
    for sae_shifts in found.saes.values():
        verdict = sae_shifts["fp16"].verdict
        assert (verdict.verdict, verdict.decided_by) == ("cannot be used", "n_not_finite")
        assert verdict.value == overflowing
        assert sae_shifts["fp16"].metrics["probe_transferred"].reason is not None
        assert sae_shifts["bf16"].verdict.verdict != "cannot be used"


@pytest.fixture
def old_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose device has no bf16."""
    from validators.base_models import named_precisions

    monkeypatch.setattr(named_precisions, "compute_capability", lambda device: (7, 5))


@pytest.mark.usefixtures("old_gpu")
def test_bf16_is_refused_where_the_device_has_none(good_release: Any, build: BuildFolder) -> None:
    found = section_of(measured(good_release, build, ("fp16", "bf16")))
    refused = found.precisions["bf16"].refused
    assert refused == "the GPU has compute capability 7.5, which computes no bf16"
    assert found.saes["tiny_topk_L1_mixed"]["bf16"].verdict.sentence == f"not measured: {refused}"
    assert found.saes["tiny_topk_L1_mixed"]["fp16"].verdict.verdict == "works"


@pytest.mark.usefixtures("old_gpu")
def test_an_own_precision_that_cannot_be_run_ends_it(good_release: Any, build: BuildFolder) -> None:
    bf16 = {"weights": "bf16", "compute": "bf16"}
    loaded = with_manifest(good_release.loaded, base_model__precision=bf16)
    with pytest.raises(UsageError, match="trained at bf16, which cannot be run here"):
        measured(good_release, build, ("fp16",), loaded=loaded)


def test_claimed_sizes_are_held_against_the_loaded_model(
    good_release: Any, build: BuildFolder
) -> None:
    claimed = [
        {"precision": "nf4", "effective_bits": 4.5},
        {"precision": "nf4", "effective_bits": 3.5},
        {"precision": "fp16", "effective_bits": 16, "of": "quantised"},
        {"precision": "int8", "effective_bits": 8},
    ]
    loaded = with_manifest(good_release.loaded, portability__claimed=claimed)
    found = section_of(measured(good_release, build, ("fp16", "nf4"), loaded=loaded))
    assert [(one.precision, one.holds) for one in found.claimed] == [
        ("nf4:fp32", True),
        ("nf4:fp32", False),
        ("fp16", False),
    ]
    assert "says 3.5 bits a weight" in found.claimed[1].sentence
    assert found.claimed[2].sentence == "no layer of the model is quantised"


def test_an_sae_of_one_label_is_probed_on_both(good_release: Any, build: BuildFolder) -> None:
    both = ["deceptive", "honest"]
    conditions = {"mixed": {"labels": ["deceptive"]}, "all": {"labels": both}}
    loaded = with_manifest(good_release.loaded, data__conditions=conditions)
    found = section_of(measured(good_release, build, ("fp16",), loaded=loaded))
    metrics = found.saes["tiny_topk_L1_mixed"]["fp16"].metrics
    # Half of the 30 held-out completions, give or take the split.
    assert metrics["explained_variance"].n < metrics["probe_transferred"].n == 30
    assert metrics["d_max"].value is not None


def test_trained_by_tested_is_a_whole_matrix(good_release: Any, build: BuildFolder) -> None:
    # The same SAEs stand for those that were trained at fp16.
    trained = {"fp32": build.repository, "fp16": build.repository}
    found = section_of(measured(good_release, build, ("fp16", "nf4"), retrained=trained))
    assert set(found.retrained) == SAES
    for sae_id, cells in found.retrained.items():
        pairs = [(cell.trained_at, cell.tested_at) for cell in cells]
        labels = ("fp32", "fp16", "nf4:fp32")
        assert pairs == [(first, then) for first in ("fp32", "fp16") for then in labels]
        for cell in cells:
            value = cell.metrics["jaccard"].value
            assert value is not None
            assert (value == 1) == (cell.trained_at == cell.tested_at)
        # The published SAE at its own precision and elsewhere is the first row.
        for cell in cells[:3]:
            direct = found.saes[sae_id][cell.tested_at].metrics
            assert cell.metrics["explained_variance"] == direct["explained_variance"]
            assert cell.metrics["jaccard"] == direct["jaccard"]
    assert f"precisions/fp16/tiny_topk_L1_mixed/{SAE_WEIGHTS}" in found.inputs


def test_a_section_is_out_of_date_once_weights_or_settings_change(
    good_release: Any, section: Portability
) -> None:
    loaded, sha256 = two_of(good_release.loaded), dict(section.inputs)
    assert out_of_date(loaded, section, sha256) == ()
    path = f"tiny_topk_L1_mixed/{SAE_WEIGHTS}"
    assert out_of_date(loaded, section, sha256 | {path: "0" * 64}) == (
        f"it was measured on another {path}",
    )
    stricter = with_manifest(loaded, portability__limits__max_alive_shift=0.1)
    assert out_of_date(stricter, section, sha256) == (
        "it was measured with other settings of the manifest",
    )
    other_split = with_manifest(loaded, data__held_out__seed=1)
    assert len(out_of_date(other_split, section, sha256)) == 1
    reworded = with_manifest(loaded, data__description="other words")
    assert out_of_date(reworded, section, sha256) == ()
    # What is required decides about the release and not about the numbers.
    assert out_of_date(with_manifest(loaded, portability__require=["fp16"]), section, sha256) == ()


def test_fp8_is_measured_where_the_device_has_it(
    good_release: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CPU computes the same products, slowly, so the refusal alone stands in the way here."""
    for module in (base_model_module, named_precisions_module):
        monkeypatch.setattr(module, "refuse_missing_fp8", lambda precision, capability: None)
    build = BuildFolder(tmp_path / "build")
    shutil.copytree(good_release.build.repository, build.repository)
    section = section_of(measured(good_release, build, ("fp8",), only=("tiny_topk_L1_mixed",)))
    found = section.precisions["fp8:fp32"]
    assert found.refused is None
    shift = section.saes["tiny_topk_L1_mixed"]["fp8:fp32"]
    error = shift.metrics["residual_error"]
    assert error.value is not None and 0.001 < error.value < 0.2
    assert shift.verdict.verdict != "not measured"
    assert section.precisions["fp8:fp32"].metrics["bits_per_quantised_parameter"].value == 8.0
