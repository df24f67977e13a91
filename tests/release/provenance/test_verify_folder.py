"""`release verify` on a folder: each byte, key and document that is changed must be noticed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from release.cli import main
from release.provenance.statement import PROVENANCE, write_provenance

WEIGHTS = "topk_L1_mixed/sae_weights.safetensors"
EVIDENCE = ("predicate", "buildDefinition")


@pytest.fixture
def verified(made: Any, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Run the verb on the folder; its JSON, with the findings by part."""

    def run(*arguments: str, code: int) -> dict[str, Any]:
        assert main(["verify", str(made.folder), "--format", "json", *arguments]) == code
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert found["exit_code"] == code
        return found | {"parts": {f["part"]: f for f in found["findings"]}}

    return run


@pytest.fixture
def stated(made: Any) -> Any:
    """The release with its statement."""
    write_provenance(made.loaded, made.build, made.files())
    return made


def states(found: dict[str, Any]) -> dict[str, str]:
    return {part: finding["state"] for part, finding in found["parts"].items()}


def test_a_release_as_it_was_made_is_verified(stated: Any, verified: Any) -> None:
    found = verified(code=0)
    assert states(found) == {
        "statement": "verified",
        "bytes": "verified",
        "manifest.json": "verified",
        "config.json": "verified",
        "report.json": "verified",
        "training.json": "verified",
        "model.sig": "absent",
    }
    n = len(stated.files()) - 1
    assert found["parts"]["bytes"]["text"] == (
        f"all {n} files are those of the statement: {n} hashed here"
    )
    assert found["uncovered"] == []


@pytest.mark.parametrize(("is_of_the_facts", "code"), [(True, 0), (False, 1)])
def test_a_report_of_the_manifest_before_it_was_worded_otherwise_counts(
    made: Any, tamper: Any, verified: Any, is_of_the_facts: bool, code: int
) -> None:
    evidence = made.loaded.evidence_digest if is_of_the_facts else "1" * 64
    tamper("report.json", "manifest_digest", to="0" * 64)
    tamper("report.json", "evidence_digest", to=evidence)
    write_provenance(made.loaded, made.build, made.files())
    found = verified(code=code)
    assert states(found)["report.json"] == ("verified" if is_of_the_facts else "failed")


def test_a_release_without_a_statement_is_not_verified(made: Any, verified: Any) -> None:
    found = verified(code=3)
    assert states(found) == {"statement": "not checked", "model.sig": "absent"}


@pytest.mark.parametrize("name", [WEIGHTS, "topk_L1_mixed/cfg.json", "README.md", "card.json"])
def test_a_changed_byte_is_noticed(stated: Any, verified: Any, tamper: Any, name: str) -> None:
    tamper(name) if name != "card.json" else (stated.folder / name).write_bytes(b"{ }\n")
    found = verified(code=1)
    assert states(found)["bytes"] == "failed"
    assert [p.split(" is ")[0] for p in found["parts"]["bytes"]["problems"]] == [name]


def test_a_missing_file_is_noticed(stated: Any, verified: Any) -> None:
    (stated.folder / WEIGHTS).unlink()
    assert verified(code=1)["parts"]["bytes"]["problems"] == [f"{WEIGHTS} is missing"]


def test_a_link_in_the_place_of_a_file_is_noticed(
    stated: Any, verified: Any, tmp_path: Any
) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes((stated.folder / WEIGHTS).read_bytes())
    (stated.folder / WEIGHTS).unlink()
    try:
        (stated.folder / WEIGHTS).symlink_to(outside)
    except OSError:
        pytest.skip("this system lets nobody make links")
    found = verified(code=1)
    assert found["parts"]["bytes"]["problems"] == [f"{WEIGHTS} is missing"]
    assert found["uncovered"] == []


def test_files_that_nobody_stated_are_listed(stated: Any, verified: Any) -> None:
    (stated.folder / "legacy").mkdir()
    (stated.folder / "legacy" / "ae.pt").write_bytes(b"x")
    assert verified(code=0)["uncovered"] == ["legacy/ae.pt"]


@pytest.mark.parametrize(
    ("keys", "to", "part", "says"),
    [
        (("_type",), "https://in-toto.io/Statement/v0.1", "statement", "damaged at _type"),
        (("predicateType",), "https://slsa.dev/provenance/v0.2", "statement", "predicateType"),
        (("subject",), [], "statement", "damaged at subject"),
        (("subject", 0, "digest"), {"md5": "0" * 32}, "statement", "sha256"),
        (("subject", 0, "name"), "config.json", "statement", "names a file twice"),
        (
            (*EVIDENCE, "externalParameters", "manifest", "digest"),
            {"sha256": "0" * 64},
            "manifest.json",
            "the statement is of 000000000000",
        ),
        (
            (*EVIDENCE, "externalParameters", "repo_id"),
            "somebody/else",
            "manifest.json",
            "the statement of somebody/else",
        ),
        (
            (*EVIDENCE, "resolvedDependencies", 0, "uri"),
            "pkg:huggingface/someone/Tiny-Llama@v2.0",
            "manifest.json",
            "Tiny-Llama@v2.0",
        ),
        (
            (*EVIDENCE, "resolvedDependencies", 1, "digest"),
            {"sha256": "e" * 64},
            "training.json",
            "the statement has eeeeeeeeeeee",
        ),
        (
            (*EVIDENCE, "resolvedDependencies", 0, "digest"),
            {"saeReleaseCheckpoint": "e" * 64},
            "training.json",
            "its base model has the digest bbbbbbbbbbbb",
        ),
        (
            ("predicate", "runDetails", "builder", "version", "torch"),
            "1.0",
            "training.json",
            "torch 2.8.0, the statement has 1.0",
        ),
    ],
)
def test_a_changed_statement_is_noticed(
    stated: Any, verified: Any, tamper: Any, keys: Any, to: Any, part: str, says: str
) -> None:
    tamper(PROVENANCE, *keys, to=to)
    found = verified(code=1)["parts"][part]
    assert found["state"] == "failed"
    assert any(says in problem for problem in found["problems"]), found["problems"]


@pytest.mark.parametrize(
    ("name", "keys", "to", "says"),
    [
        ("manifest.json", ("title",), "Three SAEs", "its digest is"),
        ("config.json", ("repo_id",), "somebody/else", "it is of somebody/else"),
        ("config.json", ("base_model", "id"), "someone/other", "its base model is someone/other"),
        ("config.json", ("saes", 0, "sha256", "cfg.json"), "0" * 64, "is 000000000000 in it"),
        ("config.json", ("saes", 1, "sae_id"), "other", "it lacks the SAE topk_L1_mixed"),
        ("config.json", ("saes",), None, "it lists no SAEs"),
        ("report.json", ("manifest_digest",), "0" * 64, "it is of the manifest 000000000000"),
        ("report.json", ("checks", "inputs", WEIGHTS), "0" * 64, "checks: topk_L1_mixed"),
        (
            "report.json",
            ("measurements", "inputs", WEIGHTS),
            "0" * 64,
            "measurements: topk_L1_mixed",
        ),
        ("report.json", ("checks",), None, "it has no checks"),
        ("report.json", ("format",), "sae-release.report/1", "is damaged at format"),
        ("training.json", ("environment", "torch"), "2.9.0", "it was made with torch 2.9.0"),
        (
            "training.json",
            ("saes", "topk_L1_mixed", "files", "cfg.json"),
            "0" * 64,
            "topk_L1_mixed/cfg.json is 000000000000 in it",
        ),
    ],
)
def test_a_document_that_says_otherwise_is_noticed_even_when_it_was_stated(
    stated: Any, verified: Any, tamper: Any, name: str, keys: Any, to: Any, says: str
) -> None:
    before = json.loads((stated.folder / PROVENANCE).read_bytes())
    tamper(name, *keys, to=to)
    # Whoever can write a document can write its digest into the unsigned statement as well.
    for subject in before["subject"]:
        subject["digest"]["sha256"] = stated.files()[subject["name"]]
    (stated.folder / PROVENANCE).write_text(json.dumps(before), encoding="utf-8")
    found = verified(code=1)
    assert states(found)["bytes"] == "verified"
    assert found["parts"][name]["state"] == "failed"
    problems = found["parts"][name]["problems"]
    assert any(says in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("name", "state"),
    [("report.json", "not checked"), ("config.json", "not checked"), ("training.json", "absent")],
)
def test_a_document_that_is_not_there_is_told(
    made: Any, verified: Any, name: str, state: str
) -> None:
    (made.folder / name).unlink()
    write_provenance(made.loaded, made.build, made.files())
    assert states(verified(code=3 if state == "not checked" else 0))[name] == state


def test_the_text_is_one_screen_that_says_what_was_not_verified(
    stated: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(40):
        (stated.folder / f"note-{number:02}.txt").write_bytes(b"x")
    assert main(["verify", str(stated.folder)]) == 0
    out = capsys.readouterr().out
    assert len(out.splitlines()) <= 24
    assert "40 files" in out
    assert "note-04.txt and 35 more" in " ".join(out.split())
    assert "By its own word assembled on somebody's own machine" in out
    assert "nobody signed it" in " ".join(out.split())


def test_the_text_names_what_failed(
    stated: Any, tamper: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    tamper(WEIGHTS)
    assert main(["verify", str(stated.folder)]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert f"- {WEIGHTS} is " in out
    assert "Not verified: bytes failed. Do not use these files." in out


def test_text_of_a_stranger_steers_no_terminal(
    stated: Any, tamper: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    tamper(PROVENANCE, "predicate", "runDetails", "builder", "id", to="\x1b[2Jtrust me\n::error::")
    main(["verify", str(stated.folder)])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\n::" not in out


def test_a_manifest_means_its_build(made: Any, capsys: pytest.CaptureFixture[str]) -> None:
    write_provenance(made.loaded, made.build, made.files())
    build = str(made.build.root.parent)
    assert main(["verify", str(made.loaded.path), "--build", build]) == 0
    assert str(made.folder) in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [("--key", "a.pem", "--identity", "https://x"), ("--issuer", "https://x")],
)
def test_options_that_contradict_each_other_are_refused(
    stated: Any, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert main(["verify", str(stated.folder), *arguments]) == 2
    assert arguments[0] in capsys.readouterr().err


def test_a_key_without_a_signature_is_a_failure(stated: Any, verified: Any) -> None:
    found = verified("--key", "any.pem", code=1)
    assert found["parts"]["model.sig"]["text"] == "is missing"
