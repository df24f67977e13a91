"""L: loading the SAE from a Hub, the way most users will."""

from __future__ import annotations

from typing import Any

from validators.check import Passed, Problem, Skipped, Verdict, sae_check
from validators.readme.card_code import SaeLoad
from validators.saelens.hub_loading import hub_loads
from validators.saelens.loading_child import config_facts, tensor_digests
from validators.subjects import SaeSubject

# Advice on SAELens' own list of releases or on the base model, which no repository can act on.
_ADVICE = ("model_from_pretrained_kwargs", "registered in the official pretrained SAEs list")


@sae_check("L110", "SAE.from_pretrained gives the same SAE", tier="load", requires=("L101",))
def from_pretrained_gives_the_same(sae: SaeSubject) -> Verdict:
    """Most users never see the folder: they call `SAE.from_pretrained("owner/name", sae_id)`.

    The call is made in a process of its own, with an empty home, against the repository's Hub when
    its public head is what is checked, else against a copy of the files on a Hub on this machine.
    State and config must be those of `SAE.load_from_disk`, value for value.

    Example: the Hub answers 404 for `layer_3/cfg.json`, since the folder is named `layer-3`.

    To mend it: read the error as a user would; upload what is missing.
    """
    answers = hub_loads(sae.parent)
    if isinstance(answers, Skipped):
        return answers
    answer = answers.loads.get(SaeLoad(answers.repo_id, sae.sae_id))
    call = f"SAE.from_pretrained({answers.repo_id!r}, {sae.sae_id!r})"
    if answer is None:
        return Problem(
            f"no answer to {call}: the process {answers.ended or 'ended early'}",
            "an SAE, within the time limit",
            "make the same call yourself; it may need more memory than there is",
        )
    if answer["error"] is not None:
        return Problem(
            f"{call} raised {answer['error']}",
            "the SAE that SAE.load_from_disk gives",
            "upload what is missing under the name that the call asks for",
        )
    differ = _different(answer["tensors"], tensor_digests(dict(sae.saelens.state_dict())))
    differ += _different(answer["config"], config_facts(sae.saelens.cfg))
    if differ:
        return Problem(
            f"{', '.join(differ)} differ from what SAE.load_from_disk gives",
            "the same SAE by both ways",
            "if the repository was changed meanwhile, validate again; else report it to SAELens",
        )
    complaints = [text for text in answer["warnings"] if not any(a in text for a in _ADVICE)]
    if complaints:
        return Problem(
            f"SAELens warns: {'; '.join(complaints):.400}",
            "an SAE that loads without a warning",
            "do what the warning says",
            severity="warn",
        )
    return Passed(f"{len(answer['tensors'])} tensors and the config")


def _different(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return sorted(key for key in {*one, *other} if one.get(key) != other.get(key))
