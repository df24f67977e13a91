"""`release validate` and `release explain`: what goes where, options, exit codes."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from manifests.build_folder import BuildFolder
from manifests.errors import UsageError
from manifests.facts import Accept
from manifests.load import load_manifest
from release import validation
from release.cli import main
from release.validation import refuse_large_download
from validators.mending.mend import Mend, Mended
from validators.reading.hub_repository import HubRepository
from validators.reading.repository import HubUnavailable

D_IN, D_SAE = 8, 16


@dataclass(frozen=True)
class Finished:
    code: int
    out: str
    err: str


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Finished]:
    """Run `release validate` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, verb: str = "validate") -> Finished:
        code = main([verb, *map(str, arguments)])
        captured = capsys.readouterr()
        return Finished(code, captured.out, captured.err)

    return run


def write_sae(folder: Path, **changes: Any) -> None:
    """A TopK SAE with random unit decoder rows; a key that is changed to None is left out."""
    seed = sum(folder.name.encode())
    rows = np.random.default_rng(seed).standard_normal((D_SAE, D_IN)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    tensors = {
        "W_enc": np.ascontiguousarray(rows.T),
        "W_dec": rows,
        "b_enc": np.zeros(D_SAE, np.float32),
        "b_dec": np.zeros(D_IN, np.float32),
    }
    cfg: dict[str, Any] = {
        "architecture": "topk",
        "k": 4,
        "d_in": D_IN,
        "d_sae": D_SAE,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {
            "sae_lens_version": "6.54.12",
            "model_name": "tiny/llama",
            "hook_name": "blocks.1.hook_resid_post",
            "hf_hook_name": "model.layers.1",
        },
    }
    cfg = {key: value for key, value in (cfg | changes).items() if value is not None}
    folder.mkdir(parents=True)
    save_file(tensors, folder / "sae_weights.safetensors")
    (folder / "cfg.json").write_text(json.dumps(cfg), encoding="utf-8", newline="\n")


@pytest.fixture
def good(tmp_path: Path) -> Path:
    root = tmp_path / "saes"
    for name in ("a", "b"):
        write_sae(root / name)
    return root


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    root = tmp_path / "bad"
    write_sae(root / "a")
    write_sae(root / "b", k=None)
    return root


def static(target: Path, *more: object) -> tuple[object, ...]:
    return (target, "--tier", "static", *more)


def test_a_good_folder_ends_with_0_and_names_the_next_command(command: Any, good: Path) -> None:
    finished = command(*static(good))
    assert finished.code == 0, finished.out
    closing = " ".join(finished.out.split("\n\n")[-1].split())
    assert closing.startswith("PASSED: ")
    assert closing.endswith(f"next: release validate {good} --tier load")
    assert "there is no manifest to hold the repository against" in " ".join(finished.out.split())


def test_a_failure_ends_with_1_and_comes_last(command: Any, bad: Path) -> None:
    finished = command(*static(bad))
    assert finished.code == 1
    assert "C006 failed: k is missing\n     where: b\n" in finished.out
    assert finished.out.rstrip().splitlines()[-1].startswith("FAILED: 1 of ")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--select", "W9"),
        ("--ignore", "nonsense"),
        ("--only", "zzz"),
        ("--text", "absent.txt"),
        ("--activations", "absent.npy"),
        ("--tier", "load", "--base-model", "x"),
        ("--tier", "static", "--text", "saes/a/cfg.json"),
        ("--text", "saes/a/cfg.json", "--activations", "saes/a/cfg.json"),
        ("--out", "somewhere"),
        ("--format", "html"),
        ("--tier", "deep"),
    ],
)
def test_a_wrong_option_ends_with_2_and_says_what_was_expected(
    arguments: tuple[str, ...], command: Any, good: Path
) -> None:
    tier = () if {"--text", "--activations", "--tier"} & set(arguments) else ("--tier", "static")
    finished = command(good, *tier, *arguments)
    assert finished.code == 2
    assert finished.out == ""
    assert "error" in finished.err.lower()


def test_nothing_to_check_ends_with_3(command: Any, good: Path) -> None:
    # M compares with a manifest, and there is none.
    finished = command(*static(good, "--select", "M"))
    assert finished.code == 3
    assert "NOTHING CHECKED" in finished.out
    nothing = command(*static(good, "--select", "C", "--ignore", "C", "--format", "json"))
    assert nothing.code == 3
    assert json.loads(nothing.out)["checks"]["outcomes"] == []


@pytest.mark.parametrize("name", ["json", "junit", "sarif", "github", "markdown"])
def test_stdout_carries_only_the_data(name: str, command: Any, bad: Path) -> None:
    finished = command(*static(bad, "--format", name))
    assert finished.code == 1
    assert finished.out.endswith("\n")
    if name == "json":
        assert json.loads(finished.out)["format"] == "sae-release.report/3"
    elif name == "sarif":
        assert json.loads(finished.out)["version"] == "2.1.0"
    elif name == "junit":
        assert ET.fromstring(finished.out.encode("utf-8")).tag == "testsuites"
    elif name == "github":
        assert all(line.startswith("::") for line in finished.out.splitlines())
        assert "file=b/cfg.json,title=C006 failed" in finished.out
    else:
        assert finished.out.startswith("## SAE repository\n\n**FAILED")


@pytest.mark.parametrize("name", ["text", "json", "markdown"])
def test_the_result_goes_to_a_file_and_the_decision_to_stderr(
    name: str, command: Any, bad: Path, tmp_path: Path
) -> None:
    printed = command(*static(bad, "--format", name)).out
    finished = command(*static(bad, "--format", name, "-o", tmp_path / "new" / "result"))
    assert (finished.code, finished.out) == (1, "")
    assert "FAILED: 1 of " in finished.err
    written = (tmp_path / "new" / "result").read_text(encoding="utf-8")
    assert written == printed


def test_checks_and_saes_can_be_chosen(command: Any, bad: Path) -> None:
    assert command(*static(bad, "--ignore", "c006")).code == 0
    assert command(*static(bad, "--select", "F", "--select", "W0")).code == 0
    assert command(*static(bad, "--only", "a")).code == 0
    chosen = command(*static(bad, "--select", "C006", "--format", "json"))
    outcomes = json.loads(chosen.out)["checks"]["outcomes"]
    assert [(o["code"], o["subject"], o["outcome"]) for o in outcomes] == [
        ("C006", "a", "passed"),
        ("C006", "b", "failed"),
    ]


def test_strict_fails_on_a_warning(command: Any, tmp_path: Path) -> None:
    write_sae(tmp_path / "warned" / "a", nonsense=1)
    assert command(*static(tmp_path / "warned")).code == 0
    strict = command(*static(tmp_path / "warned", "--strict"))
    assert strict.code == 1
    assert "failed: " in strict.out


def test_a_stranger_accepts_nothing_for_us(command: Any, bad: Path) -> None:
    """A published manifest that accepts the failure leaves it a failure, and is quoted."""
    manifest = Path(__file__).parents[2] / "manifests" / "smollm2-135m.yaml"
    entry = Accept(code="C006", where="*", since=date(2026, 1, 2), why="we like it")
    text = (
        load_manifest(manifest).manifest.model_copy(update={"accept": (entry,)}).model_dump_json()
    )
    (bad / "manifest.json").write_text(text, encoding="utf-8")
    finished = command(*static(bad, "--select", "C006"))
    assert finished.code == 1
    assert "the publisher has accepted this since 2026-01-02: we like it" in " ".join(
        finished.out.split()
    )


def test_a_mended_copy_is_written_told_and_checked(
    command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sae(tmp_path / "flat" / "a", k=None)

    def mend(repository: Any, claim: Any, out: Path, *, progress: Any) -> Mended:
        assert claim is None
        write_sae(out / "a")
        return Mended(
            out=out,
            mends=(Mend("a", "C006", "wrote k 4", "the weights say so"),),
            left=(Mend("a\x1b[2J", "C004", "is odd", "nobody knows"),),
        )

    monkeypatch.setattr("validators.mending.mend.mend", mend)
    finished = command(*static(tmp_path / "flat", "--fix"))
    assert finished.code == 0
    assert "C006 mended on a: wrote k 4\n     why: the weights say so\n" in finished.out
    assert "C004 left on a\\x1b[2J: is odd\n     why: nobody knows\n" in finished.out
    copy = Path("build") / "flat-fixed"
    assert (copy / "a" / "cfg.json").is_file()
    assert f"release validate {copy} --tier load" in " ".join(finished.out.split())
    again = command(*static(tmp_path / "flat", "--fix"))
    assert again.code == 2
    assert "--out DIR" in again.err
    data = command(*static(tmp_path / "flat", "--fix", "--out", "x", "--format", "json"))
    assert json.loads(data.out)["checks"]["outcomes"]
    assert "C006 mended on a" in data.err


def test_a_real_mend_turns_a_failure_into_a_pass(command: Any, tmp_path: Path) -> None:
    write_sae(tmp_path / "gpu" / "a", dtype="torch.float99")
    assert command(*static(tmp_path / "gpu")).code == 1
    finished = command(*static(tmp_path / "gpu", "--fix", "--out", tmp_path / "mended"))
    assert finished.code == 0, finished.out
    assert "mended on a" in finished.out


def test_the_tier_follows_from_the_target_and_from_what_is_given(
    command: Any, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, Any]] = []

    def check(found: Any, *, tier: str, options: Any, progress: Any) -> Any:
        seen.append((tier, options))
        raise HubUnavailable("stopped here")

    monkeypatch.setattr(validation, "check", check)
    (good / "prose.txt").write_text("words", encoding="utf-8")
    for more in ((), ("--text", good / "prose.txt"), ("--base-model", "x"), ("--tier", "static"),
                 ("--activations", good / "prose.txt", "--tier", "activations")):  # fmt: skip
        assert command(good, *more).code == 4
    assert [tier for tier, _ in seen] == [
        "load",
        "activations",
        "activations",
        "static",
        "activations",
    ]
    command(good, "--only", "a", "--only", "b", "--strict", "--run-snippets", "--hub",
        "http://127.0.0.1:1")  # fmt: skip
    options = seen[-1][1]
    assert (options.only, options.strict, options.run_snippets) == (("a", "b"), True, True)
    assert options.endpoint == "http://127.0.0.1:1"
    assert seen[1][1].text == good / "prose.txt"
    assert seen[2][1].base_model == "x"


def test_more_than_2_gb_is_downloaded_only_with_yes() -> None:
    names = {f"{sae}/sae_weights.safetensors": 800_000_000 for sae in "abc"}
    repository = object.__new__(HubRepository)
    repository.name = "owner/name"
    repository.files = names | {"other/model.pt": 5_000_000_000}
    with pytest.raises(UsageError) as caught:
        refuse_large_download(repository, only=())
    # 3 x 0.8 GB = 2.4 GB
    assert "this would download 2.4 GB of weights" in str(caught.value)
    assert "--yes" in str(caught.value)
    refuse_large_download(repository, only=("a", "b"))
    with pytest.raises(UsageError, match=r"7\.4 GB"):
        refuse_large_download(repository, only=("a",), every_file=True)


def test_a_manifests_report_is_written_by_a_whole_run_only(
    command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifests = Path(__file__).parents[2] / "manifests"
    for name in ("study", "smollm2-135m"):
        shutil.copy(manifests / f"{name}.yaml", tmp_path)
    build = BuildFolder(tmp_path / "build" / "smollm2-135m")
    build.repository.mkdir(parents=True)
    report = build.report_json
    target = tmp_path / "smollm2-135m.yaml"
    for more in (("--select", "F"), ("--ignore", "M"), ("--strict",), ("--only", "*L12*")):
        assert command(*static(target, *more)).code == 1
        assert not report.exists(), more
    assert command(*static(target)).code == 1
    assert report.exists()


def test_explain_prints_a_page_a_family_or_everything(command: Any) -> None:
    assert command("w102", verb="explain").out.startswith("W102  ")
    family = command("W", verb="explain")
    assert (family.code, family.out.startswith("W  weights\n")) == (0, True)
    everything = command(verb="explain")
    assert "F  files" in everything.out
    assert "C006" in everything.out
    unknown = command("W1O2", verb="explain")
    assert (unknown.code, unknown.out) == (2, "")
    assert "W102" in unknown.err
