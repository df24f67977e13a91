"""Code blocks are found as CommonMark does, and their arguments are worked out without running."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults.damage import TOPK, write_text

from manifests.progress import Silent
from validators.claim import local_claim
from validators.reading.local_repository import LocalRepository
from validators.readme.card_code import SaeLoad, code_of
from validators.readme.snippets import fenced_blocks, python_blocks
from validators.registry import checks_up_to
from validators.runner import run_checks
from validators.subjects import RepositorySubject

GOOD_CARD = """# Tiny SAEs

```python
from sae_lens import SAE

repo_id, sae_id = "tiny/saes", "{topk}"
sae = SAE.from_pretrained(repo_id, sae_id, device="cpu")
```

~~~py
from pathlib import Path

from huggingface_hub import hf_hub_download, snapshot_download
from transformers import AutoModel

cfg = hf_hub_download(repo_id, f"{{sae_id}}/cfg.json")
sae = SAE.load_from_disk(Path(snapshot_download(repo_id)) / sae_id)
base = AutoModel.from_pretrained("tiny/llama")
other = SAE.from_pretrained("gemma-scope-2b-pt-res", "layer_20/width_16k/average_l0_71")
theirs = hf_hub_download("openai-community/gpt2", "config.json")
~~~

```bash
sae = SAE.from_pretrained("this is no Python"
```
"""


def asked(code: str) -> list[tuple[str, str | None, str]]:
    found = code_of(python_blocks(f"```python\n{code}\n```\n")).asked
    return [(each.kind, each.repo_id, each.path) for each in found]


def risks(code: str) -> list[int]:
    return [risk.line for risk in code_of(python_blocks(f"```python\n{code}\n```\n")).risks]


def test_fences_of_both_kinds_and_of_any_length_are_found_with_their_lines() -> None:
    text = "a\n```python\nx = 1\n```\n~~~~ py title=x\n```\ny\n~~~\n~~~~\n``` not `a` fence\n"
    found = [(block.line, block.language, block.code) for block in fenced_blocks(text)]
    assert found == [(3, "python", "x = 1\n"), (6, "py", "```\ny\n~~~\n")]


def test_a_block_in_a_list_or_a_quotation_loses_its_indentation() -> None:
    in_list = "1. Load it\n\n   ```python\n   if x:\n       y()\n   ```\n"
    quoted = "> ```python\n> if x:\n>     y()\n> ```\n"
    assert [b.code for b in fenced_blocks(in_list)] == ["if x:\n    y()\n"]
    assert [b.code for b in fenced_blocks(quoted)] == ["if x:\n    y()\n"]


def test_a_block_that_is_never_closed_ends_with_the_text() -> None:
    assert [b.code for b in fenced_blocks("```\nx\n")] == ["x\n"]


def test_prompts_and_shell_lines_are_not_syntax_errors() -> None:
    blocks = python_blocks(
        "```py\n!pip install sae-lens\nx = 1\n```\n```python\n>>> for x in y:\n...     z\n3\n```\n"
    )
    assert [block.error for block in blocks] == ["", ""]
    assert blocks[1].code == "for x in y:\n    z\n\n"


def test_an_error_of_the_parser_names_the_lines_of_the_card() -> None:
    (block,) = python_blocks("# Title\n\n```python\nx = 1\nwith x:\ny()\n```\n")
    # The block begins on line 4, so its third line is line 6 of the card.
    assert block.error == ("line 6: expected an indented block after 'with' statement on line 5")


def test_an_unmarked_block_counts_only_where_it_imports_and_parses() -> None:
    text = "```\nimport json\n```\n```\nimport <x>\n```\n```\nx = 1\n```\n"
    assert [block.line for block in python_blocks(text)] == [2]


@pytest.mark.parametrize(
    "code", ["(" * 40_000, "-" * 40_000 + "1", "x" + ".a" * 20_000, "1" + "+1" * 20_000, "\0"]
)
def test_code_that_exhausts_the_parser_is_reported_or_read(code: str) -> None:
    (block,) = python_blocks(f"```python\n{code}\n```\n")
    assert (block.tree is None) == bool(block.error)
    assert code_of((block,)).asked == ()


def test_megabytes_of_backticks_are_read_in_one_pass() -> None:
    assert len(list(fenced_blocks("`" * 3_000_000 + "\n" + "```x\n" * 100_000))) == 1
    assert len(list(fenced_blocks("```\n" * 100_000))) == 200


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('SAE.from_pretrained("a/b", "c")', [("sae", "a/b", "c")]),
        ('SAE.from_pretrained(sae_id="c", release="a/b")', [("sae", "a/b", "c")]),
        ('r = "a/" + "b"\nsae_lens.SAE.from_pretrained(r, f"l{3}/x")', [("sae", "a/b", "l3/x")]),
        ('a, b = "x/y", "z"\na, b = b, a\nSAE.from_pretrained(b, a)', [("sae", "x/y", "z")]),
        ('hf_hub_download("a/b", "c.json", subfolder="d")', [("file", "a/b", "d/c.json")]),
        ('hf_hub_download(repo_id="a/b", filename="c", repo_type="dataset")', []),
        ('api.hf_hub_download("a/b", filename="c")', [("file", "a/b", "c")]),
        ('p = snapshot_download("a/b")\nSAE.load_from_disk(f"{p}/c")',
         [("repository", "a/b", ""), ("sae", "a/b", "c")]),
        ('f = hf_hub_download("a/b", "c/cfg.json")\nSAE.load_from_disk(Path(f).parent)',
         [("file", "a/b", "c/cfg.json"), ("sae", "a/b", "c")]),
        ('s = "c"\nload_file(os.path.join(s, "sae_weights.safetensors"))',
         [("file", None, "c/sae_weights.safetensors")]),
        ('def load(sae_id):\n    return SAE.from_pretrained("a/b", sae_id)', []),
        ('for sae_id in ids:\n    SAE.from_pretrained("a/b", sae_id)', []),
        ('SAE.from_pretrained(*arguments)', []),
        ('SAE.from_pretrained(**options)', []),
        ('AutoModel.from_pretrained("a/b", "c")', []),
    ],
)  # fmt: skip
def test_arguments_are_worked_out_where_they_can_be(
    code: str, expected: list[tuple[str, str | None, str]]
) -> None:
    assert asked(code) == expected


def test_names_of_one_block_are_known_in_the_next() -> None:
    text = '```python\nr = "a/b"\n```\ntext\n```python\n\nSAE.from_pretrained(r, "c")\n```\n'
    (found,) = code_of(python_blocks(text)).asked
    assert (found.line, found.load) == (7, SaeLoad("a/b", "c"))


def test_options_that_change_what_is_loaded_are_kept() -> None:
    (found,) = code_of(python_blocks(
        '```python\nSAE.from_pretrained("a/b", "c", device="cuda", dtype="bfloat16")\n```\n'
    )).asked  # fmt: skip
    assert found.load is not None
    assert found.load.as_json()["options"] == {"dtype": "bfloat16", "device": "cpu"}
    assert SaeLoad.from_json(found.load.as_json()) == found.load


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("torch.load(p, weights_only=True)", []),
        ("torch.load(p, weights_only=False)", [2]),
        ("torch.load(p, weights_only=flag)", []),
        ("json.load(f)", []),
        ("pickle.load(f)", [2]),
        ("sae.load_state_dict(s)", []),
        ("x = 1\nsae.load_state_dict(s, False)", [3]),
        ("sae, cfg, sparsity = SAE.from_pretrained(a, b)", [2]),
        ("sae, cfg, sparsity = SAE.from_pretrained_with_cfg_and_sparsity(a, b)", []),
        ("sae = SAE.from_pretrained(a, b)", []),
    ],
)
def test_risky_calls_are_told_from_safe_ones(code: str, lines: list[int]) -> None:
    assert risks(code) == lines


def test_imports_of_known_packages_are_listed_and_others_left_alone() -> None:
    code = "import torch.nn\nfrom sae_lens import SAE, Nothing\nfrom mine import x\nfrom . import y"
    found = code_of(python_blocks(f"```python\n{code}\n```\n")).imports
    assert found == ((2, "torch.nn", None), (3, "sae_lens", "SAE"), (3, "sae_lens", "Nothing"))


def test_a_good_card_passes_with_and_without_a_manifest(good_release, damaged) -> None:  # type: ignore[no-untyped-def]
    write_text("README.md", GOOD_CARD.format(topk=TOPK))(damaged)
    for claim in (local_claim(good_release.loaded), None):
        found = outcomes(damaged.root, claim)
        assert {code: found[code] for code in ("R001", "R002", "R003")} == {
            "R001": ("passed", "2 blocks"),
            "R002": ("passed", "6 calls"),
            "R003": ("passed", "2 blocks"),
        }
        assert found["R004"][0] == "skipped"


def test_a_repository_of_unknown_name_is_the_one_whose_saes_its_card_loads(damaged) -> None:  # type: ignore[no-untyped-def]
    code = f'SAE.from_pretrained("some/one", "{TOPK}")\nSAE.from_pretrained("some/one", "nothing")'
    write_text("README.md", f"```python\n{code}\n```\n")(damaged)
    assert outcomes(damaged.root, None)["R002"] == (
        "failed",
        "README.md, line 3: no SAE 'nothing'",
    )


def test_building_from_a_nested_config_is_no_problem(good_release, damaged) -> None:  # type: ignore[no-untyped-def]
    write_text("README.md", "```python\nsae = SAE.from_dict(cfg)\n```\n")(damaged)
    found = outcomes(damaged.root, local_claim(good_release.loaded))
    assert found["R004"] == ("passed", "line 2")


def outcomes(root: Path, claim: object) -> dict[str, tuple[str, str]]:
    subject = RepositorySubject(LocalRepository(root), claim, progress=Silent())  # type: ignore[arg-type]
    checks = tuple(c for c in checks_up_to("static") if c.code[0] == "R")
    return {o.code: (o.outcome, o.found) for o in run_checks(subject, checks, Silent())}
