"""Around every request: faults first, and a line in the log before the answer is complete."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from release.embedded_hub.admin_api import ADMIN_PREFIX
from release.embedded_hub.faults import Fault
from release.embedded_hub.hub import Hub


@dataclass
class _Exchange:
    """What is known so far of one request and its answer."""

    hub: Hub
    scope: Scope
    receive: Receive
    send: Send
    origin: str
    status: int | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    is_logged: bool = False

    async def receive_counted(self) -> Message:
        message = await self.receive()
        if message["type"] == "http.request":
            self.bytes_in += len(message.get("body", b""))
        return message

    async def send_logged(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body":
            if self.scope["method"] != "HEAD":  # the server drops the body of such an answer
                self.bytes_out += len(message.get("body", b""))
            if not message.get("more_body"):
                self.log()
        await self.send(message)

    def log(self) -> None:
        if self.is_logged or self.scope["path"].startswith(ADMIN_PREFIX):
            return
        self.is_logged = True
        self.hub.log.add(
            origin=self.origin,
            method=self.scope["method"],
            path=self.scope["raw_path"].decode("ascii", "replace").partition("?")[0],
            query=self.scope["query_string"].decode("ascii", "replace"),
            status=self.status,
            bytes_in=self.bytes_in,
            bytes_out=self.bytes_out,
        )

    async def read_request(self) -> bytes:
        """The whole body, whether the client waits for the answer or not."""
        body, is_complete = bytearray(), False
        while not is_complete:
            message = await self.receive_counted()
            body += message.get("body", b"")
            is_complete = not message.get("more_body")
        return bytes(body)

    async def hang_up(self) -> None:
        """Close the connection without another byte, and wait until the server knows it."""
        self.log()
        self.scope["extensions"][HANG_UP]()
        while (await self.receive())["type"] != "http.disconnect":
            pass


HANG_UP = "embedded_hub.hang_up"
"""The scope's extension that closes the connection; see `server.Connection`."""


def observed(hub: Hub, apps: dict[int, tuple[str, ASGIApp]]) -> ASGIApp:
    """One application for several ports: `apps` maps a port to its origin's name and app."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        origin, inner = apps[scope["server"][1]]
        exchange = _Exchange(hub, scope, receive, send, origin)
        is_admin = scope["path"].startswith(ADMIN_PREFIX)
        fault = None if is_admin else hub.faults.for_request(scope["method"], scope["path"])
        try:
            if fault is None:
                await inner(scope, exchange.receive_counted, exchange.send_logged)
            else:
                await _with_fault(exchange, fault, inner)
        finally:
            exchange.log()

    return app


async def _with_fault(exchange: _Exchange, fault: Fault, inner: ASGIApp) -> None:
    scope, receive = exchange.scope, exchange.receive_counted
    if fault.action == "slow":
        body = await exchange.read_request()
        await asyncio.sleep(fault.seconds)
        await inner(scope, _again(body, receive), exchange.send_logged)
    elif fault.action == "status":
        await exchange.read_request()
        message = "Injected by the embedded Hub"
        headers = {"X-Error-Message": message, **fault.answer_headers(scope["path"])}
        answer = JSONResponse({"error": message}, status_code=fault.status, headers=headers)
        await answer(scope, receive, exchange.send_logged)
    elif fault.action == "slow_body":
        await inner(scope, receive, _with_a_pause(exchange, fault))
    elif fault.action == "drop_before":
        await exchange.read_request()
        await exchange.hang_up()
    elif fault.action == "drop_after":
        await inner(scope, receive, _swallow)
        await exchange.hang_up()
    else:
        await inner(scope, receive, _first_part(exchange, fault.fraction))
        await exchange.hang_up()


def _again(body: bytes, receive: Receive) -> Receive:
    """Hand out a request's body that was read before."""
    unread = [body]

    async def received() -> Message:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        return await receive()

    return received


async def _swallow(_: Message) -> None:
    """Take an answer that nobody shall see."""


def _with_a_pause(exchange: _Exchange, fault: Fault) -> Send:
    """Send the head and the first part of the body, and the rest after a while."""
    left: int | None = None

    async def send(message: Message) -> None:
        nonlocal left
        if message["type"] == "http.response.start":
            left = _share(message, fault.fraction)
            await exchange.send_logged(message)
            return
        body = message.get("body", b"")
        if left is not None and len(body) > left:
            await exchange.send_logged({**message, "body": body[:left], "more_body": True})
            await asyncio.sleep(fault.seconds)
            body, left = body[left:], None
        elif left is not None:
            left -= len(body)
        await exchange.send_logged({**message, "body": body})

    return send


def _share(head: Message, fraction: float) -> int:
    """How many bytes of the body are a share of it; none where its length is not stated."""
    lengths = [int(v) for k, v in head["headers"] if k.lower() == b"content-length"]
    return int(lengths[0] * fraction) if lengths else 0


def _first_part(exchange: _Exchange, fraction: float) -> Send:
    """Send the head with the whole length, and only the first part of the body."""
    left = 0

    async def send(message: Message) -> None:
        nonlocal left
        if message["type"] == "http.response.start":
            left = _share(message, fraction)
            await exchange.send_logged(message)
            return
        part = message.get("body", b"")[:left]
        left -= len(part)
        if part:
            await exchange.send_logged({**message, "body": part, "more_body": True})

    return send
