"""R: what README.md calls things, against the configs, the libraries and the manifest."""

from __future__ import annotations

from validators.check import Skipped, Verdict, repository_check
from validators.readme.comparisons import lint_comparisons
from validators.readme.config_claims import lint_config_claims
from validators.readme.config_columns import lint_config_columns
from validators.readme.config_model import lint_base_model
from validators.readme.config_rows import lint_config_rows
from validators.readme.config_sizes import lint_config_sizes
from validators.readme.hook_layers import lint_hook_layers
from validators.readme.hook_mentions import lint_hook_names
from validators.readme.linted import linted, surroundings
from validators.readme.model_family import lint_model_family
from validators.readme.paper_titles import lint_papers
from validators.readme.said_of_others import lint_said_of_others
from validators.readme.sentences_on_tables import lint_sentences_on_tables
from validators.readme.tensors_said import lint_tensors
from validators.readme.verdicts import lint_verdicts
from validators.readme.version_floors import lint_version_floors
from validators.subjects import RepositorySubject


@repository_check("R008", "README.md names one place, as a library names it", tier="static")
def hook_names_agree(repository: RepositorySubject) -> Verdict:
    """An SAE on another activation than its own gives numbers all the same, and all are wrong.

    A module's path that ends in TransformerLens' `.hook_resid_post` is neither's: `getattr` fails
    on it, and TransformerBridge never fires. Paths of another class than the base model's fail too,
    where the manifest names its model type or the configs a module path. Warnings: `hook_name` in
    two notations, in another one than the configs', or a layer without any name.

    Example: `line 50: model.layers.{layer}.hook_resid_post: neither a module's path nor a hook of
    TransformerLens`.

    To mend it: write `blocks.L.hook_resid_post` as `hook_name` and `model.layers.L` as
    `hf_hook_name`, in the configs and on the card.
    """
    known = surroundings(repository)
    return linted(
        repository, lambda card: (*lint_hook_names(card, known), *lint_hook_layers(card, known))
    )


@repository_check(
    "R012", "README.md gives an SAE the tensors it has", tier="static", severity="warn"
)
def tensors_are_there(repository: RepositorySubject) -> Verdict:
    """A tensor that is listed and missing stops a strict load; one that is left out bends numbers.

    TopK and Gated SAEs have no `threshold`, be it listed or told. An encoder written as
    `x @ W_enc + b_enc` leaves out that `b_dec` is subtracted first, as SAELens does unless
    `apply_b_dec_to_input` is false: on one SAE that took the explained variance from -0.06 to
    -28.8. Pickles do not load in SAELens.

    Example: `line 110: threshold [2304], and 'smollm2_topk_L21_honest_only' is topk`.

    To mend it: copy tensors and forward pass from a rendered card (`release render`).
    """
    return linted(repository, lambda card: lint_tensors(card, surroundings(repository)))


@repository_check(
    "R013", "README.md asks for versions that have what it needs", tier="static", severity="warn"
)
def versions_suffice(repository: RepositorySubject) -> Verdict:
    """Whoever installs the oldest version that a card allows gets a KeyError from its example.

    SAELens has gated SAEs since 3.6.0, topk since 3.9.0 and jumprelu since 3.14.0. Before 6.0.0
    `SAE.from_pretrained` returned a tuple, which code that takes it for the SAE cannot use.

    Example: `line 173: SAELens 3.0 for topk, which came with 3.9.0`.

    To mend it: name the version that the SAEs were checked with, which the report does.
    """
    return linted(repository, lint_version_floors)


@repository_check(
    "R017", "README.md gives the base model one architecture", tier="static", severity="warn"
)
def family_is_one(repository: RepositorySubject) -> Verdict:
    """The architecture says where the residual stream is and what has been added to it by then.

    Families that the card names are held against the manifest's `model_type`, else against each
    other. transformers' `nanochat` is neither GPT-NeoX nor GPT-2: its blocks are sequential.

    Example: `line 84: 'GPT-2 architecture', and 'GPT-NeoX base model' on line 2`.

    To mend it: write the `model_type` of the base model's config.json.
    """
    return linted(repository, lambda card: lint_model_family(card, surroundings(repository)))


@repository_check("R019", "verdicts on README.md fit its numbers", tier="static", severity="warn")
def verdicts_fit(repository: RepositorySubject) -> Verdict:
    """The verdict is what gets remembered, so it has to be the one that the numbers give.

    "SAEs help" is held against the best SAE and the raw peak, "SAEs hurt" against how many beat the
    baseline, "ahead in all cells" and rises and falls with depth against the tables above, the
    smallest model against the sizes in the names, a single prompt against several
    scenarios; extremes, counts of rows, splits and times against the table above in the same
    section; "first-ever" without a source and bounds among exact settings are noted.

    Example: `line 30: SAEs help, and the best has 67.2% (line 29), the raw peak ~69% (line 27)`.

    To mend it: say what the numbers say; a manifest's `claims` are checked against them.
    """
    return linted(repository, lambda card: (
        *lint_verdicts(card), *lint_comparisons(card), *lint_sentences_on_tables(card),
    ))  # fmt: skip


@repository_check(
    "R020", "README.md says of others what their sources say", tier="static", severity="warn"
)
def others_are_described(repository: RepositorySubject) -> Verdict:
    """Sentences about libraries and papers are copied from card to card long after they were wrong.

    SAELens 6 hooks a transformers model by its module paths. The JumpReLU paper (arXiv:2407.14435)
    describes a rectangle kernel. "Neuronpedia-compatible" without an entry there is noted.

    Example: `line 70: a Gaussian kernel, and arXiv:2407.14435 describes a rectangle kernel`.

    To mend it: say what was done in your own code, and what your version of a library does.
    """
    return linted(repository, lint_said_of_others)


@repository_check(
    "R021", "papers on README.md are those of the manifest", tier="static",
    severity="warn", needs_manifest=True,
)  # fmt: skip
def papers_are_cited(repository: RepositorySubject) -> Verdict:
    """A wrong title is not found, and an author who is left out is not cited.

    Titles in quotes beside an arXiv id, and BibTeX entries with it, are held against `citations` of
    the manifest. A title may stop early; `and others` stands for the rest of the authors.

    Example: `line 185: 1 of the 4 authors of arXiv:2509.20393`.

    To mend it: copy title and authors from arXiv into the manifest, and render the card.
    """
    known = surroundings(repository)
    if not known.papers:
        return Skipped("the manifest cites no paper with an arXiv id", required=False)
    return linted(repository, lambda card: lint_papers(card, known))


@repository_check(
    "R023", "README.md says of its SAEs what their configs say", tier="static", severity="warn"
)
def configs_agree(repository: RepositorySubject) -> Verdict:
    """The card is read and the config is loaded: where they differ, users get what they never saw.

    A row of a table that names an SAE is held against its config: layer, hook, module path, `d_in`,
    `d_sae`, `k`, architecture. So is what the card says of all of them: how many there are, their
    sizes, expansion and `k`, lists of layers, the bytes they take, and the base model in the
    metadata and the title. A column of hooks holds those of the configs, a column of SAEs as many
    as there are for each layer, and a mean L0 is not above `k`. Left alone where a config cannot be
    read.

    Example: `line 34: blocks.18.hook_resid_post, and its config has blocks.17.hook_resid_post, in
    the row of 'gated_l17'`.

    To mend it: correct the card; or the config, where that one is wrong.
    """
    known = surroundings(repository)
    if not known.saes:
        return Skipped("there are no configs that can be read", required=False)
    return linted(
        repository,
        lambda card: (
            *lint_config_rows(card, known), *lint_config_claims(card, known),
            *lint_base_model(card, known), *lint_config_sizes(card, known),
            *lint_config_columns(card, known),
        ),
    )  # fmt: skip
