"""Calls of keyless publishing: the Hub's exchange, and a stand-in for the issuer of a CI service.

A job asks its CI service for an identity token (`id_token`) and exchanges that at the Hub
(`exchange`) for one that writes a single repository. On the real Hub the publishers are set on a
repository's settings page, and the issuer is the CI service; here both are calls under the
administration's prefix, which need the write token.
"""

from __future__ import annotations

import time
from typing import Any

from starlette.responses import JSONResponse, Response

from release.embedded_hub.admin_api import ADMIN_PREFIX
from release.embedded_hub.call import Call
from release.embedded_hub.errors import Refusal
from release.embedded_hub.trusted_publishing import (
    ID_TOKEN_LIFETIME_S,
    REQUEST_LIFETIME_S,
    TOKEN_LIFETIME_S,
    Publisher,
    TrustedPublishers,
    claims_of,
    signed,
    write_token,
)

ID_TOKEN_PATH = f"{ADMIN_PREFIX}oidc/id-token"
_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105 - a type of token, not one
_CLAIMS = ("repository", "ref", "workflow_ref", "environment")


def add_publisher(call: Call) -> Response:
    """POST /embedded-hub/trusted-publishers: repo_id, repository, workflow?, environment?."""
    call.writer()
    wanted = call.json()
    try:
        repo_id = str(wanted.pop("repo_id"))
        publisher = Publisher(**wanted)
    except (KeyError, TypeError) as error:
        raise Refusal(400, f"Not a trusted publisher: {error}") from error
    TrustedPublishers(call.hub.root).add(repo_id, publisher)
    return JSONResponse({"repo_id": repo_id})


def start_job(call: Call) -> Response:
    """POST /embedded-hub/oidc/jobs with claims: the variables that a CI service gives a job."""
    call.writer()
    wanted = call.json()
    claims = {name: str(wanted[name]) for name in _CLAIMS if wanted.get(name)}
    token = signed(_key(call), "job", claims, lifetime_s=REQUEST_LIFETIME_S)
    return JSONResponse(
        {
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{call.base_url}{ID_TOKEN_PATH}",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": token,
        }
    )


def id_token(call: Call) -> Response:
    """GET /embedded-hub/oidc/id-token?audience=: the identity token of a running job."""
    # Clients write the scheme in either case.
    request = (call.headers.get("authorization") or "").partition(" ")[2].strip()
    claims = claims_of(_key(call), "job", request)
    claims |= {
        "aud": call.one("audience"),
        "iat": int(time.time()),
        "iss": f"{call.base_url}{ADMIN_PREFIX}oidc",
        "sub": f"repo:{claims.get('repository')}:environment:{claims.get('environment')}",
    }
    value = signed(_key(call), "identity", claims, lifetime_s=ID_TOKEN_LIFETIME_S)
    return JSONResponse({"value": value})


def exchange(call: Call) -> Response:
    """POST /oauth/token (RFC 8693): a token for one repository, or a refusal.

    Every refusal is a 400 with an OAuth error: `invalid_grant` for an identity token that is not of
    the issuer, has expired or is meant for somebody else, for a repository that does not trust who
    it names, and for one that does not exist.

    Source: https://huggingface.co/docs/hub/trusted-publishers (API reference).
    """
    wanted: dict[str, Any] = call.json()
    if wanted.get("grant_type") != _EXCHANGE or wanted.get("subject_token_type") != _ID_TOKEN:
        raise _refused("invalid_request", "grant_type and subject_token_type of a token exchange")
    try:
        claims = claims_of(_key(call), "identity", str(wanted.get("subject_token")))
    except Refusal as refusal:
        raise _refused("invalid_grant", "the identity token is not of a known issuer") from refusal
    if claims.get("aud") != call.base_url:
        raise _refused("invalid_grant", f"The audience is not {call.base_url}")
    repo_id = str(wanted.get("resource"))
    publishers = TrustedPublishers(call.hub.root).of(repo_id)
    found = call.hub.repositories.find("model", repo_id)
    if found is None or not any(publisher.trusts(claims) for publisher in publishers):
        message = f"{repo_id} has no trusted publisher that matches the identity token"
        raise _refused("invalid_grant", message)
    return JSONResponse(
        {
            "access_token": write_token(_key(call), found.repo_id),
            "token_type": "bearer",
            "expires_in": TOKEN_LIFETIME_S,
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        }
    )


def _refused(error: str, message: str) -> Refusal:
    return Refusal(400, message, body={"error": error, "error_description": message})


def _key(call: Call) -> bytes:
    return call.hub.accounts.signing_key
