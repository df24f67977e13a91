"""Widths, expansions, indices and counts of parameters on a card, against its SAEs' configs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from validators.readme.amounts import COUNT, count_of
from validators.readme.card_text import CardText, Statement
from validators.readme.findings import Finding, SaeFacts, Surroundings

_N = r"`?(\d{1,3}(?:,\d{3})+|\d{1,9})`?(?![\w]|[.,]\d)"
_WIDTH = re.compile(
    rf"\b(?:hidden (?:size|dimension|width)|residual (?:stream )?width|\d{{1,3}} layers,? "
    rf"(?:and |with |of )?width|input width)(?: of| is|:| \||) ?{_N}",
    re.IGNORECASE,
)
_EXPANSION = re.compile(
    rf"\b[Ee]xpansion factor(?: of| is|:| =|) ({COUNT})(?![\w]|[.,]\d|,? (?:and|or|to)\b)"
)
_TIMES = re.compile(
    rf"(?<![\w.,/]){_N}(?: latents| features)? {{0,4}}\((\d{{1,4}})[x\u00d7](?: expansion)?\)"
)
_LATENT = re.compile(
    r"\b[Ll]atent #?(\d{1,3}(?:,\d{3})+|\d{1,7})\b"
    r"(?![\w%-]|[.,]\d| (?:latents?|features?|units|dim\w*|dictionar\w*|SAEs?|wid\w*)\b)"
)
_SHAPE = re.compile(r"\[(?:[a-z_]{1,12}, ?){1,2}(\d{2,6})\]")
_HAS_PARAMETERS = re.compile(
    rf"\b(?:SAE|autoencoder|file|dictionary) (?:has|holds|contains)(?: about| [^.;]{{1,60}}? =|) "
    rf"{_N} (?:\w{{4,10}} )?parameters\b"
)
# Another model's width may stand in a sentence that compares.
_OTHERS = re.compile(
    r"\b(?:unlike|compared|than|other|others|rather|instead|versus|vs|earlier|previous|also|tried|pilot|future|ablation)\b",
    re.IGNORECASE,
)
_OF_STREAM = re.compile(r"\.(?:hook_resid_(?:pre|mid|post)|hook_mlp_out|hook_attn_out)$")
_OF_LATENTS = re.compile(r"encod|decod|features?\b|latents?\b", re.IGNORECASE)
# A network besides the base model that has a width of its own.
_NETWORKS = re.compile(
    r"\b(?:MLPs?|FFN|feed-?forward|probes?|classifiers?|networks?|heads?|intermediate|SAEs?"
    r"|autoencoders?|vocabulary)\b",
    re.IGNORECASE,
)
_MOST_APART = 0.02
_ROUNDED = 0.5


def lint_config_widths(card: CardText, known: Surroundings) -> Iterator[Finding]:
    """Each number that has one place only in every config, against that place."""
    saes = known.saes
    d_in = {sae.d_in for sae in saes}
    d_sae = {sae.d_sae for sae in saes}
    if not saes or None in d_in or None in d_sae:
        return
    is_stream = all(_OF_STREAM.search(sae.hook_name or "") for sae in saes)
    for sentence in card.sentences:
        plain = Statement(sentence.line, sentence.text.replace("\n", " "))
        if not _OTHERS.search(plain.text):
            yield from _widths(plain, sentence, d_in if is_stream else set(), d_sae)
            yield from _expansions(plain, sentence, saes)
        yield from _parameters(plain, sentence, saes)
        for found in _LATENT.finditer(plain.text):
            most = max(n for n in d_sae if n)
            if count_of(found[1]) >= most:
                what = f"{found[0]!r}, and the widest SAE has {most} latents, from 0"
                yield Finding(sentence.line_of(found.start()), what, "warn", found[0])
        if "hidden_states[" in plain.text and is_stream and not _OF_LATENTS.search(plain.text):
            for found in _SHAPE.finditer(plain.text):
                if int(found[1]) not in d_in:
                    what = f"{found[0]} of a hidden state, and d_in is {_list(d_in)}"
                    yield Finding(sentence.line_of(found.start()), what, "warn", found[0])
    for statement in card.statements:
        for found in _TIMES.finditer(statement.text):
            wide = [s for s in saes if s.d_sae == count_of(found[1])]
            times = {s.d_sae / s.d_in for s in wide if s.d_sae and s.d_in}
            if times and not _is_near(int(found[2]), times):
                listed = _list({round(each, 2) for each in times})
                what = f"{found[1]} is {found[2]} times d_in, and by the configs {listed} times"
                yield Finding(statement.line, what, "warn", found[0])


def _widths(
    plain: Statement, at: Statement, d_in: set[int | None], d_sae: set[int | None]
) -> Iterator[Finding]:
    for found in _WIDTH.finditer(plain.text):
        is_of_stream = found[0].lower().startswith(("residual", "input"))
        if not is_of_stream and _NETWORKS.search(plain.text):
            continue
        if d_in and count_of(found[1]) not in d_in | d_sae:
            what = f"{found[0]!r}, and d_in of the configs is {_list(d_in)}"
            yield Finding(at.line_of(found.start(1)), what, "warn", found[0])


def _expansions(plain: Statement, at: Statement, saes: tuple[SaeFacts, ...]) -> Iterator[Finding]:
    times = {s.d_sae / s.d_in for s in saes if s.d_sae and s.d_in}
    for found in _EXPANSION.finditer(plain.text):
        if times and not _is_near(count_of(found[1]), times):
            listed = _list({round(each, 2) for each in times})
            what = f"{found[0]!r}, and by the configs it is {listed}"
            yield Finding(at.line_of(found.start(1)), what, "warn", found[0])


def _is_near(n: int, times: set[float]) -> bool:
    """Whether a whole number may stand for one that is none."""
    return any(abs(n - each) <= _ROUNDED for each in times)


def _parameters(plain: Statement, at: Statement, saes: tuple[SaeFacts, ...]) -> Iterator[Finding]:
    counts = {sae.n_parameters for sae in saes if sae.n_parameters}
    for found in _HAS_PARAMETERS.finditer(plain.text) if counts else ():
        n = count_of(found[1])
        if all(abs(n - each) > _MOST_APART * each for each in (*counts, sum(counts))):
            what = f"{found[1]} parameters, and by the configs {_list(counts)}"
            yield Finding(at.line_of(found.start(1)), what, "warn", found[0])


def _list(values: set[int] | set[float] | set[int | None]) -> str:
    return ", ".join(f"{value:g}" if isinstance(value, float) else str(value)
                     for value in sorted(v for v in values if v is not None)[:8])  # fmt: skip
