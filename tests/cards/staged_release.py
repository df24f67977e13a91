"""A release with random SAEs in SAELens' format, checked and rendered, for tests that load it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from made_release import MANIFEST, Release, make_release

from cards.stage import render
from manifests.digests import file_sha256
from manifests.progress import Silent
from manifests.sae_recipes import saved_architecture

D_IN, D_SAE = 8, 32


def write_sae(folder: Path, architecture: str, hook: str) -> None:
    """Random weights of one SAE in SAELens' format."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(len(architecture))
    names = {"gated": ("b_gate", "r_mag", "b_mag"), "jumprelu": ("b_enc", "threshold")}
    shapes = {"W_enc": (D_IN, D_SAE), "W_dec": (D_SAE, D_IN), "b_dec": (D_IN,)}
    shapes |= dict.fromkeys(names.get(architecture, ("b_enc",)), (D_SAE,))
    save_file(
        {name: torch.rand(*shape, generator=generator) for name, shape in shapes.items()},
        folder / "sae_weights.safetensors",
    )
    config = {
        "architecture": saved_architecture(architecture),  # type: ignore[arg-type]
        "d_in": D_IN,
        "d_sae": D_SAE,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": False,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {"sae_lens_version": "6.54.12", "hook_name": "x", "hf_hook_name": hook},
        **({"k": 4, "rescale_acts_by_decoder_norm": False} if architecture == "topk" else {}),
    }
    (folder / "cfg.json").write_text(json.dumps(config), encoding="utf-8")


def stage(folder: Path, **changes: Any) -> Release:
    """A release whose record and report are of the very files that lie there, with its card."""
    made = make_release(folder, json.loads(json.dumps({**MANIFEST, **changes})))
    saes = {}
    for spec in made.loaded.saes:
        sae = made.build.sae_folder(spec.sae_id)
        write_sae(sae, spec.architecture, spec.hf_hook_name)
        files = {path.name: file_sha256(path) for path in sorted(sae.iterdir())}
        saes[spec.sae_id] = made.training.saes[spec.sae_id].model_copy(update={"files": files})
    training = made.training.model_copy(update={"saes": saes})
    inputs = {
        f"{sae_id}/{name}": digest
        for sae_id, trained in saes.items()
        for name, digest in trained.files.items()
    }
    assert made.report.checks is not None and made.report.measurements is not None
    report = made.report.model_copy(
        update={
            "evidence_digest": made.loaded.evidence_digest,
            "checks": made.report.checks.model_copy(update={"inputs": inputs}),
            "measurements": made.report.measurements.model_copy(update={"inputs": inputs}),
        }
    )
    release = replace(made, training=training, report=report).write()
    render(release.loaded, release.build, progress=Silent())
    return release


def own_partial(release: Release, name: str, source: str) -> None:
    """Put one partial of the user's own beside the manifest, and render with it."""
    folder = release.loaded.path.parent / "cards"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(source, encoding="utf-8")
    render(release.loaded, release.build, progress=Silent())


def block(*lines: str) -> str:
    return "\n".join(("```python", *lines, "```", ""))
