"""What the checks of a card's text find, as places that an import does not carry on.

A finding spoils the words that it is about; where it names none, its whole line. Some are mended by
the form in which a manifest holds a number, which has a metric, a number of vectors and a layer of
its own: those spoil nothing, and the resolution says what became of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from release.importing.decided import Place
from validators.readme.block_counts import lint_block_counts
from validators.readme.card_links import lint_links
from validators.readme.card_text import CardText
from validators.readme.comparisons import lint_comparisons
from validators.readme.config_claims import lint_config_claims
from validators.readme.config_columns import lint_config_columns
from validators.readme.config_model import lint_base_model
from validators.readme.config_rows import lint_config_rows
from validators.readme.config_sizes import lint_config_sizes
from validators.readme.depths import lint_depths
from validators.readme.differences import lint_differences
from validators.readme.findings import Finding, Surroundings
from validators.readme.hook_layers import lint_hook_layers
from validators.readme.hook_mentions import lint_hook_names
from validators.readme.layers import lint_layers
from validators.readme.metric_identities import lint_metric_identities
from validators.readme.metrics_named import lint_metrics
from validators.readme.model_family import lint_model_family
from validators.readme.paper_titles import lint_papers
from validators.readme.products import lint_products
from validators.readme.prose_sums import lint_prose_sums
from validators.readme.ranges import lint_ranges
from validators.readme.said_of_others import lint_said_of_others
from validators.readme.sentences_on_tables import lint_sentences_on_tables
from validators.readme.shares import lint_shares
from validators.readme.sizes import lint_sizes
from validators.readme.spread import lint_spread
from validators.readme.sums_said import lint_sums_said
from validators.readme.table_relations import lint_table_differences, lint_table_products
from validators.readme.table_shares import lint_table_shares
from validators.readme.table_totals import lint_table_totals
from validators.readme.tensors_said import lint_tensors
from validators.readme.token_budgets import lint_token_budgets
from validators.readme.verdicts import lint_verdicts
from validators.readme.version_floors import lint_version_floors

Lint = Callable[[CardText, Surroundings], Iterable[Finding]]


def _alone(lint: Callable[[CardText], Iterable[Finding]]) -> Lint:
    """A lint that asks the card alone."""
    return lambda card, _: lint(card)


# What each check asks, by its code (validators/checks/readme_*.py). R014 and R018 are about
# metadata and code blocks, of which an import carries nothing.
LINTS: dict[str, tuple[Lint, ...]] = {
    "R005": (lint_products,),
    "R006": (_alone(lint_shares), _alone(lint_prose_sums), _alone(lint_sums_said)),
    "R007": (_alone(lint_differences), _alone(lint_table_differences)),
    "R008": (lint_hook_names, lint_hook_layers),
    "R009": (lint_depths, lint_block_counts),
    "R010": (_alone(lint_layers),),
    "R011": (_alone(lint_sizes),),
    "R012": (lint_tensors,),
    "R013": (_alone(lint_version_floors),),
    "R015": (lint_links,),
    "R016": (_alone(lint_metrics),),
    "R017": (lint_model_family,),
    "R019": (_alone(lint_verdicts), _alone(lint_comparisons), _alone(lint_sentences_on_tables)),
    "R020": (_alone(lint_said_of_others),),
    "R021": (lint_papers,),
    "R022": (_alone(lint_spread), _alone(lint_metric_identities), _alone(lint_ranges)),
    "R023": (
        lint_config_rows,
        lint_config_claims,
        lint_base_model,
        lint_config_sizes,
        lint_config_columns,
    ),
    "R024": (
        _alone(lint_table_products),
        _alone(lint_table_totals),
        _alone(lint_token_budgets),
        _alone(lint_table_shares),
    ),
}
NOT_ABOUT_WORDS = ("R014", "R018")
_MOST = 300


@dataclass(frozen=True)
class Fault:
    """One finding; `mended` says how the manifest's own form settles it, where it does."""

    code: str
    line: int
    what: str
    excerpt: str
    mended: str | None


@dataclass(frozen=True)
class Faults:
    """All findings on a card, by code and line; `decided` are words that people found wrong."""

    all: tuple[Fault, ...] = ()
    decided: tuple[Fault, ...] = ()

    @cached_property
    def by_line(self) -> Mapping[int, tuple[Fault, ...]]:
        """The findings by the line that they are on."""
        found: dict[int, tuple[Fault, ...]] = {}
        for fault in (*self.all, *self.decided):
            found[fault.line] = (*found.get(fault.line, ()), fault)
        return found

    def spoils(self, line: int, text: str, start: int, end: int) -> bool:
        """Whether a finding that is not mended is about these characters of a line."""
        return any(
            fault.mended is None and _touches(fault, text, start, end)
            for fault in self.by_line.get(line, ())
        )

    def about(self, lines: Iterable[int], text: str, start: int, end: int) -> tuple[Fault, ...]:
        """The findings, mended or not, that are about these characters of a text on the lines."""
        return tuple(fault for fault in self.on(lines) if _touches(fault, text, start, end))

    def on(self, lines: Iterable[int]) -> tuple[Fault, ...]:
        """The findings on any of these lines, mended or not: a text would repeat what they name."""
        return tuple(fault for line in sorted(lines) for fault in self.by_line.get(line, ()))

    @property
    def wrong_totals(self) -> frozenset[int]:
        """Numbers of SAEs that the card states and that cannot be."""
        found = (_WRONG_TOTAL.search(f.what) for f in self.all if f.code == "R005")
        return frozenset(int(each[1]) for each in found if each)

    def is_mended(self, line: int, beginning: str) -> bool:
        """Whether a finding on this line is mended in a way that begins so."""
        on_line = self.by_line.get(line, ())
        return any((fault.mended or "").startswith(beginning) for fault in on_line)


def find_faults(card: CardText, known: Surroundings, left_out: Iterable[Place] = ()) -> Faults:
    """Ask every check of a card's text; `left_out` are the words that people decided against."""
    found = {
        Fault(code, finding.line, finding.what, finding.excerpt, _mended(code, finding))
        for code, lints in LINTS.items()
        if code != "R023" or known.saes
        for lint in lints
        for finding in islice(lint(card, known), _MOST)
    }
    return Faults(
        tuple(sorted(found, key=lambda f: (f.line, f.code, f.what))),
        tuple(Fault(DECIDED, p.line, p.correction.words, p.words, None) for p in left_out),
    )


DECIDED = "decided"
DIGITS = "carried with three decimals"
FEW_VECTORS = "carried with the vectors it was taken on, and a caveat"
PEAK = "both carried, and a caveat"
ATTRIBUTION = "carried at most without that source"
SCOPE = "held for the JumpReLU SAEs alone, in recipe.jumprelu.threshold"
BOUND = "carried as the bound that it is"
_WRONG_TOTAL = re.compile(r"(?:^|, not )(\d{1,6}) SAEs")


def _mended(code: str, finding: Finding) -> str | None:
    if code == "R006" and " is printed" in finding.what:
        return "the count is carried; its share is derived"
    if code == "R009":
        return "the layer is carried; its depth is derived, by one convention"
    if code == "R010" and finding.what.startswith("the peak is at"):
        return PEAK
    if code == "R016" and "two metrics" in finding.what:
        return "carried as an accuracy of unspecified kind, which is compared with none"
    if code == "R012" and finding.what.endswith("SAEs have no threshold"):
        return SCOPE
    if code == "R020" and " kernel, and arXiv:" in finding.what:
        return ATTRIBUTION
    if code == "R016" and finding.what.endswith("without the n it rests on"):
        return "carried with an unknown n"
    if code == "R019" and " is a bound, under " in finding.what:
        return BOUND
    if code == "R016" and finding.what.startswith("the column"):
        return "carried with an unknown n"
    if code == "R022" and finding.what.endswith(" decimals"):
        return DIGITS
    if code == "R022" and ("latents are alive" in finding.what or "held-out" in finding.what):
        return FEW_VECTORS
    return None


def _touches(fault: Fault, text: str, start: int, end: int) -> bool:
    words = " ".join(fault.excerpt.split())
    begin = text.find(words) if words else -1
    if begin < 0:
        return True
    while begin >= 0:
        if begin < end and start < begin + len(words):
            return True
        begin = text.find(words, begin + 1)
    return False
