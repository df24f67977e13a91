"""Life of a hub: open the folder, bind both ports, serve, and let go of everything."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from release.embedded_hub.accounts import DEFAULT_USER, STRANGER
from release.embedded_hub.app import api_app, storage_app
from release.embedded_hub.errors import PortInUse
from release.embedded_hub.faults import Action, Fault
from release.embedded_hub.hub import Hub
from release.embedded_hub.lfs import MULTIPART_FROM_BYTES, PART_SIZE_BYTES, LargeFileTransfer
from release.embedded_hub.observed_app import HANG_UP, observed
from release.embedded_hub.request_log import LoggedRequest

_HOST = "127.0.0.1"
_SECONDS_TO_FINISH = 2
_SECONDS_TO_START = 30
_THREADS = 32
_BACKLOG = 256


class Connection(H11Protocol):
    """An HTTP connection that a fault can close."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        serve: ASGIApp = self.app

        async def with_hang_up(scope: Scope, receive: Receive, send: Send) -> None:
            extensions = {**scope.get("extensions", {}), HANG_UP: self.transport.close}
            await serve({**scope, "extensions": extensions}, receive, send)

        self.app = with_hang_up


class EmbeddedHub:
    """A Hub on loopback, as a context manager; everything it holds is below `root`.

    Example:
        >>> with EmbeddedHub(root=folder) as hub:  # doctest: +SKIP
        ...     api = HfApi(endpoint=hub.endpoint, token=hub.token)
        ...     api.create_repo(f"{hub.user}/demo")
        ...     sum("/commit/" in request.path for request in hub.requests())
    """

    def __init__(
        self,
        root: Path,
        *,
        port: int = 0,
        xet: bool = True,
        open_namespaces: bool = True,
        multipart_from_bytes: int = MULTIPART_FROM_BYTES,
        part_size_bytes: int = PART_SIZE_BYTES,
    ) -> None:
        """Describe a hub; nothing is opened before `start` or `with`.

        Args:
            root: the folder of its state, made if it is missing.
            port: the API's port; 0 lets the system choose. Large files use another free port.
            xet: whether to offer xet. Without it the client must run with HF_HUB_DISABLE_XET=1:
                it uploads through xet whatever the Hub offers.
            open_namespaces: whether a writer may create repositories in a namespace that nobody
                has, which then is an organisation of that writer; the real Hub says 403.
            multipart_from_bytes: the size from which LFS uploads are sent in parts.
            part_size_bytes: the size of such a part.
        """
        self._root = Path(root)
        self._port = port
        self._offers_xet = xet
        self._open_namespaces = open_namespaces
        self._part_sizes = {
            "multipart_from_bytes": multipart_from_bytes,
            "part_size_bytes": part_size_bytes,
        }
        self._running = contextlib.ExitStack()
        self._hub: Hub | None = None
        self._endpoint = ""

    # What a client needs

    @property
    def endpoint(self) -> str:
        """The URL for HF_ENDPOINT, without a final slash."""
        self._opened()
        return self._endpoint

    @property
    def user(self) -> str:
        """The user behind both tokens, and a namespace to use."""
        return DEFAULT_USER

    @property
    def token(self) -> str:
        """A token that may write."""
        return self._opened().accounts.token("write")

    @property
    def read_token(self) -> str:
        """A token of the same user that may only read."""
        return self._opened().accounts.token("read")

    # What a test needs

    @property
    def stranger_token(self) -> str:
        """A token of a user who is in none of the default user's namespaces."""
        return self._opened().accounts.token("write", STRANGER)

    def requests(self) -> list[LoggedRequest]:
        """The requests answered (or dropped) since this hub was started, oldest first.

        `requests.jsonl` below the root has those of all runs.
        """
        return self._opened().log.entries()

    def inject(
        self,
        action: Action,
        *,
        method: str = ".*",
        path: str = ".*",
        nth: int = 1,
        times: int = 1,
        status: int = 500,
        seconds: float = 0.0,
        headers: dict[str, str] | None = None,
        fraction: float = 0.5,
    ) -> None:
        """Let the nth matching request from now on go wrong; see `Fault` for the actions."""
        fault = Fault(
            action=action,
            method=method,
            path=path,
            nth=nth,
            times=times,
            status=status,
            seconds=seconds,
            headers=headers or {},
            fraction=fraction,
        )
        self._opened().faults.add(fault)

    def clear_faults(self) -> None:
        """Forget the faults that were injected."""
        self._opened().faults.clear()

    # Life

    def _opened(self) -> Hub:
        if self._hub is None:
            raise RuntimeError("the embedded Hub is not running: use it in a `with` statement")
        return self._hub

    def __enter__(self) -> Self:
        """Start; both ports are bound and answering on return."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    def start(self) -> None:
        """Serve in a background thread.

        Raises:
            PortInUse: the port asked for is taken.
            HubRootInUse: another server has the folder.
        """
        with contextlib.ExitStack() as stack:
            server, sockets = self._prepare(stack)
            thread = threading.Thread(
                target=lambda: asyncio.run(server.serve(sockets=sockets)),
                name="embedded-hub",
                daemon=True,
            )
            thread.start()
            stack.callback(_stop, server, thread)
            deadline = time.monotonic() + _SECONDS_TO_START
            while not server.started:
                if not thread.is_alive() or time.monotonic() > deadline:
                    raise RuntimeError("the embedded Hub did not start; see the log above")
                time.sleep(0.005)
            self._running = stack.pop_all()

    def stop(self) -> None:
        """Finish what is under way, for at most two seconds, and release ports and folder."""
        self._running.close()
        self._hub = None

    def run(self, on_ready: Callable[[str, str], None] | None = None) -> None:
        """Serve in this thread until interrupted; `on_ready` gets the endpoint and write token."""
        with contextlib.ExitStack() as stack:
            server, sockets = self._prepare(stack)
            stack.callback(setattr, self, "_hub", None)
            # Ctrl-C is how one stops it, as soon as it is told to be ready.
            with contextlib.suppress(KeyboardInterrupt):
                if on_ready is not None:
                    on_ready(self.endpoint, self.token)
                server.run(sockets=sockets)

    def _prepare(self, stack: contextlib.ExitStack) -> tuple[uvicorn.Server, list[socket.socket]]:
        """Open the folder and bind both ports; `stack` undoes it."""
        api = _bind(self._port)
        stack.callback(api.close)
        storage = _bind(0)
        stack.callback(storage.close)
        hub = Hub.open(self._root, xet=self._offers_xet, open_namespaces=self._open_namespaces)
        stack.callback(hub.close)
        threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="embedded-hub")
        stack.callback(threads.shutdown)
        api_port, storage_port = (each.getsockname()[1] for each in (api, storage))
        storage_url = f"http://{_HOST}:{storage_port}"
        transfer = LargeFileTransfer(hub, **self._part_sizes)
        apps = {
            api_port: ("hub", api_app(hub, transfer, storage_url, threads)),
            storage_port: ("storage", storage_app(hub, transfer, storage_url)),
        }
        config = uvicorn.Config(
            observed(hub, apps),
            http=Connection,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            # A client takes a connection out of its pool at the very moment at which the server
            # gives it up for idle; uvicorn's own five seconds are short for a busy machine.
            timeout_keep_alive=75,
            server_header=False,
            timeout_graceful_shutdown=_SECONDS_TO_FINISH,
        )
        self._hub, self._endpoint = hub, f"http://{_HOST}:{api_port}"
        return uvicorn.Server(config), [api, storage]


def _stop(server: uvicorn.Server, thread: threading.Thread) -> None:
    server.should_exit = True
    thread.join()


def _bind(port: int) -> socket.socket:
    # The protocol is given because asyncio turns off Nagle's algorithm only where it is, and
    # with it every answer of two packets waits 40 ms for an acknowledgement.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform == "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((_HOST, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise PortInUse(port) from error
    return listener


def serve(root: Path, port: int, on_ready: Callable[[str, str], None] | None = None) -> None:
    """Serve a hub until Ctrl-C, for `release hub serve`; prints nothing.

    Args:
        root: the folder of its state, made if it is missing.
        port: the API's port, or 0 for any free one.
        on_ready: called once, with the endpoint and a write token, when both ports are bound.

    Raises:
        PortInUse: the port is taken.
        HubRootInUse: another process serves this folder.
    """
    EmbeddedHub(root, port=port).run(on_ready)
