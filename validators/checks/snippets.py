"""R: the code blocks of README.md, which is what users copy. Read here; run only on request."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from validators.check import Passed, Problem, Skipped, Verdict, repository_check
from validators.reading.repository import UnreadableFile
from validators.readme.card_code import Asked, card_code
from validators.readme.linted import surroundings
from validators.readme.snippet_facts import snippet_faults
from validators.readme.snippet_runs import run_snippets
from validators.readme.snippets import README
from validators.saelens.format import TOPK
from validators.saelens.hub_loading import (
    hub_loads,
    is_of_an_sae,
    loads_of_card,
    own_repo_ids,
    readable_card_code,
    served_repo_id,
)
from validators.subjects import RepositorySubject

_SHOWN = 5
_NOTHING = Skipped("no Python code in README.md", required=False)


@repository_check("R001", "the code in README.md is Python", tier="static")
def snippets_parse(repository: RepositorySubject) -> Verdict:
    """A block that is marked as Python and does not parse helps nobody who copies it.

    On one published card the indentation was lost, so that no block ran. Prompts (`>>>`) and the
    shell lines of notebooks (`!pip install ...`) are allowed.

    Example: `line 52: expected an indented block after 'with' statement on line 51`.

    To mend it: run the block as it stands on the card; mark what is not Python as `text`.
    """
    blocks = card_code(repository).blocks
    if not blocks:
        return _NOTHING
    broken = [block.error for block in blocks if block.tree is None]
    if broken:
        return _problem(broken, "blocks that Python can read", "run the blocks as they stand")
    return Passed(f"{len(blocks)} blocks")


@repository_check("R002", "the code in README.md asks for what is there", tier="static")
def snippets_name_what_exists(repository: RepositorySubject) -> Verdict:
    """The loading example is the first thing that users run, and cards are copied from each other.

    The arguments of `SAE.from_pretrained`, `SAE.load_from_disk`, `hf_hub_download`,
    `snapshot_download` and of what opens an SAE's files are worked out where they are literals,
    names assigned to literals, or f-strings of such; the code is not run. What they name must be in
    this repository. What names another repository is left alone, unless it looks like a slip.
    An assertion or a comment on a loaded SAE's `cfg` must agree with its config, a hook with the
    SAEs' layers, a cache with what it keeps, a hidden state with the SAE that encodes it.

    Example: `line 79: no SAE "topk_L12" (the nearest is "topk_L21")`.

    To mend it: write the id of an SAE that is there.
    """
    code = readable_card_code(repository)
    if not code.blocks:
        return _NOTHING
    known = own_repo_ids(repository)
    own = known or (served_repo_id(repository),)
    problems = []
    for asked in code.asked:
        if asked.kind == "sae" and asked.repo_id in repository.sae_folders:
            what = "is an SAE of this repository, whose id comes first"
            problems.append(f"line {asked.line}: {asked.repo_id!r:.120} {what}")
        elif asked.repo_id is not None and asked.repo_id not in own:
            problems += _slip(asked, known, repository)
        elif asked.kind == "sae":
            problems += _missing_sae(asked, repository)
        elif asked.kind == "file":
            problems += _missing_file(asked, repository)
    faults = snippet_faults(code, surroundings(repository).saes)
    problems += [f"line {line}: {what}" for line, what in faults]
    if problems:
        return _problem(problems, f"what {own[0]} holds", "write what is there into README.md")
    return Passed(f"{len(code.asked)} calls")


@repository_check("R003", "the code in README.md is safe to copy", tier="static", severity="warn")
def snippets_are_safe(repository: RepositorySubject) -> Verdict:
    """Some calls work on the day and hide an error, or run code, later.

    `load_state_dict(strict=False)` leaves a missing threshold at its initial zeros: such an SAE had
    an explained variance of -0.06 in place of 0.52. `torch.load` without `weights_only=True`, and
    pickles, may run code from the file. `sae, cfg, sparsity = SAE.from_pretrained(...)` works only
    through a deprecated fallback since SAELens 6.

    Example: `line 12: torch.load without weights_only=True may run code from the file`.

    To mend it: copy the loading example of a rendered card (`release render`).
    """
    code = readable_card_code(repository)
    if not code.blocks:
        return _NOTHING
    if code.risks:
        found = [f"line {risk.line}: {risk.what}" for risk in code.risks]
        instead = "; ".join(dict.fromkeys(risk.instead for risk in code.risks))
        return _problem(found, instead, "change the lines in README.md")
    return Passed(f"{len(code.blocks)} blocks")


@repository_check(
    "R004", "building an SAE from its config keeps its settings", tier="static", severity="warn"
)
def from_dict_keeps_settings(repository: RepositorySubject) -> Verdict:
    """`SAE.from_dict(cfg)` reads the config without translating older ones; loading calls do.

    From a flat config the hook, the model and everything else that belongs into the metadata are
    lost, a k inside `activation_fn_kwargs` becomes 100 and a TopK SAE written before SAELens 6
    becomes a ReLU one, all without a word; a config that names a CUDA device fails on a CPU.

    Example: `line 107: SAE.from_dict would lose hook_name (39 SAEs, first topk_L3)`.

    To mend it: show `SAE.from_pretrained(repo_id, sae_id)` or `SAE.load_from_disk(folder)`.
    """
    lines = readable_card_code(repository).builds_from_config
    if not lines:
        return Skipped("README.md builds no SAE with SAE.from_dict", required=False)
    lost: dict[str, list[str]] = {}
    for sae in repository.saes:
        try:
            cfg = sae.cfg
        except UnreadableFile:
            continue  # C001 says so
        for what in _lost_by_from_dict(cfg):
            lost.setdefault(what, []).append(sae.sae_id)
    if lost:
        found = [
            f"line {lines[0]}: SAE.from_dict would {what} "
            f"({len(saes)} SAE{'s' if len(saes) > 1 else ''}, first {saes[0]})"
            for what, saes in lost.items()
        ]
        return _problem(found, "the SAE that SAE.load_from_disk gives", "show one of these calls")
    return Passed(f"line {lines[0]}")


@repository_check("R101", "the loading example of README.md loads", tier="load")
def snippets_load(repository: RepositorySubject) -> Verdict:
    """The very arguments that the card passes to `SAE.from_pretrained` are passed to it.

    The calls are made as for L110, with the card's `dtype` and `fold_W_dec_norm`; the rest of the
    card's code is not run.

    Example: `line 7: SAE.from_pretrained('me/saes', 'topk_L3') raised KeyError: 'batchtopk'`.

    To mend it: see L110 and L101 of the same SAE, and R002.
    """
    loads = loads_of_card(repository)
    if not loads:
        return Skipped("README.md loads no SAE of this repository by name", required=False)
    answers = hub_loads(repository)
    if isinstance(answers, Skipped):
        return answers
    problems = []
    for line, load in loads.items():
        answer = answers.loads.get(load)
        call = f"line {line}: SAE.from_pretrained({load.release!r}, {load.sae_id!r})"
        if answer is None:
            problems.append(f"{call}: the process {answers.ended or 'ended early'}")
        elif answer["error"] is not None:
            problems.append(f"{call} raised {answer['error']}")
    if problems:
        return _problem(problems, "an SAE", "correct the call, or what it loads")
    return Passed(f"{len(loads)} calls")


@repository_check("R102", "what README.md imports exists", tier="load", severity="warn")
def snippets_import_what_exists(repository: RepositorySubject) -> Verdict:
    """Names move between versions: an import that fails ends the reader's first try.

    Asked are imports from sae_lens, transformers, huggingface_hub, safetensors and torch, in the
    versions installed here, which a report names. Other packages may be the reader's own.

    Example: `line 3: from sae_lens import SparseAutoencoder: ModuleNotFoundError`.

    To mend it: use the name of the current version, or state on the card which version is needed.
    """
    imports = readable_card_code(repository).imports
    if not imports:
        return Skipped("README.md imports nothing that is known here", required=False)
    answers = hub_loads(repository)
    if isinstance(answers, Skipped):
        return answers
    problems = []
    for line, module, name in imports:
        text = f"from {module} import {name}" if name else f"import {module}"
        if (module, name) not in answers.imports:
            problems.append(f"line {line}: {text}: the process {answers.ended or 'ended early'}")
        elif error := answers.imports[module, name]:
            problems.append(f"line {line}: {text}: {error:.160}")
    if problems:
        return _problem(problems, "names that the packages have", "use the current names")
    return Passed(f"{len(imports)} imports")


@repository_check("R103", "the code in README.md runs", tier="load")
def snippets_run(repository: RepositorySubject) -> Verdict:
    """Only running an example shows that it runs. Done on request alone: it is a stranger's code.

    With `--run-snippets` the Python blocks are run in order in a process of its own, each with the
    names of those before it, in an empty folder, without tokens, within a time limit. That is no
    sandbox: use a machine on which the author of the card may run programs. Where the files under
    check are served from a copy, base models are not at hand, and what needs one is left open.

    Example: `line 121: AttributeError: 'Sequential' object has no attribute 'h'`.

    To mend it: run the block as it stands on the card, in an empty folder.
    """
    if not repository.options.run_snippets:
        return Skipped("running them was not asked for", "add --run-snippets", required=False)
    if not readable_card_code(repository).blocks:
        return _NOTHING
    if repository.options.hub is None:
        return Skipped("no Hub to run them against", "run `release validate`", required=False)
    runs = run_snippets(repository)
    failed = [f"line {run.line}: {run.error}" for run in runs if run.error and not run.needs]
    if failed:
        return _problem(failed, "blocks that run one after the other", "run them as they stand")
    if needed := sorted({run.needs for run in runs if run.needs}):
        return Skipped(
            f"{README} needs {', '.join(needed)[:200]}, which the copy that is served has not",
            "publish, then validate owner/name with --run-snippets",
        )
    return Passed(f"{len(runs)} blocks")


def _slip(asked: Asked, own: tuple[str, ...], repository: RepositorySubject) -> list[str]:
    """A repository that is not this one, where it looks as if this one was meant."""
    assert asked.repo_id is not None
    owner, _, name = asked.repo_id.partition("/")
    if not name or not own:
        return []  # a name in SAELens' own list; or nobody has said what this one is called
    near = difflib.get_close_matches(asked.repo_id.lower(), [o.lower() for o in own], 1, 0.8)
    is_placeholder = owner.lower().startswith(("your", "username", "<", "{"))
    if is_of_an_sae(asked, repository) or near or is_placeholder:
        return [f"line {asked.line}: repository {asked.repo_id!r:.120}, and this is {own[0]}"]
    return []


def _missing_sae(asked: Asked, repository: RepositorySubject) -> list[str]:
    folders = repository.sae_folders
    path = asked.path.strip("/") or "."
    if path in folders:
        return []
    if asked.repo_id is None:
        # A path on the reader's disk: it may end in an SAE's folder, or mean none of ours.
        if any(path.endswith(f"/{folder}") for folder in folders):
            return []
        if not difflib.get_close_matches(path.rpartition("/")[2], folders, 1, 0.8):
            return []
    return [f"line {asked.line}: no SAE {path!r:.120}{_nearest(path, folders)}{_named(asked)}"]


def _missing_file(asked: Asked, repository: RepositorySubject) -> list[str]:
    files = repository.repository.files
    path = asked.path.removeprefix("./")
    if path in files:
        return []
    if asked.repo_id is None and ("/" not in path or any(path.endswith(f"/{f}") for f in files)):
        return []  # in a folder of the reader's own
    return [f"line {asked.line}: no file {path!r:.120}{_nearest(path, files)}{_named(asked)}"]


def _named(asked: Asked) -> str:
    return f", named on line {asked.named_on}" if asked.named_on not in (None, asked.line) else ""


def _nearest(path: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(path[:200], list(known)[:5_000], 1, 0.5)
    return f" (the nearest is {near[0]!r})" if near else ""


def _lost_by_from_dict(cfg: dict[str, object]) -> list[str]:
    nested = cfg.get("metadata")
    metadata = nested if isinstance(nested, dict) else {}
    lost = [
        f"lose {key}"
        for key in ("hook_name", "hook_point")
        if cfg.get(key) is not None and metadata.get("hook_name") is None
    ]
    spelled = cfg.get("activation_fn_str", cfg.get("activation_fn"))
    if cfg.get("architecture") in TOPK and "k" not in cfg:
        lost.append("take 100 for k")
    if cfg.get("architecture") == "standard" and spelled == "topk":
        lost.append("apply ReLU in place of TopK")
    if str(cfg.get("device", "cpu")).startswith("cuda"):
        lost.append(f"fail without a GPU, for device {cfg['device']!r:.20}")
    return lost


def _problem(found: list[str], expected: str, next_step: str) -> Problem:
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return Problem(f"{README}, " + "; ".join(found[:_SHOWN]) + more, expected, next_step)
