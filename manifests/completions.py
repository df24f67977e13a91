"""The labelled completions: the JSONL file or data set of a manifest, and their fixed split.

One row is one completion of an ambiguous prompt. Rows labelled `ambiguous` stay in the file but
belong to no condition unless one names that label.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
)

from manifests.data import Condition, Data, HeldOut, Label
from manifests.data_at_hand import data_at_hand
from manifests.digests import bytes_sha256, canonical_json
from manifests.errors import ReleaseError
from manifests.fields import Identifier, Sha256, Text
from manifests.hub_rows import RowSource, hub_rows
from manifests.load import LoadedManifest


class CompletionsProblem(ReleaseError):
    """A completions file that is missing, differs from the manifest, or cannot be read."""

    exit_code = 2


class Completion(BaseModel):
    """One sampled completion, its label, and how it was sampled.

    What the model saw is its chat template around `prompt`, then `opening`; what it wrote is
    `completion`, which starts with a space wherever the model wrote one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())

    id: Identifier
    scenario: Identifier
    prompt: Text
    opening: str
    completion: str = Field(min_length=1)
    label: Label
    seed: NonNegativeInt = Field(description="Seed of the batch in which it was sampled.")
    temperature: PositiveFloat
    top_k: PositiveInt | None = Field(None, description="null: off.")
    top_p: PositiveFloat | None = Field(None, description="null: off.")
    max_new_tokens: PositiveInt
    model_digest: Sha256 = Field(description="Digest of the base model that wrote it.")


@dataclass(frozen=True)
class Split:
    """The completions that training sees, and those it never sees; each sorted by id."""

    train: tuple[Completion, ...]
    held_out: tuple[Completion, ...]


def read_completions(path: Path, sha256: str) -> tuple[Completion, ...]:
    """Read a completions file, one JSON object per line, in the order of the file.

    Args:
        path: the JSONL file.
        sha256: hex SHA-256 that the manifest states for it.

    Raises:
        CompletionsProblem: the file is missing, empty or has another digest; or rows are not JSON
            objects with exactly the fields of `Completion`, or repeat an id. All bad rows are
            listed at once.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CompletionsProblem(
            f"cannot be read: {error.strerror or error}",
            where=str(path),
            expected="the JSONL file of completions that data.file names",
            next_step="`release sample MANIFEST` makes it",
        ) from error
    _check_digest(bytes_sha256(content), sha256, str(path))
    return parse_completions(content, shown_as=str(path))


def parse_completions(content: bytes, *, shown_as: str) -> tuple[Completion, ...]:
    """Parse the bytes of a completions file; `completions_jsonl` is the inverse.

    Raises:
        CompletionsProblem: as `read_completions`.
    """
    rows: list[Completion] = []
    problems: list[str] = []
    line_of_id: dict[str, int] = {}
    for number, line in enumerate(content.splitlines(), start=1):
        where = f"{shown_as}:{number}"
        try:
            row = Completion.model_validate(_json_object(line))
        except ValidationError as error:
            problems += _field_problems(error, where)
            continue
        except ValueError as error:
            problems.append(str(_problem(f"is not a JSON object: {error}", where)))
            continue
        if row.id in line_of_id:
            what = f"id: {row.id!r} was used in line {line_of_id[row.id]} already"
            problems.append(str(_problem(what, where)))
        line_of_id.setdefault(row.id, number)
        rows.append(row)
    if problems:
        raise CompletionsProblem("\n".join(problems))
    if not rows:
        raise CompletionsProblem("is empty", where=shown_as, expected="one completion per line")
    return tuple(rows)


def completions_jsonl(rows: Iterable[Completion]) -> bytes:
    r"""The bytes of a completions file: canonical JSON, one object per line, each ended by \n."""
    return b"".join(canonical_json(row.model_dump(mode="json")) + b"\n" for row in rows)


def for_condition(rows: Iterable[Completion], condition: Condition) -> tuple[Completion, ...]:
    """The rows whose label the condition names, in the order given."""
    return tuple(row for row in rows if row.label in condition.labels)


def split_completions(rows: Iterable[Completion], held_out: HeldOut) -> Split:
    """Split rows into training and held-out, stratified by scenario and label.

    In each stratum of n rows the `floor(fraction * n + 1/2)` rows with the smallest SHA-256 of
    `seed:id` are held out. So the split depends on the ids and the seed alone: not on the order
    of the rows, the platform or a random generator, and a stratum's split does not change when
    another stratum does.
    """
    strata: dict[tuple[str, str], list[Completion]] = defaultdict(list)
    for row in rows:
        strata[row.scenario, row.label].append(row)
    train: list[Completion] = []
    held: list[Completion] = []
    for members in strata.values():
        ranked = sorted(members, key=lambda row: _rank(held_out.seed, row.id))
        n_held = math.floor(held_out.fraction * len(ranked) + 0.5)
        held += ranked[:n_held]
        train += ranked[n_held:]
    return Split(
        train=tuple(sorted(train, key=lambda row: row.id)),
        held_out=tuple(sorted(held, key=lambda row: row.id)),
    )


def load_split(
    loaded: LoadedManifest, *, data: Path | None = None, rows_of: RowSource = hub_rows
) -> Split:
    """The split of a manifest's own data: the rows that at least one condition uses.

    Args:
        loaded: a manifest whose data is completions.
        data: a JSONL file in place of the manifest's, whatever its digest.
        rows_of: opens the data set where the manifest names no file.

    Raises:
        CompletionsProblem: as `read_completions`; also where the data is plain text.
        DataNotAtHand: the manifest does not say where the completions are.
        DataUnreadable: `data` cannot be read.
        DatasetProblem, MissingExtra: see `hub_rows`.
    """
    stated = loaded.manifest.data
    at_hand = data_at_hand(stated, data)
    if stated.text is not None:
        raise CompletionsProblem(
            "the manifest's data is plain text",
            where="data.text",
            expected="labelled completions",
            next_step="leave out data.text, and give the conditions their labels",
        )
    used = {label for condition in stated.conditions.values() for label in condition.labels}
    if data is not None:
        rows = read_completions(data, at_hand.sha256)
    elif stated.file is not None:
        rows = read_completions(loaded.file_beside(stated.file), at_hand.sha256)
    else:
        rows = _dataset_completions(stated, at_hand.sha256, rows_of)
    return split_completions((row for row in rows if row.label in used), at_hand.held_out)


def _dataset_completions(data: Data, sha256: str, rows_of: RowSource) -> tuple[Completion, ...]:
    """The rows of a data set, whose digest is that of the file that they would make."""
    assert data.dataset is not None, "at_hand() found neither file nor dataset"
    where = f"data.dataset, {data.dataset.name}"
    lines = []
    for number, row in enumerate(rows_of(data.dataset), start=1):
        try:
            lines.append(canonical_json(dict(row)))
        except (TypeError, ValueError) as error:
            problem = _problem(f"is not JSON: {error}", f"{where}:{number}")
            raise CompletionsProblem(str(problem)) from error
    rows = parse_completions(b"\n".join(lines), shown_as=where)
    _check_digest(bytes_sha256(completions_jsonl(rows)), sha256, where)
    return rows


def _check_digest(found: str, stated: str, where: str) -> None:
    if found != stated:
        raise CompletionsProblem(
            f"has the SHA-256 {found}",
            where=where,
            expected=f"{stated}, which data.sha256 of the manifest states",
            next_step="restore the file, or put its digest into data.sha256 if it was meant to "
            "change",
        )


def _rank(seed: int, row_id: str) -> str:
    return bytes_sha256(f"{seed}:{row_id}".encode())


def _json_object(line: bytes) -> dict[str, object]:
    value = json.loads(line.decode("utf-8"), object_pairs_hook=_without_duplicates)
    if not isinstance(value, dict):
        raise ValueError(f"it holds a {type(value).__name__}")
    return value


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("it states a key twice")
    return result


def _problem(what: str, where: str) -> ReleaseError:
    fields = ", ".join(Completion.model_fields)
    return ReleaseError(what, where=where, expected=f"one JSON object with {fields}")


def _field_problems(error: ValidationError, where: str) -> Iterator[str]:
    for details in error.errors():
        field = ".".join(str(part) for part in details["loc"])
        shown = "" if isinstance(details["input"], dict) else f" (found {details['input']!r:.60})"
        yield str(_problem(f"{field}: {details['msg']}{shown}", where))
