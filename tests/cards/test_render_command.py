"""`release render` for several manifests: what is left out, what fails, what is shown."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from made_release import MANIFEST, Release, make_release

from cards import watching
from manifests.build_folder import BuildFolder
from manifests.load import load_manifest
from release import rendering
from release.cli import main


class Ended(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def shelf(tmp_path: Path) -> dict[str, Release]:
    """Two manifests with builds; `folder/builds` beside `folder/shelf`."""
    found = {}
    for name in ("first", "second"):
        made = make_release(tmp_path / "shelf", {**MANIFEST, "repo_id": f"demo/{name}"})
        path = made.loaded.path.rename(tmp_path / "shelf" / f"{name}.yaml")
        build = BuildFolder(tmp_path / "builds" / name)
        found[name] = replace(made, loaded=load_manifest(path), build=build).write()
    return found


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    def run(*arguments: str) -> Ended:
        code = main(["render", *arguments, "--build", str(tmp_path / "builds")])
        return Ended(code, *capsys.readouterr())

    return run


@pytest.fixture
def every(tmp_path: Path) -> tuple[str, ...]:
    return ("--all", "--manifests", str(tmp_path / "shelf"))


@pytest.fixture
def collection(tmp_path: Path, shelf: dict[str, Release]) -> Path:
    """A collection of both manifests, beside them."""
    folder = tmp_path / "shelf"
    (folder / "study.yaml").write_text(
        "base_models: {tiny: {id: demo/tiny-llama, model_type: llama, n_layers: 4, d_model: 8},\n"
        "  other: {id: demo/other, model_type: llama, n_layers: 4, d_model: 8}}\n",
        encoding="utf-8",
    )
    path = folder / "all.yaml"
    path.write_text(
        "kind: collection\nschema_version: 1\nrepo_id: demo/all\ntitle: All of them\n"
        "study: study.yaml\nmembers:\n"
        "  - {base_model: tiny, manifest: first.yaml}\n"
        "  - {base_model: other, repo_id: demo/other-saes}\n",
        encoding="utf-8",
    )
    return path


def said(ended: Ended) -> str:
    """What stands on stdout, on one line: the console wraps it."""
    return " ".join(ended.out.split())


def readme_of(release: Release) -> Path:
    return release.build.repository / "README.md"


def test_several_named_manifests_are_rendered(command, shelf) -> None:
    ended = command(*(str(one.loaded.path) for one in shelf.values()))
    assert (ended.code, ended.out.count("files written, 0 unchanged")) == (0, 2)
    for name, one in shelf.items():
        assert f"demo/{name}" in readme_of(one).read_text(encoding="utf-8")


@pytest.mark.parametrize("are_named", [True, False])
def test_without_a_build_a_card_is_described_by_its_manifest(
    command, every, shelf, are_named: bool
) -> None:
    shutil.rmtree(shelf["second"].build.root)
    paths = [str(one.loaded.path) for one in shelf.values()] if are_named else every
    ended = command(*paths)
    assert ended.code == 0, ended.err
    of_first, of_second = said(ended).split(" written, ")[1:]
    assert "nothing measured" not in of_first and "nothing measured" in of_second
    assert "demo/second" in readme_of(shelf["second"]).read_text(encoding="utf-8")
    assert not shelf["second"].build.report_json.exists()
    checked = command(*paths, "--check")
    assert checked.code == 0
    assert "second: every rendered file is what rendering gives now; described by" in said(checked)


def test_weights_of_ours_without_a_report_are_an_error(command, shelf) -> None:
    shelf["second"].build.report_json.unlink()
    ended = command(str(shelf["second"].loaded.path))
    assert ended.code == 1 and "report.json" in ended.err


def test_a_collection_is_rendered_like_the_others(
    command, every, collection: Path, tmp_path: Path
) -> None:
    ended = command(*every)
    assert ended.code == 0, ended.err
    folder = tmp_path / "builds" / "all" / "repository"
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "card.json",
        "config.json",
    ]
    assert ended.out.count("written, 0 unchanged") == 3
    assert command(str(collection)).out.startswith("0 files written, 3 unchanged")
    (folder / "README.md").write_bytes(b"edited\n")
    checked = command(*every, "--check")
    assert checked.code == 1 and "\n-edited\n" in checked.out
    assert "all: 1 file is stale" in checked.out and "first: every rendered" in checked.out
    assert command(str(collection), "--diff").code == 0
    assert (folder / "README.md").read_bytes() == b"edited\n"


def test_a_collection_that_cannot_be_read_keeps_no_other_from_being_rendered(
    command, every, shelf, collection: Path
) -> None:
    text = collection.read_text(encoding="utf-8").replace("first.yaml", "none.yaml")
    collection.write_text(text, encoding="utf-8")
    ended = command(*every)
    assert ended.code == 2 and "all is not rendered" in ended.err
    assert readme_of(shelf["first"]).is_file() and readme_of(shelf["second"]).is_file()


def test_an_error_in_one_keeps_no_other_from_being_rendered(command, every, shelf) -> None:
    shelf["first"].loaded.path.write_text("schema_version: 1\nwrong: 1\n", encoding="utf-8")
    ended = command(*every)
    # 2: an unreadable manifest, above the 0 of the other.
    assert ended.code == 2 and readme_of(shelf["second"]).is_file()
    assert "first is not rendered" in ended.err and "unknown key 'wrong'" in ended.err


def test_a_manifest_that_is_no_yaml_keeps_no_other_from_being_rendered(
    command, every, shelf
) -> None:
    shelf["first"].loaded.path.write_text("broken: [", encoding="utf-8")
    ended = command(*every)
    assert ended.code == 2 and "not valid YAML" in ended.err
    assert readme_of(shelf["second"]).is_file()


def test_check_of_all_says_which_is_stale_and_writes_nothing(command, every, shelf) -> None:
    assert command(*every).code == 0
    assert command(*every, "--check").code == 0
    readme_of(shelf["second"]).write_bytes(b"edited\n")
    ended = command(*every, "--check")
    assert ended.code == 1
    assert "first: every rendered file is what" in ended.out
    assert "second: 1 file is stale" in ended.out and "\n-edited\n" in ended.out
    assert readme_of(shelf["second"]).read_bytes() == b"edited\n"


def test_diff_shows_the_same_and_is_no_failure(command, every, shelf) -> None:
    assert command(*every).code == 0
    readme_of(shelf["second"]).write_bytes(b"edited \x1b[2J\n")
    ended = command(*every, "--diff")
    assert ended.code == 0 and "\x1b" not in ended.out
    assert "\n-edited \\x1b[2J\n" in ended.out
    assert readme_of(shelf["second"]).read_bytes() == b"edited \x1b[2J\n"


def test_a_diff_is_coloured_on_a_terminal_and_its_lines_are_not_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    long = "-" + "old " * 60 + "end"
    rendering._show_diff(f"{long}\n+new\n same\n")
    assert capsys.readouterr().out == f"{long}\n+new\n same\n"
    terminal = {"force_terminal": True, "color_system": "standard", "width": 40}
    console = lambda: Console(**terminal, highlight=False, markup=False)  # noqa: E731
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(rendering, "stdout_console", console)
    rendering._show_diff(f"{long}\n+new\n same\n")
    shown = capsys.readouterr().out
    assert shown == f"\x1b[31m{long}\x1b[0m\n\x1b[32m+new\x1b[0m\n same\n"


@pytest.mark.parametrize(
    "wrong",
    [
        (),
        ("--check", "--diff"),
        ("--check", "--watch"),
        ("--diff", "--watch"),
        ("--against", "hub"),
        ("--against", "hub", "--watch"),
        ("--check", "--hub", "embedded"),
        ("--check", "--against", "elsewhere"),
    ],
)
def test_options_that_contradict_each_other_are_refused(command, shelf, wrong) -> None:
    target = [str(shelf["first"].loaded.path)] if wrong else []
    assert command(*target, *wrong).code == 2
    assert not readme_of(shelf["first"]).exists()


def test_all_and_a_manifest_are_refused(command, every, shelf) -> None:
    assert command(*every, str(shelf["first"].loaded.path)).code == 2


def test_watching_renders_again_when_a_source_changed_and_ends_with_130(
    command, every, shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, partial = shelf["first"], shelf["first"].loaded.path.parent / "cards"
    texts: list[str] = []

    def polls() -> Iterator[None]:
        def look() -> None:
            texts.append(readme_of(first).read_text(encoding="utf-8"))

        look()
        yield  # nothing changed
        readme_of(first).write_text("untouched", encoding="utf-8")
        yield
        look()
        first.with_metric("tiny_topk_L1_mixed", "mse", value=7.77e9).write()
        yield
        look()
        partial.mkdir()
        (partial / "references.md.j2").write_text("My own words.\n", encoding="utf-8")
        yield
        look()
        first.loaded.path.write_text("broken: [", encoding="utf-8")
        yield
        look()
        raise KeyboardInterrupt

    monkeypatch.setattr(watching, "polls", polls)
    ended = command(*every, "--watch")
    assert ended.code == 130
    # A card is no source: what stands there is left until a source changes.
    assert texts[1] == "untouched"
    assert "7770000000" in texts[2].replace(",", "") or "7.77e+09" in texts[2]
    assert "My own words." in texts[3] and "My own words." not in texts[2]
    # A manifest that cannot be read is told, and watched on.
    assert texts[4] == texts[3] and "first is not rendered" in ended.err


def test_watching_renders_a_collection_again_when_a_member_or_a_partial_changed(
    command, shelf, collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = tmp_path / "builds" / "all" / "repository" / "README.md"
    texts: list[str] = []

    def polls() -> Iterator[None]:
        readme.write_text("untouched", encoding="utf-8")
        yield  # nothing changed
        texts.append(readme.read_text(encoding="utf-8"))
        member = shelf["first"].loaded.path
        text = member.read_text(encoding="utf-8")
        member.write_text(text + "tags_of_nobody: []\n", encoding="utf-8")
        yield
        member.write_text(text, encoding="utf-8")
        yield
        texts.append(readme.read_text(encoding="utf-8"))
        shelf["first"].build.report_json.unlink()
        shelf["first"].build.training_json.unlink()
        yield
        texts.append(readme.read_text(encoding="utf-8"))
        partial = collection.parent / "cards" / "collection_members.md.j2"
        partial.parent.mkdir()
        partial.write_text("My own members.\n", encoding="utf-8")
        yield
        texts.append(readme.read_text(encoding="utf-8"))
        raise KeyboardInterrupt

    monkeypatch.setattr(watching, "polls", polls)
    ended = command(str(collection), "--watch")
    assert ended.code == 130
    # The member's manifest was wrong in between, which is told.
    assert "unknown key 'tags_of_nobody'" in ended.err
    assert texts[0] == "untouched" and texts[1] != "untouched"
    assert texts[2] != texts[1], "the member's measurements are gone"
    assert "My own members." in texts[3] and "My own members." not in texts[2]


def test_what_is_watched_covers_all_that_a_card_is_made_of(shelf, tmp_path: Path) -> None:
    one = shelf["first"]
    watched = set(watching.watched_files(one.loaded.path, tmp_path / "builds"))
    names = {path.name for path in watched}
    assert {"first.yaml", "second.yaml", "multi_sae.md.j2", "limitations.md.j2"} <= names
    assert {one.build.report_json, one.build.training_json} <= watched
    assert "README.md" not in names


def test_a_card_that_was_never_built_is_watched_too(shelf, tmp_path: Path) -> None:
    path = tmp_path / "shelf" / "third.yaml"
    build = BuildFolder(tmp_path / "builds" / "third")
    assert build.report_json in set(watching.watched_files(path, tmp_path / "builds"))


def test_a_file_that_goes_or_grows_is_a_change(tmp_path: Path) -> None:
    file = tmp_path / "a"
    missing = watching.stamps([file])
    file.write_bytes(b"1")
    there = watching.stamps([file])
    shutil.copystat(file, file)
    assert missing == {file: None} and there != missing
    assert watching.stamps([file]) == there


def test_a_change_while_rendering_is_rendered_again(tmp_path: Path) -> None:
    file, seen = tmp_path / "a", []

    def render() -> Any:
        seen.append(file.exists())
        file.write_bytes(b"1")

    watching.on_each_change(render, lambda: [file], [None, None])
    # The second rendering has written the file again, which is a change as well.
    assert seen[:2] == [False, True]
