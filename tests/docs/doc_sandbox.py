"""A folder with a tiny study and Hubs on loopback, in which a page's commands are run.

`owner/name` is published on the Hub that HF_ENDPOINT names, `manifests/x.yaml` describes it, and
the words that pages use for a reader's own things (`./folder`, `DIR`, `FILE`) are things.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from adoption_standin import BASE_MODEL, D_IN, N_LAYERS
from doc_commands import ROOT, DocStep
from huggingface_hub import HfApi
from safetensors.numpy import save_file

from manifests.completions import Completion, completions_jsonl
from manifests.digests import bytes_sha256
from release.embedded_hub import EmbeddedHub

WORDS = ["no", "yes", "the", "cup", "was", "broken", "by", "me", "you", "saw", "it", "never"]
DEMO = ("demo-smollm2-135m-instruct", "demo/deception-saes-smollm2-135m-instruct")
STUDY = ("tinyllama-1-1b", "Solshine/deception-saes-tinyllama-1-1b")
TIMEOUT_S = 3000

# Commands that ask are answered with yes.
_ASKS = ("push", "rollback", "fetch")
# Commands that run until Ctrl-C is pressed: what each says once it is at work.
_ENDLESS = {"--watch": "build/x/repository", "serve": "stop with Ctrl-C"}
# What a page says ends otherwise than with 0, by page and the beginning of the command.
EXIT_CODES: dict[tuple[str, str], int] = {
    ("docs/tutorial.md", "release validate broken"): 1,
    ("docs/explanation/loading.md", "release validate saes"): 1,
    ("docs/adopting.md", "release import"): 1,
    ("docs/cards.md", "release render manifests/x.yaml --watch"): 130,
    # SAEs of word salad, judged on prose.
    ("README.md", "release validate ./folder"): 1,
}


@dataclass(frozen=True)
class Sandbox:
    """The folder, and the Hub that stands for the real one while it runs.

    Attributes:
        published: `manifests/x.yaml` is what owner/name was released from.
        own_manifests: the manifests are the test's own, and left alone.
    """

    root: Path
    hub: EmbeddedHub
    published: bool
    own_manifests: bool = False

    def api(self) -> HfApi:
        """A client of the Hub."""
        return HfApi(endpoint=self.hub.endpoint, token=self.hub.token)


def run_page(
    sandbox: Sandbox,
    chosen: Sequence[DocStep],
    *,
    before: Sequence[dict[str, Any]] = (),
    between: dict[str, str] | None = None,
) -> list[str]:
    """Run steps of one page in order; what ended otherwise than the page says, with its output.

    Each page begins with the manifests as they were.

    Args:
        before: steps that bring about what the page takes for granted.
        between: what a reader does by hand after a command that begins so, as Python.
    """
    if not sandbox.own_manifests:
        write_manifests(sandbox.root, published=sandbox.published)
    steps: list[dict[str, Any]] = [*before]
    at: dict[int, DocStep] = {}
    for step in chosen:
        at[len(steps)] = step
        steps.append(_step(step))
        steps += [
            {"kind": "python", "code": code, "where": f"after {step.where}"}
            for begins, code in (between or {}).items()
            if step.text.startswith(begins)
        ]
    files = sandbox.root / "steps.json", sandbox.root / "results.json"
    files[0].write_text(json.dumps(steps), encoding="utf-8")
    files[1].unlink(missing_ok=True)
    environment = {
        **os.environ,
        "HF_ENDPOINT": sandbox.hub.endpoint,
        "HF_TOKEN": sandbox.hub.token,
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
        "HF_HOME": str(sandbox.root / "hf"),
        "PYTHONPATH": str(ROOT),
        "PYTHONUTF8": "1",
        "COLUMNS": "200",
    }
    worker = Path(__file__).with_name("page_worker.py")
    subprocess.run(
        [sys.executable, str(worker), *map(str, files)],
        cwd=sandbox.root,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        timeout=TIMEOUT_S,
    )
    results = json.loads(files[1].read_text(encoding="utf-8"))
    assert len(results) == len(steps)
    wrong = []
    for number, result in enumerate(results):
        step = at.get(number)
        name = f"{step.where}: {step.text.strip()}" if step else f"around it: {steps[number]}"
        code = expected(step) if step else 0
        if result["code"] != code:
            said = f"{result['out'][-3000:]}\n{result['err'][-3000:]}"
            wrong.append(f"{name} ended with {result['code']}, not {code}\n{said}")
    return wrong


def expected(step: DocStep) -> int:
    """The exit code that the page lets its reader expect."""
    for (page, begins), code in EXIT_CODES.items():
        if step.page == page and step.text.startswith(begins):
            return code
    return 0


def _step(step: DocStep) -> dict[str, Any]:
    if step.kind == "python":
        return {"kind": "python", "code": step.text, "where": step.where}
    words = step.words
    endless = next((word for word in words if word in _ENDLESS), "")
    if words[0] == "release" and endless:
        return {"kind": "interrupted", "words": words[1:], "until": _ENDLESS[endless]}
    if words[0] == "release":
        answer = ["--yes"] if words[1] in _ASKS and "--yes" not in words else []
        # A reader who imports a manifest has none of that name.
        gone = words[words.index("--out") + 1] if words[1] == "import" else ""
        return {"kind": "release", "words": [*words[1:], *answer], "without": gone}
    if words[:3] == ["python", "make.py", "demo"]:
        run = ["run", f"manifests/{DEMO[0]}.yaml", "--hub", "embedded"]
        return {"kind": "release", "words": run}
    if words[0] == "hf":
        words = [shutil.which("hf", path=Path(sys.executable).parent) or "hf", *words[1:]]
    if words[0] == "python" and words[1].endswith(".py"):
        words = [sys.executable, str(ROOT / words[1]), *words[2:]]
    return {"kind": "shell", "words": words}


@contextmanager
def light_sandbox(root: Path) -> Iterator[Sandbox]:
    """Manifests without builds, and `owner/name` with one SAE that nobody trained."""
    write_sae(root / "folder" / "smollm2_topk_L9_mixed")
    with EmbeddedHub(root / "the-hub") as hub:
        sandbox = Sandbox(root, hub, published=False)
        api = sandbox.api()
        api.create_repo("owner/name")
        api.upload_folder(repo_id="owner/name", folder_path=root / "folder")
        yield sandbox


@contextmanager
def full_sandbox(root: Path, base_model: Path) -> Iterator[Sandbox]:
    """Manifests, and their base model on the Hub; releases are made by the pages themselves."""
    write_manifests(root, published=True)
    shutil.copytree(base_model, root / "DIR")
    shutil.copyfile(root / "manifests" / "data" / "completions.jsonl", root / "FILE")
    with EmbeddedHub(root / "the-hub") as hub:
        sandbox = Sandbox(root, hub, published=True)
        api = sandbox.api()
        api.create_repo(BASE_MODEL)
        api.upload_folder(repo_id=BASE_MODEL, folder_path=base_model)
        yield sandbox


def write_manifests(root: Path, *, published: bool) -> None:
    """`x.yaml`, one of the demonstration's name and one of the study's, each of one SAE."""
    folder = root / "manifests"
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for left_by_a_page in folder.glob("*.yaml"):
        left_by_a_page.unlink()
    data = completions_jsonl(_completions())
    (folder / "data" / "completions.jsonl").write_bytes(data)
    for name, repo_id in (("x", "owner/name" if published else "owner/x"), DEMO, STUDY):
        manifest = _manifest(repo_id, bytes_sha256(data))
        if repo_id == DEMO[1]:
            manifest["data"]["sampling"] = _sampling()
        text = yaml.safe_dump(manifest, sort_keys=False)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8", newline="\n")


def write_sae(folder: Path) -> None:
    """A TopK SAE in SAELens' format: an orthonormal basis in both directions."""
    random = np.random.default_rng(0)
    basis, _ = np.linalg.qr(random.normal(size=(D_IN, D_IN)))
    both = np.ascontiguousarray(np.concatenate([basis, -basis], axis=1), dtype=np.float32)
    tensors = {
        "W_enc": both,
        "W_dec": np.ascontiguousarray(both.T),
        "b_enc": np.full(2 * D_IN, 0.01, dtype=np.float32),
        "b_dec": np.full(D_IN, 0.01, dtype=np.float32),
    }
    config = {
        "architecture": "topk",
        "d_in": D_IN,
        "d_sae": 2 * D_IN,
        "k": 4,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "rescale_acts_by_decoder_norm": False,
        "metadata": {
            "sae_lens_version": "6.54.12",
            "model_name": BASE_MODEL,
            "hook_name": "blocks.9.hook_resid_post",
            "hf_hook_name": "model.layers.9",
            "prepend_bos": False,
        },
    }
    folder.mkdir(parents=True)
    save_file(tensors, folder / "sae_weights.safetensors")
    (folder / "cfg.json").write_text(json.dumps(config), encoding="utf-8", newline="\n")


def _completions() -> tuple[Completion, ...]:
    """120 completions of 1 to 7 words, of four scenarios."""
    return tuple(
        Completion(
            id=f"row-{number:03}",
            scenario=f"scenario-{number % 4}",
            prompt="you saw the cup",
            opening="it was",
            completion=" "
            + " ".join(
                WORDS[(number * 7 + place * 5) % len(WORDS)] for place in range(1 + number % 7)
            ),
            label="deceptive" if number % 4 < 2 else "honest",
            seed=0,
            temperature=1.0,
            top_k=None,
            top_p=None,
            max_new_tokens=8,
            model_digest="0" * 64,
        )
        for number in range(120)
    )


def _sampling() -> dict[str, Any]:
    """One scenario, labelled by the first character: the random model writes any byte."""
    return {
        "per_scenario": 100,
        "max_new_tokens": 6,
        "opening_characters": 1,
        "min_per_label": 5,
        "scenarios": [
            {
                "id": "cup",
                "prompt": "you saw the cup",
                "opening": "it was",
                "deceptive": [r"^\W"],
                "honest": [r"^\w"],
            }
        ],
    }


def _manifest(repo_id: str, sha256: str) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "repo_id": repo_id,
        "title": "Tiny SAEs",
        "summary": "SAEs of a random model.",
        "license": "apache-2.0",
        "base_model": {
            "id": BASE_MODEL,
            "model_type": "llama",
            "n_layers": N_LAYERS,
            "d_model": D_IN,
        },
        "saes": {
            "id": "smollm2_{architecture}{variant}_L{layer}_{condition}",
            "layers": [9],
            "architectures": ["topk"],
            "conditions": ["mixed"],
            "expansion": 2,
        },
        "recipe": {
            "epochs": 60,
            "batch_size": 8,
            "learning_rate": 0.01,
            "seed": 5,
            "topk": {"k": 4, "auxiliary_k": 2},
        },
        "data": {
            "file": "data/completions.jsonl",
            "sha256": sha256,
            "description": "Word salad.",
            "label_rule": "By number.",
            "label_precision": "Not read.",
            "pooling": "completion_mean",
            "held_out": {"fraction": 0.25, "seed": 0},
            "conditions": {"mixed": {"labels": ["deceptive", "honest"]}},
        },
        "hardware": {"target": {"device": "cpu", "flavor": "cpu-basic"}},
        "portability": {"precisions": ["fp32", "fp16"]},
    }
