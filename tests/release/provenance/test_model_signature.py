"""`model.sig`: key-based signatures, made and verified without a network."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from manifests.errors import MissingExtra, UsageError
from release.cli import main
from release.provenance.builder import Builder
from release.provenance.model_signature import (
    SIGNATURE,
    BadSignature,
    ExpectedIdentity,
    PublicKey,
    is_keyless,
    signed_paths,
    verify_signature,
)
from release.provenance.signing import PrivateKey, WorkflowIdentity, sign
from release.provenance.statement import PROVENANCE, write_provenance

model_signing = pytest.importorskip("model_signing", reason="comes with the extra sign")

WEIGHTS = "topk_L1_mixed/sae_weights.safetensors"


@pytest.fixture(scope="module")
def keys(make_key: Callable[..., tuple[Path, Path]]) -> tuple[Path, Path]:
    return make_key()


@pytest.fixture
def signed(made: Any, keys: tuple[Path, Path]) -> Any:
    """The release with a signature, and the statement that names it."""
    sign(made.files(), made.folder / SIGNATURE, PrivateKey(keys[0]), name="two-saes")
    write_provenance(made.loaded, made.build, made.files())
    return made


@pytest.fixture
def finding(made: Any, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """What the verb says of the signature, with its exit code."""

    def run(*arguments: str) -> dict[str, Any]:
        code = main(["verify", str(made.folder), "--format", "json", *arguments])
        found = json.loads(capsys.readouterr().out)["findings"]
        signature: dict[str, Any] = next(f for f in found if f["part"] == SIGNATURE)
        return signature | {"code": code}

    return run


def test_weights_and_configurations_are_signed_and_nothing_else(made: Any) -> None:
    assert signed_paths(made.files()) == (
        "topk_L1_honest_only/cfg.json",
        "topk_L1_honest_only/sae_weights.safetensors",
        "topk_L1_mixed/cfg.json",
        "topk_L1_mixed/sae_weights.safetensors",
    )


def test_a_signature_of_the_key_is_verified(
    signed: Any, finding: Any, keys: tuple[Path, Path]
) -> None:
    found = finding("--key", str(keys[1]))
    assert (found["state"], found["code"]) == ("verified", 0)
    assert found["text"] == "is by the key public.pem: 4 files of 2 SAEs"


def test_a_signature_that_nobody_says_the_key_of_is_not_checked(signed: Any, finding: Any) -> None:
    found = finding()
    assert (found["state"], found["code"]) == ("not checked", 3)
    assert found["text"] == "covers 4 files, of whom --key has to say"


def test_another_key_is_noticed(finding: Any, make_key: Callable[..., tuple[Path, Path]]) -> None:
    found = finding("--key", str(make_key()[1]))
    assert (found["state"], found["code"]) == ("failed", 1)


def test_a_new_card_leaves_the_signature_good(
    signed: Any, finding: Any, keys: tuple[Path, Path]
) -> None:
    (signed.folder / "README.md").write_bytes(b"# Other words\n")
    write_provenance(signed.loaded, signed.build, signed.files())
    assert finding("--key", str(keys[1]))["code"] == 0


@pytest.mark.parametrize("name", [WEIGHTS, "topk_L1_mixed/cfg.json"])
def test_other_bytes_are_noticed_although_every_document_was_made_anew(
    signed: Any, finding: Any, tamper: Any, keys: tuple[Path, Path], name: str
) -> None:
    tamper(name)
    signed.save()
    write_provenance(signed.loaded, signed.build, signed.files())
    found = finding("--key", str(keys[1]))
    assert (found["state"], found["code"]) == ("failed", 1)
    assert found["problems"] == [f"does not hold: it was made of other bytes of {name}"]


def test_a_signature_over_a_part_is_noticed(
    made: Any, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    part = {path: digest for path, digest in made.files().items() if "honest" in path}
    signature = tmp_path / SIGNATURE
    sign(part, signature, PrivateKey(keys[0]), name="two-saes")
    with pytest.raises(BadSignature, match="covers 2 files and not topk_L1_mixed"):
        verify_signature(signature, made.files(), PublicKey(keys[1]))
    assert len(verify_signature(signature, part, PublicKey(keys[1]))) == 2


def test_a_signature_over_more_than_there_is_is_noticed(
    made: Any, keys: tuple[Path, Path], tmp_path: Path
) -> None:
    signature = tmp_path / SIGNATURE
    sign(made.files(), signature, PrivateKey(keys[0]), name="two-saes")
    fewer = {path: digest for path, digest in made.files().items() if "honest" in path}
    with pytest.raises(BadSignature, match="which the repository does not have"):
        verify_signature(signature, fewer, PublicKey(keys[1]))


@pytest.mark.parametrize("where", ["payload", "sig"])
def test_a_changed_byte_of_the_signature_is_noticed(
    signed: Any, keys: tuple[Path, Path], where: str
) -> None:
    signature = signed.folder / SIGNATURE
    bundle = json.loads(signature.read_bytes())
    envelope = bundle["dsseEnvelope"]
    holder = envelope if where == "payload" else envelope["signatures"][0]
    content = bytearray(base64.b64decode(holder[where]))
    # The name of the model in the payload, so that it stays well-formed.
    at = content.index(b"two-saes") if where == "payload" else 20
    content[at] ^= 1
    holder[where] = base64.b64encode(bytes(content)).decode()
    signature.write_text(json.dumps(bundle), encoding="utf-8")
    with pytest.raises(BadSignature, match="does not hold"):
        verify_signature(signature, signed.files(), PublicKey(keys[1]))


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"dsseEnvelope": {"payload": "e30="}}', b"\xff", b"[" * 9999]
)
def test_what_is_no_signature_is_told(
    made: Any, keys: tuple[Path, Path], tmp_path: Path, content: bytes
) -> None:
    signature = tmp_path / SIGNATURE
    signature.write_bytes(content)
    with pytest.raises(BadSignature, match="is no model signature"):
        verify_signature(signature, made.files(), PublicKey(keys[1]))


def test_signing_again_changes_nothing_unless_the_files_or_the_key_did(
    signed: Any, keys: tuple[Path, Path], make_key: Any, tamper: Any
) -> None:
    signature = signed.folder / SIGNATURE
    content = signature.read_bytes()
    assert not sign(signed.files(), signature, PrivateKey(keys[0]), name="two-saes")
    assert signature.read_bytes() == content
    assert sign(signed.files(), signature, PrivateKey(make_key()[0]), name="two-saes")
    assert sign(signed.files(), signature, PrivateKey(keys[0]), name="two-saes")
    tamper(WEIGHTS)
    assert sign(signed.files(), signature, PrivateKey(keys[0]), name="two-saes")


def test_a_key_with_a_password_signs(
    made: Any, make_key: Callable[..., tuple[Path, Path]], tmp_path: Path
) -> None:
    private, public = make_key("open sesame")
    signature = tmp_path / SIGNATURE
    for _ in range(2):
        sign(made.files(), signature, PrivateKey(private, "open sesame"), name="two-saes")
    assert len(verify_signature(signature, made.files(), PublicKey(public))) == 4
    for password in (None, "wrong"):
        with pytest.raises(UsageError, match="private key cannot be used") as caught:
            sign(made.files(), signature, PrivateKey(private, password), name="two-saes")
        assert "wrong" not in repr(PrivateKey(private, password))
        assert "sesame" not in str(caught.value)


def test_a_key_that_is_none_is_refused(signed: Any, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(b"-----BEGIN PUBLIC KEY-----\n")
    for wrong in (path, tmp_path / "nothing.pem"):
        assert main(["verify", str(signed.folder), "--key", str(wrong)]) == 2
        with pytest.raises(UsageError, match="private key"):
            sign(signed.files(), tmp_path / SIGNATURE, PrivateKey(wrong), name="two-saes")


def test_the_signature_is_one_that_model_signing_itself_verifies(
    signed: Any, tamper: Any, keys: tuple[Path, Path]
) -> None:
    from model_signing import verifying

    def verify(*, ignore_unsigned_files: bool = False) -> None:
        config = verifying.Config().use_elliptic_key_verifier(public_key=keys[1])
        config.set_ignore_unsigned_files(ignore_unsigned_files)
        config.verify(signed.folder, signed.folder / SIGNATURE)

    (signed.folder / ".gitattributes").write_bytes(b"")
    (signed.folder / "figures").mkdir()
    (signed.folder / "figures" / "a.svg").write_bytes(b"<svg/>")
    verify()
    (signed.folder / "further.pt").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"Extra files found in model 'repository': further\.pt"):
        verify()
    verify(ignore_unsigned_files=True)
    tamper(WEIGHTS)
    with pytest.raises(ValueError, match="Hash mismatch for"):
        verify(ignore_unsigned_files=True)


def test_a_keyless_signature_is_told_from_one_of_a_key(signed: Any, tmp_path: Path) -> None:
    signature = signed.folder / SIGNATURE
    assert not is_keyless(signature)
    bundle = json.loads(signature.read_bytes())
    del bundle["verificationMaterial"]["publicKey"]
    bundle["verificationMaterial"]["certificate"] = {"rawBytes": ""}
    signature.write_text(json.dumps(bundle), encoding="utf-8")
    assert is_keyless(signature)


def test_keyless_signing_asks_nobody_where_no_workflow_runs(
    made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GITHUB_ACTIONS", "GITLAB_CI", "CIRCLECI", "BUILDKITE"):
        monkeypatch.delenv(name, raising=False)
    # Google Cloud's metadata address is what the library would ask outside of the others.
    monkeypatch.setattr("sigstore.oidc.detect_credential", lambda *arguments: None)
    with pytest.raises(UsageError, match="no workflow is running"):
        sign(made.files(), tmp_path / SIGNATURE, WorkflowIdentity(WORKFLOW), name="two-saes")
    assert not (tmp_path / SIGNATURE).exists()


def test_a_signature_without_the_extra_is_not_checked(
    signed: Any, finding: Any, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "model_signing", None)
    found = finding("--key", str(keys[1]))
    assert (found["state"], found["code"]) == ("not checked", 3)
    assert "sae-release[sign]" in found["text"]
    with pytest.raises(MissingExtra):
        verify_signature(
            signed.folder / SIGNATURE, signed.files(), ExpectedIdentity("someone@example.org")
        )


WORKFLOW = "https://github.com/someone/study/.github/workflows/publish.yml@refs/heads/main"


@pytest.mark.parametrize(
    ("builder", "state"), [(WORKFLOW, "verified"), (WORKFLOW.replace("main", "fork"), "failed")]
)
def test_a_keyless_signature_is_by_the_builder_that_the_statement_names(
    signed: Any, finding: Any, monkeypatch: pytest.MonkeyPatch, builder: str, state: str
) -> None:
    # Sigstore's part is its own; what is compared with its answer is ours.
    asked = []

    def holds(signature: Path, files: Any, by: Any) -> tuple[str, ...]:
        asked.append(by)
        return signed_paths(files)

    monkeypatch.setattr("release.provenance.verification.verify_signature", holds)
    (signed.folder / PROVENANCE).unlink()
    write_provenance(signed.loaded, signed.build, signed.files(), builder=Builder(builder))
    found = finding("--identity", WORKFLOW)
    assert (found["state"], found["code"]) == (state, 0 if state == "verified" else 1)
    assert asked == [ExpectedIdentity(WORKFLOW, "https://token.actions.githubusercontent.com")]


def test_a_key_signature_is_not_of_an_identity(
    signed: Any, finding: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sigstore.models import ClientTrustConfig

    # The trust root that comes with the library; a newer one would be asked for on the network.
    root = ClientTrustConfig.production(offline=True)
    monkeypatch.setattr(ClientTrustConfig, "production", classmethod(lambda cls: root))
    found = finding("--identity", WORKFLOW)
    assert (found["state"], found["code"]) == ("failed", 1)


def test_sigstore_that_gives_no_answer_is_told_apart_from_a_failure(
    signed: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import requests
    from sigstore.errors import TUFError
    from sigstore.models import ClientTrustConfig

    for error in (TUFError("no root"), requests.ConnectionError("no route")):

        def production(cls: type, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(ClientTrustConfig, "production", classmethod(production))
        assert main(["verify", str(signed.folder), "--identity", WORKFLOW]) == 4
        assert "Sigstore: gave no usable answer" in capsys.readouterr().err
