"""The vector store alone: search, growth, removal, threads, files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from db.errors import IndexDamaged
from db.vectors import VectorStore, inverted_lists, sidecar_path
from tests.db.world import unit_vectors

DIM = 16
KINDS = ["exact", "ivf"]


def filled(kind: str, count: int = 400, dim: int = DIM) -> VectorStore:
    vectors = unit_vectors(count, dim)
    store = VectorStore(dim, producer=3, kind=kind, expected=count)
    store.train(vectors)
    store.add(np.arange(count) * 10, vectors)
    return store


def test_the_nearest_come_first_with_their_cosine() -> None:
    store = VectorStore(2, producer=1)
    store.add(np.array([7, 3, 9]), np.array([[1, 0], [0, 1], [-1, 0]], np.float32))
    similarity, ids = store.search(np.array([[1, 0], [0.6, 0.8]], np.float32), 3)
    assert ids.tolist() == [[7, 3, 9], [3, 7, 9]]
    np.testing.assert_allclose(similarity, np.array([[1, 0, -1], [0.8, 0.6, -0.6]]), atol=1e-6)
    assert (similarity.dtype.name, ids.dtype.name) == ("float32", "int64")


@pytest.mark.parametrize("kind", KINDS)
def test_missing_neighbors_are_minus_one(kind: str) -> None:
    store = filled(kind, 2)
    similarity, ids = store.search(unit_vectors(1, DIM), 4)
    assert sorted(ids[0].tolist()) == [-1, -1, 0, 10]
    assert ids[0, 0] == 0
    assert similarity[0, 2:].tolist() == [-1, -1]
    similarity, ids = VectorStore(DIM, producer=1).search(unit_vectors(3, DIM), 2)
    assert (ids == -1).all()
    assert (similarity == -1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_an_id_is_added_once(kind: str) -> None:
    store = filled(kind)
    others = unit_vectors(4, DIM, seed=9)
    store.add(np.array([0, 5, 5, 10]), others)
    assert len(store) == 401
    expected = np.stack([unit_vectors(1, DIM)[0], others[1]])
    np.testing.assert_allclose(store.reconstruct(np.array([0, 5])), expected, atol=0.02)
    assert store.search(others[1:2], 1)[1].tolist() == [[5]]


@pytest.mark.parametrize("kind", KINDS)
def test_removed_vectors_are_found_no_more_and_may_come_back(kind: str) -> None:
    store, vectors = filled(kind), unit_vectors(400, DIM)
    assert store.remove(np.array([0, 10, 10, 5, 999_999])) == 2
    assert len(store) == 398
    assert store.search(vectors[:1], 1)[1][0, 0] != 0
    assert 0 not in store.search(vectors[:1], 398)[1]
    store.add(np.array([0]), vectors[:1])
    assert store.search(vectors[:1], 1)[1][0, 0] == 0
    assert store.ids.tolist() == [0, *range(20, 4000, 10)]


def test_the_exact_store_equals_brute_force() -> None:
    vectors, queries = unit_vectors(3000, DIM), unit_vectors(50, DIM, seed=5)
    store = VectorStore(DIM, producer=1)
    for start in range(0, 3000, 700):
        store.add(np.arange(start, min(start + 700, 3000)), vectors[start : start + 700])
    similarity, ids = store.search(queries, 10)
    truth = queries @ vectors.T
    np.testing.assert_array_equal(ids, np.argsort(-truth, axis=1)[:, :10])
    np.testing.assert_allclose(similarity, -np.sort(-truth, axis=1)[:, :10], atol=1e-6)


def test_the_approximate_store_finds_most_of_the_nearest() -> None:
    centers = unit_vectors(50, DIM, seed=2)
    spread = np.random.default_rng(3).normal(scale=0.1, size=(4000, DIM))
    vectors = (centers[np.arange(4000) % 50] + spread).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    store = VectorStore(DIM, producer=1, kind="ivf", expected=4000)
    store.train(vectors)
    store.add(np.arange(4000), vectors)
    _, ids = store.search(vectors[:200], 10)
    truth = np.argsort(-(vectors[:200] @ vectors.T), axis=1)[:, :10]
    recall = np.mean([len(set(found) & set(best)) / 10 for found, best in zip(ids, truth, strict=True)])
    assert recall > 0.9


def test_lists_grow_with_the_square_root() -> None:
    assert [inverted_lists(count) for count in (0, 100, 10_000, 1_000_000)] == [1, 2, 200, 2000]


def test_wrong_shapes_are_refused() -> None:
    store = VectorStore(DIM, producer=1)
    with pytest.raises(ValueError, match=r"expected vectors \(B, 16\), got \(2, 8\)"):
        store.add(np.array([1, 2]), unit_vectors(2, 8))
    with pytest.raises(ValueError, match=r"expected 2 ids of at least 0, got shape \(3,\)"):
        store.add(np.array([1, 2, 3]), unit_vectors(2, DIM))
    with pytest.raises(ValueError, match="expected 1 ids of at least 0, got -1"):
        store.add(np.array([-1]), unit_vectors(1, DIM))
    with pytest.raises(ValueError, match="expected k of at least 1, got 0"):
        store.search(unit_vectors(1, DIM), 0)
    with pytest.raises(KeyError, match=r"ids not in the index: \[4\]"):
        store.reconstruct(np.array([4]))


@pytest.mark.parametrize("kind", KINDS)
def test_searching_while_others_add_and_remove(kind: str) -> None:
    store, queries = filled(kind, 2000), unit_vectors(8, DIM, seed=1)

    def grow(worker: int) -> None:
        for step in range(40):
            ids = 100_000 * (worker + 1) + np.arange(50) + 50 * step
            store.add(ids, unit_vectors(50, DIM, seed=step))
            store.remove(ids[::2])

    def look(_: int) -> int:
        return sum(len(store.search(queries, 5)[1]) for _ in range(200))

    with ThreadPoolExecutor(6) as pool:
        growing = [pool.submit(grow, worker) for worker in range(3)]
        looking = [pool.submit(look, worker) for worker in range(3)]
        assert [task.result() for task in growing] == [None] * 3
        assert [task.result() for task in looking] == [1600] * 3
    assert len(store) == 2000 + 3 * 40 * 25


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_store_answers_the_same_and_goes_on_growing(kind: str, tmp_path: Path) -> None:
    store, queries = filled(kind), unit_vectors(20, DIM, seed=4)
    store.save(tmp_path / "index.faiss")
    again = VectorStore.load(tmp_path / "index.faiss")
    for ours, theirs in zip(again.search(queries, 10), store.search(queries, 10), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (again.producer, again.kind, again.dim, len(again)) == (3, kind, DIM, 400)
    assert again.remove(np.array([10])) == 1
    again.add(np.array([10]), queries[:1])
    assert again.search(queries[:1], 1)[1][0, 0] == 10
    assert sorted(file.name for file in tmp_path.iterdir()) == ["index.faiss", "index.faiss.json"]


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def permute_ids(path: Path) -> None:
    """A file that is whole, its checksum right, and every vector under another vector's id."""
    index: Any = faiss.read_index(str(path))
    ids = faiss.vector_to_array(index.id_map)
    faiss.copy_array_to_vector(np.roll(ids, 1), index.id_map)
    faiss.write_index(index, str(path))
    rewrite_checksum(path)


def rewrite_checksum(path: Path) -> None:
    sidecar = json.loads(sidecar_path(path).read_text())
    sidecar["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    sidecar_path(path).write_text(json.dumps(sidecar))


def foreign_ids(path: Path) -> None:
    index: Any = faiss.read_index(str(path))
    faiss.copy_array_to_vector(faiss.vector_to_array(index.id_map) + 1, index.id_map)
    faiss.write_index(index, str(path))
    rewrite_checksum(path)


def delete_sidecar(path: Path) -> None:
    sidecar_path(path).unlink()


def spoil_sidecar(path: Path) -> None:
    sidecar_path(path).write_text('{"sha256": 1')


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (Path.unlink, "got another or none; rebuild it"),
        (flip_a_byte, "expected .*index.faiss with sha256 [0-9a-f]{64}, got another"),
        (tear, "got another or none; rebuild it"),
        (foreign_ids, "expected 400 ids in .*, got 400 or others; rebuild it"),
        (delete_sidecar, "expected .*index.faiss.json to describe the index, got .*No such file"),
        (spoil_sidecar, "expected .*index.faiss.json to describe the index, got Expecting"),
    ],
)
def test_a_damaged_file_is_refused(damage: Callable[[Path], object], said: str, tmp_path: Path) -> None:
    path = tmp_path / "index.faiss"
    filled("exact").save(path)
    damage(path)
    with pytest.raises(IndexDamaged, match=said):
        VectorStore.load(path)
