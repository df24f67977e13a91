"""One API call: who asks, for which repository, with what."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from release.embedded_hub.accounts import Caller
from release.embedded_hub.errors import Refusal, repository_not_found
from release.embedded_hub.hub import Hub
from release.embedded_hub.names import REPO_KINDS, check_repo_id
from release.embedded_hub.repositories import Repository

logger = logging.getLogger("release.embedded_hub")


@dataclass(frozen=True)
class Call:
    """What a handler needs to know of a request, body included."""

    hub: Hub
    method: str
    base_url: str
    """The API's own origin, as the client called it, without a final slash."""
    storage_url: str
    """The second origin, where large files are."""
    path: str
    parameters: Mapping[str, str]
    """Parts of the path, decoded."""
    query: list[tuple[str, str]]
    headers: Headers
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body as a JSON object.

        Raises:
            Refusal: 400, it is something else.
        """
        try:
            value = json.loads(self.body or b"{}")
        except ValueError as error:
            raise Refusal(400, f"The body is not JSON: {error}") from error
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise Refusal(400, "The body must be a JSON object")
        return value

    def one(self, name: str, default: str = "") -> str:
        """A query parameter's value."""
        return next((value for key, value in self.query if key == name), default)

    def flag(self, name: str) -> bool:
        """Whether a query parameter says yes."""
        return self.one(name).lower() in {"1", "true"}

    def caller(self) -> Caller | None:
        """Who asks; None if nobody signed in."""
        return self.hub.accounts.caller(self.headers.get("authorization"))

    def writer(self) -> Caller:
        """Who asks, with a user's token that may write.

        Raises:
            Refusal: 401 without a token, 403 with one that only reads or is for one repository.
        """
        caller = self._writing()
        if caller.resource is not None:
            raise Refusal(403, f"This token writes {caller.resource} and can do nothing else")
        return caller

    def participant(self, repository: Repository) -> Caller:
        """Who asks, with a token that may take part in a repository's discussions.

        Raises:
            Refusal: 401 without a token, 403 with one that only reads or is for another repository.
        """
        caller = self._writing()
        if caller.resource is not None and caller.resource.lower() != repository.repo_id.lower():
            raise Refusal(403, f"This token writes {caller.resource} and can do nothing else")
        return caller

    def _writing(self) -> Caller:
        caller = self.caller()
        if caller is None:
            raise Refusal(401, "Invalid username or password.")
        if caller.role != "write":
            raise Refusal(
                403, "You have read access but not the required permissions for this operation"
            )
        return caller

    def repository(self) -> Repository:
        """The repository in the path, if the caller may see it."""
        kind = REPO_KINDS.get(self.parameters.get("kind", "models"))
        if kind is None:
            raise Refusal(404, "Sorry, we can't find the page you are looking for.")
        return self.visible(kind, self.parameters["namespace"], self.parameters["name"])

    def visible(self, kind: str, namespace: str, name: str) -> Repository:
        """A repository by name, if the caller may see it.

        Raises:
            Refusal: RepoNotFound, with 401 for anonymous callers and 404 for others.
        """
        caller = self.caller()
        found = self.hub.repositories.find(kind, check_repo_id(namespace, name))
        if found is None or (
            found.is_private
            and (caller is None or not self.hub.accounts.may_enter(caller, found.repo_id))
        ):
            raise repository_not_found(authenticated=caller is not None)
        return found

    def writable_repository(self) -> tuple[Repository, Caller]:
        """The repository in the path and the caller, who may write to it.

        Raises:
            Refusal: as `repository` and `writer`; 403 in somebody else's namespace.
        """
        return self.may_write(self.repository())

    def may_write(self, repository: Repository) -> tuple[Repository, Caller]:
        """Check that the caller may write to a repository."""
        caller = self._writing()
        if not self.hub.accounts.may_enter(caller, repository.repo_id):
            raise Refusal(403, f"You don't have write access to {repository.repo_id}")
        return repository, caller

    def repository_url(self, repository: Repository) -> str:
        """Where the repository's page would be."""
        plural = "" if repository.kind == "model" else f"{repository.kind}s/"
        return f"{self.base_url}/{plural}{repository.repo_id}"

    def page_of(self, items: list[Any], size: int) -> JSONResponse:
        """One page of a list, with a Link header to the next one."""
        cursor = self.one("cursor", "0")
        start = int(cursor) if cursor.isdecimal() else 0
        headers = {}
        if start + size < len(items):
            rest = [(key, value) for key, value in self.query if key != "cursor"]
            query = urlencode([*rest, ("cursor", str(start + size))])
            headers["Link"] = f'<{self.base_url}{self.path}?{query}>; rel="next"'
        return JSONResponse(items[start : start + size], headers=headers)


Handler = Callable[[Call], Response]


def refusal_response(refusal: Refusal) -> JSONResponse:
    """The Hub's way to say no: a JSON body and the error headers."""
    message = " ".join(refusal.message.split())
    headers = {"X-Error-Message": quote(message, safe=" !\"#$&'()*+,-./:;<=>?@[]^_`{|}~")}
    if refusal.code is not None:
        headers["X-Error-Code"] = refusal.code
    body = {"error": refusal.message, **refusal.body}
    return JSONResponse(body, status_code=refusal.status, headers=headers | refusal.headers)


class Endpoint:
    """An ASGI endpoint that runs a handler in a thread, with the body read and errors answered."""

    def __init__(
        self, hub: Hub, storage_url: str, threads: ThreadPoolExecutor, handler: Handler
    ) -> None:
        self._hub = hub
        self._storage_url = storage_url
        self._threads = threads
        self._handler = handler

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        call = Call(
            hub=self._hub,
            method=request.method,
            base_url=f"{request.url.scheme}://{request.url.netloc}",
            storage_url=self._storage_url,
            path=request.url.path,
            parameters={key: unquote(value) for key, value in request.path_params.items()},
            query=parse_qsl(request.url.query, keep_blank_values=True),
            headers=request.headers,
            body=await request.body(),
        )
        loop = asyncio.get_running_loop()
        return await answered(loop.run_in_executor(self._threads, self._handler, call))


async def answered(answer: Awaitable[Response]) -> Response:
    """An answer, or the refusal in its place; any other exception is logged and becomes a 500."""
    try:
        return await answer
    except Refusal as refusal:
        return refusal_response(refusal)
    except Exception:
        logger.exception("the embedded Hub failed")
        return refusal_response(Refusal(500, "Internal error of the embedded Hub"))
