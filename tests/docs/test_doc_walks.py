"""The pages' commands and Python blocks, run in order as a reader would, on a tiny study.

The tutorial's own release, on the demonstration's model, is the last test.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from adoption_standin import base_model_folder
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from doc_commands import ROOT, steps, steps_of
from doc_sandbox import DEMO, STUDY, Sandbox, full_sandbox, run_page

from release.embedded_hub import EmbeddedHub

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

HEAVY = {step.page for step in steps() if step.how == "run, slow"}
# The tutorial makes the release that the reference's examples are about.
FIRST = "docs/tutorial.md"
PAGES = [FIRST, *sorted(HEAVY - {FIRST})]


def released(*words: str) -> dict[str, Any]:
    return {"kind": "release", "words": [*words]}


# A branch of a working copy, whose data `release sample` then makes anew.
HISTORY = """
import pathlib, subprocess
kept_data = pathlib.Path("manifests/data/completions.jsonl").read_bytes()
author = ("-c", "user.name=Nobody", "-c", "user.email=nobody@example.org")
for words in (
    ("init", "--quiet", "--initial-branch", "main"),
    ("add", "manifests"),
    (*author, "commit", "--quiet", "--message", "The manifests"),
    ("update-ref", "refs/remotes/origin/main", "HEAD"),
):
    subprocess.run(("git", *words), check=True)
"""
BEFORE = {
    "docs/provenance.md": [released("push", "manifests/x.yaml", "--sign", "private.pem", "--yes")],
    "docs/reference/command-line.md": [
        {"kind": "python", "where": "a history, and the data as it was", "code": HISTORY},
        released("run", f"manifests/{DEMO[0]}.yaml", "--public"),
        released("push", f"manifests/{STUDY[0]}.yaml", "--sign", "private.pem", "--yes"),
    ],
    # Other pages have built something else than what is published.
    "docs/howto/regenerate-cards.md": [
        {
            "kind": "python",
            "where": "a clone without builds",
            "code": "import shutil\n"
            f"for name in ('x', {DEMO[0]!r}, {STUDY[0]!r}):\n"
            "    shutil.rmtree(f'build/{name}', ignore_errors=True)\n",
        }
    ],
    "docs/cards.md": [
        {
            "kind": "python",
            "where": "a second manifest",
            "code": "import shutil; shutil.copyfile('manifests/x.yaml', 'manifests/y.yaml')",
        }
    ],
}
BY_HAND = {
    # It lists single commands; between these two a card is rendered from what was measured.
    "docs/reference/command-line.md": {
        "release portability": "from release.cli import main; assert not main(['render', '--all'])",
        "release sample": "pathlib.Path('manifests/data/completions.jsonl').write_bytes(kept_data)",
    },
    # "Fill in what is still to say, ... and mend what contradicts itself"; "merge it there".
    "docs/adopting.md": {
        "release import": """
from pathlib import Path
path = Path("manifests/tiny.yaml")
text = path.read_text(encoding="utf-8")
text = text.replace("Not known: no file of the repository says so.", "Made for a test.")
text = text.replace("All non-STE SAEs have threshold = 0", "The plain ones have threshold = 0")
path.write_text(text, encoding="utf-8")
""",
        "release push plan.json": """
from pathlib import Path
from release.hub_connection import connect
with connect("embedded", build=Path("build")) as hub:
    hub.api().merge_pull_request("someone/deception-saes-tiny-llama", 1)
""",
    },
}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """owner/name and the study's repository, released on the Hub; a key pair; a report."""
    root = tmp_path_factory.mktemp("walks")
    base_model = base_model_folder(tmp_path_factory.mktemp("base"))
    private = ec.generate_private_key(ec.SECP256R1())
    (root / "private.pem").write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    (root / "publisher.pem").write_bytes(
        private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    with full_sandbox(root, base_model) as made:
        prepared = [
            released("run", f"manifests/{name}.yaml", "--public") for name in ("x", STUDY[0])
        ]
        assert run_page(made, [], before=prepared) == []
        repository = root / "build" / "x" / "repository"
        # Somebody else's SAEs: without a manifest, activations are read on texts that are here.
        sae_id = "smollm2_topk_L9_mixed"
        shutil.copytree(repository / sae_id, root / "folder" / sae_id)
        shutil.copyfile(repository / "report.json", root / "report.json")
        made.api().create_tag("owner/name", tag="v1.0")
        yield made


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_do_what_it_says(page: str, sandbox: Sandbox) -> None:
    chosen = [step for step in steps_of(page) if step.how != "parsed only"]
    assert chosen
    wrong = run_page(sandbox, chosen, before=BEFORE.get(page, ()), between=BY_HAND.get(page))
    assert not wrong, "\n".join(wrong)


@pytest.mark.usefixtures("packaged_model")
def test_the_tutorial_on_the_demonstrations_model(tmp_path: Path) -> None:
    shutil.copytree(
        ROOT / "manifests", tmp_path / "manifests", ignore=shutil.ignore_patterns("*.py")
    )
    chosen = [step for step in steps_of(FIRST) if step.how != "parsed only"]
    with EmbeddedHub(tmp_path / "the-hub") as hub:
        made = Sandbox(tmp_path, hub, published=False, own_manifests=True)
        assert run_page(made, chosen) == []
    receipt = json.loads(
        (tmp_path / "build" / DEMO[0] / "work" / "receipt.json").read_text(encoding="utf-8")
    )
    assert receipt["repo_id"] == DEMO[1]
    card = tmp_path / "build" / DEMO[0] / "repository" / "README.md"
    assert "# My first release, SmolLM2-135M-Instruct" in card.read_text(encoding="utf-8")
