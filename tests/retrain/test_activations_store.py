"""Shards on disk: read by row, bit for bit what was captured, and never taken on trust."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from retrain.activations.store import ActivationStore, CapturedFrom, open_store
from retrain.activations.stored_vectors import StoredVectors
from retrain.vectors import Vectors

HOOKS = ("model.layers.3", "model.layers.7")
# Shards of 4, 1 and 3 vectors; vector i lies at the place order[i].
SHARDS = (4, 1, 3)
ORDER = (7, 0, 4, 2, 1, 3, 6, 5)


def a_store(folder: Path, **changes: Any) -> ActivationStore:
    facts: dict[str, Any] = {
        "folder": folder,
        "hook_names": HOOKS,
        "captured_from": CapturedFrom("d" * 64, "a test", longest=9),
        "shard_vectors": np.array(SHARDS, dtype=np.int64),
        "passage_vectors": np.ones(8, dtype=np.int64),
        "held_out_vectors": np.array([2, 3], dtype=np.int64),
        "order": np.array(ORDER, dtype=np.int64),
    }
    store = ActivationStore(**facts | changes)
    store.begin()
    return store


def values(dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """Vectors of 5 numbers for each place."""
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(8, 5, generator=generator).to(dtype) for name in HOOKS}


def write(store: ActivationStore, vectors: dict[str, torch.Tensor]) -> None:
    start = 0
    for shard, n in enumerate(SHARDS):
        store.write_shard(shard, {name: v[start : start + n] for name, v in vectors.items()})
        start += n


@pytest.fixture
def store(tmp_path: Path) -> ActivationStore:
    store = a_store(tmp_path / "store")
    write(store, values())
    return store


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_every_number_comes_back_bit_for_bit(tmp_path: Path, dtype: torch.dtype) -> None:
    store = a_store(tmp_path / "store")
    write(store, values(dtype))
    for name, found in store.vectors().items():
        expected = values(dtype)[name].float()[list(ORDER)]
        assert torch.equal(found.take(torch.arange(8)), expected)
        assert found.take(torch.arange(8)).dtype == torch.float32
        found.close()
    bytes_each = torch.finfo(dtype).bits // 8
    # 8 vectors of 5 numbers at 2 hooks, and a header of 128 bytes for each of 3 * 2 files.
    size = sum(path.stat().st_size for path in (tmp_path / "store").glob("*.npy"))
    assert size == 8 * 5 * 2 * bytes_each + 128 * 6


def test_rows_are_taken_in_any_order_from_any_shard(store: ActivationStore) -> None:
    found: Vectors = store.vectors()[HOOKS[1]]
    expected = values()[HOOKS[1]][list(ORDER)]
    assert (found.d_in, len(found)) == (5, 8)
    for rows in ([3], [0, 7, 7, 1], [6, 5, 4, 3, 2, 1, 0], []):
        wanted = torch.tensor(rows, dtype=torch.int64)
        assert torch.equal(found.take(wanted), expected[wanted])


def test_chunks_are_all_vectors_in_order(store: ActivationStore) -> None:
    found = store.vectors()[HOOKS[0]]
    chunks = list(found.chunks(3))
    assert [len(chunk) for chunk in chunks] == [3, 3, 2]
    assert torch.equal(torch.cat(chunks), values()[HOOKS[0]][list(ORDER)])


def test_one_row_opens_one_shard(store: ActivationStore) -> None:
    found = store.vectors()[HOOKS[0]]
    assert found._maps == {}
    # Vector 2 lies at place 4, the only one of the second shard.
    found.take(torch.tensor([2]))
    assert list(found._maps) == [1]
    assert isinstance(found._maps[1].base, np.memmap)
    found.close()
    assert found._maps == {}


def test_pickled_vectors_are_paths_and_read_the_same(store: ActivationStore) -> None:
    found = store.vectors()[HOOKS[0]]
    rows = torch.arange(8)
    expected = found.take(rows)
    again: StoredVectors = pickle.loads(pickle.dumps(found))
    assert again._maps == {}
    assert torch.equal(again.take(rows), expected)


def test_a_store_is_found_again_as_it_was(store: ActivationStore) -> None:
    found = open_store(store.folder, HOOKS)
    assert found is not None
    assert found.missing() == ()
    assert found.captured_from == store.captured_from
    assert found.held_out_vectors.tolist() == [2, 3]
    assert torch.equal(
        found.vectors()[HOOKS[0]].take(torch.arange(8)), values()[HOOKS[0]][list(ORDER)]
    )


def test_nothing_is_found_where_nothing_was_begun(tmp_path: Path, store: ActivationStore) -> None:
    assert open_store(tmp_path / "elsewhere", HOOKS) is None
    assert open_store(store.folder, HOOKS[:1]) is None


def cut_short(folder: Path) -> None:
    path = folder / "00001.001.npy"
    path.write_bytes(path.read_bytes()[:-1])


def another_number(folder: Path) -> None:
    path = folder / "00001.001.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def of_another_shard(folder: Path) -> None:
    (folder / "00001.001.npy").write_bytes((folder / "00001.000.npy").read_bytes())


def gone(folder: Path) -> None:
    (folder / "00001.001.npy").unlink()


def no_index(folder: Path) -> None:
    (folder / "00001.json").unlink()


def half_an_index(folder: Path) -> None:
    path = folder / "00001.json"
    path.write_bytes(path.read_bytes()[:20])


@pytest.mark.parametrize(
    "damage", [cut_short, another_number, of_another_shard, gone, no_index, half_an_index]
)
def test_a_damaged_shard_is_missing_and_the_others_are_not(
    store: ActivationStore, damage: Any
) -> None:
    damage(store.folder)
    assert store.missing() == (1,)
    store.write_shard(1, {name: v[4:5] for name, v in values().items()})
    assert store.missing() == ()


@pytest.mark.parametrize("name", ["plan.npz", "about.json"])
def test_a_damaged_plan_is_no_store(store: ActivationStore, name: str) -> None:
    path = store.folder / name
    path.write_bytes(path.read_bytes()[:-30])
    assert open_store(store.folder, HOOKS) is None


def test_the_same_plan_keeps_the_shards_and_another_one_does_not(store: ActivationStore) -> None:
    assert a_store(store.folder).missing() == ()
    reordered = np.array(ORDER[::-1], dtype=np.int64)
    assert a_store(store.folder, order=reordered).missing() == (0, 1, 2)
