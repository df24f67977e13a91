"""A Hub on loopback, for demos, tests and rehearsals without a network.

The real `huggingface_hub` client and `sae_lens` talk to it through HF_ENDPOINT; repositories,
accounts, discussions and collections persist below one folder, on whatever port it is served.

    with EmbeddedHub(root=Path("hub")) as hub:
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        api.create_repo(f"{hub.user}/demo")

What the real Hub does and this one does not (its contract is what the client sends and needs):

- Metadata: the real rules of validate-yaml are not published; see `validate_yaml`. No
  `transformersInfo`, `safetensors`, `gguf`, inference providers or security scans; downloads and
  likes are always 0.
- Upload mode: by `.gitattributes`, size and NUL bytes; see `upload_rules`. Every repository kind
  starts with the same `.gitattributes`. No limit on a commit's size or number of files, no
  storage quota, no server-side timeouts, no rate limits except by `inject`.
- Storage: large files are shared by all repositories and never removed, also not when nothing
  refers to them. Whoever can write somewhere can refer to any object whose digest they know. A
  file uploaded without xet gets no xet hash afterwards, so it cannot be copied to another
  repository by `CommitOperationCopy`. No global deduplication between clients.
- Access: two users, one organisation; a token is either read or write, or one of keyless
  publishing, which writes a single repository (`oidc_api`: the issuer is a stand-in, its signatures
  are the root's own, and a publisher is named by an administration call); no other OAuth, no
  fine-grained tokens, no access requests (a gated repository is closed to all but its namespace).
  An unknown namespace becomes an organisation of whoever first writes to it, unless
  `open_namespaces=False`; the real Hub refuses.
- Settings: the real Hub's limit on a collection's title is not documented, so there is none here;
  whether a token of keyless publishing may change settings is not documented, so it may not.
- Names: branch and tag names must be possible file names on Windows. Repositories need a
  namespace. A renamed repository does not redirect. Access by git itself is not offered.
- Pull requests merge file by file as one commit on main, whatever its head; both sides changing a
  file is a conflict. A token of keyless publishing may open, change and merge those of its
  repository; what the real Hub allows it there is not documented.
- Web pages, webhooks, Spaces' runtime, Jobs, buckets, papers, likes and users' pages are missing.

The tests named `*_contract` hold it to what the client needs; `pytest -m hub tests/release` runs
the same tests against the real Hub, with a token and a scratch namespace.

Not known, since it was only run on Linux: how hf_xet behaves on Windows against this server. It
is spoken to by HTTP alone, as the real store is, so nothing depends on the file system.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from release.embedded_hub.errors import HubRootInUse, PortInUse
    from release.embedded_hub.faults import Fault
    from release.embedded_hub.request_log import LoggedRequest
    from release.embedded_hub.server import EmbeddedHub, serve

__all__ = ["EmbeddedHub", "Fault", "HubRootInUse", "LoggedRequest", "PortInUse", "serve"]

_HOMES = {
    "EmbeddedHub": "server",
    "Fault": "faults",
    "HubRootInUse": "errors",
    "LoggedRequest": "request_log",
    "PortInUse": "errors",
    "serve": "server",
}


def __getattr__(name: str) -> Any:
    """Load a name's module when it is first asked for: the web server is not cheap to import."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
