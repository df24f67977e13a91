"""`release registry`: SAELens' own reader takes the entry, and every number in it was measured."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import HfApi

from manifests.build_folder import BuildFolder, write_atomically
from manifests.digests import file_sha256
from manifests.load import LoadedManifest, load_manifest
from manifests.matrix import SaeSpec
from release.cli import main
from release.embedded_hub import EmbeddedHub
from release.neuronpedia_ids import neuronpedia_id, width_in_words
from release.saelens_registry import registry_entry, registry_yaml
from validators.report import Measurement, Measurements, Report

MANIFESTS = Path(__file__).parents[2] / "manifests"
MANIFEST: dict[str, Any] = {
    "schema_version": 1,
    "repo_id": "researcher/Two_SAEs",
    "title": "Two SAEs",
    "summary": "Made by hand for a test.",
    "base_model": {
        "id": "someone/Tiny-Llama-1.1B",
        "model_type": "llama",
        "n_layers": 2,
        "d_model": 4,
    },
    "saes": {
        "id": "{architecture}_L{layer}_{condition}",
        "layers": [1],
        "architectures": ["topk"],
        "conditions": ["honest_only", "mixed"],
        "expansion": 300,
    },
    "recipe": {"epochs": 1, "batch_size": 2, "learning_rate": 0.01, "topk": {"k": 2}},
    "data": {
        "description": "Two prompts.",
        "label_rule": "The first word.",
        "conditions": {
            "mixed": {"labels": ["deceptive", "honest"]},
            "honest_only": {"labels": ["honest"]},
        },
    },
    # What a page says is no measurement.
    "reported": [
        {
            "name": "explained variance",
            "metric": "explained_variance",
            "value": 0.987,
            "source": "an earlier card",
        }
    ],
}
ENTRY = """\
# neuronpedia: proposed ids, which lead to a page once Neuronpedia has the SAEs.
Two_SAEs:
  conversion_func: null
  links:
    model: https://huggingface.co/someone/Tiny-Llama-1.1B
  model: someone/Tiny-Llama-1.1B
  repo_id: researcher/Two_SAEs
  saes:
  - id: topk_L1_honest_only
    path: topk_L1_honest_only
    l0: 2.0
    variance_explained: 0.7123
    neuronpedia: tiny-llama-1.1b/1-two_saes-res-1k__topk-honest_only
  - id: topk_L1_mixed
    path: topk_L1_mixed
    l0: 1.88
    variance_explained: -0.5
    neuronpedia: tiny-llama-1.1b/1-two_saes-res-1k__topk-mixed
"""


class Made:
    """A release in a folder with a report that can be changed."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "manifests" / "two.yaml"
        write_atomically(self.path, yaml.safe_dump(MANIFEST, sort_keys=False).encode())
        self.build_root = folder / "build"
        self.build = BuildFolder(self.build_root / "two")
        for spec in self.loaded.saes:
            for name in ("cfg.json", "sae_weights.safetensors"):
                write_atomically(self.build.sae_folder(spec.sae_id) / name, spec.sae_id.encode())
        self.metrics = {
            spec.sae_id: {"l0": measured(l0), "explained_variance": measured(ev)}
            for spec, l0, ev in zip(self.loaded.saes, (2.0, 1.875), (0.71234, -0.5), strict=True)
        }

    @property
    def loaded(self) -> LoadedManifest:
        return load_manifest(self.path)

    def sha256(self) -> dict[str, str]:
        return {
            f"{path.parent.name}/{path.name}": file_sha256(path)
            for path in sorted(self.build.repository.glob("*/*"))
        }

    def report(self) -> Report:
        return Report(
            tool_version="0.0.test",
            repo_id="researcher/Two_SAEs",
            manifest_digest=self.loaded.digest,
            measurements=Measurements(
                inputs=self.sha256(), environment={}, n_vectors={}, saes=self.metrics
            ),
        )

    def text(self, report: Report | None) -> str:
        loaded = self.loaded
        return registry_yaml((registry_entry(loaded.manifest, loaded.saes, report, self.sha256()),))


def measured(value: float | None, **changes: Any) -> Measurement:
    return Measurement.model_validate({"value": value, "n": 8, "split": "held_out", **changes})


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


@pytest.fixture
def registry(made: Made, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*arguments: str, code: int = 0) -> str:
        command = ["registry", *arguments, "--build", str(made.build_root)]
        assert main([*command, "--manifests", str(made.path.parent)]) == code
        return capsys.readouterr().out

    return run


def items(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(text)["Two_SAEs"]["saes"]
    return found


def test_the_entry_of_a_build_has_its_measured_numbers(
    made: Made, registry: Callable[..., str], tmp_path: Path
) -> None:
    made.report().write(made.build.report_json)
    assert registry(str(made.path)) == ENTRY
    out = tmp_path / "entry.yaml"
    assert registry(str(made.path), "--out", str(out)) == ""
    assert out.read_text(encoding="utf-8") == ENTRY


def test_saelens_reads_the_entry_as_it_is_meant(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = pytest.importorskip(
        "sae_lens.loading.pretrained_saes_directory", reason="comes with the extra measure"
    )
    (tmp_path / "pretrained_saes.yaml").write_text(made.text(made.report()), encoding="utf-8")
    monkeypatch.setattr(directory, "files", lambda package: tmp_path)
    lookups = directory.get_pretrained_saes_directory.__wrapped__()
    assert lookups.keys() == {"Two_SAEs"}
    found = lookups["Two_SAEs"]
    assert (found.repo_id, found.model) == ("researcher/Two_SAEs", "someone/Tiny-Llama-1.1B")
    assert found.conversion_func is None
    assert found.config_overrides is None
    assert found.norm_scaling_factor == {}
    assert found.saes_map == {name: name for name in ("topk_L1_honest_only", "topk_L1_mixed")}
    assert found.expected_l0 == {"topk_L1_honest_only": 2.0, "topk_L1_mixed": 1.88}
    assert found.expected_var_explained == {"topk_L1_honest_only": 0.7123, "topk_L1_mixed": -0.5}
    assert found.neuronpedia_id["topk_L1_mixed"] == (
        "tiny-llama-1.1b/1-two_saes-res-1k__topk-mixed"
    )


def test_entries_have_the_keys_that_saelens_own_have() -> None:
    sae_lens = pytest.importorskip("sae_lens", reason="comes with the extra measure")
    path = Path(sae_lens.__file__).parent / "pretrained_saes.yaml"
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    theirs = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)
    heads = {key for entry in theirs.values() for key in entry}
    keys = {key for entry in theirs.values() for sae in entry["saes"] for key in sae}
    ours = yaml.safe_load(ENTRY)["Two_SAEs"]
    assert ours.keys() <= heads
    assert {key for sae in ours["saes"] for key in sae} <= keys
    # Their ids have one slash, a layer, and a name of letters, digits, `.`, `_` and `-`.
    form = r"[a-z0-9._-]+/\d+-[a-z0-9._-]+"
    ids = [s["neuronpedia"] for e in theirs.values() for s in e["saes"] if s.get("neuronpedia")]
    share = sum(bool(re.fullmatch(form, one)) for one in ids) / len(ids)
    assert share > 0.99
    assert all(re.fullmatch(form, sae["neuronpedia"]) for sae in ours["saes"])


def test_without_a_report_numbers_are_left_out_and_never_the_reported_ones(made: Made) -> None:
    text = made.text(None)
    assert "0.987" not in text
    assert all(sae.keys() == {"id", "path", "neuronpedia"} for sae in items(text))
    assert "# l0 and variance_explained are left out: the repository has no report.json.\n" in text
    assert "# SAELens reads a missing l0 as 0.00, a missing variance_explained as 1.00.\n" in text


@pytest.mark.parametrize(
    ("metric", "found", "says"),
    [
        (
            "explained_variance",
            measured(None, n=0, split=None, reason="every\nvector # is the same"),
            "# variance_explained is left out: not measured (every vector # is the same)\n",
        ),
        (
            "l0",
            measured(3.0, split="train"),
            "# l0 is left out: measured on the split train, not on held-out vectors\n",
        ),
        ("l0", None, "# l0 is left out: report.json does not have it\n"),
    ],
)
def test_a_number_that_was_not_measured_is_left_out_with_its_reason(
    made: Made, metric: str, found: Measurement | None, says: str
) -> None:
    metrics = made.metrics["topk_L1_mixed"]
    metrics.pop(metric)
    if found is not None:
        metrics[metric] = found
    text = made.text(made.report())
    assert says in text
    whole, part = items(text)
    key = "l0" if metric == "l0" else "variance_explained"
    assert key in whole
    assert key not in part
    assert len(part) == len(whole) - 1


def test_numbers_of_other_bytes_are_left_out(made: Made) -> None:
    report = made.report()
    write_atomically(made.build.sae_folder("topk_L1_mixed") / "cfg.json", b"other")
    text = made.text(report)
    assert "report.json measured other bytes of topk_L1_mixed/cfg.json" in text
    whole, part = items(text)
    assert "l0" in whole
    assert part.keys() == {"id", "path", "neuronpedia"}


def test_the_entry_of_a_published_repository_needs_no_manifest_here(
    made: Made, registry: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.report().write(made.build.report_json)
    manifest = json.dumps(made.loaded.manifest.resolved()).encode()
    write_atomically(made.build.manifest_json, manifest)
    made.path.unlink()
    made.path.parent.rmdir()
    with EmbeddedHub(tmp_path / "hub") as hub:
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        api.create_repo("researcher/Two_SAEs")
        api.upload_folder(repo_id="researcher/Two_SAEs", folder_path=made.build.repository)
        monkeypatch.setenv("HF_TOKEN", hub.token)
        before = len(hub.requests())
        assert registry("researcher/Two_SAEs", "--hub", hub.endpoint) == ENTRY
        asked = [request.path for request in hub.requests()[before:]]
        assert not any("sae_weights" in path for path in asked)
        api.delete_file("manifest.json", "researcher/Two_SAEs")
        assert registry("researcher/Two_SAEs", "--hub", hub.endpoint, code=2) == ""
        assert registry("researcher/nothing", "--hub", hub.endpoint, code=4) == ""


def test_a_repository_that_lacks_an_sae_gets_no_entry(
    made: Made, registry: Callable[..., str]
) -> None:
    (made.build.sae_folder("topk_L1_mixed") / "sae_weights.safetensors").unlink()
    assert registry(str(made.path), code=1) == ""


def test_neuronpedias_name_of_the_model_can_be_given(
    made: Made, registry: Callable[..., str]
) -> None:
    text = registry(str(made.path), "--neuronpedia-model", "tinyllama-1.1b")
    assert items(text)[0]["neuronpedia"].startswith("tinyllama-1.1b/1-two_saes-")
    both = (str(made.path), str(made.path))
    assert registry(*both, "--neuronpedia-model", "x", code=2) == ""
    # One registry has one entry of a name.
    assert registry(*both, code=2) == ""


@pytest.mark.parametrize("name", ["tinyllama-1-1b", "smollm2-135m", "nanochat-d32"])
def test_no_two_saes_of_the_study_have_the_same_neuronpedia_id(name: str) -> None:
    loaded = load_manifest(MANIFESTS / f"{name}.yaml")
    ids = [neuronpedia_id(loaded.manifest, spec) for spec in loaded.saes]
    assert len(ids) > 10
    assert len(set(ids)) == len(ids)


def test_widths_are_written_as_names_have_them() -> None:
    # As in gemmascope-res-16k, -65k, -131k, -1m, whose widths are powers of two.
    widths = (512, 2304, 16_384, 65_536, 131_072, 1_048_576)
    assert [width_in_words(d) for d in widths] == ["512", "2k", "16k", "65k", "131k", "1m"]


def test_text_of_a_manifest_cannot_break_out_of_the_yaml(made: Made) -> None:
    loaded = made.loaded
    strange = SaeSpec(
        layer=1,
        architecture="topk",
        condition="mixed",
        variant="",
        sae_id="a: [b]\n- id: c #",
        d_in=4,
        d_sae=8,
        hook_name="x",
        hf_hook_name="y",
    )
    text = registry_yaml((registry_entry(loaded.manifest, (strange,), made.report(), {}),))
    assert [sae["id"] for sae in items(text)] == ["a: [b]\n- id: c #"]
