"""Rows of a data set on the Hub, one after another: nothing is downloaded as a whole."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from manifests.data import HubDataset
from manifests.errors import MissingExtra, ReleaseError

Row = Mapping[str, Any]


class DatasetProblem(ReleaseError):
    """A data set that cannot be reached or read."""

    exit_code = 4


class RowSource(Protocol):
    """What opens a data set; `hub_rows` does."""

    def __call__(self, dataset: HubDataset) -> Iterable[Row]:
        """The rows in the data set's own order."""


def hub_rows(dataset: HubDataset) -> Iterator[Row]:
    """Stream the rows of a data set.

    Raises:
        MissingExtra: `datasets` is not installed.
        DatasetProblem: the Hub cannot be reached, or has no such data set, revision or split.
    """
    if importlib.util.find_spec("datasets") is None:
        raise MissingExtra(needed_for="reading data.dataset", package="datasets", extra="retrain")
    import datasets
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield from datasets.load_dataset(
            dataset.id,
            dataset.config,
            split=dataset.split,
            revision=dataset.revision,
            streaming=True,
        )
    except (HfHubHTTPError, httpx2.HTTPError, OSError, ValueError) as error:
        raise DatasetProblem(
            f"the data set cannot be read: {error}",
            where=f"data.dataset, {dataset.name}",
            expected="a data set on the Hub that this account can read",
            next_step="check id, revision, config and split, or name a local file with --data",
        ) from error
