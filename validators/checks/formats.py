"""F010 on: SAEs of other projects, left-overs of editors, and what pickles hold."""

from __future__ import annotations

import re

from validators.check import Passed, Problem, Skipped, Verdict, repository_check
from validators.foreign.beside_saelens import saelens_folders
from validators.foreign.formats import FORMATS
from validators.foreign.listing import is_pickle
from validators.foreign.recognise import ForeignSae, recognise
from validators.reading.pickled_weights import MAX_PICKLE_BYTES, PickleRefused, holdings_of
from validators.subjects import RepositorySubject

_LEFT_OVER = re.compile(
    r"(?:^|/)(?:\.DS_Store|Thumbs\.db|desktop\.ini|\._[^/]*|#[^/]*#|\.#[^/]*|__pycache__|"
    r"\.ipynb_checkpoints|\.pytest_cache|\.mypy_cache|\.ruff_cache|\.idea|\.vscode)(?:/|$)"
    r"|~$|\.(?:swp|swo|swn|pyc|pyo|orig|rej|bak|tmp|part|incomplete)$"
)


@repository_check("F010", "the SAEs are in SAELens' format", tier="static")
def saes_are_in_saelens_format(subject: RepositorySubject) -> Verdict:
    """Every project keeps SAEs in its own way, and what reads one misreads another.

    Recognised by file names, configs and safetensors headers: sparsify, dictionary_learning,
    SAEBench, Gemma Scope 1 and 2, Llama Scope, Llama Scope R1, Qwen Scope, Goodfire, OpenMOSS,
    pickled state dicts, and pickles of SAELens before 3.0. Some store a matrix the other way
    round, a threshold as its logarithm, or weights for inputs of another scale, so renaming files
    is not enough.

    Example: `layers.12/cfg.json` beside `sae.safetensors` is an SAE of sparsify; SAELens takes
    the config for one of its own, and ends in an error for a key that is not there.

    To mend it: `release validate TARGET --fix` writes a copy in SAELens' format for those formats
    that it can convert; for the others, convert them with the project that made them.
    """
    foreign = recognise(subject.repository)
    if not foreign:
        return Passed()
    own = saelens_folders(subject.repository, subject.sae_folders)
    named = subject.claim.saes if subject.claim else {}
    by_format: dict[str, list[ForeignSae]] = {}
    for sae in foreign:
        by_format.setdefault(sae.format, []).append(sae)
    is_besides = bool(own) and not any(sae.folder in named for sae in foreign)
    return Problem(
        "; ".join(_described(format_id, saes) for format_id, saes in by_format.items()),
        f"SAEs in SAELens' format; {'; '.join(FORMATS[f].in_saelens for f in by_format)}",
        _next_step(tuple(by_format)),
        severity="warn" if is_besides else None,
    )


@repository_check("F011", "no left-over of an editor or a run is there", tier="static",
                  severity="warn")  # fmt: skip
def no_left_over(subject: RepositorySubject) -> Verdict:
    """Swap files and caches hold text that nobody meant to publish, and confuse who lists files.

    Example: `layers.30/.cfg.json.swp`, published with the SAEs of a large model.

    To mend it: delete them, and name them in `.gitignore`.
    """
    found = [path for path in subject.repository.files if _LEFT_OVER.search(path)]
    if not found:
        return Passed()
    rest = f" and {len(found) - 5} more" if len(found) > 5 else ""
    return Problem(
        f"left over: {', '.join(found[:5])}{rest}",
        "only files that belong to the release",
        "delete these files",
    )


@repository_check("F110", "pickles hold tensors and nothing else", tier="load")
def pickles_hold_tensors(subject: RepositorySubject) -> Verdict:
    """A pickle is a program: what it does when it is opened is up to whoever wrote it.

    Opened with `torch.load(weights_only=True)` and in no other way. That reads tensors and plain
    containers, and refuses all else before anything of it runs; what was refused is named here.
    Pickles of more than 2 GB in all are neither downloaded nor opened.

    Example: `ae.pt` was saved as a whole module, and wants to import a class from the project
    that trained it.

    To mend it: save the tensors with `safetensors.torch.save_file`; never open such a file of a
    stranger with `weights_only=False`.
    """
    pickles = [path for path in subject.repository.files if is_pickle(path)]
    held: list[str] = []
    refused: list[str] = []
    unopened: list[str] = []
    left = MAX_PICKLE_BYTES
    for path in pickles:
        size = subject.repository.files[path]
        if size > left:
            unopened.append(f"{path} ({size / 1e9:.1f} GB)")
            continue
        left -= size
        try:
            held.append(f"{path} holds {holdings_of(subject.repository.fetch(path), where=path)}")
        except PickleRefused as error:
            refused.append(f"{path} {error.what}")
    if refused:
        return Problem(
            "; ".join(refused),
            "tensors, which torch.load(weights_only=True) reads without running anything",
            "do not open it otherwise; have its author save the tensors as safetensors",
        )
    if unopened:
        return Skipped(
            f"not opened, since they are too large: {', '.join(unopened)}",
            "write the weights as safetensors",
            required=False,
        )
    return Passed("; ".join(held) + " (torch.load, weights_only=True)" if held else "no pickles")


def _described(format_id: str, saes: list[ForeignSae]) -> str:
    first = saes[0]
    rest = f" and {len(saes) - 1} more" if len(saes) > 1 else ""
    what = "SAEs" if len(saes) > 1 else "SAE"
    return (
        f"{len(saes)} {what} of {FORMATS[format_id].title}: {first.files[0]} ({first.detail}){rest}"
    )


def _next_step(formats: tuple[str, ...]) -> str:
    converted = [FORMATS[f].title for f in formats if FORMATS[f].is_converted]
    others = [FORMATS[f].title for f in formats if not FORMATS[f].is_converted]
    steps = []
    if converted:
        steps.append(f"`release validate TARGET --fix` converts {', '.join(converted)}")
    if others:
        steps.append(f"recognised, not converted: {', '.join(others)}; save them with SAELens")
    return "; ".join(steps)
