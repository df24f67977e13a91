"""SAEs are loaded from folder and Hub as users do, and nothing may be lost on the way."""

from __future__ import annotations

import io
import json
import shutil
import sys
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faults.damage import GATED, JUMPRELU, TOPK, write_text
from huggingface_hub import constants
from sae_lens import SAE
from sae_lens.saes.sae import SAEMetadata
from sae_lens.saes.topk_sae import TopKSAE

from manifests.progress import Silent
from release.served_copy import served_copy
from validators.check import Skipped
from validators.claim import local_claim
from validators.options import ValidateOptions
from validators.reading.local_repository import LocalRepository
from validators.reading.repository import Repository
from validators.registry import checks_up_to, find_check
from validators.report import Outcome
from validators.runner import run_checks
from validators.saelens import hub_loading, loading_child
from validators.saelens.child_process import Ended
from validators.saelens.config_after_loading import changes
from validators.saelens.hub_access import ServedRepository
from validators.saelens.hub_loading import hub_loads
from validators.saelens.loading_child import config_facts, tensor_digests
from validators.subjects import RepositorySubject

CARD = f"""```python
from sae_lens import SAE, NoSuchName

sae = SAE.from_pretrained("tiny/saes", "{TOPK}", dtype="bfloat16")
```
```python
broken = SAE.from_pretrained("tiny/saes", "{GATED}")
print(sae.cfg.d_in, broken)
```
"""


@contextmanager
def another_gated(
    repository: Repository, *, repo_id: str, paths: Collection[str]
) -> Iterator[ServedRepository]:
    """A Hub on which one SAE is not there, one has another k, and the third is as it should be."""
    root = Path(repository.location)
    elsewhere = root.parent / "on_the_hub"
    shutil.copytree(root, elsewhere)
    (elsewhere / GATED / "sae_weights.safetensors").unlink()
    cfg = elsewhere / TOPK / "cfg.json"
    content = json.loads(cfg.read_text(encoding="utf-8"))
    cfg.write_text(json.dumps(content | {"k": 3}), encoding="utf-8")
    other = LocalRepository(elsewhere)
    with served_copy(other, repo_id=repo_id, paths=other.files) as served:
        yield served


def answered_here(patch: pytest.MonkeyPatch) -> Any:
    """Answer within this process, which saves the seconds of importing SAELens once more."""

    def run(_: Any, *, folder: Path, served: ServedRepository, stdin: str, **__: Any) -> Ended:
        template = served.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        patch.setattr(constants, "ENDPOINT", served.endpoint)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        patch.setattr(constants, "HF_HUB_CACHE", str(folder))
        patch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(stdin.encode())))
        loading_child.main()
        return Ended(returncode=0, last_words="")

    return run


def outcomes(
    root: Path, release: Any, *codes: str, **options: Any
) -> dict[tuple[str, str], Outcome]:
    subject = RepositorySubject(
        LocalRepository(root),
        local_claim(release.loaded),
        options=ValidateOptions(**options),
        progress=Silent(),
    )
    wanted: set[str] = set()

    def need(code: str) -> None:
        wanted.add(code)
        for required in find_check(code).requires:
            need(required)

    for code in codes:
        need(code)
    checks = tuple(check for check in checks_up_to("load") if check.code in wanted)
    found = run_checks(subject, checks, Silent())
    return {(o.code, o.subject): o for o in found if o.code in codes}


@pytest.mark.parametrize("in_process", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_what_a_hub_serves_is_loaded_and_compared_and_the_cards_calls_with_it(
    good_release: Any, damaged: Any, monkeypatch: pytest.MonkeyPatch, in_process: bool
) -> None:
    if in_process:
        monkeypatch.setattr(hub_loading, "run_python", answered_here(monkeypatch))
    write_text("README.md", CARD)(damaged)
    found = outcomes(damaged.root, good_release, "L110", "R101", "R102", hub=another_gated)
    assert found["L110", JUMPRELU].outcome == "passed"
    assert found["L110", TOPK].outcome == "failed"
    assert found["L110", TOPK].found.startswith("k differ")
    gated = found["L110", GATED]
    assert gated.outcome == "failed"
    assert "raised RemoteEntryNotFoundError" in gated.found
    example = found["R101", ""]
    assert example.outcome == "failed"
    assert example.found.startswith("README.md, line 7: SAE.from_pretrained('tiny/saes', 'tiny_gat")
    imports = found["R102", ""]
    assert imports.outcome == "warned"
    assert imports.found.startswith("README.md, line 2: from sae_lens import NoSuchName: ")


@pytest.mark.slow
def test_the_good_release_loads_from_a_copy_and_its_card_runs(
    good_release: Any, damaged: Any
) -> None:
    code = CARD.replace(", NoSuchName", "").replace("cfg.d_in", "cfg.metadata.hf_hook_name")
    write_text("README.md", code)(damaged)
    found = outcomes(
        damaged.root, good_release, "L110", "R101", "R102", "R103",
        hub=served_copy, run_snippets=True,
    )  # fmt: skip
    assert {o.outcome for o in found.values()} == {"passed"}
    assert len(found) == 6
    assert found["R103", ""].found == "2 blocks"


@pytest.mark.slow
def test_a_block_that_does_not_run_is_named_by_its_line(
    good_release: Any, damaged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    code = (
        "```python\nimport os, pathlib\nassert not os.listdir('.')\n"
        "assert {'HF_TOKEN', 'AWS_SECRET_ACCESS_KEY'}.isdisjoint(os.environ)\n"
        "pathlib.Path('x').touch()\n```\n"
        "```python\nvalue = {}['key']\n```\n"
        "```python\nprint(value)\n```\n"
        "```python\nawait undefined_function()\n```\n"
        "```python\nraise SystemExit(2)\n```\n"
    )
    write_text("README.md", code)(damaged)
    before = sorted(damaged.root.iterdir())
    found = outcomes(damaged.root, good_release, "R103", hub=served_copy, run_snippets=True)
    # The third and fourth fail for lack of a name after the second has failed.
    assert found["R103", ""].outcome == "failed"
    assert found["R103", ""].found == "README.md, line 8: KeyError: 'key'; line 17: SystemExit: 2"
    assert sorted(damaged.root.iterdir()) == before


@pytest.mark.slow
def test_a_block_that_needs_a_base_model_is_left_open_where_a_copy_is_served(
    good_release: Any, damaged: Any
) -> None:
    code = (
        "```python\nfrom transformers import AutoConfig\n"
        "config = AutoConfig.from_pretrained('someone/base-model')\n```\n"
        "```python\nfrom huggingface_hub import hf_hub_download\n"
        "hf_hub_download('someone/base-model', 'config.json')\n```\n"
    )
    write_text("README.md", code)(damaged)
    found = outcomes(damaged.root, good_release, "R103", hub=served_copy, run_snippets=True)
    assert found["R103", ""].outcome == "skipped"
    assert found["R103", ""].required
    assert "needs someone/base-model, which the copy" in found["R103", ""].found


def test_without_a_hub_there_is_nothing_to_load_from(good_release: Any) -> None:
    subject = RepositorySubject(LocalRepository(good_release.repository), None, progress=Silent())
    answer = hub_loads(subject)
    assert isinstance(answer, Skipped)
    assert not answer.required


def test_a_loading_process_that_dies_is_a_finding_and_no_crash(
    good_release: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit('out of memory')\n", encoding="utf-8")
    monkeypatch.setattr("validators.saelens.loading_child.__file__", str(broken))
    found = outcomes(good_release.repository, good_release, "L110", hub=served_copy)
    assert found["L110", TOPK].outcome == "failed"
    assert "the process ended with exit status 1: out of memory" in found["L110", TOPK].found


def test_a_warning_of_saelens_on_loading_is_passed_on_but_its_advice_is_not(
    good_release: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sae_lens

    said = ["This SAE has non-empty model_from_pretrained_kwargs."]

    def complain(*_: Any) -> None:
        for text in said:
            warnings.warn_explicit(text, UserWarning, sae_lens.__file__, 1)

    monkeypatch.setattr(TopKSAE, "process_state_dict_for_loading", complain)
    with warnings.catch_warnings():
        # L101 loads it too, and there the warning is nobody's business.
        warnings.simplefilter("ignore")
        found = outcomes(good_release.repository, good_release, "L104")
        assert found["L104", TOPK].outcome == "passed"
        said.append("k is deprecated")
        found = outcomes(good_release.repository, good_release, "L104")
    assert found["L104", TOPK].outcome == "warned"
    assert found["L104", TOPK].found == "SAELens warns: k is deprecated"
    assert found["L104", GATED].outcome == "passed"


@pytest.mark.parametrize(
    ("cfg", "expected"),
    [
        ({"metadata": {"hook_name": "a", "l0": 3.5, "mine": [1, {"x": None}]}}, []),
        ({"metadata": {"hook_name": "a", "gone": None}}, []),
        ({"metadata": {"hook_name": "b"}}, ["metadata.hook_name is 'a'"]),
        ({"metadata": {"other": 1}}, ["metadata.other is gone"]),
        ({"hook_name": "a", "hook_layer": 3}, []),
        ({"hook_point": "b"}, ["hook_point is 'a'"]),
        ({"prepend_bos": True}, ["prepend_bos is gone"]),
        ({"k": 9, "d_in": 16, "device": "cuda:0", "dtype": "bfloat16", "unknown": 1}, []),
        ({"k": True}, ["k is 9"]),
        ({"k": 4, "apply_b_dec_to_input": False}, ["k is 9", "apply_b_dec_to_input is True"]),
        ({"normalize_activations": None}, []),
        ({"normalize_activations": True}, ["normalize_activations is 'none'"]),
        ({"architecture": "standard", "activation_fn_str": "topk"}, []),
        ({"architecture": "standard"}, ["architecture is 'topk'"]),
    ],
)  # fmt: skip
def test_every_key_that_did_not_survive_is_named(cfg: dict[str, Any], expected: list[str]) -> None:
    kept = {"hook_name": "a", "l0": 3.5, "mine": [1, {"x": None}]}
    after = {
        "architecture": "topk", "k": 9, "d_in": 16, "apply_b_dec_to_input": True,
        "normalize_activations": "none", "device": "cpu", "dtype": "float32", "metadata": kept,
    }  # fmt: skip
    loaded = SimpleNamespace(metadata=SAEMetadata(**kept), to_dict=lambda: after)
    assert [str(change) for change in changes(cfg, loaded)] == expected


def test_one_digit_and_one_shape_make_another_digest(good_release: Any) -> None:
    sae = SAE.load_from_disk(good_release.repository / TOPK)
    state = dict(sae.state_dict())
    before = tensor_digests(state)
    state["b_dec"] = state["b_dec"] + 1e-6
    state["W_enc"] = state["W_enc"].reshape(64, 16)
    after = tensor_digests(state)
    assert {name for name in before if before[name] != after[name]} == {"W_enc", "b_dec"}
    assert "device" not in config_facts(sae.cfg)
    assert config_facts(sae.cfg)["k"] == 9
