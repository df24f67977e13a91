"""H200-H202: the place is there in the base model, and it is read."""

from __future__ import annotations

from manifests.errors import ReleaseError
from validators.check import Passed, Problem, Skipped, Verdict, repository_check, sae_check
from validators.evidence.evidence import NoEvidence
from validators.places.place import UnknownPlace
from validators.subjects import RepositorySubject, SaeSubject


@repository_check("H200", "there are activations to judge by", tier="activations")
def evidence_is_at_hand(subject: RepositorySubject) -> Verdict:
    """What an SAE does can only be measured on activations of its own base model.

    They are read on the manifest's completions, on a text (`--text FILE`), or taken from a file
    (`--activations FILE`); without a manifest and without either, on texts that come with Python.
    Skipped, with the reason, where the completions or the base model are missing; a release is not
    pushed with this check skipped.

    Example: a repository of someone else, whose completions are not published.

    To mend it: name the local manifest; give the base model with `--base-model` where it cannot
    be downloaded; or ask for `--tier load`.
    """
    try:
        _ = subject.evidence.captured
    except NoEvidence as error:
        expected = f" (expected: {error.expected})" if error.expected else ""
        return Skipped(error.what + expected, error.next_step or "")
    return Passed(subject.evidence.description)


@sae_check("H201", "the place exists in the base model", tier="activations", requires=("H200",))
def module_exists(sae: SaeSubject) -> Verdict:
    """A hook on a module that is not there is an error in some libraries and silence in others.

    Without a manifest the place is looked up from `hf_hook_name`, else from `hook_name`.

    Example: `transformer.h.12` for a model whose blocks are `model.layers`; or
    `model.layers.8` where the composite model has `model.language_model.layers.8`.

    To mend it: look the path up in `model.named_modules()` and write it into the metadata.
    """
    try:
        place = sae.place
    except UnknownPlace as error:
        return Skipped(
            f"{error.what}, so what it gives cannot be read here",
            "give the activations of that hook with --activations FILE",
        )
    except ReleaseError as error:
        return Problem(
            error.what,
            error.expected or "a path that model.named_modules() lists",
            error.next_step or "correct metadata.hf_hook_name and metadata.hook_name",
        )
    if place not in sae.parent.evidence.captured.missing:
        return Passed(str(place))
    return Problem(
        f"the base model has no module {place.module!r}",
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
    place, captured = sae.place, sae.parent.evidence.captured
    found = f"{captured.calls[place]} calls in {captured.n_passes} passes"
    if captured.calls[place] == captured.n_passes and place in captured.vectors:
        return Passed(found)
    return Problem(
        f"{place}: {found}", "one call in each forward pass", "name the module that is really run"
    )
