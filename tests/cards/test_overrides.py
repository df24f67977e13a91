from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from cards.overrides import BadOverride, read_overrides
from cards.sources import read_sources
from cards.stage import render, rendered_files, stale_files
from cards.templating import TemplateProblem
from manifests.build_folder import SAE_CONFIG, SAE_WEIGHTS
from manifests.digests import bytes_sha256
from manifests.progress import Silent
from release.gate import NotReady, require_ready

OWN = "## Format of ours\n\nThere are {{ contents.n_saes }} folders in {{ repo_id }}.\n"


@pytest.fixture
def own(release):
    """Write a partial of the user's own beside the manifest."""
    folder = release.loaded.path.parent / "cards"

    def write(name: str, content: str | bytes) -> None:
        folder.mkdir(exist_ok=True)
        raw = content if isinstance(content, bytes) else content.encode("utf-8")
        (folder / name).write_bytes(raw)

    return write


def files_of(release) -> dict[str, bytes]:
    return rendered_files(read_sources(release.loaded, release.build))


def test_one_partial_is_replaced_and_every_other_line_stays(release, own) -> None:
    before = files_of(release)["README.md"].decode("utf-8")
    own("references.md.j2", OWN)
    after = files_of(release)["README.md"].decode("utf-8")
    start, end = before.index("## References"), before.index("## Provenance")
    # 2 layers x 3 architectures x 2 conditions
    replaced = "## Format of ours\n\nThere are 12 folders in demo/tiny-saes.\n\n"
    assert after == before[:start] + replaced + before[end:]


def test_card_json_has_the_digest_of_each_partial_of_the_users_own(release, own) -> None:
    assert json.loads(files_of(release)["card.json"])["overrides"] == {}
    own("references.md.j2", OWN)
    assert json.loads(files_of(release)["card.json"])["overrides"] == {
        "partials/references.md.j2": bytes_sha256(OWN.encode("utf-8"))
    }


def test_a_card_of_another_partial_is_stale_until_it_is_rendered_again(release, own) -> None:
    render(release.loaded, release.build, progress=Silent())
    own("references.md.j2", OWN)
    assert list(stale_files(release.loaded, release.build)) == ["README.md", "card.json"]
    render(release.loaded, release.build, progress=Silent())
    assert stale_files(release.loaded, release.build) == {}
    # A comment changes no line of the card, and the card was still rendered from other bytes.
    own("references.md.j2", "{# new #}" + OWN)
    assert list(stale_files(release.loaded, release.build)) == ["card.json"]


def test_line_ends_of_another_system_give_the_same_card(release, own) -> None:
    own("references.md.j2", OWN)
    expected = files_of(release)
    own("references.md.j2", OWN.replace("\n", "\r\n"))
    assert files_of(release) == expected


def test_a_push_renders_with_the_users_partial_and_refuses_a_card_without_it(release, own) -> None:
    def refusal() -> str:
        files: Any = {
            f"{spec.sae_id}/{name}": SimpleNamespace(sha256="0" * 64)
            for spec in release.loaded.saes
            for name in (SAE_CONFIG, SAE_WEIGHTS)
        }
        with pytest.raises(NotReady) as refused:
            require_ready(release.loaded, release.build, files)
        return refused.value.what

    stale = "README.md is not what rendering gives now"
    render(release.loaded, release.build, progress=Silent())
    assert stale not in refusal()
    own("references.md.j2", OWN)
    assert stale in refusal()
    render(release.loaded, release.build, progress=Silent())
    assert stale not in refusal()


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("{{ no_such_name }}", "no_such_name"),
        ("{{ results.no_such_metric }}", "no_such_metric"),
        ("{{ 0.5 }}", "0.5"),
        ("{{ title.__class__.__mro__ }}", "unsafe"),
        ("{% if %}", "expected"),
    ],
)
def test_a_users_partial_is_held_to_what_ours_are_held_to(release, own, source, named) -> None:
    own("references.md.j2", source)
    with pytest.raises(TemplateProblem, match=named) as caught:
        files_of(release)
    if named != "0.5":
        assert "partials/references.md.j2" in str(caught.value)


def test_a_users_partial_is_escaped_as_ours_is(release, own) -> None:
    own("references.md.j2", "{{ 'a*b' }}")
    assert "\na\\*b\n" in files_of(release)["README.md"].decode("utf-8")


def test_a_name_that_none_of_ours_has_is_refused_with_the_nearest(release, own) -> None:
    own("reference.md.j2", OWN)
    with pytest.raises(BadOverride, match=r"did you mean references\.md\.j2") as caught:
        read_overrides(release.loaded)
    assert caught.value.exit_code == 2


def test_a_partial_that_is_no_text_is_refused(release, own) -> None:
    own("references.md.j2", b"\xff\xfe")
    with pytest.raises(BadOverride, match="UTF-8"):
        read_overrides(release.loaded)


def test_other_files_in_the_folder_are_left_alone(release, own) -> None:
    own("notes.txt", "not a template")
    assert read_overrides(release.loaded) == {}
