"""Who may do what: users, organisations and their tokens."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from release.embedded_hub.errors import Refusal
from release.embedded_hub.state_files import read_json, write_json
from release.embedded_hub.trusted_publishing import TOKEN_PREFIX, resource_of

DEFAULT_USER = "researcher"
DEFAULT_ORGANIZATION = "sae-lab"
STRANGER = "stranger"
"""A user whose namespace the default tokens cannot write to."""
_PUBLISHER = "[OIDC]"


@dataclass(frozen=True)
class Caller:
    """The user behind a valid token, with what that token allows."""

    name: str
    role: str
    """`write` or `read`."""
    token_name: str
    resource: str | None = None
    """The one repository that a token of keyless publishing is for; None: a user's token."""


class Accounts:
    """Users, organisations and tokens of one hub, kept in `accounts.json`.

    Tokens are random and stored in clear: they protect nothing but a folder whose owner can read
    it anyway. With `open_namespaces`, a writer who creates a repository in a namespace that nobody
    has becomes the owner of an organisation of that name, so that a rehearsal can use the names of
    the real release; without it that is a 403, as on the real Hub.
    """

    def __init__(self, root: Path, *, open_namespaces: bool) -> None:
        self._path = root / "accounts.json"
        self._open_namespaces = open_namespaces
        stored = read_json(self._path)
        self._state: dict[str, Any] = stored or self._first_state()
        if stored is None:
            self._save()

    def _first_state(self) -> dict[str, Any]:
        created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        token = {"user": DEFAULT_USER, "createdAt": created}
        return {
            "users": [DEFAULT_USER, STRANGER],
            "organizations": {DEFAULT_ORGANIZATION: [DEFAULT_USER]},
            "tokens": {
                f"hf_{secrets.token_hex(17)}": {**token, "role": role, "name": role}
                for role in ("write", "read")
            }
            | {
                f"hf_{secrets.token_hex(17)}": {
                    **token,
                    "user": STRANGER,
                    "role": "write",
                    "name": "write",
                }
            },
            "signing_key": secrets.token_hex(32),
            "hub_id": secrets.token_hex(8),
        }

    def _save(self) -> None:
        write_json(self._path, self._state)

    @property
    def signing_key(self) -> bytes:
        """The key behind upload and download links."""
        return bytes.fromhex(self._state["signing_key"])

    @property
    def hub_id(self) -> str:
        """Tells this root from every other, whatever port it is served on."""
        return str(self._state["hub_id"])

    def token(self, role: str, user: str = DEFAULT_USER) -> str:
        """A user's token with this role; the default user has `write` and `read`."""
        return next(
            str(token)
            for token, facts in self._state["tokens"].items()
            if facts["role"] == role and facts["user"] == user
        )

    def caller(self, authorization: str | None) -> Caller | None:
        """Who sent this Authorization header; None if nobody signed in.

        Raises:
            Refusal: 401, the header holds no known token.
        """
        if authorization is None:
            return None
        token = authorization.removeprefix("Bearer ").strip()
        if token.startswith(TOKEN_PREFIX):
            resource = resource_of(self.signing_key, token)
            return Caller(_PUBLISHER, role="write", token_name="oidc", resource=resource)  # noqa: S106
        facts = self._state["tokens"].get(token)
        if facts is None:
            raise Refusal(401, "Invalid credentials in Authorization header")
        return Caller(name=facts["user"], role=facts["role"], token_name=facts["name"])

    def organizations(self, user: str) -> list[str]:
        """The organisations that a user belongs to, sorted."""
        memberships = self._state["organizations"].items()
        return sorted(name for name, members in memberships if user in members)

    def is_member(self, user: str, namespace: str) -> bool:
        """Whether a user may see and change what a namespace holds (case does not matter)."""
        own = {user.lower(), *(name.lower() for name in self.organizations(user))}
        return namespace.lower() in own

    def may_enter(self, caller: Caller, repo_id: str) -> bool:
        """Whether a caller sees and changes a repository: its namespace's, or its only one."""
        if caller.resource is not None:
            return caller.resource.lower() == repo_id.lower()
        return self.is_member(caller.name, repo_id.partition("/")[0])

    def claim_namespace(self, caller: Caller, namespace: str) -> None:
        """Let the caller create something in a namespace.

        Raises:
            Refusal: 403, the namespace is not the caller's and may not become so.
        """
        if self.is_member(caller.name, namespace):
            return
        taken = {name.lower() for name in (*self._state["users"], *self._state["organizations"])}
        if not self._open_namespaces or namespace.lower() in taken:
            raise Refusal(
                403, f'You don\'t have the rights to create under the namespace "{namespace}".'
            )
        self._state["organizations"][namespace] = [caller.name]
        self._save()

    def whoami(self, authorization: str | None) -> dict[str, Any]:
        """The body of `/api/whoami-v2`.

        Raises:
            Refusal: 401, no token or an unknown one.
        """
        try:
            caller = self.caller(authorization)
        except Refusal:
            caller = None
        if caller is None or caller.resource is not None:
            raise Refusal(401, "Invalid user token.")
        created = next(
            facts["createdAt"]
            for facts in self._state["tokens"].values()
            if facts["user"] == caller.name and facts["name"] == caller.token_name
        )
        return {
            "type": "user",
            "id": caller.name,
            "name": caller.name,
            "fullname": caller.name,
            "email": f"{caller.name}@localhost",
            "emailVerified": True,
            "canPay": False,
            "isPro": False,
            "orgs": [
                {"type": "org", "id": name, "name": name, "fullname": name, "roleInOrg": "admin"}
                for name in self.organizations(caller.name)
            ],
            "auth": {
                "type": "access_token",
                "accessToken": {
                    "displayName": caller.token_name,
                    "role": caller.role,
                    "createdAt": created,
                },
            },
        }
