"""Tags that number the releases of a repository: `release-1`, `release-2`, and so on."""

from __future__ import annotations

import re

from release.hub_connection import HubConnection, hub_errors_explained
from validators.reading.repository import HubUnavailable

_TAG = re.compile(r"release-([1-9][0-9]{0,8})")
_ATTEMPTS = 10


def tag_of(repo_id: str, commit: str, connection: HubConnection) -> str | None:
    """The tag that numbers a commit as a release; None where it has none.

    Raises:
        HubUnavailable: the Hub does not answer.
    """
    with hub_errors_explained(f"reading the tags of {repo_id}", connection):
        tags = connection.api().list_repo_refs(repo_id).tags
    numbered = (tag for tag in tags if _TAG.fullmatch(tag.name))
    return next((tag.name for tag in numbered if tag.target_commit == commit), None)


def tag_release(repo_id: str, commit: str, connection: HubConnection) -> str:
    """Give a commit the next number and return the tag; the one that it has where it has one.

    A tag is never moved. Two that number at once cannot both get the same one: the Hub refuses
    the second, which takes the next.

    Raises:
        HubUnavailable: the Hub does not answer, or refuses a tag.
    """
    from huggingface_hub.errors import HfHubHTTPError

    api = connection.api()
    with hub_errors_explained(f"tagging {repo_id}", connection):
        for _ in range(_ATTEMPTS):
            tags = api.list_repo_refs(repo_id).tags
            numbered = {tag.name: tag.target_commit for tag in tags if _TAG.fullmatch(tag.name)}
            for name, target in sorted(numbered.items()):
                if target == commit:
                    return name
            number = max((int(name.rpartition("-")[2]) for name in numbered), default=0) + 1
            try:
                api.create_tag(repo_id, tag=f"release-{number}", revision=commit)
            except HfHubHTTPError as error:
                if error.response is None or error.response.status_code != 409:
                    raise
            else:
                return f"release-{number}"
    raise HubUnavailable(
        f"the Hub refuses release-{number} as taken, and lists no such tag",
        where=f"tagging {repo_id} at {connection.endpoint}",
        expected="the next free number; the commit itself is there",
        next_step="look at the tags of the repository, then run the same command again",
    )
