"""Tokens and private keys in a text, told by their form; found by kind and line, never repeated."""

from __future__ import annotations

import re

# Each form starts with letters that its issuer reserved, so that a digest or an id is none of them.
# Nothing repeats inside a repetition: the search takes one pass over the text.
_FORMS = {
    "a Hugging Face token": r"hf_[A-Za-z0-9]{34,40}(?![A-Za-z0-9_])",
    "a Hugging Face organisation token": r"api_org_[A-Za-z0-9]{34}(?![A-Za-z0-9_])",
    "an Anthropic key": r"sk-ant-[A-Za-z0-9_-]{32,200}",
    "an OpenAI key": r"sk-(?:proj-|svcacct-)?[A-Za-z0-9_-]{40,200}",
    "a GitHub token": r"gh[pousr]_[A-Za-z0-9]{36,255}",
    "a fine-grained GitHub token": r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}",
    "an AWS access key": r"A(?:KIA|SIA)[A-Z0-9]{16}(?![A-Za-z0-9])",
    "a Google API key": r"AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])",
    "a Slack token": r"xox[abprs]-[A-Za-z0-9-]{20,200}",
    "a Weights & Biases key": r"WANDB_API_KEY\W{1,4}[0-9a-f]{40}(?![0-9a-f])",
    "a private key": r"-----BEGIN (?:[A-Z]{2,10} ){0,2}PRIVATE KEY-----",
}
_ALTERNATIVES = "|".join(f"(?P<k{index}>{form})" for index, form in enumerate(_FORMS.values()))
_ANY = re.compile(rf"(?<![A-Za-z0-9_-])(?:{_ALTERNATIVES})")
_KINDS = {f"k{index}": kind for index, kind in enumerate(_FORMS)}
# `hf_xxxxxxxx...` stands for a token in instructions; a real one has some twenty characters.
_MIN_DISTINCT = 12
_OF_ONE_CASE = ("an AWS access key", "a Weights & Biases key")


def secrets_in(text: str) -> list[tuple[int, str]]:
    """Line number from 1, and kind, of every secret; the first of each line and kind."""
    found: dict[tuple[int, str], None] = {}
    for match in _ANY.finditer(text):
        kind = _KINDS[match.lastgroup or ""]
        if _is_example(match[0], kind):
            continue
        found[(text.count("\n", 0, match.start()) + 1, kind)] = None
        if len(found) >= 20:
            break
    return list(found)


def _is_example(token: str, kind: str) -> bool:
    """Whether it stands for a token in instructions, or is a long name of words and hyphens."""
    if kind == "a private key":
        return False
    is_of_one_case = token.lower() == token or token.upper() == token
    return (
        "EXAMPLE" in token.upper()
        or len(set(token)) < _MIN_DISTINCT
        or (is_of_one_case and kind not in _OF_ONE_CASE)
    )
