import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import retrain.stage
import retrain.training.train
from manifests.digests import file_sha256
from manifests.errors import UsageError
from manifests.progress import Silent
from retrain.stage import retrain as retrain_stage
from validators.training_record import read_training_record


class Notes(Silent):
    """Progress that keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


class Killed(Exception):
    """Stands for a kill at that moment."""


def run(project: Any, **options: Any) -> list[str]:
    notes = Notes()
    retrain_stage(
        project.load(), project.build, progress=notes, base_model=project.checkpoint, **options
    )
    return notes.said


def count_training(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the SAEs trained from now on."""
    trained: list[str] = []
    real = retrain.training.train.train_unit

    def counted(unit: Any, *rest: Any, **options: Any) -> Any:
        trained.extend(job.sae_id for job in unit.jobs)
        return real(unit, *rest, **options)

    monkeypatch.setattr(retrain.training.train, "train_unit", counted)
    return trained


def kill_after(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, calls: int) -> None:
    """Raise in the n-th call of a function, before it does anything."""
    real, done = getattr(module, name), []

    def killing(*args: Any, **options: Any) -> Any:
        done.append(1)
        if len(done) == calls:
            raise Killed
        return real(*args, **options)

    monkeypatch.setattr(module, name, killing)


def test_every_sae_of_the_manifest_is_written_and_recorded(project: Any) -> None:
    run(project)
    record = read_training_record(project.build.training_json)
    loaded = project.load()
    assert list(record.saes) == [spec.sae_id for spec in loaded.saes]
    assert len(record.saes) == 12
    assert record.manifest_digest == loaded.digest
    # 40 rows in 4 strata of 10; floor(0.25 * 10 + 0.5) = 3 of each are held out.
    assert record.data.n_vectors["mixed"].train == 28
    assert record.data.n_vectors["deceptive_only"].held_out == 6
    for sae_id, sae in record.saes.items():
        # 28 rows in batches of 8: 4 steps; 14 rows: 2 steps; 3 epochs.
        assert (sae.n_train, sae.steps) == ((28, 12) if sae_id.endswith("mixed") else (14, 6))
        assert sae.input_scale > 0
        folder = project.build.sae_folder(sae_id)
        assert sae.files == {path.name: file_sha256(path) for path in folder.iterdir()}


def test_a_second_run_gives_byte_identical_files(make_project: Callable[..., Any]) -> None:
    first, second = make_project("first"), make_project("second")
    run(first)
    run(second)
    assert len(first.repository_files()) == 24
    assert first.repository_files() == second.repository_files()


def test_an_unchanged_stage_trains_nothing_and_keeps_every_byte(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(project)
    before = project.build.training_json.read_bytes()
    trained = count_training(monkeypatch)
    said = run(project)
    assert said == ["retrain: all 12 SAEs are unchanged, nothing to train"]
    assert trained == []
    assert project.build.training_json.read_bytes() == before


def test_training_json_alone_suffices_to_skip(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(project)
    shutil.rmtree(project.build.work)
    trained = count_training(monkeypatch)
    run(project)
    assert trained == []


def test_a_changed_title_renews_the_record_without_training(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(project)
    project.content["title"] = "Other words"
    trained = count_training(monkeypatch)
    run(project)
    assert trained == []
    record = read_training_record(project.build.training_json)
    assert record.manifest_digest == project.load().digest


def test_a_changed_recipe_retrains_only_what_depends_on_it(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(project)
    project.content["recipe"]["gated"]["l1_coefficient"] = 0.1
    trained = count_training(monkeypatch)
    said = run(project)
    assert sorted(trained) == [
        "gated_L0_deceptive_only",
        "gated_L0_mixed",
        "gated_L1_deceptive_only",
        "gated_L1_mixed",
    ]
    assert "retrain: 8 of 12 SAEs are unchanged" in said


@pytest.mark.parametrize("name", ["cfg.json", "sae_weights.safetensors"])
def test_a_damaged_or_deleted_file_is_made_again(
    project: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(project)
    whole = project.repository_files()
    (project.build.sae_folder("topk_L0_mixed") / name).write_bytes(b"damage")
    (project.build.sae_folder("gated_L1_mixed") / name).unlink()
    trained = count_training(monkeypatch)
    run(project)
    assert sorted(trained) == ["gated_L1_mixed", "topk_L0_mixed"]
    assert project.repository_files() == whole


@pytest.mark.parametrize(
    ("function", "calls"),
    [("train_unit", 4), ("_write_files", 5), ("sae_record", 6), ("write_record", 1)],
)
def test_a_run_killed_in_the_middle_goes_on_to_the_same_files(
    function: str, calls: int, make_project: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, killed = make_project("whole"), make_project("killed")
    run(whole)
    with monkeypatch.context() as patch:
        module = retrain.training.train if function == "train_unit" else retrain.stage
        kill_after(patch, module, function, calls)
        with pytest.raises(Killed):
            run(killed)
    assert not killed.build.training_json.exists()
    trained = count_training(monkeypatch)
    run(killed)
    # Those recorded before the kill are not trained again.
    assert len(trained) == (0 if function == "write_record" else 12 - (calls - 1))
    assert killed.repository_files() == whole.repository_files()
    assert set(read_training_record(killed.build.training_json).saes) == set(
        read_training_record(whole.build.training_json).saes
    )


def test_only_trains_the_saes_asked_for_with_the_same_result(
    make_project: Callable[..., Any],
) -> None:
    whole, part = make_project("whole"), make_project("part")
    run(whole)
    run(part, only="*_L1_mixed")
    files = part.repository_files()
    assert {path.split("/")[0] for path in files} == {
        "gated_L1_mixed",
        "jumprelu_L1_mixed",
        "topk_L1_mixed",
    }
    assert files.items() <= whole.repository_files().items()
    assert len(read_training_record(part.build.training_json).saes) == 3
    run(part)
    assert part.repository_files() == whole.repository_files()


def test_a_glob_without_a_match_is_refused(project: Any) -> None:
    with pytest.raises(UsageError, match="matches no SAE"):
        run(project, only="nothing*")


def test_folders_that_the_manifest_no_longer_names_are_removed_and_no_others(project: Any) -> None:
    run(project)
    foreign = project.build.repository / "someone_elses_sae"
    foreign.mkdir()
    project.content["saes"]["layers"] = [1]
    said = run(project)
    assert "removed topk_L0_mixed/: the manifest no longer names it" in said
    assert not project.build.sae_folder("topk_L0_mixed").exists()
    assert project.build.sae_folder("topk_L1_mixed").is_dir()
    assert foreign.is_dir()
    assert len(read_training_record(project.build.training_json).saes) == 6


def test_held_out_completions_are_never_run_through_the_base_model(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from manifests.completions import load_split
    from retrain.activations.capture import ActivationReader
    from validators.base_models.base_model import completion_token_ids, load_base_model

    seen: list[tuple[int, ...]] = []
    real = ActivationReader.read

    def watched(self: Any, passages: Any, batch: Any) -> Any:
        for member in batch.members:
            seen.append((*passages[member].prompt, *passages[member].own.tolist()))
        return real(self, passages, batch)

    monkeypatch.setattr(ActivationReader, "read", watched)
    run(project)
    loaded = project.load()
    split = load_split(loaded)
    base = load_base_model(loaded.manifest.base_model, override=project.checkpoint)

    def tokens(rows: Any) -> list[tuple[int, ...]]:
        return sorted(tuple(completion_token_ids(base.tokenizer, row)[0]) for row in rows)

    assert sorted(seen) == tokens(split.train)
    assert not set(seen) & set(tokens(split.held_out))


def test_activations_are_captured_once_and_a_damaged_cache_is_replaced(project: Any) -> None:
    run(project)
    whole = project.repository_files()
    (cache,) = (project.build.work / "activations").iterdir()
    shards = sorted(path for path in cache.rglob("*") if path.is_file())
    stored = {path: path.read_bytes() for path in shards}
    assert shards

    def forget() -> None:
        shutil.rmtree(project.build.repository)
        shutil.rmtree(project.build.work / "training")

    forget()
    assert "activations of 28 completions: from the cache" in run(project)
    largest = max(shards, key=lambda path: len(stored[path]))
    largest.write_bytes(stored[largest][:100])
    forget()
    run(project)
    assert project.repository_files() == whole
    assert {path: path.read_bytes() for path in shards} == stored


def test_training_json_names_no_path_of_the_machine(project: Any) -> None:
    run(project)
    text = project.build.training_json.read_text(encoding="utf-8")
    assert str(project.path.parent) not in text
    assert str(Path(project.checkpoint).parent) not in text
    assert json.loads(text)["environment"]["device"] == "cpu"


def test_importing_the_stage_does_not_import_torch() -> None:
    code = "import sys, retrain.stage; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_record_from_elsewhere_cannot_name_a_folder_outside(project: Any) -> None:
    run(project)
    victim = project.build.root / "victim"
    victim.mkdir()
    path = project.build.training_json
    content = json.loads(path.read_text(encoding="utf-8"))
    content["saes"]["../victim"] = next(iter(content["saes"].values()))
    path.write_text(json.dumps(content), encoding="utf-8")
    run(project)
    assert victim.is_dir()
    assert len(read_training_record(path).saes) == 12


def test_a_run_that_trains_nothing_keeps_what_the_record_says_of_the_training(
    project: Any,
) -> None:
    import torch

    run(project)
    project.content["recipe"]["topk"]["k"] = 3
    torch.set_num_threads(2)
    run(project)
    before = read_training_record(project.build.training_json)
    assert before.environment["threads"] == "2"
    torch.set_num_threads(1)
    project.content["title"] = "Other words"
    run(project, memory_gb=3.0)
    after = read_training_record(project.build.training_json)
    assert after.manifest_digest != before.manifest_digest
    assert (after.environment, after.target) == (before.environment, before.target)


def test_a_damaged_record_is_written_anew_without_training(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(project, memory_gb=1.0)
    whole = project.build.training_json.read_bytes()
    for damage in (whole[:100], None):
        if damage is None:
            project.build.training_json.unlink()
        else:
            project.build.training_json.write_bytes(damage)
        trained = count_training(monkeypatch)
        said = run(project, memory_gb=1.0)
        assert trained == []
        # The plan of the first run, so its activations are found again.
        assert "activations of 28 completions: from the cache" in said
        assert project.build.training_json.read_bytes() == whole


def test_checkpoints_of_a_former_recipe_are_removed(project: Any) -> None:
    folder = project.build.work / "checkpoints"
    folder.mkdir(parents=True)
    abandoned = folder / f"{'0' * 64}.pt"
    abandoned.write_bytes(b"of a recipe that is no more")
    run(project)
    assert list(folder.iterdir()) == []


def test_a_batch_larger_than_the_data_is_planned_by_the_data(project: Any) -> None:
    """28 vectors at most; three million would not fit."""
    project.content["recipe"]["batch_size"] = 3_000_000
    assert any("training plan: 12 SAEs" in line for line in run(project, memory_gb=0.8))


@pytest.mark.slow
def test_a_process_killed_while_training_leaves_what_a_second_one_completes(
    make_project: Callable[..., Any], tmp_path: Path
) -> None:
    whole, killed = make_project("whole"), make_project("killed")
    run(whole)
    killed.load()
    code = textwrap.dedent(
        f"""
        import os, pathlib, torch
        torch.set_num_threads(1)
        import retrain.stage
        from manifests.build_folder import BuildFolder
        from manifests.load import load_manifest
        from manifests.progress import Silent

        real, done = retrain.stage._write_files, []
        def write_then_die(*args, **options):
            files = real(*args, **options)
            done.append(1)
            if len(done) == 5:
                os._exit(9)  # no finally block, no flush: as SIGKILL
            return files
        retrain.stage._write_files = write_then_die
        retrain.stage.retrain(
            load_manifest(pathlib.Path({str(killed.path)!r})),
            BuildFolder(pathlib.Path({str(killed.build.root)!r})),
            progress=Silent(),
            base_model={killed.checkpoint!r},
        )
        """
    )
    died = subprocess.run([sys.executable, "-c", code], check=False, env=dict(os.environ))
    assert died.returncode == 9
    assert len(list((killed.build.work / "training").iterdir())) == 4
    run(killed)
    assert killed.repository_files() == whole.repository_files()
