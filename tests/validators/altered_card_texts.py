"""The words of docs/altered-cards.md; the figures come from altered_card_figures.py."""

from __future__ import annotations

_FIRST = """{n_cards} cards and {n_all} alterations: {n_wrong} of them a rule could find, as their
author judged before anything was measured. Besides, {n_harmless} harmless changes. They lie in
`tests/validators/altered_cards/`.

**Blind**, before any change to the checks: {n_blind} of {n_wrong} found, {false_good} findings on
the cards as written and {false_harmless} of {n_harmless} harmless changes with a finding: false
alarms all of them.

**Present**, after rules were added with these cards at hand: {n_found} of {n_wrong} found,
{now_good} findings on the cards as written, {now_harmless} of {n_harmless} harmless changes with a
finding. **This figure is not blind.** The rules are general, and no rule names a card, but which
rules were written was decided by what was missed here; the second set shows what that is worth on
cards that nobody had seen.
"""
_SECOND = """{n_cards} cards and {n_all} alterations, {n_wrong} of them mechanical, and {n_harmless}
harmless changes, by another author, who had read neither the checks nor the first set. They lie in
`tests/validators/altered_cards_second/`.

**Blind**, with the checks as the first set had left them: {n_blind} of {n_wrong} found; on the
cards as written {false_good} false alarms, and {n_right} findings that are right (front matter
without `base_model_relation`, which the cards have since been given); {false_harmless} of
{n_harmless} harmless changes with a finding. That is one mistake in six, where the present
figure of the first set would promise nine in ten. Since then the facts of one card also say that
its weights are in bfloat16, as the card does.

**Present**, after the false alarms were mended and more rules were added with these cards at hand:
{n_found} of {n_wrong} found, {now_good} findings on the cards as written, {now_harmless} of
{n_harmless} harmless changes with a finding. **This figure is not blind** either; the third set
shows what the rules of both rounds are worth.
"""
_THIRD = """{n_cards} cards and {n_all} alterations, {n_wrong} of them mechanical, by another
author, who had not read the checks: six cards of made-up repositories, and the six of the gallery
as they were rendered then. How hard a mistake is to find was not judged. They lie in
`tests/validators/altered_cards_third/`.

**Blind**, with the checks as two rounds had left them: {n_of_named} of {n_wrong} found: {n_blind}
by a finding on an altered line, as all other figures here are counted; for {n_named} more
the finding stands on another line and is about the mistake, as was read by hand. On the cards as
written {false_good} false alarms, and {n_right} findings that are right (front matter without
`base_model_relation` or `license`). On the right lines of one altered card {false_altered} false
alarms: an SAE's id that begins with the name of a hook was taken for a hook. That rendered cards
raise nothing was held by a test before, so it says little here. **This is the honest
figure for what the checks find on a card that nobody has seen**: somewhat less than half, of rules
as they were before this set.

**Present**, after that false alarm was mended and more rules were added with these cards at hand:
{n_found} of {n_wrong} found, {now_good} false alarms on the cards as written. **This figure is not
blind.** Of the rules as they are there is no blind one; it would take a fourth set.
"""
SECTIONS = {
    "altered_cards": _FIRST, "altered_cards_second": _SECOND, "altered_cards_third": _THIRD,
}  # fmt: skip
RULES = {
    "altered_cards": "first; rules before any such set",
    "altered_cards_second": "second; rules after the first set",
    "altered_cards_third": "third; rules after two rounds",
}

TABLES = """
| kind | n | blind: found | elsewhere | missed | present: found | elsewhere | missed |
|---|---|---|---|---|---|---|---|
{rows}

Not found are:

| alteration | what is wrong | why it is not found |
|---|---|---|
{missed}
"""

TEXT = """# Altered cards, and what the checks find on them

Three sets of cards, each card right as far as its author could make it, and of alterations, each of
which makes one statement wrong; in the first two sets, besides, changes that are harmless: other
words, units, digits and order for the same numbers. No author had read the checks.

In the order in which they were made, and so of more and more rules:

| set; which rules | blind: found | false alarms | present, not blind: found | false alarms |
|---|---|---|---|---|
{summary}

False alarms are those on the cards as written. What was blind was measured before anybody had
looked at that set, and was not measured again. After each set rules were added for what it had
shown to be missed, so the present figures are of cards that the rules were made with.

Each card is asked of as `release validate FOLDER --tier static --select R` does, with the configs
that it describes and without a manifest. An alteration counts as **found** where a finding that the
unaltered card does not have is on an altered line, or names it; as **elsewhere** where there are
new findings on other lines only. What is found of mistakes depends on how they were chosen; that
nothing is raised on cards that are right is the better figure, and the same holds of the
[four published cards](seed-cards.md) and of rendered ones.

## The first set

{first}
## The second set

{second}
## The third set

{third}
## Measure again

`python -m pytest tests/validators/test_altered_cards.py` holds the cards to these figures, and
`python tests/validators/altered_card_figures.py` writes this page anew. The blind outcomes of each
alteration are kept in the `blind.json` of each set; they are not measured again. Why a mechanical
one is not found stands in its `reasons.json`.
"""
