"""Sentences about SAELens, Neuronpedia and papers that their sources contradict.

SAELens 6 hooks a transformers model by module path (`model_class_name: AutoModelForCausalLM`).
arXiv:2407.14435 and the code that came with it estimate the threshold's gradient with a rectangle
kernel. Neuronpedia shows what has an entry and dashboards there; no file format brings that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from validators.readme.card_text import CardText
from validators.readme.findings import Finding

_GAUSSIAN = re.compile(r"\bGaussian(?:-|\s)kernel\b", re.IGNORECASE)
_JUMPRELU_PAPER = re.compile(r"\bRajamanoharan\b|2407\.14435")
_ONLY_LENS = re.compile(
    r"\bautomatic\s+model\s+running\s+will\s+not\s+work\b"
    r"|\bSAELens\s+(?:only|cannot)\s[^.\n]{0,60}(?:TransformerLens|module paths?)"
)
_COMPATIBLE = re.compile(r"\bNeuronpedia[ -]compatible\b", re.IGNORECASE)
_ENTRY = re.compile(r"neuronpedia\.org/\w|\bneuronpedia_id\b", re.IGNORECASE)


def lint_said_of_others(card: CardText) -> Iterator[Finding]:
    """The sentences, each with what its source says."""
    has_entry = any(_ENTRY.search(passage.raw) for passage in card.passages)
    for passage in card.prose:
        for sentence in passage.sentences:
            found = _GAUSSIAN.search(sentence.text)
            if found and _JUMPRELU_PAPER.search(sentence.text):
                what = "a Gaussian kernel, and arXiv:2407.14435 describes a rectangle kernel"
                yield Finding(sentence.line_of(found.start()), what, "warn", found[0])
        for found in _ONLY_LENS.finditer(passage.text):
            line = passage.line_of(found.start())
            what = (
                f"{' '.join(found[0].split())!r:.80}, and SAELens 6 hooks module paths of "
                "transformers models (model_class_name AutoModelForCausalLM)"
            )
            yield Finding(line, what, "warn", found[0])
        for found in _COMPATIBLE.finditer(passage.text) if not has_entry else ():
            line = passage.line_of(found.start())
            what = "Neuronpedia-compatible, and no entry of neuronpedia.org is named"
            yield Finding(line, what, "note", found[0])
