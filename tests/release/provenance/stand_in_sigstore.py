"""In place of Sigstore's services: a certificate authority on this machine, for an identity token.

What it takes the place of are the two calls in which `model_signing` starts Sigstore's client. It
does what the client has Sigstore do, less the log: it asks for a token that is meant for Sigstore,
certifies a new key for the workflow that the token names, and signs with it; a verifier follows the
certificate to the authority and holds it against Sigstore's own policy of identities.
"""

from __future__ import annotations

import base64
import datetime
import json
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID, ObjectIdentifier

GITHUB = "https://token.actions.githubusercontent.com"
# By which Fulcio's certificates name who vouched for the identity.
_ISSUER = ObjectIdentifier("1.3.6.1.4.1.57264.1.1")


class StandInSigstore:
    """An authority; `tokens` are the claims of each identity token that it was given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tokens: list[dict[str, Any]] = []
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._root = self._certificate("authority", self._key.public_key(), [_of_authority()])
        (folder / "root.pem").write_bytes(_pem(self._root))

    def use_sigstore_signer(self, config: Any, *, identity_token: str) -> Any:
        """As `model_signing.signing.Config.use_sigstore_signer`."""
        claims = json.loads(base64.urlsafe_b64decode(identity_token.split(".")[1] + "=="))
        assert claims["aud"] == "sigstore"
        self.tokens.append(claims)
        key = ec.generate_private_key(ec.SECP256R1())
        workflow = x509.UniformResourceIdentifier(f"https://github.com/{claims['workflow_ref']}")
        certificate = self._certificate(
            "leaf",
            key.public_key(),
            [
                (x509.SubjectAlternativeName([workflow]), True),
                (x509.UnrecognizedExtension(_ISSUER, GITHUB.encode()), False),
                (_usage(digital_signature=True, key_cert_sign=False), True),
            ],
        )
        (self.folder / "leaf.pem").write_bytes(_pem(certificate))
        (self.folder / "key.pem").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return config.use_certificate_signer(
            private_key=self.folder / "key.pem",
            signing_certificate=self.folder / "leaf.pem",
            certificate_chain=[self.folder / "root.pem"],
        )

    def use_sigstore_verifier(self, config: Any, *, identity: str, oidc_issuer: str) -> Any:
        """As `model_signing.verifying.Config.use_sigstore_verifier`."""
        from sigstore.verify.policy import Identity

        config.use_certificate_verifier(certificate_chain=[self.folder / "root.pem"])
        verifier, policy = config._verifier, Identity(identity=identity, issuer=oidc_issuer)
        follow = verifier._verify_certificates

        def and_policy(material: Any, *arguments: Any) -> Any:
            if material.x509_certificate_chain is None:
                raise ValueError("no certificate")
            leaf = material.x509_certificate_chain.certificates[0].raw_bytes
            policy.verify(x509.load_der_x509_certificate(leaf))
            return follow(material, *arguments)

        verifier._verify_certificates = and_policy
        return config

    def _certificate(
        self, name: str, key: ec.EllipticCurvePublicKey, extensions: list[tuple[Any, bool]]
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=1))
            .not_valid_after(now + datetime.timedelta(minutes=10))
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(self._key, hashes.SHA256())


def _of_authority() -> tuple[x509.ExtensionType, bool]:
    return x509.BasicConstraints(ca=True, path_length=None), True


def _usage(*, digital_signature: bool, key_cert_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
