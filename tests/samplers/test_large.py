"""What holds of a million rows, shown on some thousand: memory, rows read, equal rows, and who is a
candidate.
"""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samplers import Pool
from samplers.engine.covering import Cells
from samplers.geometry.approximate_distance import covered_distance
from samplers.geometry.distances import nearest_distance
from samplers.geometry.identical_rows import Candidates
from samplers.strategies.diversity import k_center, k_center_rows
from samplers.strategies.herding import HerdingSettings, herding
from samplers.strategies.hybrid import hybrid
from tests.samplers import plain

RNG = np.random.default_rng


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def scenes(seed: int, size: int, modes: int = 60, width: int = 32) -> np.ndarray:
    rng = RNG(seed)
    middles = unit(RNG(0).normal(size=(modes, width)))
    return unit(middles[rng.integers(0, modes, size)] + 0.12 * rng.normal(size=(size, width)))


class Counted(np.ndarray):
    """Rows that know how many of them were read."""

    read = 0

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        Counted.read += len(found) if found.ndim == 2 else 1
        return found.view(np.ndarray)


def rows_read(size: int, k: int) -> int:
    Counted.read = 0
    points = scenes(1, size).view(Counted)
    k_center_rows(points, k, RNG(0), points[:1].view(np.ndarray))
    return Counted.read


def test_rows_read_grow_no_faster_than_the_pool() -> None:
    few, twice, four_times = (rows_read(size, 100) for size in (8_000, 16_000, 32_000))
    assert few < 8_000 * 6, "a plain loop reads 100 times as many as there are"
    assert twice < 2.2 * few
    assert four_times < 2.2 * twice


def test_a_memory_map_is_read_within_the_memory_of_the_buffer(tmp_path: Path) -> None:
    points = scenes(2, 30_000, width=64).astype(np.float16)
    np.save(tmp_path / "rows.npy", points)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    first = points[:1].astype(np.float32)
    tracemalloc.start()
    rows, _ = k_center_rows(mapped, 60, RNG(0), first, buffer_rows=500)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    in_memory, _ = k_center_rows(points.astype(np.float32), 60, RNG(0), first)
    assert rows.tolist() == in_memory.tolist()
    assert most < 50 * len(points) + 4 * 500 * 64 * 4 + 1_000_000, (
        "bytes for a row, buffers, and what is fixed"
    )
    assert most < 0.7 * points.nbytes


def test_in_memory_it_takes_a_tenth_of_the_matrix() -> None:
    points = scenes(3, 20_000, width=512)
    tracemalloc.start()
    k_center_rows(points, 30, RNG(0), points[:1], buffer_rows=200)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 0.1 * points.nbytes


def test_equal_rows_are_one_until_that_is_chosen() -> None:
    few = scenes(4, 60)
    points = few[RNG(4).permutation(np.repeat(np.arange(60), 100))]
    rows, gains = k_center_rows(points, 70, RNG(0), points[:1])
    expected, radii = plain.k_center(points, 59, points[:1])
    assert rows[:59].tolist() == expected
    np.testing.assert_allclose(gains[:59], radii, atol=2e-3)
    np.testing.assert_allclose(gains[59:], 0, atol=2e-3)
    assert len(set(rows.tolist())) == 70


def test_a_closed_row_leaves_its_equals_open() -> None:
    points = np.repeat(np.eye(2, dtype=np.float32), 3000, axis=0)
    copies = np.arange(6000) % 3000
    pool = Pool.of(
        points, labeled=points[:1], excluded=(np.arange(6000) >= 3000) & (copies < 10), cluster=None
    )
    assert k_center(pool, 1, RNG(0)).indices.tolist() == [3010]
    candidates = Candidates(np.arange(1, 6000), 6000)
    candidates.merge(lambda rows: points[rows])
    assert len(candidates) == 2
    assert candidates.rows(np.array([0, 1])).tolist() == [1, 3000]
    still = np.arange(6000) >= 3005
    assert candidates.open(still).tolist() == [False, True]
    assert candidates.still_open(still, np.array([1, 0])).tolist() == [True, False]
    assert candidates.first_open(still, 1) == 3005


def test_near_rows_that_are_not_equal_stay_apart() -> None:
    points = np.repeat(scenes(5, 50), 100, axis=0)
    points[::100, 0] = np.nextafter(points[::100, 0], np.float32(2))
    candidates = Candidates(None, 5000)
    candidates.merge(lambda rows: points[rows])
    assert 100 <= len(candidates) < 5000
    for place in range(len(candidates)):
        equal = points[candidates._copies.of(place)]  # type: ignore[union-attr]
        assert (equal == equal[0]).all()


def test_probed_distances_are_never_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    points, centers = scenes(6, 3000), scenes(7, 900)
    exact = nearest_distance(points, centers)
    monkeypatch.setattr("samplers.geometry.approximate_distance.MANY_CENTERS", 100)
    probed = covered_distance(points, centers)
    assert (probed >= exact - 1e-3).all()
    assert np.median(probed / exact) < 1.1


def test_what_is_labeled_is_compared_with_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Novelty, discovery and herding share the distances."""
    asked: list[int] = []

    def counted(points: np.ndarray, centers: np.ndarray) -> np.ndarray:
        asked.append(len(points))
        return covered_distance(points, centers)

    monkeypatch.setattr("samplers.pool.covered_distance", counted)
    hybrid(Pool.of(scenes(8, 5000), labeled=scenes(9, 200)), 20, RNG(0))
    assert asked == [5000]


def test_few_candidates_cover_nearly_as_much() -> None:
    pool = Pool.of(scenes(10, 6000))
    whole, thinned = (
        herding(pool, 60, RNG(0), HerdingSettings(scale=0.6, cells=cells)).indices
        for cells in (Cells(), Cells(most_rows=600))
    )
    everything = np.ones(6000)
    best = plain.coverage(pool.embeddings, everything, pool.embeddings[whole], 0.6)
    assert plain.coverage(pool.embeddings, everything, pool.embeddings[thinned], 0.6) > 0.97 * best


def test_when_candidates_run_out_the_others_follow() -> None:
    pool = Pool.of(scenes(11, 4200), sequence=np.arange(4200) // 700, max_per_sequence=2)
    chosen = herding(pool, 50, RNG(0), HerdingSettings(cells=Cells(most_rows=1)))
    assert len(chosen) == 12
    assert len(np.unique(chosen.indices)) == 12


def test_what_is_drawn_at_random_when_candidates_run_out_is_not_said_to_stand_for_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ten sequences of 20 rows, one row of each may be chosen, and not every one is among the ten
    candidates.
    """
    monkeypatch.setattr("samplers.engine.covering.ROWS_PER_PICK", 1)
    pool = Pool.of(scenes(12, 200), sequence=np.arange(200) // 20, max_per_sequence=1)
    chosen = herding(pool, 10, RNG(0), HerdingSettings(cells=Cells(most_rows=1, neighbors=1)))
    herded = int((chosen.component == "herding").sum())
    assert 0 < herded < 10
    assert chosen.component.tolist() == ["herding"] * herded + ["left_over"] * (10 - herded)
    assert not chosen.gains[herded:].any()
