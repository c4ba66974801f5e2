from __future__ import annotations

import numpy as np

from samplers import Pool
from samplers.strategies.discovery import discovery_component


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def pool_with(strays: int) -> Pool:
    """380 frames like the training set, 20 of a place nobody named, and frames that resemble
    nothing at all.
    """
    rng = np.random.default_rng(1)
    usual = np.eye(1, 24) + 0.1 * rng.normal(size=(380, 24))
    place = np.eye(2, 24)[1:] + 0.1 * rng.normal(size=(20, 24))
    rows = unit(np.concatenate([usual, place, rng.normal(size=(strays, 24)) * [0, 0, *[1] * 22]]))
    return Pool.of(rows, labeled=unit(np.eye(1, 24)))


def picks(pool: Pool, k: int) -> list[int]:
    component = discovery_component(pool, np.random.default_rng(0), 1.0)
    open_rows = ~pool.excluded
    found = []
    while len(found) < k and (proposal := component.propose(open_rows)) is not None:
        found.append(proposal[0])
        open_rows[proposal[0]] = False
        component.observe(proposal[0])
    return found


def test_a_new_place_is_found_and_a_stray_picture_is_passed_over() -> None:
    first = picks(pool_with(strays=1), 3)
    assert 400 not in first
    assert 380 <= first[0] < 400


def test_it_ends_when_nothing_novel_is_left() -> None:
    pool = Pool.of(unit(np.eye(5)), novelty=[1, 1, 0, 0, 0], novel_above=0.5)
    assert sorted(picks(pool, 5)) == [0, 1]
    assert picks(Pool.of(unit(np.eye(1))), 3) == []
