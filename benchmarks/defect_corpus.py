"""Damage a release in every way we know, check each copy, and print what was noticed.

    python -m benchmarks.defect_corpus FOLDER [--manifest M] [--base-model P] [--tier TIER]

The release itself is not changed: copies are made of hard links beside it, and every damaged file
is a new one. `training.json` is left out of the copies, since its digests give every change away
without anyone having looked at the content; `--with-records` leaves it in.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "corpus")]


def main() -> None:
    """Run the corpus and print tables."""
    arguments = _arguments()
    import torch
    from corpus_run import DefectCorpus, Result, counted, line, table
    from injections import ALL

    from manifests.load import load_manifest
    from validators.claim import local_claim
    from validators.options import ValidateOptions

    torch.set_num_threads(arguments.threads)
    claim = local_claim(load_manifest(arguments.manifest)) if arguments.manifest else None
    options = ValidateOptions(base_model=arguments.base_model, text=arguments.text)
    wanted = [text.lower() for text in arguments.only] or [""]
    chosen = [one for one in ALL if any(text in one.label.lower() for text in wanted)]
    started = time.monotonic()

    def tell(result: Result) -> None:
        if arguments.verbose or result.verdict in ("missed", "other code"):
            seconds = time.monotonic() - started
            print(f"{seconds:6.0f} s  {result.verdict}: {line(result)}", file=sys.stderr)

    with DefectCorpus(
        arguments.release,
        claim=claim,
        tier=arguments.tier,
        options=options,
        records=arguments.with_records,
        every=arguments.every,
        progress=tell,
    ) as corpus:
        results = corpus.run(chosen, per_injection=arguments.per_injection)
    held = f"manifest {arguments.manifest.name}" if arguments.manifest else "no manifest"
    print(f"{arguments.release.name}, {len(corpus.targets)} SAEs, tier {arguments.tier}, {held}")
    print(table(results))
    seconds = time.monotonic() - started
    n = counted(results)
    n_defects = n["caught"] + n["other code"] + n["missed"]
    print(
        f"\n{n['caught']} of {n_defects} defects caught with the right code at the right place, "
        f"{n['other code']} by another, {n['missed']} missed; {len(chosen)} ways to damage, "
        f"{seconds:.0f} s."
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(_as_json(results), indent=1), encoding="utf-8")
    by_code = Counter(code for result in results for code in result.codes)
    print("codes seen: " + ", ".join(f"{code} {n}" for code, n in sorted(by_code.items())))


def _as_json(results: list[Any]) -> list[dict[str, Any]]:
    return [
        {
            "row": result.injection.row,
            "name": result.injection.name,
            "strength": result.injection.strength,
            "sae": result.sae_id,
            "verdict": result.verdict,
            "codes": result.codes,
            "effect": str(result.effect) if result.effect else None,
        }
        for result in results
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("release", type=Path, help="a folder of good SAEs")
    parser.add_argument("--manifest", type=Path, help="its manifest; none: judged without one")
    parser.add_argument("--base-model", help="a folder or Hub id, for the activations tier")
    parser.add_argument("--text", type=Path, help="a text to read activations on")
    parser.add_argument("--tier", choices=("static", "load", "activations"), default="load")
    parser.add_argument("--per-injection", type=int, default=2, help="SAEs to damage each way")
    parser.add_argument(
        "--only",
        nargs="*",
        default=(),
        help="only injections whose class or name holds one of these",
    )
    parser.add_argument(
        "--every", type=int, default=1, help="read one in so many of the manifest's completions"
    )
    parser.add_argument("--with-records", action="store_true", help="keep training.json's digests")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write every result there")
    parser.add_argument("--verbose", action="store_true", help="tell of every injection")
    return parser.parse_args()


if __name__ == "__main__":
    main()
