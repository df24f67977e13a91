"""R: the numbers of README.md against the numbers beside them; nothing is measured here."""

from __future__ import annotations

from validators.check import Verdict, repository_check
from validators.readme.block_counts import lint_block_counts
from validators.readme.depths import lint_depths
from validators.readme.differences import lint_differences
from validators.readme.layers import lint_layers
from validators.readme.linted import linted, surroundings
from validators.readme.metric_identities import lint_metric_identities
from validators.readme.metrics_named import lint_metrics
from validators.readme.products import lint_products
from validators.readme.prose_sums import lint_prose_sums
from validators.readme.ranges import lint_ranges
from validators.readme.shares import lint_shares
from validators.readme.sizes import lint_sizes
from validators.readme.spread import lint_spread
from validators.readme.sums_said import lint_sums_said
from validators.readme.table_relations import lint_table_differences, lint_table_products
from validators.readme.table_shares import lint_table_shares
from validators.readme.table_totals import lint_table_totals
from validators.readme.token_budgets import lint_token_budgets
from validators.subjects import RepositorySubject


@repository_check("R005", "counts on README.md multiply and agree", tier="static")
def counts_multiply(repository: RepositorySubject) -> Verdict:
    """A release is a grid, and whoever counts its folders finds out whether the card counted right.

    Compared are `A x B = C`, SAEs against layers, architectures and conditions, lists against the
    number before them, `d_sae` against `d_in` and the expansion, shapes of `W_enc`, and the number
    of SAEs against the folders that hold one. More SAEs than the grid has places fail; fewer are a
    warning, as is everything that another axis (seeds, variants) would explain.

    Example: `line 5: 6 layers x 3 architectures x 3 conditions are 54, not 57 SAEs`.

    To mend it: count again; render the card from a manifest, which states each axis once.
    """
    return linted(repository, lambda card: lint_products(card, surroundings(repository)))


@repository_check("R006", "shares and sums on README.md follow from their counts", tier="static")
def shares_follow(repository: RepositorySubject) -> Verdict:
    """A percentage beside its count is checked by every careful reader, and costs trust if wrong.

    `k/n (p%)`, `k of n (p%)`, `p% (k/n)`, `a + b = c` and parts beside their whole are compared,
    with the rounding that the printed digits allow; `~` and "about" allow one more digit. Products
    in brackets, what is left after a part, and gains beside `(a to b)` are asked for as well; so
    are parts that make up a whole, and products that a sentence spells out.

    Example: `line 21: 2/57 is 3.51%, and 3% is printed (cut off, not rounded)`, which only warns.

    To mend it: print the share of the counts, rounded.
    """
    return linted(repository, lambda card: (
        *lint_shares(card), *lint_prose_sums(card), *lint_sums_said(card),
    ))  # fmt: skip


@repository_check("R007", "differences on README.md follow from their numbers", tier="static")
def differences_follow(repository: RepositorySubject) -> Verdict:
    """A gain in points is the number that gets quoted; it must lie between the two it comes from.

    Asked where a sentence holds two percentages and compares them. Outside of what rounding allows
    is a failure; more digits than both numbers have is a warning, since then nobody can check it;
    a gain whose two numbers are neither in the sentence nor in a table is noted. A column of
    differences is held against the two columns that it follows from in most rows.

    Example: `line 34: 67.2% and 52.88% are 14.32 apart, and +14.34pp is printed, ...`.

    To mend it: print both numbers with the digits of the difference, or fewer digits of it.
    """
    return linted(repository, lambda card: (*lint_differences(card), *lint_table_differences(card)))


@repository_check(
    "R009", "depths on README.md follow one convention", tier="static", severity="warn"
)
def depths_follow(repository: RepositorySubject) -> Verdict:
    """Layer 12 of 32 is at 37.5%, 38.7% or 40.6%, by three ways to count that all are in use.

    The number of layers is the manifest's, else the one on the card. Warned of are depths of no
    convention, of two conventions on one card, of two numbers of blocks, and a last layer that is
    not at 100%; steps between layers, `L/(n - 1)`, in place of the share of blocks are noted.

    Example: `line 27: layer 21 of 22 at 95%, though it is the last one`.

    To mend it: write `(L + 1)/n` everywhere, as rendered cards do, and say so.
    """
    known = surroundings(repository)
    return linted(
        repository, lambda card: (*lint_depths(card, known), *lint_block_counts(card, known))
    )


@repository_check(
    "R010", "what README.md says of layers fits together", tier="static", severity="fail"
)
def layers_fit(repository: RepositorySubject) -> Verdict:
    """A number that belongs to another layer turns a comparison into its opposite.

    A layer's raw number is held against a rise or fall that is said to go on through it, and the
    layer of the peak against the layers that have SAEs.

    Example: `line 37: L15 has 72.4%, and line 33 says that it rises from ~55% at L3 to 72.4% at
    L21`.

    To mend it: look the number up, or say which layer it is of.
    """
    return linted(repository, lint_layers)


@repository_check("R011", "sizes on README.md are possible", tier="static")
def sizes_are_possible(repository: RepositorySubject) -> Verdict:
    """Who plans by a card's bits or gigabytes finds out at the first run that they cannot be.

    4-bit weights take 4 bits and their scales: 4.5 for nf4 in blocks of 64, 4.127 with double
    quantisation. Parameters times bytes must fit into the memory that is said to suffice; that is
    a warning, since parts may be kept elsewhere. The 4-bit type of the code is that of the text.

    Example: `line 55: ~3.5 bits/parameter, and every weight takes 4 bits`.

    To mend it: `release portability` measures both on the loaded model.
    """
    return linted(repository, lint_sizes)


@repository_check(
    "R016", "README.md compares like with like, and says of how many", tier="static",
    severity="warn",
)  # fmt: skip
def metrics_are_named(repository: RepositorySubject) -> Verdict:
    """Accuracy starts at the larger class, balanced accuracy at a half: side by side they mislead.

    With 159 of 243 samples in one class, always answering that class has an accuracy of 65.4% and a
    balanced accuracy of 50%. Noted are p-values and columns of rates without their n.

    Example: `line 30: 'Best SAE probe accuracy' beside a balanced accuracy on line 28`.

    To mend it: name the metric in each row, use one of them, and give n.
    """
    return linted(repository, lint_metrics)


@repository_check("R022", "statistics on README.md follow from their values", tier="static")
def statistics_follow(repository: RepositorySubject) -> Verdict:
    """A mean and a spread beside their values can be recomputed, and then they should come out.

    A spread that divides by n is a warning: of three values it is 18% too small. So are an
    explained variance on fewer vectors than latents without a held-out one, a tenth or fewer of
    the latents alive, and one example under two latents; digits beyond the ninth are noted. A
    minimum is not above its median, an explained variance not above 1, and what is explained and
    what is not are 1 together; the CE loss score follows from its three losses. What rises does
    not go down, an interval holds its estimate, and no range begins with its higher end.

    Example: `line 132: 0.088 for 0.561, 0.775, 0.643: n - 1 gives 0.108`.

    To mend it: compute it from the values again, with n - 1.
    """
    return linted(repository, lambda card: (
        *lint_spread(card), *lint_metric_identities(card), *lint_ranges(card),
    ))  # fmt: skip


@repository_check(
    "R024", "tables and budgets on README.md follow from their own numbers", tier="static",
    severity="warn",
)  # fmt: skip
def tables_follow(repository: RepositorySubject) -> Verdict:
    """A slip in one cell is copied into papers, and the cells beside it would have shown it.

    Relations are taken from the table itself: a column that is the product of two others, a number
    from the text times another column, `k of n` beside its percentage, parameters beside bytes.
    They have to hold in most rows, and the rows in which they do not are reported. So are rows
    named sum, total or mean, tables that repeat another one in percent, shares of two counts,
    changes in percent of one row, and steps times tokens per step against the tokens of their
    section.

    Example: `line 67: 40 x 465 is 18,600, not 16,800`.

    To mend it: compute the cell again, or render the card from a report.
    """
    return linted(
        repository,
        lambda card: (
            *lint_table_products(card), *lint_table_totals(card), *lint_token_budgets(card),
            *lint_table_shares(card),
        ),
    )  # fmt: skip
