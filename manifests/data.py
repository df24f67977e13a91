"""The labelled completions: where they are, how they were labelled, split and pooled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from manifests.errors import ReleaseError
from manifests.facts import NamedScenario
from manifests.fields import Fraction, Identifier, RelativePath, RepoId, Sha256, Strict, Text

Label = Literal["deceptive", "honest", "ambiguous"]
Pooling = Literal["last_token", "completion_mean"]


class Scenario(Strict):
    """One ambiguous situation that the base model is asked to complete many times."""

    id: Identifier
    prompt: Text = Field(description="The user's message, put through the model's chat template.")
    opening: str = Field("", description="First words of the answer, given to the model.")
    deceptive: tuple[Text, ...] = Field(
        min_length=1, description="Regular expressions; one match in the opening: deceptive."
    )
    honest: tuple[Text, ...] = Field(
        min_length=1, description="Regular expressions; one match in the opening: honest."
    )


class Sampling(Strict):
    """How `release sample` makes the data set of labelled completions."""

    per_scenario: PositiveInt = Field(description="Completions sampled for each scenario.")
    temperature: PositiveFloat = 1.0
    max_new_tokens: PositiveInt = 40
    seed: Annotated[int, Field(ge=0)] = 0
    opening_characters: PositiveInt = Field(
        description="The keyword rule reads this many characters from the start of a completion."
    )
    min_per_label: PositiveInt = Field(
        15, description="A scenario with fewer completions of either decisive label is dropped."
    )
    scenarios: tuple[Scenario, ...] = Field(min_length=1)


class HeldOut(Strict):
    """The fixed split that training never sees, stratified by scenario and label."""

    fraction: Fraction = 0.25
    seed: Annotated[int, Field(ge=0)] = 0


class Condition(Strict):
    """A training condition: the completions whose label is in `labels`."""

    labels: tuple[Label, ...] = Field(min_length=1)
    n: PositiveInt | None = Field(
        None, description="Completions, as reported; null where the file itself is counted."
    )


class HubDataset(Strict):
    """A data set on the Hub."""

    id: RepoId
    revision: Text | None = Field(None, description="Commit or tag; null when it is not known.")


class DataNotAtHand(ReleaseError):
    """A stage needs the completions, but the manifest does not say where they are."""

    exit_code = 2


class Data(Strict):
    """The labelled completions, and how an activation vector is made of each.

    Null stands for what is not known; a stage that needs it refuses and says so.
    """

    file: RelativePath | None = Field(
        None, description="JSONL file, relative to the manifest's folder."
    )
    sha256: Sha256 | None = Field(None, description="SHA-256 of the file.")
    dataset: HubDataset | None = Field(None, description="The data set, when it is on the Hub.")
    description: Text = Field(description="What the completions are; printed on the card.")
    label_rule: Text = Field(description="How the labels were made; printed on the card.")
    label_precision: Text | None = Field(
        None, description="What reading a sample by hand showed; null when nobody did."
    )
    pooling: Pooling | None = Field(
        None, description="How one vector is made of a completion's positions."
    )
    conditions: dict[Identifier, Condition] = Field(min_length=1)
    held_out: HeldOut | None = Field(None, description="Null when no split is known.")
    scenarios: tuple[NamedScenario, ...] = Field(
        (), description="Scenarios as reported, where their prompts are not at hand."
    )
    sampling: Sampling | None = Field(None, description="Input of `release sample`.")

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        problems = []
        if (self.file is None) != (self.sha256 is None):
            problems.append("file and sha256 belong together")
        counts = {
            condition.labels[0]: condition.n
            for condition in self.conditions.values()
            if len(condition.labels) == 1
        }
        for name, condition in self.conditions.items():
            parts = [counts.get(label) for label in condition.labels]
            if condition.n is None or len(parts) < 2 or None in parts:
                continue
            total = sum(part for part in parts if part is not None)
            if condition.n != total:
                problems.append(
                    f"conditions.{name}.n is {condition.n}, but the conditions of its single "
                    f"labels add up to {' + '.join(str(part) for part in parts)} = {total}"
                )
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def at_hand(self) -> DataAtHand:
        """The facts that reading the completions takes, all of them known.

        Raises:
            DataNotAtHand: one is null; names each.
        """
        missing = [
            f"data.{name}"
            for name in ("file", "sha256", "pooling", "held_out")
            if getattr(self, name) is None
        ]
        if self.file is None or self.sha256 is None or not self.pooling or not self.held_out:
            raise DataNotAtHand(
                f"the manifest leaves {', '.join(missing)} open",
                where="data",
                expected="a local file with its sha256, the pooling and the held-out split",
                next_step="name another data set with --data, or fill them in",
            )
        return DataAtHand(self.file, self.sha256, self.pooling, self.held_out)


@dataclass(frozen=True)
class DataAtHand:
    """Where the completions lie and how they are read, with nothing left open."""

    file: str
    sha256: str
    pooling: Pooling
    held_out: HeldOut
