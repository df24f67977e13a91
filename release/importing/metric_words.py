"""What cards call the metrics of reported numbers."""

from __future__ import annotations

import re

from manifests.facts import ReportedMetric

# The first that fits decides: "L0 (mean active features)" is an L0. "accuracy" alone may be
# balanced or not, so it is of an unspecified kind.
_WORDS: tuple[tuple[ReportedMetric, str], ...] = (
    ("training_seconds", r"train(?:ing)?[ _]time"),
    ("latents_with_d_above_1", r"d ?> ?1(?:\.0)? count"),
    ("cohens_d_max", r"d_max|(?:max(?:imum)?|largest) (?:Cohen's |cohens_)?d"),
    ("cohens_d", r"Cohen's d|(?<![\w>])d(?=$| ?[=:])"),
    ("conditions_in_which_ste_beats_topk", r"STE[^.]{0,30}conditions"),
    (
        "saes_beating_raw_baseline",
        r"SAEs? beating (?:the )?raw(?: baseline)?|SAEs? beat [^.]{0,40}raw(?: baseline)?",
    ),
    ("balanced_accuracy", r"balanced[ _]accuracy"),
    ("auroc", r"AUROC|ROC[ -]AUC|AUC"),
    ("explained_variance", r"explained[ _]variance|EV"),
    ("l0", r"L0"),
    ("mse", r"MSE|mean squared error"),
    ("alive_latents", r"(?:alive|active) (?:features|latents)"),
    ("honest_rate", r"honest[ _]rate"),
    ("top_latent_overlap", r"top-\d{1,3} [\w -]{0,30}overlap"),
    ("cosine", r"cos(?:ine)?(?: similarity)?(?=\b|\()"),
    (
        "n_completions",
        r"(?:num(?:ber of)?|n)[ _](?:training )?(?:activations|completions|samples|vectors)",
    ),
    ("unspecified_accuracy", r"accurac(?:y|ies)|raw baseline"),
)
_METRICS = tuple(
    (metric, re.compile(rf"(?<![A-Za-z])(?:{words})(?![A-Za-z]| ?/)", re.IGNORECASE))
    for metric, words in _WORDS
)
COUNTS: tuple[ReportedMetric, ...] = (
    "alive_latents",
    "conditions_in_which_ste_beats_topk",
    "latents_with_d_above_1",
    "n_completions",
    "saes_beating_raw_baseline",
    "top_latent_overlap",
)


def metric_of(label: str) -> ReportedMetric | None:
    """The metric that a label names; None where it names none."""
    return next((metric for metric, pattern in _METRICS if pattern.search(label)), None)


def metric_just_before(label: str) -> ReportedMetric | None:
    """The metric whose value comes next; another number between the two would be its value."""
    for metric, pattern in _METRICS:
        if found := pattern.search(label):
            return None if re.search(r"\d", label[found.end() :]) else metric
    return None


def metrics_in(header: str) -> tuple[str, ...]:
    """The words of a header that name metrics, in its order."""
    found: dict[int, str] = {}
    taken: list[range] = []
    for _, pattern in _METRICS:
        for match in pattern.finditer(header):
            if not any(match.start() in span for span in taken):
                found[match.start()] = match[0]
                taken.append(range(*match.span()))
    return tuple(found[start] for start in sorted(found))
