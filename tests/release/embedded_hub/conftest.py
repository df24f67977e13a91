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


@dataclass(frozen=True)
class Target:
    """A Hub to test, with a token and a namespace that it may write to."""

    endpoint: str
    token: str
    namespace: str
    is_embedded: bool

    @property
    def api(self) -> HfApi:
        return HfApi(endpoint=self.endpoint, token=self.token)


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The real Hub with SAE_RELEASE_CONTRACT_TOKEN and _NAMESPACE, else an embedded one."""
    token = os.environ.get("SAE_RELEASE_CONTRACT_TOKEN")
    namespace = os.environ.get("SAE_RELEASE_CONTRACT_NAMESPACE")
    if token and namespace:
        yield Target("https://huggingface.co", token, namespace, is_embedded=False)
        return
    with EmbeddedHub(tmp_path_factory.mktemp("contract") / "hub") as hub:
        yield Target(hub.endpoint, hub.token, hub.user, is_embedded=True)


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
