"""H: where in the base model the SAE belongs, in both notations."""

from __future__ import annotations

import re

from validators.check import Passed, Problem, Skipped, Verdict, repository_check, sae_check
from validators.evidence import NoEvidence
from validators.module_paths import check_module_path
from validators.subjects import RepositorySubject, SaeSubject

_LENS_NAME = re.compile(r"blocks\.(\d+)\.\w[\w.]*")
_HF_NAME = re.compile(r"[A-Za-z_][\w.]*?\.(\d+)(?:\.[\w.]+)?")


@sae_check("H001", "metadata.hook_name names the place", tier="static", requires=("C002",))
def lens_name_is_stated(sae: SaeSubject) -> Verdict:
    """SAELens and Neuronpedia read the place from `metadata.hook_name`, in TransformerLens' form.

    Example: `model.layers.8.hook_resid_post`, half of each notation, is accepted by nothing: with
    TransformerBridge such a hook never fires, and no error says so.

    To mend it: write `blocks.L.hook_resid_post`, with L counted from 0.
    """
    found = sae.metadata.get("hook_name")
    if isinstance(found, str) and _LENS_NAME.fullmatch(found):
        return Passed(found)
    return Problem(
        f"metadata.hook_name is {found!r:.80}",
        "TransformerLens' name of the place, such as blocks.8.hook_resid_post",
        "write it so in cfg.json",
    )


@sae_check("H002", "metadata.hf_hook_name names the module", tier="static", requires=("C002",))
def hf_name_is_stated(sae: SaeSubject) -> Verdict:
    """Whoever runs the model with transformers needs the path of the module whose output is read.

    `hf_hook_name` is SAELens' own key for it. The TransformerLens name alone leaves open whether
    a module's input or output is meant, and transformers cannot resolve it.

    Example: the key is missing, or says `blocks.8.hook_resid_post` as well.

    To mend it: write the module's path, such as `model.layers.8`.
    """
    found = sae.metadata.get("hf_hook_name")
    if (
        isinstance(found, str)
        and _HF_NAME.fullmatch(found)
        and "hook_" not in found
        and not found.startswith("blocks.")
    ):
        return Passed(found)
    return Problem(
        f"metadata.hf_hook_name is {found!r:.80}",
        "the path of a module of transformers' model, such as model.layers.8",
        "write it so in cfg.json",
    )


@sae_check("H003", "both notations name the same layer", tier="static", requires=("H001", "H002"))
def notations_agree(sae: SaeSubject) -> Verdict:
    """Two names for two places: each reader would take another layer for the SAE's own.

    Example: `blocks.12.hook_resid_post` and `model.layers.13`, because one of them was counted
    as an index into `hidden_states`, where 0 is the embedding.

    To mend it: find the right layer (H201 and N204 measure it) and correct the other name.
    """
    lens, hf = sae.metadata["hook_name"], sae.metadata["hf_hook_name"]
    lens_match, hf_match = _LENS_NAME.fullmatch(lens), _HF_NAME.fullmatch(hf)
    assert lens_match is not None and hf_match is not None
    if int(lens_match[1]) == int(hf_match[1]):
        return Passed(f"layer {lens_match[1]}")
    return Problem(
        f"hook_name is {lens}, hf_hook_name is {hf}",
        "the same layer, counted from 0 in both",
        "correct the one that is wrong",
    )


@sae_check(
    "H004", "the place is that of the manifest", tier="static",
    requires=("F003", "H003"), needs_manifest=True,
)  # fmt: skip
def place_is_claimed(sae: SaeSubject) -> Verdict:
    """The card and the folder's name state the manifest's layer, and users go by them.

    Example: the folder `..._L12_...` holds a config that says layer 13.

    To mend it: correct whichever is wrong; retrain if the weights belong to another layer.
    """
    spec = sae.claimed
    wanted = {"hook_name": spec.hook_name, "hf_hook_name": spec.hf_hook_name}
    wrong = {key: name for key, name in wanted.items() if sae.metadata[key] != name}
    if not wrong:
        return Passed()
    return Problem(
        "metadata has " + ", ".join(f"{key} {sae.metadata[key]}" for key in wrong),
        ", ".join(f"{key} {name}" for key, name in wrong.items()) + f" ({sae.claim.source})",
        "correct the manifest, or run `release retrain MANIFEST --only ID`",
    )


@repository_check(
    "H100", "the base model is as transformers has it", tier="load", needs_manifest=True
)
def base_model_is_as_described(subject: RepositorySubject) -> Verdict:
    """A hook on a path that the model's class lacks raises an error, or silently never fires.

    The class that transformers would load is built on the meta device, without weights, and the
    manifest's module paths are looked up in it. Number of layers and width are compared only where
    the manifest carries the model's own config.json: a class's defaults are not the model's.

    Example: `transformer.h.16` is the path in nanochat's original code; the transformers class
    that a user loads has `model.layers.16`.

    To mend it: correct base_model in the manifest; the finding names what is there.
    """
    claim = subject.claim
    assert claim is not None
    spec = claim.manifest.base_model
    config = claim.loaded.file_beside(spec.config) if claim.loaded and spec.config else None
    report = check_module_path(spec, config, layers={spec.layer for spec in claim.saes.values()})
    if report.problems:
        return Problem(
            "; ".join(f"{problem.where}: {problem.what}" for problem in report.problems),
            "; ".join(problem.expected or "" for problem in report.problems),
            report.problems[0].next_step or "correct base_model in the manifest",
        )
    open_questions = [a.name for a in report.aspects if a.outcome == "not_checked"]
    not_checked = f"; not checked: {', '.join(open_questions)}" if open_questions else ""
    return Passed(f"{report.class_name}{not_checked}")


@repository_check("H200", "base model and completions are at hand", tier="activations")
def evidence_is_at_hand(subject: RepositorySubject) -> Verdict:
    """What an SAE does can only be measured on activations of its own base model and data.

    Skipped, with the reason, where the manifest, its completions or the base model are missing;
    a release is not pushed with this check skipped.

    Example: a repository of someone else, whose completions are not published.

    To mend it: name the local manifest; give the base model with `--base-model` where it cannot
    be downloaded; or ask for `--tier load`.
    """
    try:
        captured = subject.evidence.captured
    except NoEvidence as error:
        expected = f" (expected: {error.expected})" if error.expected else ""
        return Skipped(error.what + expected, error.next_step or "")
    return Passed(f"{captured.n_passes} completions, base model {subject.evidence.base_source}")


@sae_check(
    "H201", "the module exists in the base model", tier="activations",
    requires=("F003", "H002", "H200"),
)  # fmt: skip
def module_exists(sae: SaeSubject) -> Verdict:
    """A hook on a module that is not there is an error in some libraries and silence in others.

    Example: `transformer.h.12` for a model whose blocks are `model.layers`; or
    `model.layers.8` where the composite model has `model.language_model.layers.8`.

    To mend it: look the path up in `model.named_modules()` and write it into the metadata.
    """
    name = sae.metadata["hf_hook_name"]
    if name not in sae.parent.evidence.captured.missing:
        return Passed(name)
    return Problem(
        f"the base model has no module {name!r}",
        "a path that model.named_modules() lists",
        "correct metadata.hf_hook_name, and saes or base_model.model_type in the manifest",
    )


@sae_check("H202", "the hook fires once in each pass", tier="activations", requires=("H201",))
def hook_fires(sae: SaeSubject) -> Verdict:
    """A module that exists need not be run; a hook that never fires leaves the model unchanged.

    A comparison of the model with and without the SAE then reports a perfect SAE.

    Example: the path of a vision tower in a run on text; a module that is only read from.

    To mend it: name the module whose output is the residual stream.
    """
    name, captured = sae.metadata["hf_hook_name"], sae.parent.evidence.captured
    found = f"{captured.calls[name]} calls in {captured.n_passes} passes"
    if captured.calls[name] == captured.n_passes and name in captured.vectors:
        return Passed(found)
    return Problem(
        f"{name}: {found}", "one call in each forward pass", "name the module that is really run"
    )
