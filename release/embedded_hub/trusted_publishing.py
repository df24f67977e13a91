"""Keyless publishing: who may exchange an identity token for one that writes a single repository.

The Hub believes an issuer of identity tokens, here the stand-in of `oidc_api`, and a repository
names the publishers that it trusts. Everything is signed with the root's own key by HMAC, in place
of the issuer's RSA keys: it shows the flow and its refusals, and protects nothing.

Sources: huggingface_hub/_oidc.py (RFC 8693); GitHub, "OpenID Connect reference", for the claims.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from release.embedded_hub.errors import Refusal
from release.embedded_hub.state_files import read_json, write_json

TOKEN_PREFIX = "hf_jwt_"  # noqa: S105 - how such a token begins, not a token
TOKEN_LIFETIME_S = 3600
ID_TOKEN_LIFETIME_S = 300
REQUEST_LIFETIME_S = 6 * 3600


@dataclass(frozen=True)
class Publisher:
    """A workflow that a repository trusts; None stands for any.

    Attributes:
        repository: the code's repository, as the claim `repository` names it.
        workflow: the workflow's file name.
        environment: the environment that the job must run in.
    """

    repository: str
    workflow: str | None = None
    environment: str | None = None

    def trusts(self, claims: dict[str, Any]) -> bool:
        """Whether the claims are of this publisher."""
        workflow = str(claims.get("workflow_ref", "")).partition("@")[0].rpartition("/")[2]
        return (
            claims.get("repository") == self.repository
            and self.workflow in (None, workflow)
            and self.environment in (None, claims.get("environment"))
        )


class TrustedPublishers:
    """The publishers of each repository of one hub, kept in `trusted_publishers.json`."""

    def __init__(self, root: Path) -> None:
        self._path = root / "trusted_publishers.json"

    def of(self, repo_id: str) -> tuple[Publisher, ...]:
        """The publishers that a repository trusts, by its name without regard to case."""
        known: dict[str, list[dict[str, Any]]] = read_json(self._path) or {}
        return tuple(Publisher(**each) for each in known.get(repo_id.lower(), ()))

    def add(self, repo_id: str, publisher: Publisher) -> None:
        """Let a repository trust one more publisher."""
        known: dict[str, list[dict[str, Any]]] = read_json(self._path) or {}
        of_repository = known.setdefault(repo_id.lower(), [])
        if asdict(publisher) not in of_repository:
            of_repository.append(asdict(publisher))
            write_json(self._path, known)


def signed(key: bytes, purpose: str, claims: dict[str, Any], *, lifetime_s: int) -> str:
    """A JSON Web Token (HS256) of some claims, with a time to live and a purpose."""
    body = {**claims, "purpose": purpose, "exp": int(time.time()) + lifetime_s}
    text = f"{_encoded({'alg': 'HS256', 'typ': 'JWT'})}.{_encoded(body)}"
    return f"{text}.{_signature(key, text)}"


def claims_of(key: bytes, purpose: str, token: str) -> dict[str, Any]:
    """The claims of a token that `signed` made for this purpose.

    Raises:
        Refusal: 401, it is none, was made for something else, or has expired.
    """
    text, _, signature = token.rpartition(".")
    if not hmac.compare_digest(signature.encode(), _signature(key, text).encode()):
        raise Refusal(401, "Invalid credentials in Authorization header")
    claims: dict[str, Any] = json.loads(_decoded(text.partition(".")[2]))
    if claims.get("purpose") != purpose or claims["exp"] < time.time():
        raise Refusal(401, "Invalid credentials in Authorization header")
    return claims


def write_token(key: bytes, repo_id: str) -> str:
    """A token that writes one repository and can do nothing else, for an hour."""
    claims = {"resource": repo_id}
    return TOKEN_PREFIX + signed(key, "write", claims, lifetime_s=TOKEN_LIFETIME_S)


def resource_of(key: bytes, token: str) -> str:
    """The repository that a token of `write_token` is for.

    Raises:
        Refusal: 401, as `claims_of`.
    """
    return str(claims_of(key, "write", token.removeprefix(TOKEN_PREFIX))["resource"])


def _signature(key: bytes, text: str) -> str:
    digest = hmac.new(key, text.encode("utf-8", "replace"), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _encoded(content: dict[str, Any]) -> str:
    text = json.dumps(content, separators=(",", ":"), sort_keys=True).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
