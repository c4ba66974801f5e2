"""Neighbors that follow the training set are those of a search from nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from db import neighbors
from db.neighbors import FAR, NONE, Found, NearestFrames
from db.vectors import VectorStore
from tests.db.world import unit_vectors

Ids = NDArray[np.int64]
DIM = 6
K = 4


class World:
    """Vectors of 400 frames; counts the frames that are searched for in the whole training set."""

    def __init__(self, folder: Path, vectors: NDArray[np.float32] | None = None) -> None:
        self.folder = folder
        self.vectors = unit_vectors(400, DIM) if vectors is None else vectors
        self.opened = 0
        self.made = "one"

    def of(self, frames: Sequence[int], training: Sequence[int], k: int = K) -> Found:
        return self.nearest(training, k).of(np.array(frames, np.int64))

    def nearest(self, training: Sequence[int], k: int = K) -> NearestFrames:
        ids = np.array(training, np.int64)

        def index() -> VectorStore:
            self.opened += 1
            store = VectorStore(self.vectors.shape[1], producer=1)
            store.add(ids, self.vectors[ids])
            return store

        return NearestFrames(self.folder, k, ids, lambda seqs: self.vectors[seqs], index, self.made)

    def assert_agrees(self, frames: Sequence[int], training: Sequence[int], k: int = K) -> Found:
        """With every pair, looked at one by one."""
        found = self.of(frames, training, k)
        ids = np.array(training, np.int64)
        every = self.vectors[list(frames)].astype(np.float64) @ self.vectors[ids].T.astype(np.float64)
        order = np.argsort(-every, axis=1, kind="stable")[:, :k]
        best, lacking = np.take_along_axis(every, order, axis=1), k - order.shape[1]
        similarity = np.pad(best, ((0, 0), (0, lacking)), constant_values=FAR)
        np.testing.assert_allclose(found.similarity, similarity, atol=1e-6)
        np.testing.assert_array_equal((found.rows == NONE).sum(axis=1), lacking)
        shown = np.take_along_axis(np.pad(every, ((0, 0), (0, 1)), constant_values=FAR), found.rows, axis=1)
        np.testing.assert_allclose(shown, similarity, atol=1e-6)
        ordered = np.sort(found.rows, axis=1)
        assert ((np.diff(ordered, axis=1) > 0) | (ordered[:, 1:] == NONE)).all()
        return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "views" / "nearest-1")


@pytest.mark.parametrize("seed", range(12))
def test_whatever_enters_and_leaves_they_are_those_of_a_search(
    world: World, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(seed)
    monkeypatch.setattr(neighbors, "BLOCK", 16)
    monkeypatch.setattr(neighbors, "KEPT_AT_ONCE", 2)
    if seed % 3 == 2:  # many frames are alike to the bit
        world.vectors = world.vectors[rng.integers(0, 12, 400)]
    frames, training = set(range(0, 400, 7)), set(rng.integers(0, 400, 1 + seed % 5).tolist())
    for _ in range(8):
        world.assert_agrees(sorted(frames), sorted(training))
        if rng.random() < 0.7:
            training |= set(rng.integers(0, 400, rng.integers(0, 9)).tolist())
        if rng.random() < 0.6:
            training -= set(rng.permutation(sorted(training))[: rng.integers(0, 6)].tolist())
        training = training or {int(rng.integers(0, 400))}
        if rng.random() < 0.6:
            frames |= set(rng.integers(0, 400, rng.integers(0, 30)).tolist())
        if rng.random() < 0.2:
            frames -= set(sorted(frames)[: len(frames) // 3])


def test_of_the_training_frames_themselves(world: World) -> None:
    training = list(range(0, 60, 3))
    found = world.assert_agrees(training, training)
    assert found.rows[:, 0].tolist() == list(range(20))
    for own in ([*training, 70, 71], [*training[5:], 70]):
        world.assert_agrees(own, own)


def test_fewer_training_frames_than_are_wanted(world: World) -> None:
    for training in ([5], [5, 9], [9], [1, 2, 9], list(range(9)), [3]):
        world.assert_agrees(range(100, 130), training)


def test_of_no_frame_and_of_no_training_frame(world: World) -> None:
    assert world.of([], [1, 2]).rows.shape == (0, K)
    world.assert_agrees([5, 6], [1, 2])
    assert (world.of([5, 6], []).rows == NONE).all()
    world.assert_agrees([5, 6], [1, 3])


def test_the_opposite_of_a_frame_is_nearer_than_none(tmp_path: Path) -> None:
    """Its similarity is that of nothing at all."""
    vectors = np.array([[1, 0], [0, 1], [-1, 0]], np.float32)
    world = World(tmp_path / "nearest-1", vectors)
    assert world.of([0], [1], k=2).rows.tolist() == [[0, NONE]]
    assert world.of([0], [1, 2], k=2).rows.tolist() == [[0, 1]]


def test_only_what_changed_is_searched_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    frames, training = list(range(100, 200)), list(range(50))
    first = world.assert_agrees(frames, training)
    assert world.opened == 1
    world.assert_agrees(frames, training)
    world.assert_agrees(frames, [*training, 60, 61])
    world.assert_agrees(frames[:30], [*training, 60, 61])
    assert world.opened == 1
    asked: list[int] = []
    search = NearestFrames._search

    def counted(self: NearestFrames, store: VectorStore, wanted: Ids) -> Found:
        asked.append(len(wanted))
        return search(self, store, wanted)

    monkeypatch.setattr(NearestFrames, "_search", counted)
    world.assert_agrees(frames, [*training[1:], 60, 61])
    assert sum(asked) == (first.rows == 0).any(axis=1).sum() < 40
    asked.clear()
    world.assert_agrees([*frames, 300], [*training[1:], 60, 61])
    assert asked == [1]


def test_frames_that_come_in_with_lower_ids(world: World) -> None:
    world.assert_agrees(range(200, 210), range(20))
    world.assert_agrees([*range(150, 155), *range(200, 212)], range(20))
    world.assert_agrees([150, 203, 211], range(21))


def test_another_number_of_neighbors(world: World) -> None:
    for k in (3, 5, 3):
        assert world.assert_agrees(range(200, 210), range(20), k).rows.shape == (10, k)


def test_other_vectors_of_the_same_frames(world: World) -> None:
    """A database that was restored, or took the place of another."""
    world.assert_agrees(range(200, 210), range(20))
    world.vectors, world.made = unit_vectors(400, DIM, seed=9), "another"
    world.assert_agrees(range(200, 210), range(20))


def test_what_was_handed_out_stays(world: World) -> None:
    found = world.of(range(200, 260), range(20))
    before = found.similarity.copy(), found.rows.copy()
    world.assert_agrees(range(200, 300), range(5, 40))
    world.vectors, world.made = unit_vectors(400, DIM, seed=9), "another"
    world.assert_agrees(range(200, 300), range(5, 40))
    shutil.rmtree(world.folder)
    np.testing.assert_array_equal(found.similarity, before[0])
    np.testing.assert_array_equal(found.rows, before[1])


@pytest.mark.parametrize("training", [range(30), range(3, 20), range(3, 30)])
@pytest.mark.parametrize("step", range(1, 12, 2))
def test_stopped_anywhere_it_begins_again(
    world: World, monkeypatch: pytest.MonkeyPatch, step: int, training: range
) -> None:
    world.assert_agrees(range(100, 160), range(20))
    calls = iter(range(1, 99))
    sync = os.fsync

    def full(number: int) -> None:
        if next(calls) == step:
            raise OSError(28, "No space left on device")
        sync(number)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        try:
            world.of(range(100, 170), training)
        except OSError:
            pass
        else:
            assert next(calls) < step
    world.assert_agrees(range(100, 170), training)


def test_a_damaged_view_is_searched_for_again(world: World) -> None:
    for damage in ("near", "training", "rows.json"):
        world.assert_agrees(range(100, 160), range(20))
        os.truncate(world.folder / damage, 12)
        world.assert_agrees(range(100, 160), range(22))


def test_two_that_search_at_once(world: World) -> None:
    sides = [(range(100, 150 + each), range(20 + each % 3)) for each in range(12)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda side: world.of(*side), sides))
    for (frames, training), each in zip(sides, found, strict=True):
        again = World(world.folder.with_name("alone-1")).assert_agrees(frames, training)
        np.testing.assert_array_equal(each.rows, again.rows)
