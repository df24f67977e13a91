"""H100-H103: the hooks looked up in the base model's class, without its weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from validators.check import Passed, Problem, Skipped, Verdict, repository_check, sae_check
from validators.places.local_config import local_model_config, model_of
from validators.places.meta_model import ModulePathProblem
from validators.places.module_paths import check_module_path
from validators.saelens.format import TRANSCODERS
from validators.subjects import RepositorySubject, SaeSubject

if TYPE_CHECKING:
    from torch.nn import Module

_KEYS = ("hf_hook_name", "hook_name", "hf_hook_name_out", "hook_name_out")


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


@sae_check("H101", "the hooks are places of the base model", tier="load", requires=("H001", "H002"))
def places_exist(sae: SaeSubject) -> Verdict:
    """Each name is looked up in the model that the base model's own config.json describes.

    The config is taken from `--base-model FOLDER`, from beside the manifest, from a packaged base
    model that was converted, or from the Hub client's cache; nothing is downloaded, and the check
    is left out where it is not at hand.

    Example: `blocks.30.hook_resid_post` for a model whose 30 blocks are counted from 0 to 29;
    `blocks.3.hook_resid_mid` for GPT-NeoX, whose attention and MLP are parallel.

    To mend it: correct the name that the finding quotes.
    """
    from validators.places.place import NoSuchPlace, UnknownPlace, named_place

    model = _model(sae)
    if isinstance(model, Skipped):
        return model
    problems, found, unknown = [], [], []
    for key, name in _stated(sae):
        try:
            found.append(str(named_place(name, model, where=f"metadata.{key}")))
        except NoSuchPlace as error:
            problems.append(error)
        except UnknownPlace as error:
            unknown.append(error)
    if problems:
        return Problem(
            "; ".join(f"{error.where}: {error.what}" for error in problems),
            "; ".join(error.expected or "" for error in problems),
            problems[0].next_step or "correct the name in cfg.json",
        )
    if not found:
        reason = unknown[0].what if unknown else "no hook is named"
        return Skipped(reason, unknown[0].next_step or "" if unknown else "", required=False)
    return Passed(f"{type(model).__name__}: {', '.join(sorted(set(found)))}")


@sae_check("H102", "both names are one place of the base model", tier="load", requires=("H101",))
def names_are_one_place(sae: SaeSubject) -> Verdict:
    """What H003 cannot tell from the names: which norm, which side of it, before it or after.

    `hook_attn_out` and `hook_mlp_out` are what is added to the residual stream: in Gemma 2 and
    later the output of the norm after the sublayer, not of the sublayer. Without a manifest it is a
    warning: the module's path is what this tool goes by.

    Example: `blocks.8.hook_mlp_out` and `model.layers.8.mlp` of a Gemma 2.

    To mend it: correct the name that is not what the SAE was trained on.
    """
    from validators.places.neighbours import same_place
    from validators.places.place import UnknownPlace, named_place

    model = _model(sae)
    if isinstance(model, Skipped):
        return model
    metadata, wrong = sae.hook_metadata, []
    for lens_key, hf_key in (("hook_name", "hf_hook_name"), ("hook_name_out", "hf_hook_name_out")):
        names = [metadata.get(key) for key in (lens_key, hf_key)]
        if None in names:
            continue
        try:
            places = [named_place(name, model, where="metadata") for name in names]
        except UnknownPlace:
            continue
        if len({same_place(place, model) for place in places}) > 1:
            wrong.append((f"{lens_key} is {places[0]}", f"{hf_key} is {places[1]}"))
    if not wrong:
        return Passed()
    return Problem(
        "; ".join(f"in {type(model).__name__}, {first}, but {second}" for first, second in wrong),
        "two names of one place",
        "correct the one that is not what the SAE was trained on",
        severity=None if sae.parent.claim is not None else "warn",
    )


@sae_check("H103", "the place is as wide as the SAE", tier="load", requires=("C005", "H101"))
def width_fits(sae: SaeSubject) -> Verdict:
    """`d_in` is the width of what the SAE reads, and a transcoder's `d_out` of what it predicts.

    Example: `d_in` 576 with `blocks.8.mlp.hook_post`, which is 1536 wide in SmolLM2-135M.

    To mend it: correct the place, or name the base model that the SAE belongs to.
    """
    from validators.places.neighbours import width_of
    from validators.places.place import (
        NoSuchPlace,
        UnknownPlace,
        columns_of,
        declared_place,
        named_place,
    )

    model = _model(sae)
    if isinstance(model, Skipped):
        return model
    metadata, expected, wrong = sae.hook_metadata, [], []
    try:
        place = declared_place(metadata, model)
        columns = columns_of(metadata, place, model)
        width = width_of(place, model)
        if width is not None:
            expected.append(("d_in", len(range(*columns.indices(width))), place))
        out = metadata.get("hf_hook_name_out") or metadata.get("hook_name_out")
        if sae.architecture in TRANSCODERS and out is not None:
            place = named_place(out, model, where="metadata.hook_name_out")
            width = width_of(place, model)
            if width is not None:
                expected.append(("d_out", width, place))
    except UnknownPlace as error:
        return Skipped(error.what, error.next_step or "", required=False)
    except NoSuchPlace as error:
        return Problem(error.what, error.expected or "", error.next_step or "correct cfg.json")
    wrong = [(key, n, at) for key, n, at in expected if sae.cfg.get(key) != n]
    if not wrong:
        return Passed(", ".join(f"{key} {n}" for key, n, _ in expected))
    return Problem(
        ", ".join(f"{key} is {sae.cfg.get(key)!r:.20}" for key, _, _ in wrong),
        ", ".join(f"{key} {n}, the width of {at}" for key, n, at in wrong),
        "correct the place, or name the base model that the SAE belongs to",
    )


def _model(sae: SaeSubject) -> Module | Skipped:
    """The base model on the meta device, or why it is not there."""
    parent = sae.parent
    try:
        config = local_model_config(
            parent.claim, sae.hook_metadata.get("model_name"), parent.options
        )
        if config is not None:
            return model_of(config, parent.claim)
    except ModulePathProblem as error:
        return Skipped(f"{error.where}: {error.what}", error.next_step or "", required=False)
    return Skipped(
        "the base model's config.json is not on this machine",
        "give it with --base-model FOLDER",
        required=False,
    )


def _stated(sae: SaeSubject) -> Iterator[tuple[str, object]]:
    """The hook names in the metadata; the second place only where the SAE has one."""
    for key in _KEYS:
        name = sae.hook_metadata.get(key)
        if name is not None and (sae.architecture in TRANSCODERS or not key.endswith("_out")):
            yield key, name
