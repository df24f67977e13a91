"""`release doctor` where something is wrong that is not the package's: the Hub, a token, a name."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from huggingface_hub import constants

from manifests.errors import UsageError
from release.cli import main
from release.doctor import examination as examined
from release.doctor.examination import examination, guarded
from release.doctor.installation import Installation
from release.doctor.line import Line, State
from release.embedded_hub import EmbeddedHub
from release.token_source import TokenSource, token_source
from validators.reading.repository import HubUnavailable

UMLAUT = "hf_h\N{LATIN SMALL LETTER O WITH DIAERESIS}f"


@pytest.fixture(autouse=True)
def _only_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("_packages", "_torch", "_quantiser", "_folders"):
        monkeypatch.setattr(examined, part, lambda *_: [])


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedHub]:
    with EmbeddedHub(tmp_path_factory.mktemp("doctor") / "hub") as running:
        yield running


def looked_at(hub: str | None, folder: Path, *, offline: bool = False) -> dict[str, Line]:
    return {line.topic: line for line in examination(hub, build=folder, offline=offline)}


@pytest.mark.parametrize("status", [429, 500])
def test_a_hub_that_does_not_say_whose_a_token_is_keeps_its_own_line(
    status: int, hub: EmbeddedHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.token)
    hub.inject("status", path="/api/whoami", status=status, times=99)
    found = looked_at(hub.endpoint, tmp_path)
    hub.clear_faults()
    assert found["hub"].state is State.OK
    assert found["token"] == Line(
        "token",
        State.NOTE,
        f"the Hub did not say whose it is ({status})",
        "try again later",
    )
    assert looked_at(hub.endpoint, tmp_path)["token"].state is State.OK


def test_a_connection_that_drops_when_asked_about_a_token_is_a_note(
    hub: EmbeddedHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.token)
    hub.inject("drop_before", path="/api/whoami", times=99)
    found = looked_at(hub.endpoint, tmp_path)
    hub.clear_faults()
    assert found["hub"].state is State.OK
    assert found["token"].state is State.NOTE
    assert found["token"].found.startswith("the Hub did not say whose it is (no answer, ")
    assert found["token"].mend == "try again later"


@pytest.mark.parametrize("token", [UMLAUT, "hf_a b", "hf_a\tb"])
def test_a_token_that_no_request_can_carry_is_broken_and_the_hub_is_still_asked(
    token: str, hub: EmbeddedHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    found = looked_at(hub.endpoint, tmp_path)
    assert found["hub"].state is State.OK
    assert found["token"].state is State.BROKEN
    assert found["token"].found == "HF_TOKEN: the token holds characters that no token has"
    assert found["token"].mend == f"copy it again from {hub.endpoint}/settings/tokens"
    assert token not in str(found)


def test_a_token_whose_file_may_not_be_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"

    def refused(path: Path, **_: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(constants, "HF_TOKEN_PATH", str(file))
        patch.setattr(Path, "stat", refused)
        assert token_source(file, environment={}) == TokenSource(None, refused=str(file))
        found = list(examined._hub(None, build=tmp_path, offline=True))[-1]
    assert (found.topic, found.state) == ("token", State.BROKEN)
    assert found.found == f"{file} cannot be looked into"
    assert found.mend == "move it with HF_HOME, or set HF_TOKEN"


def test_the_variable_that_keeps_a_saved_token_back_is_named(
    hub: EmbeddedHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text("hf_saved", encoding="utf-8")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(file))
    monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    found = looked_at(None, tmp_path)["token"]
    assert found.found == f"{file} is not sent: HF_HUB_DISABLE_IMPLICIT_TOKEN is set"
    assert found.mend == "unset it, or set HF_TOKEN"


def test_an_endpoint_without_a_scheme_is_told_with_the_one_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "huggingface.co")
    monkeypatch.setattr("release.doctor.hub.ask", lambda _: pytest.fail("a Hub was asked"))
    assert main(["doctor", "--build", str(tmp_path), "--format", "json"]) == 1
    lines = {line["topic"]: line for line in json.loads(capsys.readouterr().out)["lines"]}
    assert lines["hub"]["state"] == "broken"
    assert lines["hub"]["found"] == "HF_ENDPOINT is no URL: 'huggingface.co'"
    assert lines["hub"]["mend"] == "write https://huggingface.co"
    assert lines["token"]["found"] == "none"


def raising(error: Exception) -> Any:
    def part() -> Iterator[Line]:
        yield Line("before", State.OK, "looked at")
        raise error

    return part


def test_a_part_that_breaks_off_is_a_finding_after_its_good_lines() -> None:
    found = list(guarded("packages", raising(RuntimeError("numpy.core failed\nmore"))))
    assert [(line.topic, line.state) for line in found] == [
        ("before", State.OK),
        ("packages", State.BROKEN),
    ]
    assert "RuntimeError: numpy.core failed" in found[1].found
    assert "more" not in found[1].found


@pytest.mark.parametrize(
    ("error", "mend"),
    [
        (PermissionError("no"), "what this user may do with it"),
        (httpx2.ReadError("reset"), "look at the network"),
        (HubUnavailable("no token", next_step="trust this job"), "trust this job"),
    ],
)
def test_what_is_not_the_packages_fault_is_not_mended_by_installing_it_again(
    error: Exception, mend: str
) -> None:
    found = list(guarded("hub", raising(error)))[-1]
    assert found.state is State.BROKEN
    assert mend in (found.mend or "")
    assert "install" not in (found.mend or "")


@pytest.mark.parametrize(
    ("installed", "mend"),
    [
        (Installation("1", "pipx"), "pipx reinstall sae-release"),
        (Installation("1", "uv tool"), "uv tool upgrade --reinstall sae-release"),
        (
            Installation("1", "checkout", Path("there")),
            "python make.py clean, then python make.py setup",
        ),
        (
            Installation("1", "editable", Path("there")),
            'python -m pip install --force-reinstall -e "there"',
        ),
        (Installation("1", "pip"), 'python -m pip install --force-reinstall "sae-release"'),
        (Installation(None, "source"), "python -m pip install --force-reinstall -e ."),
    ],
)
def test_a_package_that_is_broken_is_installed_again_as_it_was_installed(
    installed: Installation, mend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("release.doctor.installation.installation", lambda: installed)
    assert list(guarded("packages", raising(AttributeError("x"))))[-1].mend == mend


def test_an_installation_that_cannot_be_read_is_itself_mended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unreadable() -> Installation:
        raise ValueError("direct_url.json is no JSON")

    monkeypatch.setattr("release.doctor.installation.installation", unreadable)
    found = list(guarded("packages", unreadable))[-1]
    assert found.mend == 'python -m pip install --force-reinstall "sae-release"'


def test_a_wrong_call_is_no_finding() -> None:
    with pytest.raises(UsageError, match="embeded"):
        list(guarded("hub", raising(UsageError("--hub got 'embeded'"))))
