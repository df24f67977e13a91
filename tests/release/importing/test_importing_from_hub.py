"""Importing from a Hub, and the command itself: what is asked for, printed and written."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml
from huggingface_hub import HfApi

from release.cli import main
from release.embedded_hub import EmbeddedHub

SMOLLM2 = "HuggingFaceTB/SmolLM2-135M"


@pytest.fixture
def hub(tmp_path):
    with EmbeddedHub(tmp_path / "hub") as running:
        yield running


def publish(hub, repo_id: str, folder: Path) -> str:
    api = HfApi(endpoint=hub.endpoint, token=hub.token)
    api.create_repo(repo_id)
    return api.upload_folder(repo_id=repo_id, folder_path=folder).oid


@pytest.fixture
def published(hub, smollm2, tmp_path) -> str:
    """54 SAEs on the Hub, and the config of their base model; returns the commit of the SAEs."""
    # Real data: large files of equal bytes would be one object.
    for number, path in enumerate(sorted(smollm2.rglob("*.safetensors"))):
        with path.open("r+b") as stream:
            stream.seek(-4, 2)
            stream.write(number.to_bytes(4, "little"))
    base = tmp_path / "base"
    base.mkdir()
    config = {"model_type": "llama", "num_hidden_layers": 30, "hidden_size": 16}
    (base / "config.json").write_text(json.dumps(config), encoding="utf-8")
    publish(hub, SMOLLM2, base)
    return publish(hub, "someone/smollm2-saes", smollm2)


def test_54_saes_are_imported_from_the_first_bytes_of_their_weights(
    hub, published, smollm2, capsys
) -> None:
    before = len(hub.requests())
    code = main(["import", "someone/smollm2-saes", "--hub", hub.endpoint, "--format", "json"])
    result = json.loads(capsys.readouterr().out)
    asked = hub.requests()[before:]
    weights = [each for each in asked if each.origin == "storage"]
    # Every header is within the first 2 KiB, which one read takes; the files are longer.
    assert {each.bytes_out for each in weights} == {2048}
    assert min(path.stat().st_size for path in smollm2.rglob("*.safetensors")) > 4 * 2048
    assert not [each for each in asked if each.status is None or each.status >= 400]
    # per SAE: cfg.json; its header, a redirect and an answer of the storage
    assert len(weights) == 54
    assert len([each for each in asked if each.path.endswith("cfg.json")]) == 54
    assert len([each for each in asked if each.path.endswith(".safetensors")]) == 54
    assert len(asked) <= 54 * 3 + 8
    assert sum(each.bytes_out for each in asked) < 250_000

    assert code == 0
    assert result["n_folders"] == 54
    manifest = result["manifest"]
    assert manifest["repo_id"] == "someone/smollm2-saes"
    assert manifest["weights"] == {"repo_id": "someone/smollm2-saes", "revision": published}
    assert manifest["base_model"]["model_type"] == "llama"
    assert manifest["base_model"]["n_layers"] == 30
    assert manifest["saes"]["layers"] == [3, 4, 5, 6, 9, 12, 15, 18, 21]
    assert yaml.safe_load(result["manifest_yaml"]) == manifest


def test_a_base_model_that_the_hub_lacks_leaves_its_facts_open(hub, smollm2, capsys) -> None:
    publish(hub, "someone/saes", smollm2)
    command = ["import", "someone/saes", "--hub", hub.endpoint, "--format", "json"]
    main([*command, "--manifests", str(smollm2 / "no-study-file-here")])
    result = json.loads(capsys.readouterr().out)
    assert result["manifest"]["base_model"]["model_type"] is None
    assert {"base_model.model_type", "base_model.n_layers"} <= set(result["keys_to_fill_in"])
    assert any("config.json was not read" in each["found"] for each in result["findings"])


def test_a_repository_that_the_hub_lacks_ends_with_4(hub, capsys) -> None:
    assert main(["import", "someone/nothing", "--hub", hub.endpoint]) == 4
    assert "no such repository" in capsys.readouterr().err


def test_the_yaml_goes_to_stdout_and_findings_and_verdict_to_stderr(smollm2, capsys) -> None:
    assert main(["import", str(smollm2), "--manifests", str(smollm2)]) == 1
    streams = capsys.readouterr()
    assert yaml.safe_load(streams.out)["saes"]["architectures"] == ["topk", "jumprelu"]
    assert "all 54 SAEs" in streams.err
    last = streams.err.splitlines()[-1]
    assert "the manifest does not load yet: fill in repo_id, base_model.model_type" in last
    assert "recipe.jumprelu.bandwidth" not in last
    assert last.endswith("0 of them failures.")


def test_a_study_file_beside_the_manifests_knows_the_base_model(smollm2, tmp_path, capsys) -> None:
    (tmp_path / "study.yaml").write_text(
        "base_models:\n"
        f"  small: {{id: {SMOLLM2}, model_type: llama, n_layers: 30, d_model: 16}}\n"
        "  other: {id: a/b, model_type: gpt2, n_layers: null, d_model: null}\n",
        encoding="utf-8",
    )
    main(["import", str(smollm2), "--manifests", str(tmp_path), "--format", "json"])
    base_model = json.loads(capsys.readouterr().out)["manifest"]["base_model"]
    assert (base_model["model_type"], base_model["n_layers"]) == ("llama", 30)


def test_out_writes_a_file_and_does_not_replace_one_without_force(
    smollm2, tmp_path, capsys
) -> None:
    out = tmp_path / "new" / "x.yaml"
    assert main(["import", str(smollm2), "--out", str(out)]) == 1
    written = out.read_bytes()
    assert capsys.readouterr().out == ""
    assert b"\r" not in written
    out.write_text("mine", encoding="utf-8")
    assert main(["import", str(smollm2), "--out", str(out)]) == 2
    assert "--force" in capsys.readouterr().err
    assert out.read_text(encoding="utf-8") == "mine"
    assert main(["import", str(smollm2), "--out", str(out), "--force"]) == 1
    assert out.read_bytes() == written


def test_a_repository_that_says_everything_imports_with_0(
    tmp_path, write_sae, config_of, capsys
) -> None:
    """A release's own manifest.json answers what names, configs and headers cannot."""
    from manifests.load import load_manifest

    source = Path(__file__).resolve().parents[3] / "manifests/demo-smollm2-135m-instruct.yaml"
    loaded = load_manifest(source)
    root = tmp_path / "release"
    for spec in loaded.saes:
        facts = (loaded.manifest.base_model.id, spec.architecture, spec.layer, spec.condition)
        sizes = {"d_in": spec.d_in, "d_sae": spec.d_sae}
        write_sae(root / spec.sae_id, config_of(*facts, nested=True, **sizes))
    (root / "manifest.json").write_text(json.dumps(loaded.manifest.resolved()), encoding="utf-8")
    out = tmp_path / "x.yaml"
    assert main(["import", str(root), "--out", str(out)]) == 0
    assert f"{out} loads and describes 12 of 12 SAEs" in capsys.readouterr().err.replace("\n", "")
    assert load_manifest(out).manifest == loaded.manifest


def test_a_manifest_is_not_imported_again(tmp_path, capsys) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a: 1", encoding="utf-8")
    assert main(["import", str(path)]) == 2
    assert "is a manifest already" in capsys.readouterr().err


def test_importing_loads_neither_torch_nor_transformers(smollm2) -> None:
    import subprocess

    program = (
        "import sys; from release.cli import main; main(sys.argv[1:]); "
        "print(sorted({'torch', 'transformers', 'sae_lens'} & set(sys.modules)), file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, "import", str(smollm2)],
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    )
    assert result.stderr.splitlines()[-1] == "[]"


def test_a_manifest_that_describes_the_repository_is_named(
    hub, published, tmp_path, capsys
) -> None:
    command = ["import", "someone/smollm2-saes", "--hub", hub.endpoint]
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    first = shelf / "x.yaml"
    main([*command, "--manifests", str(shelf), "--out", str(first)])
    # A folder of manifests with nothing in it, and the file that was just written, are no news.
    assert "already" not in capsys.readouterr().err
    empty = tmp_path / "empty"
    empty.mkdir()
    assert main([*command, "--manifests", str(empty)]) == 0
    capsys.readouterr()
    main([*command, "--manifests", str(shelf)])
    assert f"{first.as_posix()} describes someone/smollm2-saes already" in capsys.readouterr().err
