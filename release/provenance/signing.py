"""Make `model.sig`: with a private key, or without one as the workflow that runs.

A signature is verified before it takes its place, and one that already holds is kept: each new one
would be other bytes, and so a changed file.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from manifests.build_folder import write_atomically
from manifests.errors import UsageError
from release.provenance.model_signature import (
    SIGNATURE,
    BadSignature,
    ExpectedIdentity,
    KnownDigests,
    PublicKey,
    require_library,
    signed_paths,
    sigstore_errors,
    unusable_key,
    verify_signature,
)

if TYPE_CHECKING:
    from model_signing.signing import Config as SigningConfig


@dataclass(frozen=True)
class PrivateKey:
    """A private key on an elliptic curve (P-256, P-384 or P-521) in a PEM file."""

    path: Path
    password: str | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """How messages call the signer."""
        return f"the key {self.path.name}"


@dataclass(frozen=True)
class WorkflowIdentity:
    """Sigstore's keyless signing as a workflow, which must be the one that runs.

    Attributes:
        identity: the workflow's URI, as `Builder.builder_id` has it.
    """

    identity: str

    @property
    def name(self) -> str:
        """How messages call the signer."""
        return self.identity


def sign(
    files: Mapping[str, str], signature: Path, signer: PrivateKey | WorkflowIdentity, *, name: str
) -> bool:
    """Sign weights and configurations; False where this signer's signature of them is there.

    Args:
        files: SHA-256 of the release's files by path_in_repo.
        signature: the file to write.
        signer: the key, or the workflow's identity.
        name: what the signature calls the model, such as the repository's name.

    Raises:
        BadSignature: Sigstore's certificate names another workflow; nothing was written.
        MissingExtra: model-signing is not installed.
        UsageError: the key cannot be used, or no workflow is running that may sign.
        SigstoreUnavailable: keyless, and Sigstore does not answer.
    """
    digests = {path: files[path] for path in signed_paths(files)}
    if not digests:
        raise UsageError("there are no weights to sign", expected="the files of an SAE")
    require_library()
    with _verifier(signer) as by, tempfile.TemporaryDirectory(prefix="sae-release-") as folder:
        if signature.is_file():
            with contextlib.suppress(BadSignature):
                verify_signature(signature, digests, by)
                return False
        made = Path(folder) / SIGNATURE
        config = _config(signer)
        with sigstore_errors():
            config.set_hashing_config(KnownDigests(name, digests)).sign(name, made)
        verify_signature(made, digests, by)
        write_atomically(signature, made.read_bytes())
    return True


def require_usable(key: PrivateKey) -> None:
    """Raise if a private key cannot sign.

    Raises:
        MissingExtra: model-signing is not installed.
        UsageError: it is no key on one of the curves, or the password is not its own.
    """
    require_library()
    _config(key)


@contextlib.contextmanager
def _verifier(signer: PrivateKey | WorkflowIdentity) -> Iterator[PublicKey | ExpectedIdentity]:
    """What the signer's own signatures are held against."""
    if isinstance(signer, WorkflowIdentity):
        yield ExpectedIdentity(signer.identity)
        return
    from cryptography.hazmat.primitives import serialization

    try:
        key = serialization.load_pem_private_key(signer.path.read_bytes(), _password(signer))
    except (OSError, ValueError, TypeError) as error:
        raise unusable_key(signer.path, "private", error) from error
    with tempfile.TemporaryDirectory(prefix="sae-release-") as folder:
        public = Path(folder) / "public.pem"
        public.write_bytes(
            key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        yield PublicKey(public)


def _config(signer: PrivateKey | WorkflowIdentity) -> SigningConfig:
    from model_signing import signing

    if isinstance(signer, PrivateKey):
        try:
            return signing.Config().use_elliptic_key_signer(
                private_key=signer.path, password=_password(signer)
            )
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise unusable_key(signer.path, "private", error) from error
    with sigstore_errors():
        return signing.Config().use_sigstore_signer(identity_token=_identity_token())


def _identity_token() -> str:
    """The running workflow's identity, for Sigstore.

    Without one the library would open a browser and wait for somebody.
    """
    from sigstore.oidc import IdentityError, detect_credential

    try:
        token = detect_credential()
    except IdentityError as error:
        raise UsageError(
            "this run may not prove its identity: " + " ".join(str(error).split())[:200],
            expected="a job with `permissions: id-token: write`, not of a fork's pull request",
            next_step="grant the job that permission, or sign with a key",
        ) from error
    if token is None:
        raise UsageError(
            "no workflow is running whose identity could sign",
            expected="a CI run that may ask for an OIDC token (`permissions: id-token: write`)",
            next_step="sign with a key",
        )
    return str(token)


def _password(signer: PrivateKey) -> bytes | None:
    # Annotated as text in model-signing, but handed on as it is to what wants bytes.
    return signer.password.encode("utf-8") if signer.password else None
