from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from manifests.load import ManifestError, load_manifest
from manifests.model import Manifest

DEMO = Path(__file__).parents[2] / "manifests" / "demo-smollm2-135m-instruct.yaml"


@pytest.fixture
def demo_text() -> str:
    return DEMO.read_text(encoding="utf-8")


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "m.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def problems_of(path: Path) -> str:
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    return str(caught.value)


def test_the_demo_manifest_describes_twelve_saes() -> None:
    loaded = load_manifest(DEMO)
    # 2 layers x 3 architectures x 2 conditions
    assert len(loaded.saes) == 2 * 3 * 2
    assert {(spec.d_in, spec.d_sae) for spec in loaded.saes} == {(576, 4 * 576)}


def test_the_small_manifest_of_the_documentation_is_whole(tmp_path) -> None:
    page = (DEMO.parents[1] / "docs" / "manifest.md").read_text(encoding="utf-8")
    block = page.split("## A small whole manifest")[1].split("```yaml\n")[1].split("```")[0]
    loaded = load_manifest(write(tmp_path, block))
    assert [spec.sae_id for spec in loaded.saes] == ["smollm2_topk_L9"]
    demo = load_manifest(DEMO).manifest.base_model
    assert loaded.manifest.base_model == demo


def test_an_unknown_key_names_its_line_and_the_nearest_known_key(tmp_path, demo_text) -> None:
    text = demo_text.replace("  n_layers: 30", "  n_layer: 30")
    line = text.splitlines().index("  n_layer: 30") + 1
    message = problems_of(write(tmp_path, text))
    assert f"m.yaml:{line}:3: base_model.n_layer: unknown key 'n_layer'" in message
    assert "did you mean 'n_layers'?" in message
    assert "the key 'n_layers' is missing" in message


def test_all_problems_are_told_at_once(tmp_path, demo_text) -> None:
    text = demo_text.replace("batch_size: 128", "batch_size: many").replace(
        "model_type: llama", "model_type: 7"
    )
    message = problems_of(write(tmp_path, text))
    assert "recipe.batch_size" in message
    assert "base_model.model_type" in message


def test_problems_stand_in_the_order_of_the_file(tmp_path, demo_text) -> None:
    text = demo_text.replace("license: ", "licence: ").replace("batch_size: 128", "batch_size: x")
    message = problems_of(write(tmp_path, text))
    assert message.index("licence") < message.index("recipe.batch_size")


def test_each_disagreement_stands_at_the_key_that_it_is_about(tmp_path, demo_text) -> None:
    text = demo_text.replace("layers: [9, 18]", "layers: [9, 30]").replace("{k: 64}", "{k: 2304}")
    lines = text.splitlines()
    layers = lines.index("  layers: [9, 30]") + 1
    topk = lines.index("  topk: {k: 2304}") + 1
    message = problems_of(write(tmp_path, text))
    assert f"m.yaml:{layers}:3: saes.layers names layer 30" in message
    assert f"m.yaml:{topk}:10: recipe.topk.k is 2304" in message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("layers: [9, 18]", "layers: [9, 30]", "n_layers is 30"),
        ("conditions: [mixed, deceptive_only]", "conditions: [mixed, odd]", "'odd'"),
        ("  gated: {l1_coefficient", "  #gated: {l1_coefficient", "names gated, which recipe"),
        ("topk: {k: 64}", "topk: {k: 2304}", "only 2304 latents"),
        ("  expansion: 4", "  expansion: 4.5", "saes.expansion"),
        ("  expansion: 4", "  expansion: true", "saes.expansion"),
        ("schema_version: 1", "schema_version: 2", "schema_version"),
        ("weights: fp32, compute: fp32", "weights: fp32, compute: bf16", "computed in fp32"),
        (
            "weights: fp32, compute: fp32",
            "weights: int8, compute: fp16, double_quantization: true",
            "belongs to fp4 and nf4",
        ),
    ],
)
def test_what_cannot_be_true_is_refused(tmp_path, demo_text, old, new, message) -> None:
    assert old in demo_text
    assert message in problems_of(write(tmp_path, demo_text.replace(old, new)))


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "a/../../b", "C:/x", "a\\b", "a//b"])
def test_a_data_file_outside_the_folder_is_refused(tmp_path, demo_text, path) -> None:
    data = yaml.safe_load(demo_text)
    data["data"]["file"] = path
    message = problems_of(write(tmp_path, yaml.safe_dump(data)))
    assert "stays inside the manifest's folder" in message


def test_two_saes_with_one_id_are_refused_at_the_template(tmp_path, demo_text) -> None:
    text = demo_text.replace("_L{layer}_", "_")
    line = next(i for i, t in enumerate(text.splitlines(), 1) if t.startswith('  id: "smollm2_'))
    message = problems_of(write(tmp_path, text))
    assert f"m.yaml:{line}:3: saes.id: two SAEs have the id" in message


def test_a_template_with_an_unknown_field_is_refused(tmp_path, demo_text) -> None:
    text = demo_text.replace("{condition}", "{conditoin}")
    assert "cannot be filled in" in problems_of(write(tmp_path, text))


@pytest.mark.parametrize("prefix", ["../x", "a/b", "a b", ".x", "x" * 90, "{layer.__class__}"])
def test_an_id_that_is_no_folder_name_is_refused(tmp_path, demo_text, prefix) -> None:
    message = problems_of(write(tmp_path, demo_text.replace('id: "smollm2', f'id: "{prefix}')))
    assert "saes.id: the template" in message


def test_the_digest_ignores_layout_and_follows_content(tmp_path, demo_text) -> None:
    before = load_manifest(DEMO).digest
    reordered = write(tmp_path, yaml.safe_dump(yaml.safe_load(demo_text), sort_keys=True))
    assert load_manifest(reordered).digest == before
    changed = write(tmp_path, demo_text.replace("batch_size: 128", "batch_size: 127"))
    assert load_manifest(changed).digest != before


def test_a_resolved_manifest_resolves_to_itself() -> None:
    manifest = load_manifest(DEMO).manifest
    again = Manifest.model_validate_json(manifest.model_dump_json(), strict=True)
    assert again == manifest
    assert again.digest() == manifest.digest()


def test_what_decides_a_check_changes_the_evidence(tmp_path, demo_text) -> None:
    fact = {"name": "peak", "metric": "accuracy", "value": 0.5, "source": "a page"}
    accepted = {"code": "W103", "where": "*", "since": "2026-01-02", "why": "known"}
    plain = {**yaml.safe_load(demo_text), "claims": [{"text": "So.", "holds_if": "1 < 2"}]}
    plain |= {"reported": [fact], "accept": [accepted]}

    def evidence(**changes: object) -> str:
        text = yaml.safe_dump(plain | changes).replace("'2026-01-02'", "2026-01-02")
        return load_manifest(write(tmp_path, text)).evidence_digest

    before = evidence()
    assert evidence(claims=[{"text": "So.", "holds_if": "1 < 3"}]) != before
    assert evidence(claims=[{"text": "So!", "holds_if": "1 < 2"}]) != before
    assert evidence(claims=[]) != before
    assert evidence(accept=[accepted | {"where": "smollm2_topk*"}]) != before
    assert evidence(accept=[accepted | {"why": "still known"}]) != before
    assert evidence(accept=[]) != before
    assert evidence(reported=[fact | {"value": 0.6}]) != before
    assert evidence(reported=[fact | {"bound": "below"}]) != before
    assert evidence(reported=[fact | {"source": "another page"}]) == before


def test_a_wording_leaves_the_evidence_as_it_is(tmp_path, demo_text) -> None:
    before = load_manifest(DEMO)
    worded = load_manifest(write(tmp_path, demo_text.replace("title: Smol", "title: The Smol")))
    assert worded.digest != before.digest
    assert worded.evidence_digest == before.evidence_digest
    retrained = load_manifest(write(tmp_path, demo_text.replace("seed: 2026", "seed: 2027")))
    assert retrained.evidence_digest != before.evidence_digest
