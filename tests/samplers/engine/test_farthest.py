from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samplers import STRATEGIES, Pool, PoolError
from samplers.engine.farthest import Farthest
from samplers.geometry.approximate_distance import Probe
from samplers.geometry.distances import nearest_distance
from samplers.strategies.discovery import DISCOVERY
from samplers.strategies.diversity import K_CENTER, k_center_rows
from tests.samplers import plain

RNG = np.random.default_rng


def unit(vectors: Any) -> np.ndarray:
    rows = np.asarray(vectors, dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def clustered(rng: np.random.Generator, size: int, modes: int, width: int = 8) -> np.ndarray:
    return unit(
        rng.normal(size=(modes, width))[rng.integers(0, modes, size)] + 0.2 * rng.normal(size=(size, width))
    )


def test_on_a_line() -> None:
    line = np.array([[0], [1], [2], [10]], dtype=np.float32)
    component = Farthest(K_CENTER, line, line[:1], np.array([1, 2, 3]), RNG(0))
    still_open = np.ones(4, dtype=bool)
    picks = []
    for _ in range(2):
        row, distance = component.propose(still_open) or (-1, -1.0)
        picks.append((row, distance))
        still_open[row] = False
        component.observe(row)
    assert picks == [(3, 10.0), (2, 2.0)]


@given(
    seed=st.integers(0, 999),
    size=st.integers(2, 120),
    labeled=st.integers(1, 6),
    modes=st.sampled_from([1, 3, 40]),
    buffer_rows=st.sampled_from([1, 2, 7, 200]),
)
@settings(max_examples=80, deadline=None)
def test_equals_the_plain_loop_whatever_the_buffer(
    seed: int, size: int, labeled: int, modes: int, buffer_rows: int
) -> None:
    rng = RNG(seed)
    points, known = clustered(rng, size, modes), clustered(rng, labeled, modes)
    rows, gains = k_center_rows(points, size // 2, rng, known, buffer_rows=buffer_rows)
    had, farthest = plain.distances(points, rows.tolist(), known)
    np.testing.assert_allclose(np.square(had), np.square(farthest), atol=2e-6)
    np.testing.assert_allclose(gains, had, atol=2e-3)
    assert len(set(rows.tolist())) == size // 2


def test_equal_rows_go_to_the_lowest_whatever_the_buffer() -> None:
    points = np.repeat(np.eye(4, dtype=np.float32), 30, axis=0)
    for buffer_rows in (1, 5, 29, 120):
        rows, gains = k_center_rows(points, 4, RNG(0), points[:1], buffer_rows=buffer_rows)
        assert rows[:3].tolist() == [30, 60, 90]
        np.testing.assert_allclose(gains, [2**0.5] * 3 + [0], atol=1e-3)


def test_continues_from_many_labeled_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = RNG(3)
    points, known = clustered(rng, 900, 60), clustered(rng, 400, 40)
    expected, _ = plain.k_center(points, 60, known)
    monkeypatch.setattr("samplers.geometry.approximate_distance.MANY_CENTERS", 10)
    assert k_center_rows(points, 60, rng, known)[0].tolist() == expected


def test_the_probe_never_promises_too_little() -> None:
    rng = RNG(0)
    points, centers = clustered(rng, 500, 20), clustered(rng, 300, 20)
    near, exact = np.sqrt(Probe(centers).squared_distance(points)), nearest_distance(points, centers)
    assert (near >= exact - 1e-6).all()
    assert (near == pytest.approx(exact)) or np.median(near - exact) < 0.05
    np.testing.assert_allclose(
        Probe(np.tile(points[:1], (9, 1))).squared_distance(points[:1]), [0], atol=1e-6
    )


def test_rows_taken_by_others_are_stayed_away_from() -> None:
    rng = RNG(1)
    points, known = clustered(rng, 300, 30), clustered(rng, 3, 3)
    component = Farthest(DISCOVERY, points, known, np.arange(100, 300), rng, buffer_rows=20)
    still_open = np.ones(300, dtype=bool)
    for taken in (5, 120, 250):
        component.propose(still_open)
        component.observe(taken)
        still_open[taken] = False
    expected, _ = plain.k_center(points[100:], 1, np.concatenate([known, points[[5, 120, 250]]]))
    assert (component.propose(still_open) or (-1, 0))[0] == expected[0] + 100


def test_closed_rows_are_passed_over_and_can_be_opened_again() -> None:
    points = unit(RNG(2).normal(size=(60, 4)))
    component = Farthest(K_CENTER, points, points[:1], np.arange(60), RNG(0), buffer_rows=5)
    best = component.propose(np.ones(60, dtype=bool))
    assert best is not None
    few = np.zeros(60, dtype=bool)
    few[[3, 4]] = True
    assert (component.propose(few) or (-1, 0))[0] in (3, 4)
    assert component.propose(np.zeros(60, dtype=bool)) is None
    component.reopen()
    assert component.propose(np.ones(60, dtype=bool)) == best


def test_the_first_of_nothing_labeled_is_drawn() -> None:
    points = np.eye(30, dtype=np.float32)
    firsts = {int(STRATEGIES["k_center"](Pool.of(points), 1, RNG(seed)).indices[0]) for seed in range(30)}
    assert len(firsts) > 10


def test_a_float16_memory_map_gives_the_same_picks(tmp_path: Path) -> None:
    points = clustered(RNG(4), 2000, 80, width=32).astype(np.float16)
    path = tmp_path / "rows.f16"
    points.tofile(path)
    mapped = np.memmap(path, dtype=np.float16, mode="r", shape=points.shape)
    rows, gains = k_center_rows(mapped, 50, RNG(0), points[:1].astype(np.float32), buffer_rows=64)
    expected, radii = plain.k_center(points.astype(np.float32), 50, points[:1])
    assert rows.tolist() == expected
    np.testing.assert_allclose(gains, radii, atol=1e-3)


def test_a_broken_row_of_the_map_is_named() -> None:
    points = np.eye(40, dtype=np.float16)
    points[17, 3] = np.nan
    with pytest.raises(PoolError, match="embeddings: expected finite numbers, got others in row 17"):
        k_center_rows(points, 3, RNG(0), buffer_rows=8)
    with pytest.raises(ValueError, match="budget: expected 0 or more frames, got -1"):
        k_center_rows(points, -1, RNG(0))
