"""The activations tier over many SAEs, against the script that a user would write with SAELens.

    python benchmarks/validate.py [--saes 54] [--vectors 10240] [--threads 1]

Each runs in a process of its own, on the same texts, and they have to agree on explained variance,
L0, mean squared error and dead latents. The script loads the base model once; for each SAE it runs
the texts through the model, loads the SAE with SAELens, encodes, decodes and sums up. Ours is run
twice: only what measures those numbers (beside them it compares SAELens with its own arithmetic and
fits principal components), and `release validate` with every check of every tier. The SAEs are of
the demonstration's shape, 9 layers x 2 conditions x 3 architectures; they are made from the
principal directions of each layer's own activations, since only speed is in question here.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
DEMO = ROOT / "manifests" / "demo-smollm2-135m-instruct.yaml"
LAYERS = (2, 5, 8, 11, 14, 17, 20, 23, 26)
CONDITIONS = ("mixed", "deceptive_only")
ARCHITECTURES = ("topk", "jumprelu", "gated")
EXPANSION, K = 4, 64
METRICS = ("explained_variance", "l0", "mse", "dead_fraction")
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# float32 sums in another order.
TOLERANCE = 1e-4


def main() -> None:
    """Make the SAEs, run both, compare, and print the table."""
    arguments = _arguments()
    if arguments.role:
        _ROLES[arguments.role](arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        _child("prepare", arguments, work)
        results = {role: _child(role, arguments, work) for role in ("numbers", "tier", "script")}
    print(table(results["numbers"], results["tier"], results["script"], arguments))


def table(
    numbers: dict[str, Any],
    tier: dict[str, Any],
    script: dict[str, Any],
    arguments: argparse.Namespace,
) -> str:
    """Seconds, memory, and how far the numbers are apart.

    Raises:
        SystemExit: they are further apart than rounding.
    """
    worst = dict.fromkeys(METRICS, 0.0)
    for ours in (numbers, tier):
        for sae_id, theirs in script["metrics"].items():
            for metric in METRICS:
                difference = abs(theirs[metric] - ours["metrics"][sae_id][metric])
                worst[metric] = max(worst[metric], difference / max(1.0, abs(theirs[metric])))
    n = len(script["metrics"])
    lines = [
        f"{n} SAEs (d_in {tier['d_in']}, d_sae {tier['d_sae']}), {script['n_vectors']} vectors "
        f"each, {arguments.threads} thread(s), CPU",
        "",
        f"{'':42} {'seconds':>9} {'per SAE':>9} {'peak memory':>12}",
        _row("script with SAELens: forward, encode, decode", script, n),
        _row("ours, the same numbers", numbers, n),
        _row("ours, every check of every tier", tier, n),
        "",
        f"The same numbers: {script['seconds'] / numbers['seconds']:.1f} times as fast, of which "
        f"{numbers['capture_seconds']:.0f} s to read activations, once for all SAEs.",
        f"Every check: {script['seconds'] / tier['seconds']:.1f} times as fast. Most time went to "
        + ", ".join(f"{code} {seconds:.0f} s" for code, seconds in tier["slowest"]),
        "Largest difference of a metric: "
        + ", ".join(f"{metric} {value:.1e}" for metric, value in worst.items())
        + f" (relative where above 1; tolerance {TOLERANCE:g}).",
        f"Outcomes: {tier['outcomes']}",
    ]
    if max(worst.values()) > TOLERANCE:
        raise SystemExit("\n".join([*lines, "FAILED: the two measure different things."]))
    return "\n".join(lines)


def _row(name: str, result: dict[str, Any], n: int) -> str:
    return (
        f"{name:45} {result['seconds']:6.1f} {result['seconds'] / n:9.2f} "
        f"{result['peak_bytes'] / 1e6:9.0f} MB"
    )


@dataclass(frozen=True)
class Place:
    """Where an SAE of the benchmark belongs, and what it is."""

    layer: int
    condition: str
    architecture: str

    @property
    def sae_id(self) -> str:
        """The folder's name."""
        return f"smollm2_{self.architecture}_L{self.layer}_{self.condition}"


def places(n: int) -> list[Place]:
    """The first n, so that few SAEs are still at several layers and of all architectures."""
    every = [
        Place(layer, condition, architecture)
        for condition in CONDITIONS
        for layer in LAYERS
        for architecture in ARCHITECTURES
    ]
    return every[:n]


def prepare(arguments: argparse.Namespace) -> None:
    """Write the checkpoint, the SAEs and the token ids that both runs read."""
    import torch

    from manifests.load import load_manifest
    from manifests.progress import Silent
    from validators.base_models.base_model import load_base_model
    from validators.options import ValidateOptions
    from validators.places.place import Place as ModelPlace
    from validators.reading.local_repository import LocalRepository
    from validators.subjects import RepositorySubject

    torch.set_num_threads(arguments.threads)
    work: Path = arguments.work
    spec = load_manifest(DEMO).manifest.base_model
    base = load_base_model(spec, override=arguments.base_model)
    base.model.save_pretrained(work / "model")
    base.tokenizer.save_pretrained(work / "model")
    wanted = places(arguments.saes)
    for place in wanted:
        _write_config(work, place, base.model.config.hidden_size)
    _limit_text(arguments.vectors)
    subject = RepositorySubject(
        LocalRepository(work / "saes"),
        None,
        options=ValidateOptions(base_model=str(work / "model")),
        progress=Silent(),
    )
    evidence: Any = subject.evidence
    for sae, place in zip(subject.saes, sorted(wanted, key=lambda p: p.sae_id), strict=True):
        assert evidence.place_of(sae) == ModelPlace(f"model.layers.{place.layer}")
        _write_weights(work, place, torch.from_numpy(evidence.sample(sae, train=True).vectors))
    contexts = [list(c.input_ids) for c in evidence._contexts if not evidence._is_for_fitting(c)]
    (work / "contexts.json").write_text(json.dumps(contexts), encoding="utf-8")


def _write_config(work: Path, place: Place, d_in: int) -> None:
    cfg: dict[str, Any] = {
        "architecture": place.architecture,
        "d_in": d_in,
        "d_sae": d_in * EXPANSION,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {
            "sae_lens_version": "6.54.12",
            "model_name": "HuggingFaceTB/SmolLM2-135M-Instruct",
            "hook_name": f"blocks.{place.layer}.hook_resid_post",
            "hf_hook_name": f"model.layers.{place.layer}",
            "prepend_bos": True,
        },
    }
    if place.architecture == "topk":
        cfg |= {"k": K, "rescale_acts_by_decoder_norm": False}
    folder = work / "saes" / place.sae_id
    folder.mkdir(parents=True)
    (folder / "cfg.json").write_text(json.dumps(cfg), encoding="utf-8", newline="\n")


def _write_weights(work: Path, place: Place, x: Any) -> None:
    """Latents along +v and -v of each principal direction v, and as many that hardly ever fire."""
    import torch
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(CONDITIONS.index(place.condition))
    d_in = x.shape[1]
    mean = x.mean(dim=0)
    directions = torch.linalg.svd(x - mean, full_matrices=False).Vh
    idle = torch.randn(EXPANSION * d_in - 2 * len(directions), d_in, generator=generator)
    decoder = torch.cat([directions, -directions, torch.nn.functional.normalize(idle, dim=1)])
    n_used = 2 * len(directions)
    pre = (x - mean) @ decoder.T
    # About one in twenty of the used latents is active for a vector.
    threshold = pre.quantile(0.95, dim=0).clamp(min=1e-3)
    threshold[n_used:] = pre[:, n_used:].amax(dim=0) * 0.9 + 1e-3
    zeros = torch.zeros(len(decoder))
    tensors = {"W_enc": decoder.T.contiguous(), "W_dec": decoder, "b_dec": mean}
    if place.architecture == "gated":
        tensors |= {"b_gate": -threshold, "b_mag": zeros, "r_mag": zeros.clone()}
    else:
        tensors["b_enc"] = zeros
    if place.architecture == "jumprelu":
        tensors["threshold"] = threshold
    save_file(tensors, work / "saes" / place.sae_id / "sae_weights.safetensors")


def run_numbers(arguments: argparse.Namespace) -> None:
    """What the tier measures on activations for all SAEs, without its other checks."""
    import torch

    from manifests.progress import Silent
    from validators.options import ValidateOptions
    from validators.reading.local_repository import LocalRepository
    from validators.subjects import RepositorySubject

    torch.set_num_threads(arguments.threads)
    _limit_text(arguments.vectors)
    work: Path = arguments.work
    started = time.perf_counter()
    subject = RepositorySubject(
        LocalRepository(work / "saes"),
        None,
        options=ValidateOptions(base_model=str(work / "model")),
        progress=Silent(),
    )
    assert subject.evidence.captured.n_passes
    in_capture = time.perf_counter() - started
    metrics = {}
    for sae in subject.saes:
        measured = sae.evaluation.measurements
        metrics[sae.sae_id] = {metric: measured[metric].value for metric in METRICS}
        sae.release_memory()
    seconds = time.perf_counter() - started
    _write_result(arguments, seconds=seconds, capture_seconds=in_capture, metrics=metrics)


def run_tier(arguments: argparse.Namespace) -> None:
    """Validate the folder, all tiers, without a manifest."""
    import torch

    from manifests.progress import Silent
    from validators import stage
    from validators.options import ValidateOptions
    from validators.reading.local_repository import LocalRepository
    from validators.registry import checks_up_to

    torch.set_num_threads(arguments.threads)
    _limit_text(arguments.vectors)
    seconds_by_code: dict[str, float] = {}

    def timed(check: Any) -> Any:
        def ask(subject: Any) -> Any:
            before = time.perf_counter()
            try:
                return check.ask(subject)
            finally:
                spent = time.perf_counter() - before
                seconds_by_code[check.code] = seconds_by_code.get(check.code, 0.0) + spent

        return replace(check, ask=ask)

    every = tuple(timed(check) for check in checks_up_to("activations"))
    setattr(stage, "checks_up_to", lambda _: every)  # noqa: B010 - the stage's own name for it
    work: Path = arguments.work
    started = time.perf_counter()
    report = stage.validate(
        LocalRepository(work / "saes"),
        manifest=None,
        tier="activations",
        options=ValidateOptions(base_model=str(work / "model")),
        progress=Silent(),
    )
    seconds = time.perf_counter() - started
    assert report.checks is not None
    assert report.measurements is not None
    bad = sorted({o.code for o in report.checks.outcomes if o.outcome in ("failed", "crashed")})
    cfg = json.loads(next((work / "saes").glob("*/cfg.json")).read_text(encoding="utf-8"))
    slowest = sorted(seconds_by_code.items(), key=lambda item: -item[1])[:5]
    _write_result(
        arguments,
        seconds=seconds,
        slowest=slowest,
        d_in=cfg["d_in"],
        d_sae=cfg["d_sae"],
        outcomes=f"{len(report.checks.outcomes)}, of which failed: {', '.join(bad) or 'none'}",
        metrics={
            sae_id: {metric: measured[metric].value for metric in METRICS}
            for sae_id, measured in report.measurements.saes.items()
        },
    )


def run_script(arguments: argparse.Namespace) -> None:
    """What a user writes: for each SAE forward, load, encode, decode, and the numbers."""
    import torch
    from sae_lens import SAE
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(arguments.threads)
    work: Path = arguments.work
    contexts = json.loads((work / "contexts.json").read_text(encoding="utf-8"))
    started = time.perf_counter()
    model = AutoModelForCausalLM.from_pretrained(work / "model", local_files_only=True).eval()
    metrics, n_vectors = {}, 0
    for folder in sorted((work / "saes").iterdir()):
        sae = SAE.load_from_disk(folder)
        layer = int(str(sae.cfg.metadata.hook_name).split(".")[1])
        rows: list[torch.Tensor] = []
        with torch.inference_mode():
            for ids in contexts:
                output = model(torch.tensor([ids]), output_hidden_states=True)
                rows.append(output.hidden_states[layer + 1][0])
            x = torch.cat(rows)
            norms = x.norm(dim=1)
            # As ours: the first position of a context can be a hundred times as long.
            x = x[norms <= 10 * norms.median()]
            n_vectors, error, active, fired = len(x), 0.0, 0, torch.zeros(sae.cfg.d_sae)
            for batch in x.split(512):
                latents = sae.encode(batch)
                x_hat = sae.decode(latents)
                error += float((batch - x_hat).double().square().sum())
                active += int((latents != 0).sum())
                fired += (latents != 0).sum(dim=0)
            variance = float((x.double() - x.double().mean(dim=0)).square().sum())
        metrics[folder.name] = {
            "explained_variance": 1 - error / variance,
            "l0": active / len(x),
            "mse": error / x.numel(),
            "dead_fraction": float((fired == 0).double().mean()),
        }
    _write_result(
        arguments, seconds=time.perf_counter() - started, metrics=metrics, n_vectors=n_vectors
    )


def _limit_text(vectors: int) -> None:
    """Read about so many positions, a fifth of which are kept for baselines."""
    from validators.evidence import text as evidence_text

    evidence_text.MAX_POSITIONS = vectors


def _write_result(arguments: argparse.Namespace, **result: Any) -> None:
    result["peak_bytes"] = peak_bytes()
    path: Path = arguments.work / f"{arguments.role}.json"
    path.write_text(json.dumps(result), encoding="utf-8")


def peak_bytes() -> int:
    """The most memory that this process has held."""
    if sys.platform == "win32":
        return _peak_bytes_of_windows()
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Kilobytes on Linux, bytes on macOS.
    return peak if sys.platform == "darwin" else peak * 1024


def _peak_bytes_of_windows() -> int:
    import ctypes
    from ctypes import wintypes

    class Counters(ctypes.Structure):
        _fields_ = (
            ("cb", wintypes.DWORD),
            ("PageFaultCount", wintypes.DWORD),
            ("PeakWorkingSetSize", ctypes.c_size_t),
            ("rest", ctypes.c_size_t * 7),
        )

    counters = Counters()
    counters.cb = ctypes.sizeof(counters)
    windll: Any = ctypes.windll  # type: ignore[attr-defined,unused-ignore]
    process = windll.kernel32.GetCurrentProcess()
    windll.psapi.GetProcessMemoryInfo(process, ctypes.byref(counters), counters.cb)
    return int(counters.PeakWorkingSetSize)


def _child(role: str, arguments: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Run one role in a process of its own, so that its memory is its own."""
    command = [sys.executable, str(Path(__file__).resolve()), "--role", role, "--work", str(work)]
    command += ["--saes", str(arguments.saes), "--vectors", str(arguments.vectors)]
    command += ["--threads", str(arguments.threads)]
    if arguments.base_model:
        command += ["--base-model", arguments.base_model]
    print(f"{role} ...", file=sys.stderr)
    # numpy's libraries count threads by these, torch by its own setting.
    threads = dict.fromkeys(_THREAD_VARIABLES, str(arguments.threads))
    subprocess.run(command, check=True, env=os.environ | threads)
    result = work / f"{role}.json"
    return json.loads(result.read_text(encoding="utf-8")) if result.exists() else {}


def _arguments() -> argparse.Namespace:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--saes", type=int, default=54, help="how many SAEs, at most 54")
    parser.add_argument("--vectors", type=int, default=10_240, help="positions of text to read")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--base-model", help="a local checkpoint, in place of the demo's package")
    parser.add_argument("--role", choices=tuple(_ROLES), help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


_ROLES = {"prepare": prepare, "numbers": run_numbers, "tier": run_tier, "script": run_script}

if __name__ == "__main__":
    main()
