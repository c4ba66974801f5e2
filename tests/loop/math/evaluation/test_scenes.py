"""Images without place or time are grouped by what they show."""

from __future__ import annotations

import numpy as np

from loop.math.evaluation.scenes import scenes


def test_images_of_one_place_are_one_group() -> None:
    rng = np.random.default_rng(0)
    place = np.repeat(np.arange(8), 8)
    centers = rng.normal(size=(8, 32))
    vectors = (centers[place] + 0.05 * rng.normal(size=(64, 32))).astype(np.float32)
    found = scenes(vectors, np.arange(64))
    assert len(np.unique(found)) == 8
    assert all(len(np.unique(found[place == each])) == 1 for each in range(8))
    np.testing.assert_array_equal(found, scenes(vectors, np.arange(64)))


def test_images_that_resemble_nothing_are_not_each_a_group() -> None:
    vectors = np.random.default_rng(1).normal(size=(100, 64)).astype(np.float32)
    assert len(np.unique(scenes(vectors, np.arange(100)))) == 10


def test_near_duplicates_stay_together_however_far_they_chain() -> None:
    vectors = np.random.default_rng(2).normal(size=(60, 16)).astype(np.float32)
    alike = np.arange(60) % 20
    found = scenes(vectors, alike)
    assert all(len(np.unique(found[alike == each])) == 1 for each in range(20))
    assert len(np.unique(scenes(vectors, np.zeros(60, dtype=np.int64)))) == 1


def test_few_images_and_equal_ones() -> None:
    assert scenes(np.zeros((0, 4), dtype=np.float32), np.zeros(0, dtype=np.int64)).tolist() == []
    one = np.ones((1, 4), dtype=np.float32)
    assert scenes(one, np.zeros(1, dtype=np.int64)).tolist() == [0]
    assert len(np.unique(scenes(np.repeat(one, 9, axis=0), np.arange(9)))) == 1
