"""What a card says of tensors against what its architectures have, and its own forward pass."""

from __future__ import annotations

import re
from collections.abc import Iterator

from validators.readme.card_text import CardText
from validators.readme.findings import Finding, Surroundings

_ALL_HAVE = re.compile(
    r"\b[Aa]ll ((?:[\w-]{1,30} ){0,3})SAEs?\b[^\n.;]{0,40}? (?:have|has|with|share) "
    r"(?:an? |their )?(?:threshold|\u03b8)[^\n.;]{0,30}"
)
_HAS_THRESHOLD = re.compile(
    r"((?:^|[;:.] |, and )[^.;:]{2,80}?)\b((?:has|have|carry|carries|holds?|contains?|comes? with) "
    r"(?:an? |the |its own |their own )?(?:same |learned )?thresholds?\b)"
)
_WITHOUT_THRESHOLDS = re.compile(r"\b(TopK|BatchTopK|Gated|Standard)\b", re.IGNORECASE)
_TOPK_OR_GATED = re.compile(r"\b(TopK|BatchTopK|Gated)\b", re.IGNORECASE)
_ARCHITECTURES = re.compile(r"\barchitectures?\b:[^\n]{0,200}", re.IGNORECASE)
_SAE_ID = re.compile(r"\bsae_id\s{0,4}=\s{0,4}[\"']([^\"'\n]{1,200})[\"']")
_OF_ID = re.compile(r"(?:^|[_\W])(topk|gated|standard)(?:[_\W]|$)", re.IGNORECASE)
_THRESHOLD_KEY = re.compile(r"(?<![\w.])threshold\s?\[\d{1,8}\]")
_KEYS = re.compile(r"\b[Kk]eys?:|^\s*#?\s*W_dec\b")
_ENCODES = re.compile(
    r"(?<![\w.])(?:x|acts?|resid\w*|activations?|h)\s*@\s*(?:\w{1,20}\[[\"'])?W_enc(?:[\"']\])?\s*\+"
)
_SUBTRACTS = re.compile(r"-\s*(?:\w{1,20}[.\[][\"']?)?b_dec\b|apply_b_dec_to_input")
_OF_SAES = re.compile(r"\bSAEs?\b|\bsparse auto-?encoders?\b", re.IGNORECASE)
_PICKLE = re.compile(r"[\"']([\w./{}-]{1,200}\.(?:pt|pth|ckpt|pkl))[\"']")
# A snippet's parts belong together where they are no further apart.
_REACH = 40


def lint_tensors(card: CardText, known: Surroundings) -> Iterator[Finding]:
    """Thresholds where there are none, encoders without b_dec, weights that are pickles."""
    yield from _thresholds_of_all(card)
    yield from _threshold_keys(card)
    yield from _thresholds_of_one(card, known)
    if known.subtracts_b_dec is not False:
        yield from _encoders(card, known)
    is_of_saes = any(_OF_SAES.search(passage.text) for passage in card.prose)
    for statement in card.statements if is_of_saes else ():
        for found in _PICKLE.finditer(statement.text):
            what = f"{found[1].rpartition('/')[2]!r:.80} is a pickle, which SAELens does not load"
            yield Finding(statement.line, what, "warn", found[1])


def _thresholds_of_all(card: CardText) -> Iterator[Finding]:
    lines = [found[0] for s in card.statements if (found := _ARCHITECTURES.search(s.text))]
    without = {name for line in lines for name in _WITHOUT_THRESHOLDS.findall(line)}
    for sentence in card.sentences if without else ():
        for found in _ALL_HAVE.finditer(sentence.text):
            if "jumprelu" in found[1].lower():
                continue
            what = f"{found[0]!r:.90}, and {', '.join(sorted(without))} SAEs have no threshold"
            yield Finding(sentence.line_of(found.start()), what, "warn", found[0])


def _thresholds_of_one(card: CardText, known: Surroundings) -> Iterator[Finding]:
    """`TopK files carry a threshold tensor`, or an SAE that is named and is none of JumpReLU's."""
    without = {s.sae_id for s in known.saes if s.architecture in ("topk", "gated", "standard")}
    for sentence in card.sentences:
        text = sentence.text.replace("\n", " ")
        for found in _HAS_THRESHOLD.finditer(text):
            named = without & set(re.findall(r"[\w./-]+", found[1]))
            # "Standard" may be any usual way to train as well.
            kinds = set() if named else set(_TOPK_OR_GATED.findall(found[1]))
            if (named or kinds) and not re.search(r"jumprelu|\b(?:no|not|none)\b", found[0], re.I):
                who = ", ".join(sorted(named or kinds))
                what = f"{found[0].strip()!r:.90}, and {who} has no threshold"
                yield Finding(sentence.line_of(found.start(2)), what, "warn", found[2])


def _threshold_keys(card: CardText) -> Iterator[Finding]:
    """A list of tensors with a threshold, after an id of an architecture that has none."""
    sae_id, line_of_id = "", 0
    keys_line = 0
    for statement in card.statements:
        if found := _SAE_ID.search(statement.text):
            sae_id, line_of_id = found[1], statement.line
        if _KEYS.search(statement.text):
            keys_line = statement.line
        key = _THRESHOLD_KEY.search(statement.text)
        near = statement.line - keys_line <= 3 and statement.line - line_of_id <= _REACH
        if key and near and (kind := _OF_ID.search(sae_id)):
            what = f"{key[0]}, and {sae_id!r:.80} (line {line_of_id}) is {kind[1]}, without one"
            yield Finding(statement.line, what, "warn", key[0])


def _encoders(card: CardText, known: Surroundings) -> Iterator[Finding]:
    for at, statement in enumerate(card.statements):
        found = _ENCODES.search(statement.text)
        if not found:
            continue
        near = card.statements[max(0, at - 12) : at + 12]
        if not any(_SUBTRACTS.search(other.text) for other in near):
            why = "the configs do" if known.subtracts_b_dec else "SAELens does by default"
            what = f"the encoder does not subtract b_dec from its input, and {why}"
            yield Finding(statement.line, what, "warn", found[0])
