"""Who signs a push: what the value of `--sign` names, made sure of before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from manifests.errors import UsageError
from release.provenance.builder import LOCAL_BUILDER, builder_of
from release.provenance.model_signature import require_library, unusable_key
from release.provenance.signing import PrivateKey, WorkflowIdentity, require_usable

KEYLESS = "keyless"
PASSWORD_VARIABLE = "SAE_RELEASE_KEY_PASSWORD"  # noqa: S105 - where one is, not one
# GitHub sets it in jobs that may ask for an identity token, and in no other.
_MAY_ASK = "ACTIONS_ID_TOKEN_REQUEST_TOKEN"


def chosen_signer(
    choice: str, environ: Mapping[str, str], *, ask: Callable[[str], str] | None
) -> PrivateKey | WorkflowIdentity:
    """The signer that `--sign` names: the word `keyless`, or the file of a private key.

    Args:
        choice: the option's value. A key itself is refused, and not repeated.
        environ: the process's environment; of an encrypted key the password may be in
            `SAE_RELEASE_KEY_PASSWORD`.
        ask: asks a person for a password by the given question; None where nobody is there.

    Raises:
        MissingExtra: model-signing is not installed.
        UsageError: the value is no file of a key, its password is missing or wrong, or no GitHub
            workflow is running that may prove its identity.
    """
    if "-----BEGIN" in choice or "\n" in choice:
        raise UsageError(
            "--sign was given a key itself, which other programs of this machine can now read",
            expected=f"the file that holds the key, or {KEYLESS!r}",
            next_step="put the key in a file that only you can read, and name that",
        )
    require_library()
    if choice == KEYLESS:
        return _workflow(environ)
    path = Path(choice)
    password = _password(path, environ, ask) if _is_encrypted(path) else None
    key = PrivateKey(path, password)
    require_usable(key)
    return key


def _workflow(environ: Mapping[str, str]) -> WorkflowIdentity:
    builder = builder_of(environ)
    if builder.builder_id == LOCAL_BUILDER or not environ.get(_MAY_ASK):
        found = "no GitHub workflow is running"
        if builder.builder_id != LOCAL_BUILDER:
            found = "the job that runs may not prove its identity"
        raise UsageError(
            f"{found}, and keyless signing signs as one",
            expected="a job of GitHub Actions with `permissions: id-token: write`",
            next_step="sign with a key: --sign private.pem",
        )
    return WorkflowIdentity(builder.builder_id)


def _is_encrypted(path: Path) -> bool:
    from cryptography.hazmat.primitives import serialization

    try:
        serialization.load_pem_private_key(path.read_bytes(), None)
    except TypeError:
        return True
    except (OSError, ValueError) as error:
        raise unusable_key(path, "private", error) from error
    return False


def _password(path: Path, environ: Mapping[str, str], ask: Callable[[str], str] | None) -> str:
    if password := environ.get(PASSWORD_VARIABLE):
        return password
    if ask is None:
        raise UsageError(
            "the private key is encrypted, and nobody is there to give its password",
            where=str(path),
            expected=f"its password in the variable {PASSWORD_VARIABLE}, or a terminal",
        )
    return ask(f"Password of {path.name}")
