"""What runs through the base model, completions or plain text: where it is, how it is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from manifests.errors import ReleaseError
from manifests.facts import NamedScenario
from manifests.fields import Fraction, Identifier, RelativePath, RepoId, Sha256, Strict, Text

Label = Literal["deceptive", "honest", "ambiguous"]
Pooling = Literal["last_token", "completion_mean", "every_token"]


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
    """The fixed split that training never sees.

    Completions are stratified by scenario and label; of a text, whole documents are held out.
    """

    fraction: Fraction = 0.25
    seed: Annotated[int, Field(ge=0)] = 0


class Condition(Strict):
    """A training condition: the completions whose label is in `labels`, or the whole text."""

    labels: tuple[Label, ...] = Field((), description="None only of plain text, which has none.")
    n: PositiveInt | None = Field(
        None, description="Completions, as reported; null where the file itself is counted."
    )


class HubDataset(Strict):
    """A data set on the Hub, streamed in its own order."""

    id: RepoId
    revision: Text | None = Field(None, description="Commit or tag; null when it is not known.")
    config: Text | None = Field(None, description="Null: its only or default configuration.")
    split: Text = "train"

    @property
    def name(self) -> str:
        """`owner/name@revision`, with configuration and split where they are stated."""
        name = f"{self.id}@{self.revision}" if self.revision else self.id
        parts = [part for part in (self.config, self.split) if part and part != "train"]
        return f"{name} ({', '.join(parts)})" if parts else name


class PlainText(Strict):
    """How documents are read: in contexts of consecutive tokens, each position a vector."""

    context_size: Annotated[int, Field(ge=2)] = Field(
        description="Tokens of a context; a document's last one may be shorter."
    )
    prepend_bos: bool = Field(
        True,
        description="Every context starts with the beginning-of-sequence token, which counts in "
        "context_size; without effect where the tokenizer has none.",
    )
    skip_first: Annotated[int, Field(ge=0)] = Field(
        1,
        description="Positions at the start of a context that give no vector: the first one's "
        "norm is often a hundred times the others'.",
    )
    text_field: Text = Field("text", description="Key or column that holds a document.")
    max_documents: PositiveInt | None = Field(
        None, description="Only the first documents, duplicates not counted; null: all."
    )

    @model_validator(mode="after")
    def _leaves_positions(self) -> Self:
        if self.skip_first >= self.context_size:
            raise ValueError(
                f"skip_first is {self.skip_first}, which leaves nothing of contexts of "
                f"{self.context_size} tokens"
            )
        return self


class DataNotAtHand(ReleaseError):
    """A stage needs the data, but the manifest does not say where it is."""

    exit_code = 2


class Data(Strict):
    """Labelled completions or plain text, and how activation vectors are made of them.

    Null stands for what is not known; a stage that needs it refuses and says so.
    """

    file: RelativePath | None = Field(
        None,
        description="JSONL of completions; of plain text .txt, .jsonl or a folder of them. "
        "Relative to the manifest's folder.",
    )
    sha256: Sha256 | None = Field(
        None,
        description="SHA-256 of the file; of a data set, of its rows as one JSONL file would "
        "have them.",
    )
    dataset: HubDataset | None = Field(
        None, description="The data set on the Hub; read where there is no file."
    )
    text: PlainText | None = Field(
        None, description="Given where the data is plain text; null: labelled completions."
    )
    description: Text = Field(description="What the data is; printed on the card.")
    label_rule: Text | None = Field(
        None, description="How the labels were made; printed on the card. Null only of plain text."
    )
    label_precision: Text | None = Field(
        None, description="What reading a sample by hand showed; null when nobody did."
    )
    pooling: Pooling | None = Field(
        None,
        description="Which vectors a completion gives: its last position's, the mean over its "
        "positions, or one of each of its tokens. Plain text: every_token.",
    )
    conditions: dict[Identifier, Condition] = Field(min_length=1)
    held_out: HeldOut | None = Field(None, description="Null when no split is known.")
    scenarios: tuple[NamedScenario, ...] = Field(
        (), description="Scenarios as reported, where their prompts are not at hand."
    )
    temperature: PositiveFloat | None = Field(
        None,
        description="At which completions were sampled, as reported; with `sampling`, that has it.",
    )
    sampling: Sampling | None = Field(None, description="Input of `release sample`.")

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        problems = [] if self.text is None else list(_odd_in_text(self))
        if self.text is None:
            if self.label_rule is None:
                problems.append("label_rule is missing, which only plain text may leave out")
            problems += [
                f"conditions.{name} names no labels, which only plain text may leave out"
                for name, condition in self.conditions.items()
                if not condition.labels
            ]
        if self.temperature is not None and self.sampling is not None:
            problems.append("temperature is stated twice, as sampling.temperature too")
        if self.file is not None and self.sha256 is None:
            problems.append(
                "file has no sha256 beside it (where you do not know it, write 64 times the letter "
                "a: `release retrain` tells the right one before it trains)"
            )
        if self.sha256 is not None and self.file is None and self.dataset is None:
            problems.append("sha256 belongs to a file or a dataset, and there is neither")
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
        """The facts that reading the data takes, all of them known.

        Raises:
            DataNotAtHand: one is null; names each.
        """
        missing = [] if self.file or self.dataset else ["data.file"]
        if self.file is None and self.dataset is not None and self.dataset.revision is None:
            missing.append("data.dataset.revision")
        missing += [
            f"data.{name}"
            for name in ("sha256", "pooling", "held_out")
            if getattr(self, name) is None
        ]
        if missing or self.sha256 is None or not self.pooling or not self.held_out:
            raise DataNotAtHand(
                f"the manifest leaves {', '.join(missing)} open",
                where="data",
                expected="a local file or a dataset at a fixed revision, its sha256, the pooling "
                "and the held-out split",
                next_step="name another data set with --data, or fill them in",
            )
        name = self.dataset.name if self.file is None and self.dataset else self.file
        return DataAtHand(name or "", self.sha256, self.pooling, self.held_out)


def _odd_in_text(data: Data) -> Iterator[str]:
    """What belongs to completions and stands beside `text`."""
    if data.pooling not in (None, "every_token"):
        yield f"pooling is {data.pooling}, but plain text has no completions: every_token"
    if len(data.conditions) > 1:
        yield f"plain text has no labels, so one condition, not {len(data.conditions)}"
    for name, condition in data.conditions.items():
        if condition.labels:
            yield f"conditions.{name} names labels, which plain text does not have"
    yield from (
        f"{key} belongs to completions, not to plain text"
        for key in ("label_rule", "label_precision", "temperature", "sampling")
        if getattr(data, key) is not None
    )
    if data.scenarios:
        yield "scenarios belong to completions, not to plain text"


@dataclass(frozen=True)
class DataAtHand:
    """Where the data lies and how it is read, with nothing left open.

    `file` is relative to the manifest's folder, or the name of a data set on the Hub.
    """

    file: str
    sha256: str
    pooling: Pooling
    held_out: HeldOut
