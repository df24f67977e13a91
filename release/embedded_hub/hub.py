"""All that one hub knows, whatever port it is served on."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from release.embedded_hub.accounts import Accounts
from release.embedded_hub.collection_store import CollectionStore
from release.embedded_hub.errors import HubRootInUse
from release.embedded_hub.faults import Faults
from release.embedded_hub.links import LinkSigner
from release.embedded_hub.objects import ObjectStore
from release.embedded_hub.repositories import Repositories
from release.embedded_hub.request_log import RequestLog
from release.embedded_hub.xet_store import XetStore


@dataclass(frozen=True)
class Hub:
    """The stores below one root folder, held by one process at a time."""

    root: Path
    accounts: Accounts
    repositories: Repositories
    objects: ObjectStore
    xet: XetStore | None
    """None when xet is not offered."""
    collections: CollectionStore
    links: LinkSigner
    log: RequestLog
    faults: Faults
    _closing: contextlib.ExitStack

    @classmethod
    def open(cls, root: Path, *, xet: bool, open_namespaces: bool) -> Hub:
        """Open or create the hub below `root`.

        Raises:
            HubRootInUse: another process (or another hub of this one) has it open.
        """
        root = root.resolve()
        root.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            lock = FileLock(root / "server.lock", timeout=0, thread_local=False)
            try:
                lock.acquire()
            except Timeout as error:
                raise HubRootInUse(root) from error
            stack.callback(lock.release)
            log = RequestLog(root)
            stack.callback(log.close)
            repositories = Repositories(root)
            stack.callback(repositories.close)
            accounts = Accounts(root, open_namespaces=open_namespaces)
            return cls(
                root=root,
                accounts=accounts,
                repositories=repositories,
                objects=ObjectStore(root),
                xet=XetStore(root) if xet else None,
                collections=CollectionStore(root),
                links=LinkSigner(accounts.signing_key),
                log=log,
                faults=Faults(),
                _closing=stack.pop_all(),
            )

    def close(self) -> None:
        """Close files and let other processes have the root."""
        self._closing.close()
