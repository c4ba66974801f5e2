"""The index as a view of the database: whatever happens to the file, the answers are those of the
stored vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import Engine

from db.analysis import load_embeddings, producer_id, record_embeddings
from db.engine import read, write
from db.errors import StateError
from db.index import open_index, update_index
from db.vectors import VectorStore, sidecar_path
from tests.db.test_vectors import (
    delete_sidecar,
    flip_a_byte,
    foreign_ids,
    permute_ids,
    spoil_sidecar,
    tear,
)
from tests.db.world import add_frames, unit_vectors

DIM = 12
QUERIES = unit_vectors(25, DIM, seed=77)


@pytest.fixture
def clip(lite: Engine) -> int:
    with write(lite) as session:
        clip = producer_id(session, "embedder", "clip-a", {"dim": DIM})
    embed(lite, clip, 0, 300)
    return clip


def embed(engine: Engine, clip: int, start: int, count: int) -> list[int]:
    with write(engine) as session:
        seqs = add_frames(session, count, start)
        record_embeddings(session, clip, seqs, unit_vectors(count, DIM, seed=start))
    return seqs


def brute_force(engine: Engine, clip: int, k: int = 10) -> NDArray[np.int64]:
    with read(engine) as session:
        ids, vectors = load_embeddings(session, clip)
    return ids[np.argsort(-(QUERIES @ vectors.T), axis=1, kind="stable")[:, :k]]


def assert_true_to_the_database(store: VectorStore, engine: Engine, clip: int) -> None:
    np.testing.assert_array_equal(store.search(QUERIES, 10)[1], brute_force(engine, clip))


def file_times(path: Path) -> tuple[int, int]:
    return path.stat().st_mtime_ns, sidecar_path(path).stat().st_mtime_ns


@pytest.fixture
def rebuilt(caplog: pytest.LogCaptureFixture) -> Callable[[], bool]:
    return lambda: "the vector index is made anew from the database" in caplog.text


def delete(path: Path) -> None:
    path.unlink()
    sidecar_path(path).unlink()


def test_a_whole_file_is_loaded_and_left_alone(
    lite: Engine, clip: int, tmp_path: Path, rebuilt: Callable[[], bool]
) -> None:
    path = tmp_path / "views" / "index.faiss"
    assert_true_to_the_database(open_index(lite, clip, path), lite, clip)
    before = file_times(path)
    assert_true_to_the_database(open_index(lite, clip, path), lite, clip)
    assert file_times(path) == before
    assert not rebuilt()


@pytest.mark.parametrize(
    "damage", [Path.unlink, flip_a_byte, tear, permute_ids, foreign_ids, delete_sidecar, spoil_sidecar]
)
def test_a_damaged_file_is_detected_and_rebuilt(
    lite: Engine,
    clip: int,
    tmp_path: Path,
    rebuilt: Callable[[], bool],
    damage: Callable[[Path], object],
) -> None:
    path = tmp_path / "index.faiss"
    open_index(lite, clip, path)
    damage(path)
    assert_true_to_the_database(open_index(lite, clip, path, chunk=64), lite, clip)
    assert rebuilt()
    assert_true_to_the_database(VectorStore.load(path), lite, clip)


def test_the_permuted_file_would_have_answered_wrongly(lite: Engine, clip: int, tmp_path: Path) -> None:
    path = tmp_path / "index.faiss"
    open_index(lite, clip, path)
    permute_ids(path)
    wrong = VectorStore.load(path).search(QUERIES, 10)[1]
    assert (wrong != brute_force(lite, clip)).mean() > 0.9


def test_a_deleted_file_is_made_again(lite: Engine, clip: int, tmp_path: Path) -> None:
    path = tmp_path / "index.faiss"
    open_index(lite, clip, path)
    delete(path)
    assert_true_to_the_database(open_index(lite, clip, path), lite, clip)
    assert path.exists()


def test_new_rows_are_added_without_a_rebuild(
    lite: Engine, clip: int, tmp_path: Path, rebuilt: Callable[[], bool]
) -> None:
    path = tmp_path / "index.faiss"
    open_index(lite, clip, path)
    embed(lite, clip, 300, 100)
    store = open_index(lite, clip, path, chunk=30)
    assert len(store) == 400
    assert_true_to_the_database(store, lite, clip)
    assert len(VectorStore.load(path)) == 400
    assert not rebuilt()


def test_an_open_index_follows_the_database(lite: Engine, clip: int, tmp_path: Path) -> None:
    store = open_index(lite, clip, tmp_path / "index.faiss")
    assert not update_index(lite, store)
    embed(lite, clip, 300, 100)
    assert update_index(lite, store)
    assert_true_to_the_database(store, lite, clip)
    assert update_index(lite, store, subset=[3, 1, 999_999])
    assert store.ids.tolist() == [1, 3]


def test_ids_that_are_not_wanted_any_more_are_removed(
    lite: Engine, clip: int, tmp_path: Path, rebuilt: Callable[[], bool]
) -> None:
    path = tmp_path / "index.faiss"
    open_index(lite, clip, path)
    store = open_index(lite, clip, path, subset=range(1, 201))
    assert store.ids.tolist() == list(range(1, 201))
    assert store.search(QUERIES, 300)[1].max() == 200
    assert not rebuilt()


def test_another_producers_vectors_are_never_searched(
    lite: Engine, clip: int, tmp_path: Path, rebuilt: Callable[[], bool]
) -> None:
    path = tmp_path / "index.faiss"
    open_index(lite, clip, path)
    with write(lite) as session:
        newer = producer_id(session, "embedder", "clip-b", {"dim": DIM})
        record_embeddings(session, newer, range(1, 41), unit_vectors(40, DIM, seed=5))
    store = open_index(lite, newer, path)
    assert (store.producer, len(store)) == (newer, 40)
    assert_true_to_the_database(store, lite, newer)
    assert rebuilt()


def test_an_index_becomes_approximate_above_the_limit_and_exact_below(
    lite: Engine, clip: int, tmp_path: Path
) -> None:
    path = tmp_path / "index.faiss"
    assert open_index(lite, clip, path, exact_limit=300).kind == "exact"
    for _ in range(2):
        store = open_index(lite, clip, path, exact_limit=299)
        assert (store.kind, len(store)) == ("ivf", 300)
        found = store.search(QUERIES, 10)[1]
        assert (
            np.mean([np.isin(*pair).mean() for pair in zip(found, brute_force(lite, clip), strict=True)])
            > 0.9
        )
    assert_true_to_the_database(open_index(lite, clip, path, exact_limit=300), lite, clip)


def test_a_permuted_approximate_file_is_detected_too(
    lite: Engine, clip: int, tmp_path: Path, rebuilt: Callable[[], bool]
) -> None:
    path = tmp_path / "index.faiss"
    right = open_index(lite, clip, path, exact_limit=100)
    wrong = VectorStore(DIM, clip, "ivf", 300)
    with read(lite) as session:
        ids, vectors = load_embeddings(session, clip)
    wrong.train(vectors)
    wrong.add(np.roll(ids, 1), vectors)
    wrong.save(path)
    store = open_index(lite, clip, path, exact_limit=100)
    np.testing.assert_array_equal(store.search(QUERIES, 10)[1], right.search(QUERIES, 10)[1])
    assert rebuilt()


def test_an_index_may_start_empty(lite: Engine, tmp_path: Path) -> None:
    path = tmp_path / "index.faiss"
    with write(lite) as session:
        clip = producer_id(session, "embedder", "clip-a", {"dim": DIM})
        vague = producer_id(session, "embedder", "clip-b")
    assert len(open_index(lite, clip, path)) == 0
    assert (open_index(lite, clip, path).search(QUERIES, 3)[1] == -1).all()
    embed(lite, clip, 0, 50)
    assert_true_to_the_database(open_index(lite, clip, path), lite, clip)
    with pytest.raises(
        StateError, match=f"expected stored vectors or a dim of producer {vague}, got neither"
    ):
        open_index(lite, vague, path)
    with pytest.raises(StateError, match="expected a producer, got the unknown id 99"):
        open_index(lite, 99, path)
