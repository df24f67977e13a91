"""The statement: what is in it, what moves it, and that in-toto's own reader takes it."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest

from manifests.tool_version import tool_version
from release.provenance.builder import BUILD_TYPE, LOCAL_BUILDER, Builder, builder_of
from release.provenance.statement import (
    PROVENANCE,
    provenance_statement,
    statement_bytes,
    write_provenance,
)

GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "someone/study",
    "GITHUB_WORKFLOW_REF": "someone/study/.github/workflows/publish.yml@refs/heads/main",
    "GITHUB_SHA": "c" * 40,
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_RUN_ID": "77",
    "GITHUB_RUN_ATTEMPT": "2",
}
NOON = datetime.datetime(2026, 11, 21, 13, 0, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))
LATER = datetime.datetime(2026, 12, 1, tzinfo=datetime.UTC)


def dependencies(statement: dict[str, Any]) -> dict[str, Any]:
    found = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    return {descriptor["name"]: descriptor for descriptor in found}


def test_the_subjects_are_all_files_but_the_statement_itself(made: Any) -> None:
    files = made.files() | {PROVENANCE: "0" * 64}
    statement = provenance_statement(made.loaded, made.build, files)
    assert [subject["name"] for subject in statement["subject"]] == sorted(made.files())
    assert {s["name"]: s["digest"]["sha256"] for s in statement["subject"]} == made.files()


def test_it_names_manifest_model_data_versions_hardware_and_builder(made: Any) -> None:
    statement = provenance_statement(made.loaded, made.build, made.files(), finished=NOON)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    definition = statement["predicate"]["buildDefinition"]
    assert definition["buildType"] == BUILD_TYPE
    assert definition["externalParameters"]["repo_id"] == "researcher/two-saes"
    assert definition["externalParameters"]["manifest"]["digest"] == {"sha256": made.loaded.digest}
    assert definition["internalParameters"]["hardware"] == {
        "engine": "local",
        "platform": "Linux x86_64",
        "device": "cpu",
        "device_name": "x86_64",
        "driver": None,
        "threads": "2",
    }
    found = dependencies(statement)
    assert found["base model"]["uri"] == "pkg:huggingface/someone/Tiny-Llama@v1.0"
    # A checkpoint is a folder: its digest is not the SHA-256 of any file.
    assert found["base model"]["digest"] == {"saeReleaseCheckpoint": "b" * 64}
    assert found["data"]["digest"] == {"sha256": "d" * 64}
    assert found.keys() == {"base model", "data"}
    run = statement["predicate"]["runDetails"]
    assert run["builder"]["id"] == LOCAL_BUILDER
    assert run["builder"]["version"] == {
        "python": "3.11.9",
        "sae-release": tool_version(),
        "torch": "2.8.0",
        "transformers": "5.9.0",
    }
    # 13:00 at one hour east of Greenwich.
    assert run["metadata"] == {"finishedOn": "2026-11-21T12:00:00Z"}


def test_equal_inputs_give_equal_bytes_whatever_the_order_of_files(made: Any) -> None:
    files = made.files()
    backwards = dict(sorted(files.items(), reverse=True))
    first = provenance_statement(made.loaded, made.build, files)
    again = provenance_statement(made.loaded, made.build, backwards)
    assert statement_bytes(first) == statement_bytes(again)


def test_weights_that_this_tool_did_not_make_have_no_versions_of_a_training(made: Any) -> None:
    made.build.training_json.unlink()
    statement = provenance_statement(made.loaded, made.build, made.files())
    assert statement["predicate"]["runDetails"]["builder"]["version"] == {
        "sae-release": tool_version()
    }
    assert "digest" not in dependencies(statement)["base model"]
    assert statement["predicate"]["buildDefinition"]["internalParameters"] == {"hardware": {}}


def test_a_workflow_is_named_as_its_certificate_would_name_it(made: Any) -> None:
    builder = builder_of(GITHUB)
    statement = provenance_statement(made.loaded, made.build, made.files(), builder=builder)
    run = statement["predicate"]["runDetails"]
    assert run["builder"]["id"] == (
        "https://github.com/someone/study/.github/workflows/publish.yml@refs/heads/main"
    )
    assert run["metadata"]["invocationId"] == (
        "https://github.com/someone/study/actions/runs/77/attempts/2"
    )
    assert dependencies(statement)["source"] == {
        "name": "source",
        "uri": "git+https://github.com/someone/study@refs/heads/main",
        "digest": {"gitCommit": "c" * 40},
    }


@pytest.mark.parametrize("missing", ["GITHUB_ACTIONS", "GITHUB_WORKFLOW_REF", "GITHUB_SHA"])
def test_half_a_workflows_environment_is_no_workflow(missing: str) -> None:
    assert builder_of({k: v for k, v in GITHUB.items() if k != missing}) == Builder()


def test_a_statement_that_still_holds_is_left_alone(made: Any) -> None:
    path = made.folder / PROVENANCE
    assert write_provenance(made.loaded, made.build, made.files(), finished=NOON)
    content = path.read_bytes()
    again = builder_of(GITHUB)
    assert not write_provenance(
        made.loaded, made.build, made.files(), builder=again, finished=LATER
    )
    assert path.read_bytes() == content


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"predicate": {}}', b"\xff"])
def test_a_damaged_statement_is_written_anew(made: Any, damage: bytes) -> None:
    path = made.folder / PROVENANCE
    path.write_bytes(damage)
    assert write_provenance(made.loaded, made.build, made.files(), finished=NOON)
    assert json.loads(path.read_bytes())["_type"] == "https://in-toto.io/Statement/v1"


def test_another_file_or_version_makes_another_statement(made: Any) -> None:
    write_provenance(made.loaded, made.build, made.files(), finished=NOON)
    (made.folder / "README.md").write_bytes(b"# Two other words\n")
    assert write_provenance(made.loaded, made.build, made.files(), finished=LATER)
    text = made.build.training_json.read_text(encoding="utf-8")
    made.build.training_json.write_text(text.replace("2.8.0", "2.9.0"), encoding="utf-8")
    files = made.files() | {"training.json": made.files()["training.json"]}
    assert write_provenance(made.loaded, made.build, files, finished=LATER)


def test_the_readers_of_in_toto_take_it(made: Any) -> None:
    pytest.importorskip("in_toto_attestation", reason="comes with the extra sign")
    from google.protobuf import json_format
    from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
    from in_toto_attestation.v1 import statement_pb2
    from in_toto_attestation.v1.statement import Statement

    written = provenance_statement(
        made.loaded, made.build, made.files(), builder=builder_of(GITHUB), finished=NOON
    )
    parsed = json_format.ParseDict(written, statement_pb2.Statement())
    Statement.copy_from_pb(parsed).validate()
    # Fields that SLSA's schema does not have would be refused.
    predicate = json_format.ParseDict(written["predicate"], provenance_pb2.Provenance())
    assert predicate.build_definition.build_type == BUILD_TYPE
    assert predicate.run_details.metadata.finished_on.ToJsonString() == "2026-11-21T12:00:00Z"
    model = predicate.build_definition.resolved_dependencies[0]
    assert (model.name, model.uri) == ("base model", "pkg:huggingface/someone/Tiny-Llama@v1.0")
