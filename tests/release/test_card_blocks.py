"""The code of a staged card: run as printed against a Hub on loopback, kept, and asked of a push.

The SAEs are random. Without the base model a tiny one of its class stands in; nothing is fetched.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from made_release import MANIFEST, Release
from pytest import MonkeyPatch
from staged_release import D_IN, block, own_partial, stage

from cards.block_results import (
    BlockResults,
    BlockRun,
    current_blocks,
    kept_blocks,
    read_blocks,
)
from cards.stage import render, stale_files
from manifests.digests import file_sha256
from manifests.errors import UsageError
from manifests.progress import Silent
from release import card_blocks, gate
from release.block_base_model import BlockModel, block_base_model
from release.card_blocks import checked_blocks, run_card_blocks
from release.embedded_hub import EmbeddedHub
from release.gate import NotChecked, NotReady, require_blocks
from release.hub_connection import HubConnection
from release.publishing.hub_use import HubUse
from release.publishing.push import PushOptions, push
from release.publishing.release_files import IncompleteRelease
from release.stand_in_model import StandInSpec, stand_in_folder

PUBLIC = PushOptions(public=True)
LOADING = "loading.md.j2"
TEXT_DATA = {
    "sha256": "d" * 64,
    "file": "data/tiny.jsonl",
    "description": "Short texts.",
    "pooling": "every_token",
    "held_out": {"fraction": 0.25, "seed": 0},
    "conditions": {"mixed": {}},
    "text": {"context_size": 16},
}


@dataclass
class Notes(Silent):
    """Progress whose lines are kept."""

    said: list[str]

    def note(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return stage(tmp_path / "release")


@pytest.fixture
def no_process(monkeypatch: MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        pytest.fail("a process was started")

    monkeypatch.setattr(card_blocks, "run_blocks", refuse)


@pytest.fixture(autouse=True)
def _not_used_afterwards(monkeypatch: MonkeyPatch) -> None:
    """What a push loads from the Hub is tested with the publishing."""

    def not_tried(*arguments: Any, **_: Any) -> HubUse:
        return HubUse("not tried", arguments[4], reasons=("a test",))

    monkeypatch.setattr("release.publishing.push.use_from_hub", not_tried)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[HubConnection]:
    with EmbeddedHub(tmp_path / "hub") as hub:
        yield HubConnection(hub.endpoint, hub.token)


def run(release: Release, **options: Any) -> Any:
    return run_card_blocks(release.loaded, release.build, progress=Silent(), **options)


def blocks_of(release: Release) -> list[int]:
    """The lines of README.md on which its Python blocks begin."""
    readme = (release.build.repository / "README.md").read_text(encoding="utf-8").splitlines()
    return [number + 2 for number, line in enumerate(readme) if line == "```python"]


def line_of(release: Release, text: str) -> int:
    """The first line of README.md that is this text."""
    readme = (release.build.repository / "README.md").read_text(encoding="utf-8").splitlines()
    return readme.index(text) + 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("topk", {"data": TEXT_DATA}),
        (
            "jumprelu",
            {
                "data": {**MANIFEST["data"], "pooling": "completion_mean"},
                "base_model": {**MANIFEST["base_model"], "revision": "7" * 40},
            },
        ),
        (
            "gated",
            {
                "base_model": {
                    **MANIFEST["base_model"],
                    "precision": {"weights": "nf4", "compute": "fp32", "double_quantization": True},
                }
            },
        ),
    ],
    ids=["text", "completions", "four_bits"],
)
def test_every_block_of_a_card_runs_on_a_stand_in(
    architecture: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    saes = {**MANIFEST["saes"], "architectures": [architecture], "conditions": ["mixed"]}
    release = stage(tmp_path / "release", **changes, saes=saes)
    results = run(release)
    assert [run.outcome for run in results.runs] == ["ran"] * len(results.runs), results.runs
    assert [run.line for run in results.runs] == blocks_of(release)
    assert len(results.runs) >= 3
    shown = release.loaded.saes[0].sae_id
    assert architecture in shown
    assert set(results.files) == {f"{shown}/cfg.json", f"{shown}/sae_weights.safetensors"}
    assert results.as_json()["base_model"] == {
        "used": "stand-in",
        "id": "demo/tiny-llama",
        "class": "LlamaForCausalLM",
        "source": "random weights",
    }
    # Rendering keeps what was found, byte for byte.
    card = release.build.card_json.read_bytes()
    render(release.loaded, release.build, progress=Silent())
    assert release.build.card_json.read_bytes() == card
    assert json.loads(card)["blocks"] == results.as_json()


BLOCKS_OF_LIGHT = (
    block(
        "from huggingface_hub import hf_hub_download",
        "cfg = hf_hub_download('demo/tiny-saes', 'tiny_topk_L1_mixed/cfg.json')",
    ),
    block("print(open(cfg, encoding='utf-8').read()[:1])"),
)
LIGHT = "".join(BLOCKS_OF_LIGHT)
BASE = block(
    "from transformers import AutoModelForCausalLM",
    "model = AutoModelForCausalLM.from_pretrained('demo/tiny-llama')",
    "assert model.config.hidden_size == 8 and model.config.num_hidden_layers == 4",
)


def test_what_was_found_goes_with_the_code_and_the_files_it_read(release: Release) -> None:
    own_partial(release, LOADING, LIGHT)
    run(release)
    repository = release.build.repository
    readme = (repository / "README.md").read_bytes()

    def kept(content: bytes, **elsewhere: str) -> Any:
        return kept_blocks(repository, {"README.md": content}, elsewhere)

    found = kept(readme)
    config = "tiny_topk_L1_mixed/cfg.json"
    assert found["files"] == {config: file_sha256(repository / config)}
    assert found["base_model"] is None
    lines = blocks_of(release)
    assert found["runs"] == [{"line": line, "outcome": "ran"} for line in lines]
    # Three lines more before all blocks: the same results, three lines further down.
    moved = kept(b"One.\n\nTwo.\n" + readme)
    assert moved == found | {"runs": [{"line": n + 3, "outcome": "ran"} for n in lines]}
    for old, new in ((b"print(", b"print( "), (b"'demo/tiny-saes'", b"'demo/tiny-SAEs'")):
        assert old in readme
        assert kept(readme.replace(old, new, 1)) is None
    # The same blocks in another order are other code.
    assert LIGHT.encode() in readme
    swapped = "".join(reversed(BLOCKS_OF_LIGHT)).encode()
    assert kept(readme.replace(LIGHT.encode(), swapped)) is None
    other = repository / "tiny_topk_L2_mixed" / "cfg.json"
    other.write_bytes(other.read_bytes() + b" ")
    assert kept(readme) == found
    content = (repository / config).read_bytes()
    (repository / config).write_bytes(content + b" ")
    assert kept(readme) is None
    # A clone without SAEs goes by the digests that it is told.
    (repository / config).unlink()
    assert kept(readme) is None
    assert kept(readme, **{config: found["files"][config]}) == found
    assert kept(readme, **{config: "0" * 64}) is None


def test_results_stay_with_a_reworded_card_and_go_with_changed_code(release: Release) -> None:
    own_partial(release, LOADING, LIGHT)
    run(release)
    before = json.loads(release.build.card_json.read_bytes())["blocks"]
    own_partial(release, LOADING, "A line.\n\n" + LIGHT)
    after = json.loads(release.build.card_json.read_bytes())["blocks"]
    assert [each["line"] for each in after["runs"]] == blocks_of(release)
    assert after["runs"] != before["runs"]
    assert {**after, "runs": 0} == {**before, "runs": 0}
    assert stale_files(release.loaded, release.build) == {}
    own_partial(release, LOADING, LIGHT.replace("print(open", "print( open"))
    assert "blocks" not in json.loads(release.build.card_json.read_bytes())
    assert stale_files(release.loaded, release.build) == {}


def test_a_card_that_reads_itself_keeps_nothing_over_another_wording(release: Release) -> None:
    whole = block("import huggingface_hub as h", "h.snapshot_download('demo/tiny-saes')")
    own_partial(release, LOADING, whole)
    results = run(release)
    assert "card.json" not in results.files
    assert {"README.md", "config.json"} <= results.files.keys()
    assert current_blocks(release.build.repository) == results
    own_partial(release, LOADING, "A line.\n\n" + whole)
    assert "blocks" not in json.loads(release.build.card_json.read_bytes())


def test_a_failure_that_moves_is_forgotten(release: Release) -> None:
    own_partial(release, LOADING, block("x = 1", "raise OSError('line 2')"))
    run(release)
    repository = release.build.repository
    readme = (repository / "README.md").read_bytes()
    assert kept_blocks(repository, {"README.md": readme}) is not None
    assert kept_blocks(repository, {"README.md": b"Another line.\n" + readme}) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda section: section | {"runs": "none"},
        lambda section: section | {"code_sha256": "x"},
        lambda section: section | {"files": {"../../secret": "0" * 64}},
        lambda section: section | {"further": 1},
        lambda section: [section],
    ],
)
def test_a_damaged_section_is_none(release: Release, damage: Callable[[Any], Any]) -> None:
    own_partial(release, LOADING, block("x = 1"))
    run(release)
    path = release.build.card_json
    card = json.loads(path.read_bytes())
    assert current_blocks(release.build.repository) is not None
    card["blocks"] = damage(card["blocks"])
    path.write_text(json.dumps(card), encoding="utf-8")
    assert read_blocks(release.build.repository) is None


def test_good_results_are_not_asked_for_again_and_bad_ones_are(
    release: Release, monkeypatch: MonkeyPatch
) -> None:
    own_partial(release, LOADING, LIGHT)
    first = run(release)
    started: list[int] = []
    real = card_blocks.run_blocks

    def counting(blocks: Any, *args: Any, **options: Any) -> Any:
        started.append(len(blocks))
        return real(blocks, *args, **options)

    monkeypatch.setattr(card_blocks, "run_blocks", counting)
    notes = Notes([])
    again = checked_blocks(release.loaded, release.build, base_model=None, progress=notes)
    assert (again, started) == (first, [])
    assert notes.said == ["README.md: this very code was run before, on these very files"]
    own_partial(release, LOADING, block("raise OSError('today')"))
    for _ in range(2):
        found = checked_blocks(release.loaded, release.build, base_model=None, progress=Silent())
        assert [run.error for run in found.failed] == ["OSError: today"]
    assert started == [1, 1]


@pytest.mark.slow
def test_a_stand_in_is_served_under_the_base_models_id(release: Release) -> None:
    own_partial(release, LOADING, BASE)
    notes = Notes([])
    results = run_card_blocks(release.loaded, release.build, progress=notes)
    assert [run.outcome for run in results.runs] == ["ran"], results.runs
    assert results.base_model is not None and results.base_model.used == "stand-in"
    assert notes.said == [
        "demo/tiny-llama is not at hand: a tiny LlamaForCausalLM stands in for it",
        "README.md: 1 of 1 code block ran, on a stand-in of LlamaForCausalLM",
    ]
    assert len(list((release.build.work / "stand-ins").iterdir())) == 1
    assert not list(release.build.work.glob("hub-*"))


def llama(folder: Path, *, d_model: int = D_IN) -> Path:
    """A folder that is taken for the base model itself."""
    spec = StandInSpec("llama", "AutoModelForCausalLM", d_model, 4, 2, ("model.layers.2",))
    return stand_in_folder(spec, folder)


@pytest.mark.slow
def test_the_base_model_itself_is_used_where_it_is_named(release: Release, tmp_path: Path) -> None:
    own_partial(release, LOADING, BASE)
    folder = llama(tmp_path)
    results = run(release, base_model=str(folder))
    assert [run.outcome for run in results.runs] == ["ran"], results.runs
    assert results.base_model is not None
    assert (results.base_model.used, results.base_model.source) == (
        "real",
        f"local folder {folder.name}",
    )
    assert str(tmp_path) not in release.build.card_json.read_text(encoding="utf-8")
    with pytest.raises(UsageError, match="the model has d_model 16"):
        run(release, base_model=str(llama(tmp_path, d_model=16)))


def test_the_base_model_of_the_hubs_cache_is_used_where_it_is_whole(
    release: Release, tmp_path: Path, monkeypatch: MonkeyPatch
) -> None:
    folder = llama(tmp_path)
    found = BlockModel(folder, is_real=True, source=f"the Hub's cache, at {folder.name}")
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(folder))
    notes = Notes([])

    def choose() -> BlockModel:
        return block_base_model(release.loaded, release.build, override=None, progress=notes)

    assert choose() == found
    monkeypatch.setattr("release.block_base_model._LARGEST_UNASKED_BYTES", 10)
    assert not choose().is_real
    assert "to run the card on it, add --base-model demo/tiny-llama" in notes.said[0]
    monkeypatch.undo()
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(folder))
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    assert not choose().is_real


BROKEN = block("cfg = {}", "print(cfg['hook'])")


def test_a_broken_block_is_refused_at_push_with_its_line_and_nothing_is_sent(
    release: Release, connection: HubConnection
) -> None:
    own_partial(release, LOADING, BROKEN)
    with pytest.raises(NotReady) as refused:
        push(release.loaded, release.build, connection, options=PUBLIC, progress=Silent())
    line = line_of(release, "print(cfg['hook'])")
    assert f"README.md, line {line} (block at line {line - 1}): KeyError: 'hook'" in str(
        refused.value
    )
    assert "release render" in str(refused.value)
    assert type(refused.value) is NotReady and refused.value.exit_code == 1
    assert not connection.api().repo_exists("demo/tiny-saes")
    own_partial(release, LOADING, BROKEN.replace("print(cfg['hook'])", "cfg.get('hook')"))
    receipt = push(release.loaded, release.build, connection, options=PUBLIC, progress=Silent())
    # What was found is published with the card.
    assert receipt.sha256["card.json"] == file_sha256(release.build.card_json)
    published = Path(connection.api().hf_hub_download("demo/tiny-saes", "card.json"))
    assert json.loads(published.read_bytes())["blocks"]["runs"][0]["outcome"] == "ran"


def test_a_push_of_an_unchanged_release_runs_no_code_again(
    release: Release, connection: HubConnection, monkeypatch: MonkeyPatch
) -> None:
    own_partial(release, LOADING, LIGHT)
    first = push(release.loaded, release.build, connection, options=PUBLIC, progress=Silent())
    monkeypatch.setattr(card_blocks, "run_blocks", None)
    render(release.loaded, release.build, progress=Silent())
    again = push(release.loaded, release.build, connection, options=PUBLIC, progress=Silent())
    assert (again.commit, again.n_commits) == (first.commit, 0)


@pytest.mark.parametrize("package", ["sae_lens", "torch", "transformers"])
def test_without_the_extra_a_push_is_not_checked_and_says_so(
    package: str, release: Release, connection: HubConnection, monkeypatch: MonkeyPatch
) -> None:
    own_partial(release, LOADING, LIGHT)
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *a: None if name == package else real(name, *a)
    )
    with pytest.raises(NotChecked, match=f"needs the package {package}") as refused:
        push(release.loaded, release.build, connection, options=PUBLIC, progress=Silent())
    assert refused.value.exit_code == 3
    assert "pip install" in str(refused.value) and '[measure]"' in str(refused.value)
    assert not connection.api().repo_exists("demo/tiny-saes")


def test_a_base_model_that_nothing_can_stand_in_for_is_not_checked(
    release: Release, connection: HubConnection, monkeypatch: MonkeyPatch
) -> None:
    own_partial(release, LOADING, BASE)
    monkeypatch.setattr("release.stand_in_model._TOO_MANY_PARAMETERS", 100)
    monkeypatch.setattr("release.stand_in_model._MANY_PARAMETERS", 100)
    with pytest.raises(NotChecked, match="no tiny model of model_type llama") as refused:
        push(release.loaded, release.build, connection, options=PUBLIC, progress=Silent())
    assert "--base-model" in str(refused.value)


def test_what_a_block_lacks_is_told_apart_from_what_it_does_wrong(release: Release) -> None:
    own_partial(
        release,
        LOADING,
        block("import bitsandbytes_of_another_name")
        + block("import torch", "weights = torch.zeros(1, device='cuda')")
        + block("print(weights.sum())")
        + block("print(nowhere_defined)")
        + block("from huggingface_hub import snapshot_download", "snapshot_download('no/such')")
        + block("raise ModuleNotFoundError('accelerate', name='accelerate')")
        + block(
            "device = 'cuda' if torch.cuda.is_available() else 'cpu'", "torch.zeros(1).to(device)"
        )
        + block("if True print()"),
    )
    results = run(release)
    import torch

    on_gpu = torch.cuda.is_available()
    told = [(run.outcome, run.lacks, run.error) for run in results.runs]
    assert told[0][:2] == ("failed", None)
    assert told[1:3] == (
        [("ran", None, "")] * 2
        if on_gpu
        else [
            ("skipped", "gpu", "it names a GPU, and this machine has none"),
            ("skipped", "earlier", "weights is of block 2, which did not run"),
        ]
    )
    assert told[3] == ("failed", None, "NameError: name 'nowhere_defined' is not defined")
    assert told[4] == ("skipped", "repository", "it needs no/such, which is not at hand")
    assert told[5] == ("skipped", "package", "it needs accelerate, of the extra 'measure'")
    # torch was imported by a block that did not run, for lack of a GPU.
    assert told[6] == (
        ("ran", None, "")
        if on_gpu
        else ("skipped", "earlier", "torch is of block 2, which did not run")
    )
    assert told[7][0] == "failed" and told[7][2].startswith("SyntaxError: ")
    assert results.runs[7].error_line == line_of(release, "if True print()")
    assert [run.line for run in results.runs] == blocks_of(release)


@pytest.mark.parametrize(
    ("lacks", "error"),
    [("gpu", None), ("earlier", None), ("package", NotChecked), ("repository", NotChecked)],
)
def test_a_gpu_that_a_block_names_does_not_hold_up_a_push(
    lacks: Any, error: type[Exception] | None, release: Release
) -> None:
    run = BlockRun(line=7, outcome="skipped", error="it lacks something", lacks=lacks)
    results = BlockResults(
        code_sha256="0" * 64, files={}, base_model=None, environment={}, runs=(run,)
    )
    if error is None:
        require_blocks(release.loaded, results)
        assert results.unchecked == ()
        return
    with pytest.raises(error, match=r"README\.md, line 7: it lacks something \(not run\)"):
        require_blocks(release.loaded, results)


def test_a_process_that_ends_in_a_block_is_a_failure_of_that_block(release: Release) -> None:
    own_partial(release, LOADING, block("import os", "os._exit(3)") + block("x = 1"))
    results = run(release)
    lines = blocks_of(release)
    assert [(run.line, run.outcome, run.error) for run in results.runs] == [
        (lines[0], "failed", "the process ended with exit status 3"),
        (lines[1], "skipped", "the process ended in block 1"),
    ]


def test_a_card_without_code_starts_nothing(release: Release, no_process: None) -> None:
    own_partial(release, LOADING, "No code.\n")
    results = run(release)
    assert (results.runs, results.base_model, results.files) == ((), None, {})
    require_blocks(release.loaded, results)


def test_a_card_that_nothing_was_measured_for_is_not_pushed(
    release: Release, connection: HubConnection, no_process: None
) -> None:
    release.build.report_json.unlink()
    release.build.training_json.unlink()
    render(release.loaded, release.build, progress=Silent())
    with pytest.raises(IncompleteRelease, match=r"2 files are missing: report\.json, training"):
        push(release.loaded, release.build, connection, options=PUBLIC, progress=Silent())
    assert not connection.api().repo_exists("demo/tiny-saes")


def test_a_page_that_a_check_of_cards_fails_is_refused_before_its_code_is_run(
    release: Release, no_process: None
) -> None:
    """The report is older than the page, so the gate asks the checks itself."""
    sha256 = {
        f"{sae.name}/{path.name}": file_sha256(path)
        for sae in release.build.repository.iterdir()
        if sae.is_dir() and (sae / "cfg.json").is_file()
        for path in sae.iterdir()
    }
    gate.require_ready(release.loaded, release.build, sha256)
    own_partial(release, LOADING, block("this is no Python"))
    with pytest.raises(NotReady) as refused:
        gate.require_ready(release.loaded, release.build, sha256)
    assert [reason[:11] for reason in refused.value.reasons] == ["R001 failed"]
