"""`release doctor` on the Hub and the token; and the command as a whole."""

from __future__ import annotations

import json
import socket
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from release.cli import main
from release.doctor import examination as examined
from release.doctor.hub import Answer, hub_lines
from release.doctor.line import Line, State, exit_code
from release.doctor.presenting import line_text, verdict
from release.doctor.token import no_token_line, refused_line, token_line
from release.token_source import TokenSource, token_source

HUB = "https://huggingface.co"
FROM_VARIABLE = TokenSource("HF_TOKEN")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def raising(error: Exception, cause: Exception | None = None) -> Any:
    def ask(url: str) -> Answer:
        assert url == f"{HUB}/api/models?limit=1"
        raise error from cause

    return ask


@pytest.mark.parametrize(
    ("error", "cause", "told", "mend"),
    [
        (
            httpx2.ConnectError("x"),
            ssl.SSLCertVerificationError("CERTIFICATE_VERIFY_FAILED"),
            "its certificate is not trusted",
            "SSL_CERT_FILE",
        ),
        (
            httpx2.ConnectError("x"),
            socket.gaierror("no"),
            "huggingface.co is not found",
            "DNS",
        ),
        (httpx2.ConnectTimeout("x"), None, "no answer in time", "firewall"),
        (
            httpx2.ConnectError("x"),
            ConnectionRefusedError("x"),
            "the connection is refused",
            "HF_ENDPOINT",
        ),
        (httpx2.ProxyError("407 Auth Required"), None, "407 Auth Required", "HTTPS_PROXY"),
        (OSError("odd"), None, "no answer by way of the proxy of HTTPS_PROXY (OSError)", "network"),
    ],
)
def test_why_a_hub_does_not_answer_is_explained(
    error: Exception, cause: Exception | None, told: str, mend: str
) -> None:
    environment = {"HTTPS_PROXY": "http://me:secret@proxy:3128"}
    found = hub_lines(
        HUB, named_by="HF_ENDPOINT", ask=raising(error, cause), environment=environment
    )
    assert [line.state for line in found] == [State.BROKEN]
    assert told in found[0].found
    assert mend in (found[0].mend or "")
    assert "secret" not in str(found)


def test_a_hub_that_answers_is_ok_and_one_with_a_fault_is_not() -> None:
    def answering(status: int, date: str = "") -> Any:
        return lambda _: Answer(status, date, 0.234)

    ok = hub_lines(HUB, named_by="the default", ask=answering(200), now=NOON)
    assert [(line.state, line.found) for line in ok] == [
        (State.OK, f"{HUB} (the default) answers in 0.2 s")
    ]
    # Any answer will do: a Hub may want a token, or lack the listing.
    assert hub_lines(HUB, named_by="x", ask=answering(404), now=NOON)[0].state is State.OK
    assert hub_lines(HUB, named_by="x", ask=answering(503), now=NOON)[0].state is State.BROKEN


@pytest.mark.parametrize(
    ("minutes", "told"),
    [(0, None), (4, None), (-4, None), (12, "12 min behind"), (-90, "90 min a")],
)
def test_a_clock_that_differs_is_a_note(minutes: int, told: str | None) -> None:
    date = format_datetime(NOON + timedelta(minutes=minutes), usegmt=True)
    found = hub_lines(HUB, named_by="x", ask=lambda _: Answer(200, date, 0.1), now=NOON)
    clocks = [line for line in found if line.topic == "clock"]
    assert [told in line.found for line in clocks if told] == ([True] if told else [])
    assert len(clocks) == (told is not None)


def access(role: str, **more: Any) -> dict[str, Any]:
    token = {"displayName": "laptop", "role": role, **more}
    return {"name": "someone", "orgs": [{"name": "lab"}], "auth": {"accessToken": token}}


def test_a_token_is_described_by_whose_it_is_and_what_it_may_do() -> None:
    writes = token_line(access("write"), TokenSource("HF_TOKEN", "file"), HUB)
    assert writes.state is State.OK
    assert writes.found == (
        "someone's, called 'laptop', from HF_TOKEN; organizations: lab; that of file is not used; "
        "may write"
    )
    reads = token_line(access("read"), FROM_VARIABLE, HUB)
    assert reads.state is State.NOTE
    assert "may read only" in reads.found
    assert f"{HUB}/settings/tokens" in (reads.mend or "")


def test_a_fine_grained_token_is_told_with_its_permissions() -> None:
    scoped = [
        {"entity": {"type": "user", "name": "someone"}, "permissions": ["repo.content.read"]},
        {"entity": {"type": "org", "name": "lab"}, "permissions": ["repo.write"]},
    ]
    fine = {"global": ["discussion.write"], "scoped": scoped}
    found = token_line(access("fineGrained", fineGrained=fine), FROM_VARIABLE, HUB)
    assert found.state is State.OK
    assert (
        "may write to lab (everywhere: discussion.write; someone: repo.content.read" in found.found
    )
    fine["scoped"] = scoped[:1]
    found = token_line(access("fineGrained", fineGrained=fine), FROM_VARIABLE, HUB)
    assert found.state is State.NOTE
    assert "without write access" in found.found
    nothing = token_line(access("fineGrained"), FROM_VARIABLE, HUB)
    assert "fine-grained (nothing)" in nothing.found


def test_an_odd_answer_about_a_token_is_told_and_not_crashed_on() -> None:
    assert token_line({}, FROM_VARIABLE, HUB).found == "?'s, from HF_TOKEN; its role is unknown"


def test_where_a_token_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "token"
    assert token_source(file, environment={}) == TokenSource(None)
    assert token_source(file, environment={"HF_TOKEN": " "}) == TokenSource(None)
    file.write_text("hf_x", encoding="utf-8")
    assert token_source(file, environment={}) == TokenSource(str(file))
    both = token_source(file, environment={"HF_TOKEN": "hf_y", "HUGGING_FACE_HUB_TOKEN": "hf_z"})
    assert both == TokenSource("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
    of_a_workflow = token_source(file, environment={"HF_OIDC_RESOURCE": "x"})
    assert (of_a_workflow.name or "").startswith("HF_OIDC_RESOURCE")


def test_without_a_token_and_with_one_of_another_hub() -> None:
    none = no_token_line(TokenSource(None), HUB, saved_is_for=HUB)
    assert (none.state, "hf auth login" in (none.mend or "")) == (State.NOTE, True)
    other = no_token_line(TokenSource("~/token"), "http://127.0.0.1:1", saved_is_for=HUB)
    assert "is not sent to http://127.0.0.1:1" in other.found
    kept = no_token_line(TokenSource("~/token"), HUB, saved_is_for=f"{HUB}/")
    assert kept.found == "~/token is not sent: HF_HUB_DISABLE_IMPLICIT_TOKEN is set"
    assert refused_line(FROM_VARIABLE, HUB).state is State.BROKEN


def test_only_what_is_broken_ends_with_1() -> None:
    lines = [Line("a", state, "x") for state in (State.OK, State.NOTE, State.MISSING)]
    assert exit_code(lines) == 0
    assert exit_code([*lines, Line("b", State.BROKEN, "x")]) == 1
    assert "1 missing, nothing broken. What is missing" in verdict(lines, width=200)


@pytest.mark.parametrize("width", [40, 80])
def test_lines_fit_the_width_and_what_is_to_be_copied_is_whole(width: int) -> None:
    mend = "python -m pip install --index-url https://download.pytorch.org/whl/cu126 torch==2.13.0"
    text = line_text(Line("gpu", State.MISSING, "words " * 30, mend), width=width)
    *found, last = text.splitlines()
    assert len(found) > 2
    assert max(map(len, found)) <= width
    assert last == f"         next: {mend}"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what imports torch."""
    monkeypatch.setattr(examined, "_torch", list)
    monkeypatch.setattr(examined, "_quantiser", list)


@pytest.mark.usefixtures("quick")
def test_the_command_looks_at_the_embedded_hub_and_prints_no_token(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_of_another_hub")
    build = str(tmp_path / "build")
    assert main(["doctor", "--hub", "embedded", "--build", build, "--format", "json"]) == 0
    output = capsys.readouterr().out
    found = json.loads(output)
    lines = {line["topic"]: line for line in found["lines"]}
    assert found["exit_code"] == 0
    assert lines["hub"]["state"] == "ok"
    assert lines["token"]["state"] == "ok"
    assert lines["token"]["found"].endswith("may write")
    assert "hf_" not in output


@pytest.mark.usefixtures("quick")
def test_offline_asks_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("release.doctor.hub.ask", lambda _: pytest.fail("a Hub was asked"))
    assert main(["doctor", "--offline", "--build", str(tmp_path)]) == 0
    output = capsys.readouterr().out
    assert "hub: not asked (--offline)" in output
    assert "\x1b" not in output
    assert output.rstrip().endswith(("nothing broken.", "its line names."))


@pytest.mark.usefixtures("quick")
def test_a_hub_that_does_not_answer_is_broken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    hub = f"http://127.0.0.1:{port}"
    assert main(["doctor", "--hub", hub, "--build", str(tmp_path)]) == 1
    assert "the connection is refused" in " ".join(capsys.readouterr().out.split())


@pytest.mark.usefixtures("quick")
def test_a_mistyped_hub_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--hub", "embeded"]) == 2
    assert "did you mean embedded?" in capsys.readouterr().err
