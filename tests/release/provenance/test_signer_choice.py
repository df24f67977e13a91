"""`--sign`: which signer a value names, and what is refused before anything else is done."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from manifests.errors import MissingExtra, UsageError
from release.cli import main
from release.provenance.signer_choice import chosen_signer
from release.provenance.signing import PrivateKey, WorkflowIdentity

pytest.importorskip("model_signing", reason="comes with the extra sign")

IN_WORKFLOW = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "lab/saes",
    "GITHUB_WORKFLOW_REF": "lab/saes/.github/workflows/publish.yml@refs/heads/main",
    "GITHUB_SHA": "c" * 40,
    "GITHUB_REF": "refs/heads/main",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "x",
}


def asked_nobody(question: str) -> str:
    raise AssertionError(question)


def test_a_file_is_a_private_key(make_key: Callable[..., tuple[Path, Path]]) -> None:
    private = make_key()[0]
    assert chosen_signer(str(private), {}, ask=asked_nobody) == PrivateKey(private)


def test_the_password_is_that_of_the_variable_or_of_the_person(
    make_key: Callable[..., tuple[Path, Path]],
) -> None:
    private = make_key("open sesame")[0]
    key = PrivateKey(private, "open sesame")
    environ = {"SAE_RELEASE_KEY_PASSWORD": "open sesame"}
    assert chosen_signer(str(private), environ, ask=asked_nobody) == key
    asked = []

    def ask(question: str) -> str:
        asked.append(question)
        return "open sesame"

    assert chosen_signer(str(private), {}, ask=ask) == key
    assert asked == ["Password of private.pem"]


def test_a_password_that_is_wrong_or_missing_is_refused_and_not_repeated(
    make_key: Callable[..., tuple[Path, Path]],
) -> None:
    private = str(make_key("open sesame")[0])
    with pytest.raises(UsageError, match="private key cannot be used") as caught:
        chosen_signer(private, {}, ask=lambda question: "open barley")
    assert "barley" not in str(caught.value)
    with pytest.raises(UsageError, match="nobody is there") as caught:
        chosen_signer(private, {}, ask=None)
    assert "SAE_RELEASE_KEY_PASSWORD" in str(caught.value.expected)


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN PRIVATE KEY-----\n", b"\x00" * 99])
def test_a_file_that_holds_no_private_key_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "key.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match="private key cannot be used") as caught:
        chosen_signer(str(path), {}, ask=asked_nobody)
    assert caught.value.where == str(path)


def test_a_public_key_and_one_on_another_curve_are_refused(
    make_key: Callable[..., tuple[Path, Path]], tmp_path: Path
) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    other = tmp_path / "ed25519.pem"
    other.write_bytes(
        ed25519.Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    for path in (make_key()[1], other):
        with pytest.raises(UsageError, match="private key cannot be used"):
            chosen_signer(str(path), {}, ask=asked_nobody)


def test_the_workflow_that_runs_signs_without_a_key() -> None:
    signer = chosen_signer("keyless", IN_WORKFLOW, ask=asked_nobody)
    assert signer == WorkflowIdentity(f"https://github.com/{IN_WORKFLOW['GITHUB_WORKFLOW_REF']}")


@pytest.mark.parametrize(
    ("lacks", "found"),
    [
        ("GITHUB_ACTIONS", "no GitHub workflow is running"),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "the job that runs may not prove its identity"),
    ],
)
def test_keyless_is_for_a_workflow_that_may_prove_its_identity(lacks: str, found: str) -> None:
    environ = {name: value for name, value in IN_WORKFLOW.items() if name != lacks}
    with pytest.raises(UsageError, match=found) as caught:
        chosen_signer("keyless", environ, ask=asked_nobody)
    assert "id-token: write" in str(caught.value.expected)


def push_signed_by(value: str, capsys: Any) -> tuple[int, str]:
    """What the command says, which has no manifest to read and no Hub to ask."""
    code = main(["push", "no-such.yaml", "--hub", "http://127.0.0.1:9", "--sign", value])
    said = capsys.readouterr()
    return code, said.out + said.err


def test_a_key_in_the_argument_itself_is_refused_and_not_repeated(
    make_key: Callable[..., tuple[Path, Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    text = make_key()[0].read_text(encoding="ascii")
    code, said = push_signed_by(text, capsys)
    assert code == 2
    assert "--sign was given a key itself" in said
    assert not any(line in said for line in text.splitlines()[1:-1])


def test_the_extra_is_named_where_it_is_missing(
    make_key: Callable[..., tuple[Path, Path]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "model_signing", None)
    private = str(make_key()[0])
    with pytest.raises(MissingExtra):
        chosen_signer(private, {}, ask=asked_nobody)
    code, said = push_signed_by(private, capsys)
    assert code != 0
    assert "the extra 'sign' of sae-release" in said and '[sign]"' in said
