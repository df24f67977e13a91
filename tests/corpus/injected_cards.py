"""Damage of README.md: sentences that contradict each other, the files, or what exists."""

from __future__ import annotations

from injection import Damage, Injection, Row, Strength
from release_copy import ReleaseCopy, Target

_NUMBERS = Row("card: numbers", "R005 R006 R007 R009 R010 R011 R016 R022 R023 R024")
_NAMES = Row("card: names", "R002 R008 R012 R013 R017 R020")
_PAGE = Row("card: page", "R014 R015 R018")
_VERDICTS = Row("card: verdicts", "R019")

_README = "README.md"
_CARD = """---
license: apache-2.0
library_name: saelens
base_model: tiny/llama
base_model_relation: adapter
tags: [sparse-autoencoder]
---

# Sparse autoencoders

"""


def _text(copy: ReleaseCopy) -> str:
    path = copy.root / _README
    return path.read_text(encoding="utf-8") if path.is_file() else _CARD


def _says(text: str) -> Damage:
    """The card, with a paragraph more."""

    def damage(copy: ReleaseCopy, target: Target) -> None:
        said = text.format(d_in=target.d_in, d_sae=target.d_sae, sae_id=target.sae_id)
        copy.write(_README, f"{_text(copy)}\n\n## More\n\n{said}\n".encode())

    return damage


def _without(key: str) -> Damage:
    def damage(copy: ReleaseCopy, target: Target) -> None:
        lines = _text(copy).splitlines(keepends=True)
        kept = [line for line in lines if not line.startswith(f"{key}:")]
        copy.write(_README, "".join(kept).encode())

    return damage


def _no_front_matter(copy: ReleaseCopy, target: Target) -> None:
    copy.write(_README, _text(copy).split("---\n", 2)[2].encode())


def _card(row: Row, name: str, strength: Strength, damage: Damage) -> Injection:
    return row(name, strength, damage, tier="static", whole=True)


INJECTIONS = (
    _card(_NUMBERS, "a product", "gross", _says("These are 6 x 3 x 3 = 57 SAEs.")),
    _card(_NUMBERS, "another count of SAEs", "medium", _says("- 999 SAEs trained on one model")),
    _card(_NUMBERS, "a share", "gross", _says("Of all, 14/30 (57%) beat the baseline.")),
    _card(_NUMBERS, "a share cut off", "subtle", _says("Of all, 2/57 (3%) beat the baseline.")),
    _card(_NUMBERS, "a sum", "medium", _says("There are 96 + 85 = 191 of them.")),
    _card(_NUMBERS, "a difference", "medium", _says("77.8% is above 72.4% by +6.4pp.")),
    _card(_NUMBERS, "digits of a difference", "subtle",
          _says("67.2% is above the baseline of 52.88% by +14.34pp.")),
    _card(_NUMBERS, "a depth", "medium", _says("L4 (13% depth) and L5 (90% depth) differ.")),
    _card(_NUMBERS, "a layer's number", "medium",
          _says("It rises steadily from L3 (~55%) to L21 (72.4%).\n\nL15 raw accuracy of 81% is "
                "beaten.")),
    _card(_NUMBERS, "bits of a weight", "gross", _says("In nf4, weights take 3.5 bits/parameter.")),
    _card(_NUMBERS, "two metrics", "subtle",
          _says("| what | value |\n|---|---|\n| balanced accuracy | 72% |\n| accuracy | 78% |")),
    _card(_NUMBERS, "a spread", "subtle",
          _says("- s=1: d = 0.561\n- s=2: d = 0.775\n- s=3: d = 0.643\n"
                "- d mean ± std = 0.660 ± 0.088 (n=3)")),
    _card(_NAMES, "a hook of no library", "gross", _says("Hook: model.layers.3.hook_resid_post")),
    _card(_NAMES, "hook_name in two notations", "medium",
          _says("hook_name: blocks.3.hook_resid_post\n\nhook_name: model.layers.3")),
    _card(_NAMES, "a threshold of a TopK SAE", "medium",
          _says('```python\nsae_id = "a_topk_L3"\n# Keys: threshold [64]\n```')),
    _card(_NAMES, "an encoder without b_dec", "medium",
          _says("```python\nlatents = (x @ W_enc + b_gate).relu()\n```")),
    _card(_NAMES, "an old version", "subtle", _says("- jumprelu: SAELens >= 3.5")),
    _card(_NAMES, "two families", "medium",
          _says("A GPT-NeoX base model. It has the GPT-2 architecture.")),
    _card(_NAMES, "another kernel", "subtle",
          _says("Trained with a Gaussian-kernel STE (arXiv:2407.14435).")),
    _card(_PAGE, "no front matter", "gross", _no_front_matter),
    _card(_PAGE, "no license", "medium", _without("license")),
    _card(_PAGE, "no library", "medium", _without("library_name")),
    _card(_PAGE, "a link to no file", "medium", _says("See [the data](data/nothing.csv).")),
    _card(_PAGE, "a link to no heading", "subtle", _says("See [below](#nothing-below).")),
    _card(_PAGE, "code outside of a block", "medium", _says("import json\ncfg = json.load(f)")),
    _card(_VERDICTS, "help where there is none", "subtle",
          _says("| Peak accuracy | 69% |\n|---|---|\n| Best SAE accuracy | 61% |\n\nSAEs help.")),
)  # fmt: skip
