"""R: README.md as a page: its metadata, its links, and code that stands where it is shown."""

from __future__ import annotations

from validators.check import Verdict, repository_check
from validators.readme.card_links import lint_links
from validators.readme.front_matter import lint_front_matter
from validators.readme.linted import linted, surroundings
from validators.readme.loose_code import lint_loose_code
from validators.subjects import RepositorySubject


@repository_check("R014", "README.md tells the Hub what it is", tier="static", severity="warn")
def metadata_is_there(repository: RepositorySubject) -> Verdict:
    """The Hub finds, filters and counts a repository by its front matter, and by nothing else.

    Without a license nobody knows whether it may be used; `base_model` links it to the model, and
    without `base_model_relation` the SAEs are listed as finetuned models (noted, as are missing
    tags). The Hub's name of the library is `saelens`. The license is the one that the text names.
    Front matter that is no YAML fails.

    Example: `line 1: the front matter has no license, base_model`.

    To mend it: write the keys between two lines of `---` at the top, or render the card.
    """
    return linted(repository, lint_front_matter)


@repository_check("R015", "links on README.md lead somewhere", tier="static")
def links_lead_somewhere(repository: RepositorySubject) -> Verdict:
    """A link to a file that was never uploaded is found by readers, after the release.

    Relative links and images must be files or folders of the repository; anchors must be headings,
    and "see:" must be followed by a place (both are warnings). Nothing is fetched.

    Example: `line 12: the link to 'figures/ev.png', which is not in the repository`.

    To mend it: upload the file with the card, or take the link out.
    """
    return linted(repository, lambda card: lint_links(card, surroundings(repository)))


@repository_check(
    "R018", "Python on README.md stands in code blocks", tier="static", severity="warn"
)
def code_is_in_blocks(repository: RepositorySubject) -> Verdict:
    """Outside of a block, Markdown joins lines, takes `#` for a heading and drops indentation.

    Named are the first line of such code and every line that is no longer indented below its `def`
    or `with`. Code inside blocks is R001's.

    Example: `line 59: not indented below 'def encode(x):' on line 58`.

    To mend it: put the code between lines of three backticks, the first with `python`.
    """
    return linted(repository, lint_loose_code)
