"""Where the contract tests run: the embedded Hub, or the real one when it is named."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from release.embedded_hub import EmbeddedHub
from release.embedded_hub.accounts import STRANGER


@dataclass(frozen=True)
class Target:
    """A Hub to test, with a token and a namespace that it may write to.

    `read_token` only reads; None where none was given. `others` is a namespace of somebody else.
    """

    endpoint: str
    token: str
    namespace: str
    is_embedded: bool
    read_token: str | None
    others: str

    @property
    def api(self) -> HfApi:
        return HfApi(endpoint=self.endpoint, token=self.token)


@pytest.fixture(scope="session", params=["embedded", pytest.param("real", marks=pytest.mark.hub)])
def target(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    """An embedded Hub; with `-m hub` the real one, with a token and a scratch namespace.

    SAE_RELEASE_CONTRACT_TOKEN and SAE_RELEASE_CONTRACT_NAMESPACE name them. What is made there is
    deleted again. SAE_RELEASE_CONTRACT_READ_TOKEN may add a token that only reads, and
    SAE_RELEASE_CONTRACT_ENDPOINT another Hub than https://huggingface.co, on which
    SAE_RELEASE_CONTRACT_OTHERS is somebody else's namespace.
    """
    if request.param == "embedded":
        with EmbeddedHub(tmp_path_factory.mktemp("contract") / "hub") as hub:
            yield Target(
                hub.endpoint,
                hub.token,
                hub.user,
                is_embedded=True,
                read_token=hub.read_token,
                others=STRANGER,
            )
        return
    given = {
        name: os.environ.get(f"SAE_RELEASE_CONTRACT_{name.upper()}")
        for name in ("token", "namespace", "read_token", "endpoint")
    }
    if not (given["token"] and given["namespace"]):
        pytest.skip("SAE_RELEASE_CONTRACT_TOKEN and SAE_RELEASE_CONTRACT_NAMESPACE are not set")
    yield Target(
        (given["endpoint"] or "https://huggingface.co").rstrip("/"),
        given["token"],
        given["namespace"],
        is_embedded=False,
        read_token=given["read_token"],
        others=os.environ.get("SAE_RELEASE_CONTRACT_OTHERS", "huggingface"),
    )


@pytest.fixture
def new_repo(target: Target) -> Iterator[Callable[..., str]]:
    """Make repositories that are deleted after the test."""
    made: list[str] = []

    def make(**options: object) -> str:
        repo_id = f"{target.namespace}/contract-{uuid.uuid4().hex[:12]}"
        target.api.create_repo(repo_id, **options)  # type: ignore[arg-type]
        made.append(repo_id)
        return repo_id

    yield make
    for repo_id in made:
        target.api.delete_repo(repo_id, missing_ok=True)


@pytest.fixture
def repo(new_repo: Callable[..., str]) -> str:
    return new_repo()


@pytest.fixture(scope="module")
def module_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedHub]:
    """One embedded Hub for a module whose tests use repositories of their own."""
    with EmbeddedHub(tmp_path_factory.mktemp("hub") / "root") as hub:
        yield hub


@pytest.fixture
def hub(module_hub: EmbeddedHub) -> Iterator[EmbeddedHub]:
    yield module_hub
    module_hub.clear_faults()


@pytest.fixture
def hub_api(hub: EmbeddedHub) -> HfApi:
    return HfApi(endpoint=hub.endpoint, token=hub.token)


@pytest.fixture
def hub_repo(hub: EmbeddedHub, hub_api: HfApi) -> str:
    repo_id = f"{hub.user}/r-{uuid.uuid4().hex[:12]}"
    hub_api.create_repo(repo_id)
    return repo_id


@pytest.fixture
def client_environment(tmp_path: Path) -> dict[str, str]:
    """The environment of a client in another process, with its own empty caches."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HF_", "HUGGING_FACE_", "SAE_RELEASE_"))
    }
    root = Path(__file__).parents[3]
    return kept | {
        "HF_HOME": str(tmp_path / "hf_home"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "PYTHONPATH": str(root),
        "PYTHONUTF8": "1",
    }
