"""C012, C020, C021, C022: what a config tells of the machine and the person it comes from."""

from __future__ import annotations

import re

from validators.check import Passed, Problem, Verdict, sae_check
from validators.saelens.config_values import texts
from validators.subjects import SaeSubject

_ABSOLUTE_PATH = re.compile(
    r"(?:^|[\s=:,;'\"(])(?:file://)?(?:/(?:home|Users|root|mnt|tmp|var|data|scratch|content|"
    r"workspace|gpfs|lustre|nfs|nas|opt|srv|proj|work|kaggle|teamspace|private|media|Volumes|ssd|"
    r"fsx|raid|storage)/|~/)|^(?:[A-Za-z]:[\\/]|\\\\\w)"
)
_E_MAIL = re.compile(
    r"(?<![\w.+-])(?!git@)[\w.+-]{1,64}@(?:[\w-]{1,64}\.){1,4}[A-Za-z]{2,24}(?![\w-])"
)
_USER_KEYS = frozenset({"user", "username", "user_name", "hostname", "host_name", "wandb_entity"})

_TOKENS = {
    "a Hugging Face token": re.compile(r"\b(?:hf|api_org)_[A-Za-z0-9]{20,}"),
    "an API key (sk-...)": re.compile(r"\bsk-[A-Za-z0-9_-]{20,}"),
    "a GitHub token": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,})"),
    "an AWS key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a Google API key": re.compile(r"\bAIza[\w-]{30,}"),
    "a Slack token": re.compile(r"\bxox[abeprs]-[\w-]{10,}"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----"),
    "a signed URL": re.compile(r"[?&](?:X-Amz-Signature|X-Goog-Signature|sig|token)=[\w%./+-]{8,}"),
    "a password in a URL": re.compile(r"\b[a-z]{2,10}://[^/\s:@]{1,64}:[^/\s:@]{1,128}@"),
}
_SECRET_KEYS = frozenset(
    {"access_token", "api_key", "hf_token", "hub_token", "password", "secret", "wandb_api_key"}
)
# A token is at most a few hundred characters; longer texts are searched from their start only.
_MOST_CHARACTERS = 20_000


@sae_check(
    "C012", "no path of a machine is in the config", tier="static", severity="warn",
    requires=("C001",),
)  # fmt: skip
def no_path_of_a_machine(sae: SaeSubject) -> Verdict:
    """A path is of no use to anyone else, and often names its owner.

    Example: `"dataset_path": "/home/jane/deception/data"`.

    To mend it: name the data set by its Hub id, or take the key out.
    """
    found = sorted({(where, text) for where, text in _searched(sae) if _ABSOLUTE_PATH.search(text)})
    if not found:
        return Passed()
    where, text = found[0]
    return Problem(
        f"{len(found)} absolute path{'s' * (len(found) > 1)}, first {text!r:.60} in {where:.60}",
        "names that mean something on any machine",
        "take the path out of cfg.json",
    )


@sae_check("C020", "no accelerator is named", tier="static", severity="note", requires=("C001",))
def no_accelerator_is_named(sae: SaeSubject) -> Verdict:
    """SAELens writes the device that an SAE was on; nobody who loads it needs to know.

    `load_from_disk` and `from_pretrained` take another device anyway. `SAE.from_dict(cfg)` takes
    this one, and ends in an error on a machine that has none.

    Example: `"device": "cuda:0"`.

    To mend it: state `"device": "cpu"`; `release validate TARGET --fix` does.
    """
    found = sae.cfg.get("device", "cpu")
    if found == "cpu":
        return Passed()
    return Problem(f"device is {found!r:.40}", '"cpu"', 'state "device": "cpu"')


@sae_check("C021", "no token or key is in the config", tier="static", requires=("C001",))
def no_token(sae: SaeSubject) -> Verdict:
    """A published token lets anyone act in its owner's name, until it is revoked.

    Deleting the file later does not help: the history of the repository keeps it.

    Example: `"hub_token": "hf_..."`, written by a trainer that dumps all of its settings.

    To mend it: revoke the token first; then take it out, and publish in a fresh repository.
    """
    found = sorted(
        {
            f"{kind} in {where:.60}"
            for where, text in _searched(sae)
            for kind, pattern in _TOKENS.items()
            if pattern.search(text)
        }
        | {
            f"a secret in {where:.60}"
            for where, text in _searched(sae)
            if where.rpartition(".")[2].lower() in _SECRET_KEYS and len(text.split()) == 1
        }
    )
    if not found:
        return Passed()
    # The token itself stands in no report.
    return Problem("; ".join(found[:5]), "no secrets", "revoke it, then take it out of cfg.json")


@sae_check("C022", "the config names no person", tier="static", severity="warn", requires=("C001",))
def no_person_is_named(sae: SaeSubject) -> Verdict:
    """An account's name or address that a trainer wrote down is rarely meant to be published.

    Example: `"user": "jane"`, or `"run_by": "jane@university.edu"`.

    To mend it: take it out; authors belong on the card.
    """
    found = sorted(
        {
            f"{where:.60}: {text!r:.60}"
            for where, text in _searched(sae)
            if _E_MAIL.search(text) or (where.rpartition(".")[2].lower() in _USER_KEYS and text)
        }
    )
    if not found:
        return Passed()
    return Problem("; ".join(found[:5]), "no account's name or address", "take it out of cfg.json")


def _searched(sae: SaeSubject) -> list[tuple[str, str]]:
    return [(where, text[:_MOST_CHARACTERS]) for where, text in texts(sae.cfg)]
