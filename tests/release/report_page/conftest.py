"""A real browser, where this machine has one, and a site of hand-made releases to look at."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from made_release import MANIFEST, make_outcome, make_release

from release.cli import main

BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
    "microsoft-edge",
)
TOPK = "tiny_topk_L1_mixed"
JUMPRELU = "tiny_jumprelu_L2_mixed"
LONG = "demo/bare_saes_of_a_model_with_a_name_as_long_as_they_get_topk_k16_L25_bnb4bit"
GATED = "tiny_gated_L1_deceptive_only"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium or a relative of it, headless; the tests of a module share it."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="the extra dev (playwright) is not installed"
    )
    with playwright.sync_playwright() as driver:
        found = next(filter(None, map(shutil.which, BROWSERS)), None)
        own = driver.chromium.executable_path
        if found is None and not Path(own).is_file():
            pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is on the PATH")
        launched = driver.chromium.launch(executable_path=found or own)
        yield launched
        launched.close()


@dataclass
class Opened:
    """A page in the browser, and what went wrong on it: errors, refused requests, violations."""

    page: Any
    said: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def open_page(browser: Any) -> Iterator[Any]:
    """Open an address in a fresh context; keyword arguments are those of Playwright's context."""
    contexts = []

    def opened(address: str, **options: Any) -> Opened:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        found = Opened(context.new_page())
        found.page.on("console", lambda message: found.said.append(message.text))
        found.page.on("pageerror", lambda error: found.said.append(str(error)))
        found.page.on("request", lambda request: found.requests.append(request.url))
        found.page.goto(address)
        return found

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pages of a measured release with findings of every kind, and of one without a report."""
    folder = tmp_path_factory.mktemp("report-page")
    acceptance = {"since": "2026-01-02", "why": "the seed has it too"}
    outcomes = (
        make_outcome("W102", "failed", subject=TOPK, found="W_dec is (8, 32)", next_step="mend it"),
        make_outcome("F101", "passed", subject=TOPK),
        make_outcome("N205", "warned", subject=JUMPRELU, found="L0 is 4", expected="L0 of 5"),
        make_outcome("L101", "skipped", subject=GATED, found="no loader"),
        make_outcome("R005", "skipped", found="no README.md", required=False),
        make_outcome("N211", "noted", found="few vectors"),
        make_outcome("C001", "accepted", found="an old config", acceptance=acceptance),
    )
    release = make_release(folder / "manifests", MANIFEST).with_tables().with_outcomes(*outcomes)
    missing = {"value": None, "reason": "no vector was left"}
    release.with_metric(GATED, "l0", **missing).write()
    other = json.loads(json.dumps(MANIFEST)) | {"repo_id": LONG}
    bare = make_release(folder / "bare", other).loaded.path
    bare.rename(folder / "manifests" / "bare.yaml")
    command = ["report", "--all", "--out", str(folder / "site"), "--offline"]
    places = ["--manifests", str(folder / "manifests"), "--build"]
    assert main([*command, *places, str(folder / "manifests" / "build")]) == 0
    return folder / "site"
