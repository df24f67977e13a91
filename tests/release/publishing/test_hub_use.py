"""What a push asks of the Hub after it was read back: does it load, does the card's code run."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from made_release import MANIFEST, Release
from staged_release import block, own_partial, stage

from manifests.digests import file_sha256
from manifests.progress import Silent
from release.card_blocks import SaesElsewhere
from release.embedded_hub import EmbeddedHub
from release.hub_connection import HubConnection
from release.publishing import hub_use, ready_release
from release.publishing import push as push_module
from release.publishing.plan_text import receipt_text
from release.publishing.push import PushOptions, Receipt, push
from release.publishing.receipts import read_receipt
from release.publishing.use_outcome import UnusableRelease, way_back
from release.stand_in_model import StandInSpec, stand_in_folder
from validators.saelens import child_process
from validators.saelens.child_process import run_python
from validators.saelens.hub_access import ServedRepository

SAE = "tiny_topk_L1_mixed"
LOADING = "loading.md.j2"
MODEL = "demo/tiny-llama"


@pytest.fixture
def release(tmp_path: Path, repo_id: str) -> Release:
    """One random SAE whose card loads it with SAELens, and reads its config at `main`."""
    saes = {**MANIFEST["saes"], "architectures": ["topk"], "conditions": ["mixed"], "layers": [1]}
    made = stage(tmp_path / "release", repo_id=repo_id, saes=saes)
    config = f"h.hf_hub_download('{repo_id}', '{SAE}/cfg.json', revision='main')"
    light = block("import huggingface_hub as h", f"print(open({config}).read()[:1])")
    own_partial(made, LOADING, light)
    return made


@pytest.fixture
def loads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave SAELens out, which takes seconds to import; the card's code is run all the same."""
    monkeypatch.setattr(hub_use, "_load", lambda *_: (4, []))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, str], bytes]]:
    """Command line, environment and standard input of every process that is started."""
    found: list[tuple[list[str], dict[str, str], bytes]] = []
    real = subprocess.run

    def run(arguments: list[str], **options: Any) -> Any:
        found.append((arguments, options["env"], options["input"]))
        return real(arguments, **options)

    monkeypatch.setattr(child_process.subprocess, "run", run)
    return found


def pushed(release: Release, connection: HubConnection, **options: Any) -> Receipt:
    return push(
        release.loaded,
        release.build,
        connection,
        options=PushOptions(**options),
        progress=Silent(),
    )


def tags(repo_id: str, connection: HubConnection) -> dict[str, str]:
    refs = connection.api().list_repo_refs(repo_id)
    return {tag.name: tag.target_commit for tag in refs.tags}


@pytest.mark.slow
def test_a_private_release_is_loaded_by_saelens_and_the_token_is_written_nowhere(
    release: Release, connection: HubConnection, repo_id: str, started: Any, tmp_path: Path
) -> None:
    sae = block("from sae_lens import SAE", f"sae = SAE.from_pretrained('{repo_id}', '{SAE}')")
    own_partial(release, LOADING, sae + block("print(sae.cfg.d_sae)"))
    receipt = pushed(release, connection)
    assert connection.api().repo_info(repo_id).private is True
    assert receipt.use is not None and receipt.use.outcome == "passed", receipt.use
    # A TopK SAE has W_enc, W_dec, b_enc and b_dec.
    assert (receipt.use.sae_id, receipt.use.n_tensors) == (SAE, 4)
    assert [each.outcome for each in receipt.use.blocks] == ["ran", "ran"]
    assert receipt.use.commit == receipt.commit
    assert tags(repo_id, connection) == {"release-1": receipt.commit}
    # The card's code before the push, then SAELens, then the card's code.
    assert [env.get("HF_TOKEN") for _, env, _ in started] == [
        None,
        connection.token,
        connection.token,
    ]
    token = str(connection.token)
    for arguments, _, stdin in started:
        assert token not in " ".join(arguments) and token.encode() not in stdin
    assert token not in receipt_text(receipt)
    for path in (tmp_path / "release").rglob("*"):
        assert not path.is_file() or token.encode() not in path.read_bytes(), path
    again = pushed(release, connection)
    assert (again.commit, again.n_commits, again.use) == (receipt.commit, 0, receipt.use)
    assert len(started) == 3


@pytest.mark.slow
def test_weights_that_the_hub_serves_with_another_byte_are_told_with_the_way_back(
    release: Release, repo_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = f"{SAE}/sae_weights.safetensors"
    real = push_module.read_back
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    with EmbeddedHub(tmp_path / "hub", xet=False) as hub:
        connection = HubConnection(hub.endpoint, hub.token)
        parent = pushed_empty(repo_id, connection)

        def then_damage(*arguments: Any, **options: Any) -> None:
            real(*arguments, **options)
            name = file_sha256(release.build.repository / weights)
            (file,) = (path for path in (tmp_path / "hub").rglob(name) if path.is_file())
            content = bytearray(file.read_bytes())
            content[-1] ^= 1
            file.chmod(0o644)
            file.unlink()
            file.write_bytes(content)

        monkeypatch.setattr(push_module, "read_back", then_damage)
        with pytest.raises(UnusableRelease) as caught:
            pushed(release, connection)
        assert caught.value.exit_code == 1
        assert f"read another {weights} than was checked" in str(caught.value)
        assert f"release rollback {repo_id} --to {parent}" in str(caught.value)
        receipt = read_receipt(release.build)
        assert receipt["use"]["outcome"] == "failed"
        assert (receipt["tag"], receipt["n_commits"]) == (None, 1)
        assert connection.api().repo_info(repo_id).sha == receipt["commit"]
        assert tags(repo_id, connection) == {}


def pushed_empty(repo_id: str, connection: HubConnection) -> str:
    """Make the repository, and return its first commit."""
    connection.api().create_repo(repo_id, private=True)
    return str(connection.api().repo_info(repo_id).sha)


# Where the release is staged there is no token; a private repository cannot be read without.
ON_THE_HUB_ONLY = block("import os", "assert 'HF_TOKEN' not in os.environ, os.environ['HF_TOKEN']")


def test_code_that_fails_on_the_hub_gets_no_tag_and_names_the_former_release(
    release: Release, connection: HubConnection, repo_id: str, loads_nothing: None
) -> None:
    first = pushed(release, connection)
    assert first.tag == "release-1"
    own_partial(release, LOADING, ON_THE_HUB_ONLY)
    readme = (release.build.repository / "README.md").read_text(encoding="utf-8").splitlines()
    line = next(n for n, text in enumerate(readme, start=1) if text.startswith("assert 'HF_TOKEN'"))
    for _ in range(2):
        with pytest.raises(UnusableRelease) as caught:
            pushed(release, connection)
        said = str(caught.value)
        assert f"README.md, line {line}: AssertionError: (the token)" in said
        assert str(connection.token) not in said
        assert f"release rollback {repo_id} --to release-1" in said
        assert tags(repo_id, connection) == {"release-1": first.commit}
    kept = (release.build.work / "receipt.json").read_text(encoding="utf-8")
    assert str(connection.token) not in kept
    # The second run made no commit, and asked again.
    assert json.loads(kept)["n_commits"] == 0
    own_partial(release, LOADING, block("x = 1"))
    mended = pushed(release, connection)
    assert (mended.tag, mended.n_commits) == ("release-2", 1)


def test_a_public_release_is_read_without_a_token(
    release: Release, connection: HubConnection, loads_nothing: None, started: Any
) -> None:
    own_partial(release, LOADING, ON_THE_HUB_ONLY)
    receipt = pushed(release, connection, public=True)
    assert receipt.use is not None and receipt.use.outcome == "passed"
    assert all("HF_TOKEN" not in environment for _, environment, _ in started)


def test_a_pull_request_is_used_at_its_commit_and_main_stays_without(
    release: Release, connection: HubConnection, repo_id: str, loads_nothing: None
) -> None:
    head = pushed_empty(repo_id, connection)
    receipt = pushed(release, connection, pull_request=True)
    assert receipt.use is not None and receipt.use.outcome == "passed"
    assert [each.outcome for each in receipt.use.blocks] == ["ran"]
    assert connection.api().list_repo_files(repo_id) == [".gitattributes"]
    assert receipt.tag is None
    own_partial(release, LOADING, ON_THE_HUB_ONLY)
    with pytest.raises(UnusableRelease) as caught:
        pushed(release, connection, pull_request=True)
    assert f"close {connection.endpoint}/{repo_id}/discussions/2" in str(caught.value)
    assert "rollback" not in str(caught.value)
    assert connection.api().repo_info(repo_id).sha == head


@pytest.mark.parametrize("package", ["sae_lens", "torch"])
def test_without_saelens_it_is_told_that_loading_was_not_tried(
    package: str,
    release: Release,
    connection: HubConnection,
    repo_id: str,
    monkeypatch: pytest.MonkeyPatch,
    loads_nothing: None,
) -> None:
    results = ready_release.checked_blocks(
        release.loaded, release.build, base_model=None, progress=Silent()
    )
    assert not results.failed
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name, *a: None if name == package else real(name, *a)
    )
    receipt = pushed(release, connection)
    assert receipt.use is not None and receipt.use.outcome == "not tried"
    told = receipt_text(receipt)
    assert (
        f"was not tried: loading from the Hub as a reader does needs the package {package}" in told
    )
    assert 'pip install "sae-release[measure]"' in told
    assert receipt.tag == "release-1"
    assert read_receipt(release.build)["use"]["outcome"] == "not tried"
    # Where it is installed, the same release is asked after all.
    monkeypatch.undo()
    monkeypatch.setattr(hub_use, "_load", lambda *_: (4, []))
    again = pushed(release, connection)
    assert again.use is not None
    assert (again.n_commits, again.use.outcome) == (0, "passed")


LOADS_MODEL = block(
    "from transformers import AutoModelForCausalLM",
    f"model = AutoModelForCausalLM.from_pretrained('{MODEL}')",
) + block("print(model.config.hidden_size)")


@pytest.mark.slow
def test_what_needs_the_base_model_runs_on_the_hub_where_that_is_small_and_there(
    release: Release,
    connection: HubConnection,
    tmp_path: Path,
    loads_nothing: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own_partial(release, LOADING, LOADS_MODEL + block("x = 1"))
    absent = pushed(release, connection)
    assert absent.use is not None and absent.use.outcome == "passed"
    assert [each.outcome for each in absent.use.blocks] == ["skipped", "skipped", "ran"]
    first, second, _ = absent.use.blocks
    assert first.why == (
        f"{MODEL} cannot be had from {connection.endpoint}; what needs it ran before the push"
    )
    assert second.why == "model is of block 1, which did not run"
    assert "1 of 3 code blocks of the card ran there" in receipt_text(absent)
    spec = StandInSpec("llama", "AutoModelForCausalLM", 8, 4, 2, ("model.layers.2",))
    connection.api().create_repo(MODEL, exist_ok=True)
    connection.api().upload_folder(repo_id=MODEL, folder_path=stand_in_folder(spec, tmp_path))

    def used() -> list[str]:
        (release.build.work / "receipt.json").unlink()
        found = pushed(release, connection).use
        assert found is not None
        return [each.outcome for each in found.blocks]

    assert used() == ["ran", "ran", "ran"]
    monkeypatch.setattr(hub_use, "_SMALL_MODEL_BYTES", 10)
    assert used() == ["skipped", "skipped", "ran"]
    connection.api().delete_repo(MODEL)


def test_the_head_of_one_repository_means_a_commit_and_no_others(
    connection: HubConnection, repo_id: str, commit: Any, tmp_path: Path
) -> None:
    first, second = commit(**{"a.txt": b"1"}), commit(**{"a.txt": b"2"})
    other = repo_id + "-other"
    connection.api().create_repo(other, exist_ok=True)
    connection.api().upload_file(path_or_fileobj=b"3", path_in_repo="a.txt", repo_id=other)
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\nfrom pathlib import Path\n"
        "from huggingface_hub import hf_hub_download, snapshot_download\n"
        "out, ours, other, second = sys.stdin.read().split()\n"
        "found = [Path(hf_hub_download(ours, 'a.txt')),\n"
        "  Path(hf_hub_download(repo_id=ours, filename='a.txt', revision='main')),\n"
        "  Path(snapshot_download(ours)) / 'a.txt',\n"
        "  Path(hf_hub_download(ours, 'a.txt', revision=second)),\n"
        "  Path(hf_hub_download(other, 'a.txt'))]\n"
        "Path(out).write_text(''.join(p.read_text() for p in found))\n",
        encoding="utf-8",
    )
    served = ServedRepository(
        connection.endpoint, repo_id, is_copy=False, commit=first, token=connection.token
    )
    ended = run_python(
        str(program),
        folder=tmp_path / "process",
        served=served,
        stdin=f"{tmp_path / 'out.txt'} {repo_id} {other} {second}",
        timeout_s=120,
    )
    assert ended.returncode == 0, ended.last_words
    assert (tmp_path / "out.txt").read_text(encoding="utf-8") == "11123"
    assert str(connection.token) not in repr(served)


def test_the_way_back_is_the_former_tag_else_the_former_commit(
    connection: HubConnection, repo_id: str, commit: Any
) -> None:
    api = connection.api()
    oids = [commit(**{"a.txt": content}) for content in (b"1", b"2", b"3")]

    def back(commit: str, parent: str) -> str:
        """The revision of the command that is printed."""
        said = way_back(repo_id, commit, parent, connection)
        found = re.match(rf"release rollback {repo_id} --to (\S+) --hub (\S+),", said)
        assert found is None or found[2] == connection.endpoint
        return found[1] if found else said

    assert back(oids[2], oids[1]) == oids[1]
    # A push without a commit of its own goes by the history, and not by the newest tag.
    api.create_tag(repo_id, tag="release-9", revision=oids[0])
    assert back(oids[2], oids[2]) == oids[1]
    api.create_tag(repo_id, tag="release-10", revision=oids[1])
    assert back(oids[2], oids[1]) == "release-10"
    assert back(oids[2], oids[0]) == "release-9"
    assert back(oids[2], oids[2]) == "release-10"
    assert back(oids[1], oids[1]) == "release-9"
    assert "no former release" in back(oids[0], oids[0])


def test_cards_that_failed_on_the_hub_get_no_tag_from_pushing_them_again(
    release: Release, connection: HubConnection, repo_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_use, "_load", lambda *_: (4, []))
    first = pushed(release, connection)
    own_partial(release, LOADING, block("x = 1"))
    monkeypatch.setattr(hub_use, "_load", lambda *_: (0, ["broken"]))
    for _ in range(2):
        with pytest.raises(UnusableRelease, match="broken"):
            pushed(release, connection, cards_only=True)
        assert tags(repo_id, connection) == {"release-1": first.commit}
    monkeypatch.setattr(hub_use, "_load", lambda *_: (4, []))
    again = pushed(release, connection, cards_only=True)
    assert (again.tag, again.n_commits) == ("release-2", 0)
    # A head with a tag was used before: nothing is loaded for cards that change nothing.
    (release.build.work / "receipt.json").unlink()
    monkeypatch.setattr(hub_use, "_load", lambda *_: (0, ["broken"]))
    still = pushed(release, connection, cards_only=True)
    assert still.use is not None and still.use.outcome == "not tried"


def test_saes_elsewhere_are_asked_for_only_if_the_code_names_them(release: Release) -> None:
    asked: list[list[str]] = []
    weights = release.build.repository / SAE / "sae_weights.safetensors"
    digests = {f"{SAE}/sae_weights.safetensors": file_sha256(weights), "other/cfg.json": "0" * 64}
    moved = weights.rename(release.build.root / "moved")
    saes = SaesElsewhere(
        digests, lambda paths: asked.append([*paths]) or {path: moved for path in paths}
    )
    found = ready_release.checked_blocks(
        release.loaded, release.build, base_model=None, saes=saes, progress=Silent()
    )
    assert [run.outcome for run in found.runs] == ["ran"]
    assert asked == [[f"{SAE}/sae_weights.safetensors"]]
