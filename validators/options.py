"""What a validation may be told besides the repository, its manifest and the tier."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from validators.saelens.hub_access import HubAccess
from validators.selection import EVERYTHING, Selection


@dataclass(frozen=True)
class ValidateOptions:
    """How to validate; the defaults are those of a plain run, which a push may rest on.

    Attributes:
        base_model: a folder or Hub id in place of the base model that manifest or configs name.
        device: where the base model is run: `cpu`, `cuda` or `cuda:N`.
        text: a text file to read activations on, in place of the manifest's data.
        activations: a file of saved activations, in place of running the base model.
        only: globs over SAE ids, compared with case; empty: every SAE.
        selection: which checks are reported.
        strict: a warning is a failure.
        endpoint: the Hub that base models and snippets are fetched from; None: the client's own.
        token: the token for that Hub, which is never printed; None: none.
        hub: serves the repository as a Hub does, to load from it as users do; None: not at hand.
        keep_vectors: a folder in which activations of the claim's completions are kept, and from
            which they are taken where nothing has changed that they depend on; None: neither.
        run_snippets: run the code blocks of the repository's README, which a stranger wrote.
    """

    base_model: str | None = None
    device: str = "cpu"
    text: Path | None = None
    activations: Path | None = None
    only: tuple[str, ...] = ()
    selection: Selection = EVERYTHING
    strict: bool = False
    endpoint: str | None = None
    token: str | None = field(default=None, repr=False)
    hub: HubAccess | None = None
    keep_vectors: Path | None = None
    run_snippets: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether every check is reported as it is, on every SAE: what a push may rest on.

        Activations of another origin than the manifest's data are no ground for a push either.
        """
        return (
            not self.only
            and self.selection == EVERYTHING
            and not self.strict
            and self.text is None
            and self.activations is None
        )


DEFAULTS = ValidateOptions()
