"""The hand-made release of `made_release`, as fixtures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from made_release import MANIFEST, Release, make_outcome, make_release

from manifests.digests import file_sha256


@pytest.fixture
def manifest_data() -> dict[str, Any]:
    """The manifest's data, free to change."""
    copy: dict[str, Any] = json.loads(json.dumps(MANIFEST))
    return copy


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return make_release(tmp_path, MANIFEST).write()


@pytest.fixture
def make(tmp_path: Path):
    """Build a consistent release from a changed manifest."""
    return lambda manifest: make_release(tmp_path / "changed", manifest).write()


@pytest.fixture
def outcome():
    return make_outcome


@pytest.fixture
def sha256_of():
    return file_sha256
