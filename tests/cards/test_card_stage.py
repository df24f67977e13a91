from __future__ import annotations

import json
import locale
import os
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import pytest

from cards.sources import SourcesDisagree, agreeing
from cards.stage import render, rendered_files, stale_files
from manifests.digests import bytes_sha256, file_sha256, json_sha256
from manifests.errors import ReleaseError
from manifests.progress import Silent

RENDERED = ["README.md", "config.json", "manifest.json", "card.json"]
# The release has explained variances, and neither tables nor distributions.
FIGURES = ["figures/sparsity.svg", "figures/figures.json"]


class Notes(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


def names_of(release, paths) -> list[str]:
    return [path.relative_to(release.build.repository).as_posix() for path in paths]


def test_render_writes_card_and_figures_with_unix_line_ends_and_nothing_else(release) -> None:
    before = set(release.build.repository.rglob("*"))
    rendered = render(release.loaded, release.build, progress=Silent())
    assert names_of(release, rendered.written) == RENDERED + FIGURES
    assert rendered.unchanged == ()
    after = {path for path in release.build.repository.rglob("*") if path.is_file()}
    assert after - before == set(rendered.written)
    for path in rendered.written:
        content = path.read_bytes()
        assert content.endswith(b"\n") and not content.endswith(b"\n\n") and b"\r" not in content


def test_card_json_names_the_sources_and_the_rendered_files_by_digest(release) -> None:
    render(release.loaded, release.build, progress=Silent())
    card = json.loads(release.build.card_json.read_bytes())
    assert card["format"] == "sae-release.card/1"
    assert card["manifest_digest"] == release.loaded.digest
    assert card["report_digest"] == file_sha256(release.build.report_json)
    assert card["training_digest"] == file_sha256(release.build.training_json)
    assert card["files"] == {
        name: file_sha256(release.build.repository / name) for name in RENDERED[:3]
    }


def test_the_published_manifest_has_the_digest_that_the_card_names(release) -> None:
    render(release.loaded, release.build, progress=Silent())
    assert json_sha256(json.loads(release.build.manifest_json.read_bytes())) == (
        release.loaded.digest
    )


def test_a_second_render_writes_nothing_and_says_so(release) -> None:
    render(release.loaded, release.build, progress=Silent())
    before = {name: (release.build.repository / name).stat().st_mtime_ns for name in RENDERED}
    notes = Notes()
    rendered = render(release.loaded, release.build, progress=notes)
    assert notes.lines == [f"{name} is up to date" for name in RENDERED + FIGURES]
    assert rendered.written == ()
    assert names_of(release, rendered.unchanged) == RENDERED + FIGURES
    after = {name: (release.build.repository / name).stat().st_mtime_ns for name in RENDERED}
    assert after == before


def test_a_changed_number_rewrites_the_card_but_not_the_index(release) -> None:
    render(release.loaded, release.build, progress=Silent())
    release.with_metric("tiny_topk_L1_mixed", "mse", value=3.5).write()
    notes = Notes()
    rendered = render(release.loaded, release.build, progress=notes)
    unchanged = ["config.json", "manifest.json", *FIGURES]
    assert names_of(release, rendered.written) == ["README.md", "card.json"]
    assert names_of(release, rendered.unchanged) == unchanged
    assert notes.lines == [
        "README.md written",
        "config.json is up to date",
        "manifest.json is up to date",
        "card.json written",
        *(f"{name} is up to date" for name in FIGURES),
    ]


def test_a_fresh_render_is_not_stale(release) -> None:
    render(release.loaded, release.build, progress=Silent())
    assert stale_files(release.loaded, release.build) == {}


def test_an_edited_card_is_stale_and_the_diff_shows_the_edit(release) -> None:
    render(release.loaded, release.build, progress=Silent())
    readme = release.build.repository / "README.md"
    text = readme.read_text(encoding="utf-8")
    readme.write_text(text.replace("| 0.810 |", "| 0.999 |"), encoding="utf-8", newline="\n")
    stale = stale_files(release.loaded, release.build)
    assert list(stale) == ["README.md"]
    changed = [line for line in stale["README.md"].splitlines() if line[0] in "+-"][2:]
    assert [line[0] for line in changed] == ["-", "+"]
    assert "| 0.999 |" in changed[0] and "| 0.810 |" in changed[1]


def test_a_missing_card_and_one_of_damaged_bytes_are_stale(release) -> None:
    assert list(stale_files(release.loaded, release.build)) == RENDERED + FIGURES
    render(release.loaded, release.build, progress=Silent())
    (release.build.repository / "config.json").write_bytes(b"\xff\xfe")
    assert list(stale_files(release.loaded, release.build)) == ["config.json"]


def test_a_new_report_makes_the_old_card_stale(release) -> None:
    render(release.loaded, release.build, progress=Silent())
    release.with_metric("tiny_gated_L1_mixed", "explained_variance", value=0.111).write()
    stale = ["README.md", "card.json", "figures/sparsity.svg"]
    assert list(stale_files(release.loaded, release.build)) == stale


def test_two_renders_give_the_same_bytes(release) -> None:
    assert rendered_files(release.sources) == rendered_files(release.sources)


def test_the_order_of_the_keys_in_the_sources_does_not_matter(release, manifest_data, make) -> None:
    def reversed_keys(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: reversed_keys(value[key]) for key in reversed(value)}
        return value

    other = make(reversed_keys(manifest_data))
    report = type(release.report).model_validate(reversed_keys(release.report.model_dump()))
    training = type(release.training).model_validate(reversed_keys(release.training.model_dump()))
    shuffled = replace(other, report=report, training=training)
    assert rendered_files(shuffled.sources) == rendered_files(release.sources)


def test_locale_and_time_zone_do_not_matter(release, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = rendered_files(release.sources)
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    if hasattr(time, "tzset"):
        time.tzset()
    saved = locale.setlocale(locale.LC_ALL)
    try:
        for name in ("de_DE.UTF-8", "C"):
            try:
                locale.setlocale(locale.LC_ALL, name)
            except locale.Error:
                continue  # this machine does not have that locale
            assert rendered_files(release.sources) == expected
    finally:
        locale.setlocale(locale.LC_ALL, saved)
        monkeypatch.undo()
        if hasattr(time, "tzset"):
            time.tzset()


RENDER_ALONE = """
import sys
from pathlib import Path
from cards.stage import render
from manifests.build_folder import BuildFolder
from manifests.load import load_manifest
from manifests.progress import Silent
render(load_manifest(Path(sys.argv[1])), BuildFolder(Path(sys.argv[2])), progress=Silent())
print(sorted({"torch", "transformers", "sae_lens", "sklearn"} & set(sys.modules)))
"""


def test_another_process_renders_the_same_bytes_without_torch(release) -> None:
    render(release.loaded, release.build, progress=Silent())
    expected = {name: (release.build.repository / name).read_bytes() for name in RENDERED}
    for name in RENDERED:
        (release.build.repository / name).unlink()
    done = subprocess.run(
        [sys.executable, "-c", RENDER_ALONE, str(release.loaded.path), str(release.build.root)],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stdout == "[]\n"
    assert {n: (release.build.repository / n).read_bytes() for n in RENDERED} == expected


def test_a_missing_report_names_the_command_that_makes_it(release) -> None:
    release.build.report_json.unlink()
    with pytest.raises(ReleaseError, match="release validate"):
        render(release.loaded, release.build, progress=Silent())


def test_a_missing_metric_names_itself_and_its_sae_and_leaves_no_card(release) -> None:
    release.without_metric("tiny_topk_L2_mixed", "l0").write()
    with pytest.raises(ReleaseError, match="metric l0 of the SAE tiny_topk_L2_mixed is missing"):
        render(release.loaded, release.build, progress=Silent())
    assert not (release.build.repository / "README.md").exists()


@pytest.mark.parametrize(
    "metric",
    [
        "explained_variance",
        "explained_variance_train",
        "pca_8_explained_variance",
        "l0",
        "mse",
        "dead_fraction",
        "dead_fraction_train",
        "path_difference",
    ],
)
def test_no_metric_may_be_missing(release, metric: str) -> None:
    broken = release.without_metric("tiny_gated_L2_mixed", metric)
    with pytest.raises(ReleaseError, match=f"metric {metric} of the SAE tiny_gated_L2_mixed"):
        rendered_files(broken.sources)


def test_thresholds_are_asked_for_jumprelu_only(release) -> None:
    name = "threshold_moved_fraction"
    assert rendered_files(release.without_metric("tiny_topk_L1_mixed", name).sources)
    with pytest.raises(ReleaseError, match="tiny_jumprelu_L1_mixed"):
        rendered_files(release.without_metric("tiny_jumprelu_L1_mixed", name).sources)


def test_a_metric_from_the_training_split_cannot_stand_as_held_out(release) -> None:
    swapped = release.with_metric("tiny_topk_L1_mixed", "explained_variance", split="train")
    with pytest.raises(ReleaseError, match="split train"):
        rendered_files(swapped.sources)


def with_report(release, **changes: Any):
    return replace(release, report=release.report.model_copy(update=changes))


def with_measurements(release, **changes: Any):
    measurements = release.report.measurements.model_copy(update=changes)
    return with_report(release, measurements=measurements)


def without_key(mapping: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in mapping.items() if name != key}


def disagreements(release) -> list[tuple[Any, str]]:
    """Releases whose files do not belong together, and what must be said about each."""
    sae_id = "tiny_topk_L1_mixed"
    measured = release.report.measurements
    training = release.training
    return [
        (with_report(release, manifest_digest="0" * 64), "the manifest now is"),
        (with_report(release, measurements=None), "no section measurements"),
        (with_report(release, checks=None), "no section checks"),
        (
            with_measurements(release, saes=without_key(measured.saes, sae_id)),
            f"report.json lacks the SAE {sae_id}",
        ),
        (
            with_measurements(release, saes={**measured.saes, "extra": {}}),
            "report.json has the SAE extra",
        ),
        (
            replace(
                release,
                training=training.model_copy(update={"saes": without_key(training.saes, sae_id)}),
            ),
            f"training.json lacks the SAE {sae_id}",
        ),
        (
            with_measurements(release, inputs={**measured.inputs, f"{sae_id}/cfg.json": "9" * 64}),
            f"measurements are of {sae_id}/cfg.json",
        ),
        (
            with_measurements(release, inputs=without_key(measured.inputs, f"{sae_id}/cfg.json")),
            f"no digest of {sae_id}/cfg.json",
        ),
        (
            with_measurements(
                release,
                n_vectors={**measured.n_vectors, "mixed": {"train": 61, "held_out": 20}},
            ),
            "60 vectors in the split train by training.json, 61 by report.json",
        ),
    ]


@pytest.mark.parametrize("case", range(9))
def test_files_that_do_not_belong_together_are_refused(release, case: int) -> None:
    cases = disagreements(release)
    assert len(cases) == 9
    broken, said = cases[case]
    with pytest.raises(SourcesDisagree) as caught:
        agreeing(broken.sources)
    assert said in str(caught.value)


def test_all_disagreements_are_told_at_once(release) -> None:
    broken = with_measurements(release, inputs={})
    with pytest.raises(SourcesDisagree) as caught:
        agreeing(broken.sources)
    # 12 SAEs with 2 files each.
    assert caught.value.what.count("name no digest of") == 24


def test_the_index_lists_every_sae_with_its_hooks_and_digests(release) -> None:
    index = json.loads(rendered_files(release.sources)["config.json"])
    assert index["format"] == "sae-release.index/1"
    assert index["repo_id"] == "demo/tiny-saes"
    assert index["base_model"] == {
        "id": "demo/tiny-llama",
        "revision": None,
        "model_type": "llama",
        "n_layers": 4,
    }
    assert "model_type" not in index
    assert [entry["sae_id"] for entry in index["saes"]] == [
        spec.sae_id for spec in release.loaded.saes
    ]
    entry = next(e for e in index["saes"] if e["sae_id"] == "tiny_jumprelu_L2_mixed")
    files = release.training.saes["tiny_jumprelu_L2_mixed"].files
    assert entry == {
        "sae_id": "tiny_jumprelu_L2_mixed",
        "architecture": "jumprelu",
        "saved_architecture": "jumprelu",
        "thresholds": "learned",
        "layer": 2,
        "depth_percent": 75.0,  # 100 x (2 + 1) / 4
        "condition": "mixed",
        "variant": None,
        "d_in": 8,
        "d_sae": 32,
        "hook_name": "blocks.2.hook_resid_post",
        "hf_hook_name": "model.layers.2",
        "sha256": {name: files[name] for name in ("cfg.json", "sae_weights.safetensors")},
    }


def test_card_json_digests_the_rendered_bytes(release) -> None:
    files = rendered_files(release.sources)
    card = json.loads(files["card.json"])
    assert card["files"]["README.md"] == bytes_sha256(files["README.md"])
