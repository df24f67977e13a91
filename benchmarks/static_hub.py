"""Validate 54 SAEs on a Hub at the static tier, and count what is asked for.

    python -m benchmarks.static_hub [--saes 54] [--d-in 576] [--latency-ms 0 80]

Random SAEs are served by the embedded Hub, once as fast as it can and once with a latency on each
request. `together` reads ahead as `release validate` does; `one by one` reads the same files of the
same commit without that. Both are whole validations of the static tier, in one run of the program;
requests and bytes are the server's own count.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from manifests.progress import Silent
from release.embedded_hub import EmbeddedHub
from release.served_copy import served_copy
from validators.reading.hub_repository import HubRepository
from validators.reading.local_repository import LocalRepository
from validators.stage import validate

_REPO_ID = "benchmark/saes"


@dataclass(frozen=True)
class Measured:
    """What one validation cost; weight bytes are what came along behind the headers."""

    n_requests: int
    n_bytes: int
    n_weight_bytes: int
    seconds: float
    n_failed: int


def main() -> None:
    """Print a table."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory(prefix="static-hub-") as name:
        folder = Path(name) / "repository"
        data_bytes = write_saes(folder, n_saes=arguments.saes, d_in=arguments.d_in)
        repository = LocalRepository(folder)
        print(
            f"{arguments.saes} SAEs of d_in {arguments.d_in}, {data_bytes / 1e6:.0f} MB of weights"
        )
        print(f"{'':34}{'requests':>9}{'bytes':>11}{'bytes/SAE':>11}{'weights':>9}{'seconds':>9}")
        with (
            captured_hub() as hubs,
            served_copy(repository, repo_id=_REPO_ID, paths=repository.files),
        ):
            hub = hubs[0]
            # The first validation of a process imports the client and the checks.
            measure(hub, together=True)
            for latency_ms in arguments.latency_ms:
                hub.clear_faults()
                if latency_ms:
                    hub.inject("slow", seconds=latency_ms / 1000, times=10**9)
                together, apart = measure(hub, together=True), measure(hub, together=False)
                show(f"{latency_ms} ms a request, one by one", apart, arguments.saes)
                show(f"{latency_ms} ms a request, together", together, arguments.saes)
                print(f"  ratio {apart.seconds / together.seconds:.1f}")


def write_saes(folder: Path, *, n_saes: int, d_in: int) -> int:
    """TopK SAEs with an expansion of 4 in SAELens' format; returns the bytes of tensor data."""
    import torch
    from safetensors.torch import save_file

    d_sae = 4 * d_in
    for number in range(n_saes):
        torch.manual_seed(number)
        tensors = {
            "W_enc": torch.randn(d_in, d_sae),
            "W_dec": torch.randn(d_sae, d_in),
            "b_enc": torch.zeros(d_sae),
            "b_dec": torch.zeros(d_in),
        }
        config = {
            "architecture": "topk", "k": 32, "d_in": d_in, "d_sae": d_sae, "dtype": "float32",
            "device": "cpu", "apply_b_dec_to_input": True, "normalize_activations": "none",
            "reshape_activations": "none", "rescale_acts_by_decoder_norm": False,
            "metadata": {
                "sae_lens_version": "6.54.12", "model_name": "benchmark/model",
                "hook_name": f"blocks.{number}.hook_resid_post",
                "hf_hook_name": f"model.layers.{number}",
            },
        }  # fmt: skip
        sae = folder / f"topk_L{number}"
        sae.mkdir(parents=True)
        save_file(tensors, sae / "sae_weights.safetensors")
        (sae / "cfg.json").write_text(json.dumps(config, indent=2), encoding="utf-8", newline="\n")
    return n_saes * 4 * (2 * d_in * d_sae + d_in + d_sae)


@contextmanager
def captured_hub() -> Iterator[list[EmbeddedHub]]:
    """The hubs that are started inside the block, to look into their request logs."""
    started: list[EmbeddedHub] = []
    start = EmbeddedHub.start

    def noted(self: EmbeddedHub) -> None:
        start(self)
        started.append(self)

    with mock.patch.object(EmbeddedHub, "start", noted):
        yield started


def measure(hub: EmbeddedHub, *, together: bool) -> Measured:
    """One validation of the static tier, from resolving the revision to the report."""
    n_before = len(hub.requests())
    started = time.perf_counter()
    with mock.patch.object(
        HubRepository, "prefetch", HubRepository.prefetch if together else _read_nothing_ahead
    ):
        repository = HubRepository(_REPO_ID, endpoint=hub.endpoint, token=False)
        report = validate(repository, manifest=None, tier="static", progress=Silent())
    seconds = time.perf_counter() - started
    requests = hub.requests()[n_before:]
    n_headers = sum(
        8 + int.from_bytes(repository.read_range(path, 0, 8), "little")
        for path in repository.files
        if path.endswith(".safetensors")
    )
    from_storage = sum(each.bytes_out for each in requests if each.origin == "storage")
    assert report.checks is not None
    return Measured(
        n_requests=len(requests),
        n_bytes=sum(each.bytes_out for each in requests),
        n_weight_bytes=max(0, from_storage - n_headers),
        seconds=seconds,
        n_failed=report.checks.count("failed") + report.checks.count("crashed"),
    )


def _read_nothing_ahead(self: HubRepository, paths: Iterable[str]) -> None:
    del self, paths


def show(name: str, measured: Measured, n_saes: int) -> None:
    """One line of the table."""
    print(
        f"{name:34}{measured.n_requests:9}{measured.n_bytes:11,}{measured.n_bytes // n_saes:11,}"
        f"{measured.n_weight_bytes:9,}{measured.seconds:9.2f}"
        + (f"  {measured.n_failed} checks failed" if measured.n_failed else "")
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--saes", type=int, default=54)
    parser.add_argument("--d-in", type=int, default=576)
    parser.add_argument("--latency-ms", type=int, nargs="+", default=[0, 80])
    return parser.parse_args()


if __name__ == "__main__":
    main()
