"""What SAELens itself saves is right, and comes out of mending byte for byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from manifests.progress import Silent
from validators.mending.mend import mend
from validators.reading.local_repository import LocalRepository
from validators.saelens.format import INFERENCE_ARCHITECTURES

pytestmark = pytest.mark.filterwarnings("ignore:decoder_init_norm:UserWarning")

TRAINED = {
    "standard": {},
    "topk": {"k": 5},
    "jumprelu": {},
    "gated": {},
    "batchtopk": {"k": 5},
}


def assert_kept(root: Path, out: Path) -> None:
    mended = mend(LocalRepository(root), None, out, progress=Silent())
    assert (mended.mends, mended.left) == ((), ())
    files = [path.relative_to(root) for path in root.rglob("*") if path.is_file()]
    assert len(files) == 2
    for file in files:
        assert (out / file).read_bytes() == (root / file).read_bytes()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("architecture", INFERENCE_ARCHITECTURES)
def test_every_architecture_that_saelens_loads_is_kept(
    tmp_path: Path, architecture: str, dtype: str
) -> None:
    from random_saes import random_sae

    sae = random_sae(architecture)
    sae.cfg.dtype = dtype
    sae.to(getattr(torch, dtype)).save_model(tmp_path / "saes" / "one")
    assert_kept(tmp_path / "saes", tmp_path / "out")


@pytest.mark.parametrize("architecture", TRAINED)
def test_the_inference_form_of_a_trained_sae_is_kept(tmp_path: Path, architecture: str) -> None:
    sae = trained(architecture)
    sae.save_inference_model(tmp_path / "saes" / "one")
    assert_kept(tmp_path / "saes", tmp_path / "out")


def test_a_batchtopk_checkpoint_comes_out_as_saelens_would_save_it_for_inference(
    tmp_path: Path,
) -> None:
    import sae_lens

    sae = trained("batchtopk")
    sae.save_inference_model(tmp_path / "wanted")
    sae.save_model(tmp_path / "saes" / "one")
    mended = mend(LocalRepository(tmp_path / "saes"), None, tmp_path / "out", progress=Silent())
    assert [m.code for m in mended.mends] == ["C004"]
    x = torch.randn(32, 16, generator=torch.Generator().manual_seed(1))
    wanted = sae_lens.SAE.load_from_disk(tmp_path / "wanted").encode(x)
    found = sae_lens.SAE.load_from_disk(tmp_path / "out" / "one").encode(x)
    assert float((wanted != 0).float().mean()) > 0.01
    torch.testing.assert_close(found, wanted)


def trained(architecture: str) -> Any:
    """A training SAE whose decoder rows have norms from 0.5 to 2."""
    from sae_lens.registry import get_sae_training_class

    sae_class, config_class = get_sae_training_class(architecture)
    torch.manual_seed(0)
    sae = sae_class(config_class(d_in=16, d_sae=64, **TRAINED[architecture]))
    with torch.no_grad():
        sae.W_dec.mul_(torch.linspace(0.5, 2, 64)[:, None])
        if architecture == "batchtopk":
            sae.topk_threshold.fill_(0.01)
    return sae
