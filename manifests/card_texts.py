"""What a manifest says for its card alone: uses of the SAEs, their context, the template."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from manifests.fields import Strict, Text

CardTemplate = Literal["single_sae", "multi_sae"]


class Uses(Strict):
    """What the SAEs tell apart, and what they are good for; null or empty: nobody said."""

    measures: Text | None = Field(None, description="What the labels really tell apart.")
    does_not_measure: Text | None = Field(
        None, description="What a reader might take the labels for, and they are not."
    )
    recommended: tuple[Text, ...] = Field((), description="One use each.")
    not_recommended: tuple[Text, ...] = Field((), description="One use each.")


class CardChoices(Strict):
    """How the card is laid out."""

    template: CardTemplate | None = Field(
        None, description="Null: single_sae for a repository of one SAE, else multi_sae."
    )
