"""`release portability`: what it writes and refuses, exit codes, and what a push makes of it."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS, BuildFolder
from manifests.digests import file_sha256
from manifests.load import load_manifest
from release import gate
from release.cli import main
from validators.report import Portability, Report, read_report

SAE = "topk_L1_mixed"
# Nothing but the overlap decides, and almost none passes.
STRICT = {"min_overlap": 0.9999, "max_explained_variance_drop": 100, "max_alive_shift": 100}
LENIENT = STRICT | {"min_overlap": 0.01}


@dataclass(frozen=True)
class Finished:
    code: int
    out: str
    err: str

    @property
    def told(self) -> str:
        """Both streams, without the line breaks of wrapping."""
        return " ".join((self.out + self.err).split())


@pytest.fixture
def command(trained: Any, capsys: pytest.CaptureFixture[str]) -> Callable[..., Finished]:
    def run(*arguments: object, verb: str = "portability") -> Finished:
        trained.load()
        where = ("--build", trained.path.parent / "build", "--base-model", trained.checkpoint)
        code = main([verb, str(trained.path), *map(str, (*where, *arguments))])
        captured = capsys.readouterr()
        return Finished(code, captured.out, captured.err)

    return run


def one_sae(project: Any) -> Any:
    project.content["saes"] |= {"layers": [1], "architectures": ["topk"], "conditions": ["mixed"]}
    project.content["portability"] = {"precisions": ["nf4"]}
    return project


def retrain(project: Any) -> None:
    project.load()
    where = ("--build", str(project.path.parent / "build"), "--base-model", project.checkpoint)
    assert main(["retrain", str(project.path), *where]) == 0


@pytest.fixture(scope="module")
def build_once(make_project_in: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build folder of one TopK SAE, trained on the tiny model in float32."""
    project = one_sae(make_project_in(tmp_path_factory.mktemp("once") / "tiny"))
    retrain(project)
    return Path(project.path.parent / "build")


@pytest.fixture
def trained(project: Any, build_once: Path) -> Any:
    """That SAE in a project of the test's own."""
    shutil.copytree(build_once, project.path.parent / "build")
    return one_sae(project)


def build_of(project: Any) -> BuildFolder:
    return BuildFolder(project.path.parent / "build" / project.path.stem)


def section_of(project: Any) -> Portability:
    found = read_report(build_of(project).report_json).portability
    assert found is not None
    return found


def test_it_writes_the_section_and_shows_it(command: Any, trained: Any) -> None:
    finished = command()
    assert finished.code == 0, finished.err
    found = section_of(trained)
    assert list(found.precisions) == ["fp32", "nf4:fp32"]
    assert list(found.saes) == [SAE]
    assert "fp32 (trained at)" in finished.out
    assert found.saes[SAE]["nf4:fp32"].verdict.sentence in finished.told
    assert "the base model in nf4:fp32" in finished.err
    report = build_of(trained).report_json.read_text(encoding="utf-8")
    assert str(trained.path.parent) not in report


def test_names_on_the_command_line_win(command: Any, trained: Any) -> None:
    assert command("--precisions", "bf16, fp4-dq:fp16").code == 0
    assert list(section_of(trained).precisions) == ["fp32", "bf16", "fp4-dq:fp16"]


def test_only_leaves_the_report_as_it_was(command: Any, trained: Any) -> None:
    finished = command("--precisions", "fp16", "--only", "topk_*")
    assert finished.code == 0, finished.err
    assert "Of --only these SAEs; report.json is as it was." in finished.out
    assert not build_of(trained).report_json.exists()


def test_int8_is_as_quiet_as_the_others(
    command: Any, trained: Any, caplog: pytest.LogCaptureFixture
) -> None:
    finished = command("--precisions", "int8")
    assert finished.code == 0, finished.err
    assert "int8:fp32" in section_of(trained).precisions
    assert "MatMul8bitLt" not in finished.err + caplog.text
    # Only that message is kept back.
    logging.getLogger("bitsandbytes.autograd._functions").warning("something else")
    assert "something else" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--precisions", "nf5"), "no precision is called 'nf5'; did you mean 'nf4'?"),
        (("--precisions", "fp16:fp32"), "unquantised fp16 weights are computed in fp16, not fp32"),
        (("--device", "gpu"), "'gpu' is no device"),
        (("--only", "zzz*"), "zzz*"),
    ],
)
def test_what_cannot_be_done_ends_with_2_and_says_why(
    arguments: tuple[str, ...], told: str, command: Any
) -> None:
    finished = command(*arguments)
    assert (finished.code, finished.out) == (2, "")
    assert told in finished.told


def test_a_gpu_that_is_not_there_is_refused(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from retrain.planning import devices

    nothing = devices.Machine(0, (), "Found no NVIDIA driver", built_for_cuda=True)
    monkeypatch.setattr(devices, "this_machine", lambda: nothing)
    finished = command("--device", "cuda:0")
    assert (finished.code, finished.out) == (2, "")
    assert "Found no NVIDIA driver" in finished.told


def test_the_device_reaches_the_base_model(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from manifests.errors import UsageError
    from retrain.planning import devices
    from validators.base_models import access, named_precisions

    asked = []

    def load(spec: Any, **options: Any) -> None:
        asked.append(options["device"])
        raise UsageError("that is enough")

    machine = devices.Machine(2, ((9, 0), (9, 0)), "", built_for_cuda=True)
    monkeypatch.setattr(devices, "this_machine", lambda: machine)
    monkeypatch.setattr(named_precisions, "compute_capability", lambda device: (9, 0))
    monkeypatch.setattr(access, "load_base_model", load)
    assert "that is enough" in command("--device", "cuda:1").told
    assert asked == ["cuda:1"]


def test_without_a_build_there_is_nothing_to_measure(
    project: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    project.load()
    where = ("--build", str(project.path.parent / "build"), "--base-model", project.checkpoint)
    code = main(["portability", str(project.path), *where])
    captured = capsys.readouterr()
    assert code != 0
    assert captured.out == ""
    assert "release retrain" in captured.err or "no such" in captured.err.lower()


@pytest.mark.parametrize(
    ("settings", "code", "told"),
    [
        ({"require": ["nf4"], "limits": LENIENT}, 0, ""),
        ({"require": ["nf4", "fp8"], "limits": LENIENT}, 3, f"Not met: {SAE} at fp8:fp32: not"),
        (
            {"require": ["nf4"], "limits": STRICT},
            1,
            f"Not met: {SAE} at nf4:fp32: works with other latents",
        ),
        (
            {"claimed": [{"precision": "nf4", "memory_gb": 1}]},
            1,
            "Not met: the manifest says 1 GB of weights at nf4",
        ),
    ],
)
def test_what_the_manifest_requires_decides_the_exit_code(
    settings: dict[str, Any], code: int, told: str, command: Any, trained: Any
) -> None:
    trained.content["portability"] |= settings
    finished = command()
    assert finished.code == code, finished.told
    assert told in finished.told
    assert ("Not met" in finished.told) == (code != 0)


def refusal(project: Any) -> gate.NotReady:
    """What a push says of the build; checks and card are missing from it as well."""
    build = build_of(project)
    sha256 = {
        f"{SAE}/{name}": file_sha256(build.sae_folder(SAE) / name)
        for name in (SAE_CONFIG, SAE_WEIGHTS)
    }
    with pytest.raises(gate.NotReady) as refused:
        gate.require_ready(load_manifest(project.path), build, sha256)
    return refused.value


@pytest.fixture
def no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "stale_files", lambda loaded, build: ())


@pytest.mark.usefixtures("no_card")
def test_a_push_is_refused_for_a_precision_that_does_not_work(command: Any, trained: Any) -> None:
    assert command().code == 0
    assert "portability" not in refusal(trained).what
    trained.content["portability"] |= {"require": ["nf4"], "limits": STRICT}
    assert command().code == 1
    assert f"portability: {SAE} at nf4:fp32: works with other latents" in refusal(trained).what


@pytest.mark.usefixtures("no_card")
def test_a_push_is_refused_for_a_precision_that_was_not_measured(trained: Any) -> None:
    trained.content["portability"] |= {"require": ["nf4"]}
    loaded = trained.load()
    Report(tool_version="0", repo_id=None, manifest_digest=loaded.digest).write(
        build_of(trained).report_json
    )
    what = refusal(trained).what
    assert "portability: nf4:fp32 required, and not measured: run release" in what


@pytest.mark.usefixtures("no_card")
def test_a_push_is_refused_for_numbers_about_other_weights(command: Any, trained: Any) -> None:
    assert command().code == 0
    weights = build_of(trained).sae_folder(SAE) / SAE_WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x00")
    what = refusal(trained).what
    assert f"portability: it was measured on another {SAE}/{SAE_WEIGHTS}; measure it" in what


def test_retraining_at_each_precision_gives_the_whole_matrix(command: Any, trained: Any) -> None:
    build = build_of(trained)
    published = (build.sae_folder(SAE) / SAE_WEIGHTS).read_bytes()
    finished = command("--retrain-check", "--precisions", "nf4,fp8")
    assert finished.code == 0, finished.err
    cells = section_of(trained).retrained[SAE]
    labels = ["fp32", "nf4:fp32"]
    assert [(c.trained_at, c.tested_at) for c in cells] == [(a, b) for a in labels for b in labels]
    at = {(cell.trained_at, cell.tested_at): cell.metrics for cell in cells}
    # What is published is left alone, and training again at its own precision gives it again.
    assert (build.sae_folder(SAE) / SAE_WEIGHTS).read_bytes() == published
    again = build.with_precision("fp32").sae_folder(SAE) / SAE_WEIGHTS
    assert again.read_bytes() == published
    elsewhere = build.with_precision("nf4:fp32").sae_folder(SAE) / SAE_WEIGHTS
    assert elsewhere.read_bytes() != published
    published_at = section_of(trained).saes[SAE]["nf4:fp32"].metrics
    assert at["fp32", "nf4:fp32"]["jaccard"] == published_at["jaccard"]
    assert at["nf4:fp32", "nf4:fp32"]["jaccard"].value == 1
    assert "tested" in finished.out


def test_documents_are_read_once_for_each_precision(
    trained: Any, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from manifests.data_at_hand import data_sha256
    from validators.evidence import documents
    from validators.evidence.activations import capture_contexts

    path = trained.path.parent / "text.jsonl"
    words = ("no", "yes", "the", "cup", "was", "broken", "by", "me", "you", "saw", "it", "never")
    lines = [
        json.dumps({"text": " ".join(words[(n * 5 + w * (1 + n % 4)) % 12] for w in range(20 + n))})
        for n in range(12)
    ]
    path.write_text("\n".join(lines), encoding="utf-8", newline="\n")
    trained.content["data"] = {
        "file": path.name,
        "sha256": data_sha256(path),
        "text": {"context_size": 8},
        "description": "Word salad.",
        "pooling": "every_token",
        "held_out": {"fraction": 0.25, "seed": 0},
        "conditions": {"mixed": {}},
    }
    shutil.rmtree(trained.path.parent / "build")
    retrain(trained)
    passes = []

    def counted(*arguments: Any) -> Any:
        passes.append(len(arguments[1]))
        return capture_contexts(*arguments)

    monkeypatch.setattr(documents, "capture_contexts", counted)
    assert command("--precisions", "fp16").code == 0
    assert len(passes) == 2
    first = section_of(trained)
    metrics = first.saes[SAE]["fp16"].metrics
    assert metrics["jaccard"].n > 0
    assert metrics["jaccard"].value is not None
    assert metrics["d_max"].reason == "the vectors have no two labels to tell apart"
    assert command("--precisions", "fp16,bf16").code == 0
    assert len(passes) == 3
    assert section_of(trained).saes[SAE]["fp16"] == first.saes[SAE]["fp16"]


def test_the_help_names_every_option_with_an_example(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["portability", "--help"]) == 0
    told = capsys.readouterr().out
    for option in ("--precisions", "--base-model", "--device", "--only", "--retrain-check"):
        assert option in told
    assert "Example: release portability manifests/" in told
