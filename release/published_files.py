"""What a repository says of itself in report.json and training.json, in a folder or on a Hub."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from validators.reading.repository import Repository, UnreadableFile
from validators.report import Report
from validators.training_record import TrainingRecord

REPORT = "report.json"
TRAINING = "training.json"
# A report of 57 SAEs with all its tables takes about 10 MB.
MAX_BYTES = 100_000_000

_Document = TypeVar("_Document", bound=BaseModel)


def published_report(repository: Repository) -> Report | None:
    """The report that was published; None where there is none.

    Raises:
        UnreadableFile: it is damaged, or a report of another format.
    """
    return _document(repository, REPORT, Report)


def published_training(repository: Repository) -> TrainingRecord | None:
    """The training record that was published; None where there is none.

    Raises:
        UnreadableFile: it is damaged, or a training record of another format.
    """
    return _document(repository, TRAINING, TrainingRecord)


def _document(repository: Repository, path: str, model: type[_Document]) -> _Document | None:
    if path not in repository.files:
        return None
    text = repository.read_text(path, max_bytes=MAX_BYTES)
    try:
        return model.model_validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(str, first["loc"])) or "its start"
        raise UnreadableFile(
            f"is damaged at {key:.200}: {first['msg']:.300}",
            where=f"{repository.location}/{path}",
            expected="the file as this version of sae-release writes it",
        ) from error
