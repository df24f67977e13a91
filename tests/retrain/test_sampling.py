from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from manifests.completions import Completion, load_split, read_completions
from manifests.errors import UsageError
from manifests.labels import LabelRuleProblem
from manifests.load import LoadedManifest, load_manifest
from manifests.near_duplicates import without_near_duplicates
from manifests.progress import Progress, Silent, Task
from retrain.sampling import SamplingSummary, TooFewCompletions, sample
from validators.base_models.base_model import checkpoint_digest
from validators.base_models.continuation import batch_seed

MANIFEST = """
schema_version: 1
repo_id: tiny/saes
title: Tiny SAEs
summary: Sampled from a model that has learnt nothing.
license: apache-2.0
base_model: {id: tiny/llama, model_type: llama, n_layers: 1, d_model: 8}
saes:
  id: "tiny_{architecture}_L{layer}_{condition}"
  layers: [0]
  architectures: [topk]
  conditions: [mixed]
  expansion: 2
recipe: {epochs: 1, batch_size: 4, learning_rate: 1.0e-3, topk: {k: 2}}
data:
  file: rows/completions.jsonl
  sha256: "0000000000000000000000000000000000000000000000000000000000000000"
  description: letters
  label_rule: by the first letter
  pooling: last_token
  conditions: {mixed: {labels: [deceptive, honest]}}
  held_out: {fraction: 0.25, seed: 0}
  sampling:
    per_scenario: 40
    max_new_tokens: 6
    seed: 3
    opening_characters: 1
    min_per_label: 5
    scenarios:
      - {id: letters, prompt: "Which letter?", opening: "It is ", deceptive: ["[a-m]"], honest: ["[n-z]"]}
      - {id: digits, prompt: "Which digit?", opening: "It is ", deceptive: ["[0-4]"], honest: ["[5-9]"]}
"""  # noqa: E501


@dataclass
class Notes(Silent):
    """Progress that remembers what was said."""

    def __post_init__(self) -> None:
        self.said: list[str] = []
        self.counted: dict[str, float] = {}

    def note(self, text: str) -> None:
        self.said.append(text)

    @contextmanager
    def task(self, description: str, *, total: float | None) -> Iterator[Task]:
        notes, self.counted[description] = self, 0.0

        class Counting:
            def advance(self, amount: float = 1) -> None:
                notes.counted[description] += amount

            def status(self, text: str) -> None:
                """Nothing is shown."""

        yield Counting()


@pytest.fixture(scope="module")
def letters_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama over bytes that writes letters, and now and then ends; never a digit."""
    folder = tmp_path_factory.mktemp("letters")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {character: index for index, character in enumerate(alphabet)}
    inner = Tokenizer(BPE(vocab=vocabulary, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|end|>")
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=8,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config)
    allowed = [vocabulary[letter] for letter in "abcdefghijklmnopqrstuvwxyz"]
    allowed.append(int(tokenizer.eos_token_id))
    # A first coordinate of 100 stays the largest through the block, so the final norm makes it
    # nearly sqrt(8): a row of the output that reads it with -50 is never drawn, one with 0 is.
    with torch.no_grad():
        model.lm_head.weight.zero_()
        embedding = model.model.embed_tokens.weight
        embedding[:, 0] = 100.0
        model.lm_head.weight[:, 0] = -50.0
        model.lm_head.weight[allowed, 0] = 0.0
    model.save_pretrained(folder)
    return folder


def write_manifest(folder: Path, text: str = MANIFEST) -> LoadedManifest:
    path = folder / "tiny.yaml"
    path.write_text(text, encoding="utf-8")
    return load_manifest(path)


def sample_into(
    folder: Path, model: Path, text: str = MANIFEST, progress: Progress | None = None
) -> tuple[SamplingSummary, tuple[Completion, ...]]:
    folder.mkdir(exist_ok=True)
    loaded = write_manifest(folder, text)
    summary = sample(loaded, base_model=str(model), progress=progress or Silent())
    return summary, read_completions(summary.path, summary.sha256)


def test_rows_carry_label_seed_parameters_and_model(tmp_path: Path, letters_model: Path) -> None:
    summary, rows = sample_into(tmp_path, letters_model)
    assert summary.path == tmp_path / "rows" / "completions.jsonl"
    assert summary.n_rows == len(rows)
    assert summary.size_bytes == summary.path.stat().st_size
    assert not summary.is_stated_in_manifest
    for row in rows:
        assert re.fullmatch("[a-z]{1,6}", row.completion)
        assert row.label == ("deceptive" if row.completion[0] <= "m" else "honest")
        assert (row.temperature, row.top_k, row.top_p, row.max_new_tokens) == (1.0, None, None, 6)
        assert row.model_digest == checkpoint_digest(letters_model)
        assert row.seed == batch_seed(3, "letters", 0)


def test_counts_add_up_to_what_was_sampled(tmp_path: Path, letters_model: Path) -> None:
    progress = Notes()
    summary, rows = sample_into(tmp_path, letters_model, progress=progress)
    letters, digits = summary.scenarios
    for count in (letters, digits):
        labelled = count.deceptive + count.honest + count.ambiguous
        assert labelled + count.near_duplicates + count.empty == 40
    assert letters.is_kept
    assert letters.deceptive + letters.honest == len(rows)
    assert progress.counted == {"sampling letters": 40, "sampling digits": 40}


def test_a_scenario_without_both_labels_is_left_out_and_told(
    tmp_path: Path, letters_model: Path
) -> None:
    progress = Notes()
    summary, rows = sample_into(tmp_path, letters_model, progress=progress)
    assert {row.scenario for row in rows} == {"letters"}
    assert not summary.scenarios[1].is_kept
    assert progress.said == [
        "digits left out: 0 deceptive and 0 honest completions, at least 5 of each are wanted"
    ]


def test_the_same_seed_gives_the_same_file_and_another_seed_another(
    tmp_path: Path, letters_model: Path
) -> None:
    first, _ = sample_into(tmp_path / "a", letters_model)
    again, _ = sample_into(tmp_path / "b", letters_model)
    other, _ = sample_into(tmp_path / "c", letters_model, MANIFEST.replace("seed: 3", "seed: 4"))
    assert first.sha256 == again.sha256
    assert first.sha256 != other.sha256


def test_another_scenario_in_front_changes_no_completion(
    tmp_path: Path, letters_model: Path
) -> None:
    more = MANIFEST.replace(
        "    scenarios:\n",
        "    scenarios:\n"
        "      - {id: first, prompt: Hm, deceptive: ['[a-m]'], honest: ['[n-z]']}\n",
    )
    _, alone = sample_into(tmp_path / "a", letters_model)
    _, together = sample_into(tmp_path / "b", letters_model, more)
    assert {row.scenario for row in together} == {"first", "letters"}
    assert tuple(row for row in together if row.scenario == "letters") == alone


def test_once_the_digest_is_in_the_manifest_the_split_can_be_read(
    tmp_path: Path, letters_model: Path
) -> None:
    summary, rows = sample_into(tmp_path, letters_model)
    stated = write_manifest(tmp_path, MANIFEST.replace("0" * 64, summary.sha256))
    split = load_split(stated)
    assert len(split.train) + len(split.held_out) == len(rows)
    assert sample(stated, base_model=str(letters_model), progress=Silent()).is_stated_in_manifest


def test_written_rows_have_no_near_duplicates(tmp_path: Path, letters_model: Path) -> None:
    # Of one letter each there are 26 different ones, so 40 samples must repeat themselves.
    short = MANIFEST.replace("max_new_tokens: 6", "max_new_tokens: 1")
    summary, rows = sample_into(tmp_path, letters_model, short)
    assert len(rows) <= 26
    assert summary.scenarios[0].near_duplicates >= 14 - summary.scenarios[0].empty
    assert without_near_duplicates(rows) == rows


def test_nothing_is_written_when_every_scenario_is_left_out(
    tmp_path: Path, letters_model: Path
) -> None:
    text = MANIFEST.replace("min_per_label: 5", "min_per_label: 41")
    with pytest.raises(TooFewCompletions, match=r"data\.sampling\.min_per_label, 41"):
        sample_into(tmp_path, letters_model, text)
    assert not (tmp_path / "rows").exists()


def test_a_wrong_pattern_is_told_before_the_model_is_loaded(tmp_path: Path) -> None:
    loaded = write_manifest(tmp_path, MANIFEST.replace("[5-9]", "[5-"))
    with pytest.raises(LabelRuleProblem, match="digits"):
        sample(loaded, base_model=str(tmp_path / "absent"), progress=Silent())


def test_a_manifest_without_scenarios_is_refused(tmp_path: Path) -> None:
    loaded = write_manifest(tmp_path, MANIFEST[: MANIFEST.index("  sampling:")])
    with pytest.raises(UsageError, match=r"data\.sampling"):
        sample(loaded, progress=Silent())
