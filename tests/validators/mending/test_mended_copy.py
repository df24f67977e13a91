"""The copy: whole, deterministic, in its own folder and nowhere else; with a manifest's help."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from manifests.errors import UsageError
from manifests.progress import Silent
from validators import mending
from validators.claim import local_claim
from validators.mending.conversion import CONVERTERS
from validators.mending.destination import Destination
from validators.mending.mend import mend
from validators.reading.local_repository import LocalRepository
from validators.registry import all_checks

SAE = "layer_1/sae"
_CODE = re.compile(r'"([A-Z][0-9]{3})"')
TOPK = "tiny_topk_L1_mixed"


def digests(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_other_files_are_copied_as_they_are(bench: Any, sae_of: Any, flat: Any) -> None:
    sae = sae_of("topk")
    bench.write(sae, cfg=flat(sae.cfg))
    (bench.root / "README.md").write_bytes(b"# SAEs\r\n")
    (bench.root / SAE / "sparsity.safetensors").write_bytes(b"\x00\xff")
    bench.mend()
    before, after = digests(bench.root), digests(bench.out)
    assert before.keys() == after.keys()
    assert {path for path in before if before[path] != after[path]} == {f"{SAE}/cfg.json"}


def test_mending_twice_gives_the_same_bytes_and_a_mended_copy_needs_no_mending(
    bench: Any, sae_of: Any, flat: Any, tmp_path: Path
) -> None:
    sae = sae_of("topk")
    tensors = {**sae.tensors, "W_enc": sae.tensors["W_enc"].T}
    bench.write(sae, cfg={**flat(sae.cfg), "device": "cuda"}, tensors=tensors)
    bench.mend()
    repository = LocalRepository(bench.root)
    mend(repository, None, tmp_path / "second", progress=Silent())
    assert digests(bench.out) == digests(tmp_path / "second")
    again = mend(LocalRepository(bench.out), None, tmp_path / "third", progress=Silent())
    assert (again.mends, again.left) == ((), ())
    assert digests(bench.out) == digests(tmp_path / "third")


def test_the_repository_itself_is_only_read(bench: Any, sae_of: Any, flat: Any) -> None:
    sae = sae_of("topk")
    bench.write(sae, cfg=flat(sae.cfg))
    before = digests(bench.root)
    bench.mend()
    assert digests(bench.root) == before


def test_a_folder_that_holds_something_is_refused(bench: Any, sae_of: Any) -> None:
    bench.write(sae_of("topk"))
    bench.out.mkdir()
    (bench.out / "mine.txt").write_text("keep", encoding="utf-8")
    with pytest.raises(UsageError, match="not an empty folder"):
        bench.mend()
    assert [path.name for path in bench.out.iterdir()] == ["mine.txt"]


def test_a_file_in_the_place_of_the_copy_is_refused(bench: Any, sae_of: Any) -> None:
    bench.write(sae_of("topk"))
    bench.out.write_text("keep", encoding="utf-8")
    with pytest.raises(UsageError, match="is a file"):
        bench.mend()


def test_the_copy_may_not_lie_in_the_repository(bench: Any, sae_of: Any) -> None:
    bench.write(sae_of("topk"))
    bench.out = bench.root / "mended"
    with pytest.raises(UsageError, match="lies in the repository"):
        bench.mend()
    assert not bench.out.exists()


@pytest.mark.parametrize(
    "path",
    [
        "../outside.txt",
        "a/../../outside.txt",
        "/outside.txt",
        "a//b",
        "..\\outside.txt",
        "C:/outside.txt",
        "a\nb.txt",
        "\x1b[31mred.txt",
        "con.txt",
        "trailing.",
        "n" * 300,
    ],
)
def test_a_hostile_name_writes_nothing(bench: Any, sae_of: Any, path: str) -> None:
    class Hostile(LocalRepository):
        """A listing as a hostile server may give it."""

        def __init__(self, root: Path) -> None:
            super().__init__(root)
            self.files = {**self.files, path: 6, f"{path}/cfg.json": 2}

        def fetch(self, wanted: str) -> Path:
            return secret if wanted.startswith(path) else super().fetch(wanted)

    bench.write(sae_of("topk"))
    secret = bench.root.parent / "secret.txt"
    secret.write_text("secret", encoding="utf-8")
    before = digests(bench.root.parent)
    mended = mend(Hostile(bench.root), None, bench.out, progress=Silent())
    new = {p: d for p, d in digests(bench.root.parent).items() if p not in before}
    assert set(new) == {f"mended/{SAE}/cfg.json", f"mended/{SAE}/sae_weights.safetensors"}
    assert {m.code for m in mended.left} >= {"F007"}
    assert all(m.what.isprintable() and m.sae_id.isprintable() for m in mended.left)


def test_a_link_is_not_followed(bench: Any, sae_of: Any, tmp_path: Path) -> None:
    bench.write(sae_of("topk"))
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "cfg.json").write_text("{}", encoding="utf-8")
    try:
        (bench.root / "linked").symlink_to(outside, target_is_directory=True)
    except OSError:
        pytest.skip("this machine does not let tests make links")
    mended = bench.mend()
    assert not (bench.out / "linked").exists()
    assert [m.code for m in mended.left] == ["F007"]
    assert [path.name for path in outside.iterdir()] == ["cfg.json"]


def test_names_that_differ_in_case_only_do_not_overwrite_each_other(tmp_path: Path) -> None:
    destination = Destination(tmp_path)
    destination.write("a/Readme.md", b"1")
    assert destination.refusal("a/readme.md") is not None
    assert destination.refusal("a/Readme.md") is None


@pytest.mark.parametrize("content", ["<<<<<<< HEAD", "[]", '{"k": 1, "k": 2}'])
def test_an_unreadable_config_is_copied_and_left(bench: Any, sae_of: Any, content: str) -> None:
    bench.write(sae_of("topk"))
    (bench.root / SAE / "cfg.json").write_text(content, encoding="utf-8")
    mended = bench.mend()
    assert (mended.mends, [m.code for m in mended.left]) == ((), ["C001"])
    assert digests(bench.out) == digests(bench.root)


def test_weights_that_are_cut_short_are_copied_and_left(bench: Any, sae_of: Any) -> None:
    bench.write(sae_of("topk"))
    path = bench.root / SAE / "sae_weights.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    mended = bench.mend()
    assert (mended.mends, [m.code for m in mended.left]) == ((), ["F005"])
    assert digests(bench.out) == digests(bench.root)


def test_every_format_that_is_said_to_be_converted_has_a_converter() -> None:
    from validators.foreign.formats import FORMATS

    said = {name for name, known in FORMATS.items() if known.is_converted}
    assert said <= CONVERTERS.keys() <= FORMATS.keys()


def test_every_code_that_a_mend_names_is_that_of_a_check() -> None:
    sources = Path(mending.__file__).parent.glob("*.py")
    named = {code for file in sources for code in _CODE.findall(file.read_text(encoding="utf-8"))}
    assert len(named) > 20
    assert named <= {check.code for check in all_checks()}


# --- with a manifest -----------------------------------------------------------------------------


def mended_with_manifest(good_release: Any, root: Path, out: Path) -> Any:
    return mend(LocalRepository(root), local_claim(good_release.loaded), out, progress=Silent())


def test_the_good_release_is_copied_byte_for_byte(good_release: Any, tmp_path: Path) -> None:
    mended = mended_with_manifest(good_release, good_release.repository, tmp_path / "out")
    assert (mended.mends, mended.left) == ((), ())
    assert digests(tmp_path / "out") == digests(good_release.repository)


def test_the_manifest_gives_k_the_place_and_the_base_model(
    good_release: Any, damaged: Any, bench: Any
) -> None:
    def strip(cfg: dict[str, Any]) -> None:
        del cfg["k"]
        cfg["metadata"] = {"sae_lens_version": "6.54.12"}

    damaged.edit_cfg("topk", strip)
    mended = mended_with_manifest(good_release, damaged.root, bench.out)
    assert [(m.sae_id, m.code) for m in mended.mends] == [
        (TOPK, "C006"),
        (TOPK, "H001"),
        (TOPK, "C011"),
    ]
    assert all("tiny.yaml" in m.why for m in mended.mends)
    intended = json.loads((good_release.repository / TOPK / "cfg.json").read_text("utf-8"))
    assert bench.cfg(TOPK) == intended
    weights = f"{TOPK}/sae_weights.safetensors"
    assert digests(bench.out)[weights] == digests(good_release.repository)[weights]


def test_the_path_of_another_class_gives_way_to_the_manifests(
    good_release: Any, damaged: Any, bench: Any
) -> None:
    damaged.edit_cfg("topk", lambda c: c["metadata"].update(hf_hook_name="transformer.h.1"))
    mended = mended_with_manifest(good_release, damaged.root, bench.out)
    assert [m.code for m in mended.mends] == ["H002"]
    assert bench.cfg(TOPK)["metadata"]["hf_hook_name"] == "model.layers.1"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda cfg: cfg.update(k=8), "C007"),
        (lambda cfg: cfg["metadata"].update(model_name="tiny/other"), "C011"),
        (
            lambda cfg: cfg["metadata"].update(
                hook_name="blocks.0.hook_resid_post", hf_hook_name=None
            ),
            "H004",
        ),
    ],
)
def test_what_contradicts_the_manifest_is_left(
    good_release: Any, damaged: Any, tmp_path: Path, change: Any, code: str
) -> None:
    damaged.edit_cfg("topk", change)
    mended = mended_with_manifest(good_release, damaged.root, tmp_path / "out")
    assert (mended.mends, [m.code for m in mended.left]) == ((), [code])
    assert digests(tmp_path / "out") == digests(damaged.root)


def test_a_mended_release_passes_on_the_base_models_own_activations(
    good_release: Any, damaged: Any, tmp_path: Path
) -> None:
    """The damage of one kind to each of the three SAEs; then the same latents on real vectors."""
    import sae_lens

    damaged.edit_cfg("topk", lambda cfg: cfg.update(k="9", architecture="TopK"))
    damaged.edit_weights("jumprelu", lambda t: t.update(log_threshold=t.pop("threshold").log()))
    damaged.edit_weights("gated", lambda t: t.update(W_enc=t["W_enc"].T, W_dec=t["W_dec"].T))
    mended_with_manifest(good_release, damaged.root, tmp_path / "out")
    x = real_vectors(good_release)
    for sae_id in ("tiny_topk_L1_mixed", "tiny_jumprelu_L1_mixed", "tiny_gated_L1_mixed"):
        intended = sae_lens.SAE.load_from_disk(good_release.repository / sae_id)
        mended = sae_lens.SAE.load_from_disk(tmp_path / "out" / sae_id)
        np.testing.assert_allclose(
            mended.encode(x).detach().numpy(),
            intended.encode(x).detach().numpy(),
            rtol=1e-5,
            atol=1e-5,
        )


def real_vectors(good_release: Any) -> Any:
    """Residual stream after block 1 of the tiny model, at every token of 20 short texts."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(good_release.base_model)
    model = AutoModelForCausalLM.from_pretrained(good_release.base_model)
    captured: list[torch.Tensor] = []
    hook = model.model.layers[1].register_forward_hook(
        lambda _module, _inputs, output: captured.append(
            (output[0] if isinstance(output, tuple) else output).reshape(-1, 16)
        )
    )
    words = "abcdefghijklmnopqr"
    with torch.no_grad():
        for start in range(20):
            text = " ".join(words[(start * step) % 18] for step in range(1, 9))
            model(**tokenizer(text, return_tensors="pt", return_token_type_ids=False))
    hook.remove()
    return torch.cat(captured)
