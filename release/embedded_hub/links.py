"""Links to objects that carry their own permission, as the real Hub's CDN links do."""

from __future__ import annotations

import hashlib
import hmac
import time
from urllib.parse import urlencode

from release.embedded_hub.errors import Refusal

LINK_LIFETIME_S = 24 * 3600


class LinkSigner:
    """Signs and checks links and xet tokens: an expiry and an HMAC over purpose and subject.

    Whoever holds the link may do the one thing it names until it expires; no token is needed.
    The link does not name the port, so that it is checked against this root, not this process.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def _signature(self, purpose: str, subject: str, expires: int) -> str:
        text = f"{purpose}\n{subject}\n{expires}".encode()
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()

    def query(self, purpose: str, subject: str) -> str:
        """The query string of a link, without its question mark."""
        expires = int(time.time()) + LINK_LIFETIME_S
        signature = self._signature(purpose, subject, expires)
        return urlencode({"expires": expires, "signature": signature})

    def check(self, purpose: str, subject: str, *, expires: str, signature: str) -> None:
        """Refuse with 403 a link that is expired or was not made here for this."""
        if not expires.isdecimal() or int(expires) < time.time():
            raise Refusal(403, "The link has expired")
        if not hmac.compare_digest(signature, self._signature(purpose, subject, int(expires))):
            raise Refusal(403, "The link's signature does not match")

    def bearer(self, purpose: str, subject: str) -> tuple[str, int]:
        """A token for the xet store, and when it expires (seconds since 1970)."""
        expires = int(time.time()) + LINK_LIFETIME_S
        return f"{expires}.{self._signature(purpose, subject, expires)}", expires

    def check_bearer(self, purpose: str, subject: str, authorization: str | None) -> None:
        """Refuse with 401 what `bearer` did not issue for this purpose and subject."""
        expires, _, signature = (authorization or "").removeprefix("Bearer ").partition(".")
        try:
            self.check(purpose, subject, expires=expires, signature=signature)
        except Refusal as refusal:
            raise Refusal(401, refusal.message) from refusal
