"""What `model.sig` is: an OpenSSF model signature over the weights and configurations of a release.

Signed are the two files of every SAE. The card, and what is rendered or measured beside it, can be
made anew without the key; the index at the root and the report state the digests of the signed
files, and `release verify` holds them against each other.

The signature is what `model_signing` 1.1 writes, a Sigstore bundle; that tool verifies a download
of the whole repository by itself. What is written anew without a signature is in the bundle's own
list of paths to pass over.

Source: https://github.com/ossf/model-signing-spec.
"""

from __future__ import annotations

import base64
import contextlib
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS
from manifests.errors import MissingExtra, ReleaseError, UsageError
from validators.reading.strict_json import JsonProblem, parse_json

if TYPE_CHECKING:
    from model_signing.verifying import Config as VerifyingConfig

SIGNATURE = "model.sig"
GITHUB_ISSUER = "https://token.actions.githubusercontent.com"
# A bundle has about 150 bytes for each file.
MAX_SIGNATURE_BYTES = 8_000_000
_UNSIGNED = (
    SIGNATURE,
    "README.md",
    "card.json",
    "config.json",
    "figures",
    "manifest.json",
    "provenance.intoto.json",
    "report.json",
    "training.json",
)


class BadSignature(ReleaseError):
    """A signature that does not hold: for other bytes, by another key, or damaged."""


class SigstoreUnavailable(ReleaseError):
    """Sigstore's services gave no answer, or not the one that was needed."""

    exit_code = 4


@dataclass(frozen=True)
class PublicKey:
    """The public half of a `PrivateKey`, in a PEM file."""

    path: Path


@dataclass(frozen=True)
class ExpectedIdentity:
    """Who must have signed without a key: a workflow's URI or an address, and who vouched."""

    identity: str
    issuer: str = GITHUB_ISSUER


def signed_paths(paths: Iterable[str]) -> tuple[str, ...]:
    """Which files of a repository a signature covers, sorted: configurations and weights."""
    return tuple(
        sorted(p for p in paths if p.rpartition("/")[2] in (SAE_CONFIG, SAE_WEIGHTS) and "/" in p)
    )


def verify_signature(
    signature: Path, files: Mapping[str, str], by: PublicKey | ExpectedIdentity
) -> tuple[str, ...]:
    """Hold a signature against the digests of a repository's files.

    Args:
        signature: the file, as it was published.
        files: SHA-256 of the files as they are, by path_in_repo.
        by: whose signature it has to be.

    Returns:
        The paths that it covers: every one of `signed_paths(files)`.

    Raises:
        BadSignature: it is by another key, for other bytes, covers other files, or is damaged.
        MissingExtra: model-signing is not installed.
        UsageError: the public key cannot be read.
        SigstoreUnavailable: keyless, and Sigstore's trust root cannot be fetched.
    """
    wanted = signed_paths(files)
    config = _verifying_config(by)
    signed = _resources(signature)
    covered = tuple(sorted(signed))
    if unsigned := sorted({*wanted} - {*covered}):
        raise BadSignature(
            f"covers {len(covered)} files and not {', '.join(unsigned[:3])}"
            + (f" and {len(unsigned) - 3} more" if len(unsigned) > 3 else ""),
            where=SIGNATURE,
            expected="the configuration and the weights of every SAE",
            next_step="sign the release again; trust no SAE that is not signed",
        )
    if absent := sorted({*covered} - {*wanted}):
        raise BadSignature(
            f"covers {absent[0]!r:.200}, which the repository does not have",
            where=SIGNATURE,
            expected="the files that were signed",
        )
    known = KnownDigests("repository", {path: files[path] for path in covered})
    try:
        with sigstore_errors(), contextlib.redirect_stdout(io.StringIO()):
            # The library prints a warning about old signatures where results go.
            config.set_hashing_config(known).verify(Path("repository"), signature)
    except ReleaseError:
        raise
    except _refusals() as error:
        other = [path for path in covered if signed[path] != files[path]]
        said = " ".join(str(error).split()) or "the signature is not of this key"
        if other:
            said = f"it was made of other bytes of {', '.join(other[:3])}"
            said += f" and {len(other) - 3} more" if len(other) > 3 else ""
        raise BadSignature(
            f"does not hold: {said:.300}",
            where=SIGNATURE,
            expected=_expected(by),
            next_step="make sure of the key, and do not use the weights before it holds",
        ) from error
    return covered


def is_keyless(signature: Path) -> bool:
    """Whether a signature was made with a certificate of Sigstore's instead of a key.

    Raises:
        BadSignature: it is no Sigstore bundle.
    """
    material = _bundle(signature).get("verificationMaterial")
    return isinstance(material, dict) and "publicKey" not in material


def covered_paths(signature: Path) -> tuple[str, ...]:
    """The paths that a signature says it covers, before anything about it is verified.

    Raises:
        BadSignature: it is no model signature.
    """
    return tuple(sorted(_resources(signature)))


def is_of(signature: Path, files: Mapping[str, str]) -> bool:
    """Whether a signature says that it is of these very files; whose it is, is not asked.

    Raises:
        BadSignature: it is no model signature.
    """
    return _resources(signature) == {path: files[path] for path in signed_paths(files)}


def _resources(signature: Path) -> dict[str, str]:
    """Hex digests by path, as a signature states them."""
    try:
        payload = base64.b64decode(_bundle(signature)["dsseEnvelope"]["payload"])
        statement = parse_json(payload.decode("utf-8"))
        resources = statement["predicate"]["resources"]
        return {str(resource["name"]): str(resource["digest"]) for resource in resources}
    except (JsonProblem, ValueError, KeyError, TypeError) as error:
        raise _damaged() from error


class KnownDigests:
    """Stands where model-signing hashes a folder: the digests are known, of a Hub's files too."""

    def __init__(self, name: str, digests: Mapping[str, str]) -> None:
        self._name, self._digests = name, digests

    def hash(self, model_path: object, *, files_to_hash: object = None) -> Any:  # noqa: ARG002
        """The manifest that model-signing would make of the files."""
        from model_signing import manifest

        form = manifest.SerializationType.from_args(
            {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": list(_UNSIGNED),
            }
        )
        items = [
            form.new_item(path, manifest.hashing.Digest("sha256", bytes.fromhex(digest)))
            for path, digest in sorted(self._digests.items())
        ]
        return manifest.Manifest(self._name, items, form)

    def add_ignored_paths(self, *, model_path: object, paths: object) -> None:
        """Nothing to do: which files count was decided before."""


def _verifying_config(by: PublicKey | ExpectedIdentity) -> VerifyingConfig:
    require_library()
    from model_signing import verifying

    if isinstance(by, PublicKey):
        try:
            return verifying.Config().use_elliptic_key_verifier(public_key=by.path)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise unusable_key(by.path, "public", error) from error
    with sigstore_errors():
        return verifying.Config().use_sigstore_verifier(identity=by.identity, oidc_issuer=by.issuer)


def require_library() -> None:
    """Raise MissingExtra where model-signing is not installed."""
    try:
        import model_signing  # noqa: F401 - that it is there
    except ImportError as error:
        raise MissingExtra(
            needed_for="a model signature", package="model-signing", extra="sign"
        ) from error


def _refusals() -> tuple[type[Exception], ...]:
    """What the libraries raise of a signature that does not hold."""
    from cryptography.exceptions import InvalidSignature
    from sigstore.errors import VerificationError
    from sigstore.models import InvalidBundle

    return (
        InvalidSignature, InvalidBundle, VerificationError, ValueError, KeyError, TypeError,
        IndexError, AttributeError,
    )  # fmt: skip


@contextlib.contextmanager
def sigstore_errors() -> Iterator[None]:
    """Turn errors of Sigstore's services into one that says what to do."""
    import requests
    from sigstore.errors import Error, VerificationError
    from sigstore.models import InvalidBundle

    try:
        yield
    except (VerificationError, InvalidBundle):
        raise
    except (Error, requests.RequestException) as error:
        raise SigstoreUnavailable(
            f"gave no usable answer ({type(error).__name__})",
            where="Sigstore",
            expected="its trust root, and for signing its certificate authority and log",
            next_step="try again later, or use a key",
        ) from error


def _bundle(signature: Path) -> dict[str, Any]:
    try:
        if signature.stat().st_size > MAX_SIGNATURE_BYTES:
            raise _damaged()
        bundle = parse_json(signature.read_text(encoding="utf-8"))
    except (OSError, ValueError, JsonProblem) as error:
        raise _damaged() from error
    if not isinstance(bundle, dict):
        raise _damaged()
    return bundle


def _damaged() -> BadSignature:
    return BadSignature(
        "is no model signature, or is damaged",
        where=SIGNATURE,
        expected="a Sigstore bundle as model-signing 1.1 writes it",
    )


def unusable_key(path: Path, half: str, error: Exception) -> UsageError:
    """The error of a file that is no private or public key on one of the curves."""
    # The library asks a key of any kind for its curve.
    why = "it is of no curve" if isinstance(error, AttributeError) else " ".join(str(error).split())
    return UsageError(
        f"the {half} key cannot be used: {why:.200}",
        where=str(path),
        expected=f"a {half} key on the curve P-256, P-384 or P-521, as PEM",
    )


def _expected(by: PublicKey | ExpectedIdentity) -> str:
    if isinstance(by, PublicKey):
        return f"a signature of these bytes by the key in {by.path.name}"
    return f"a signature of these bytes by {by.identity}, as {by.issuer} knows it"
