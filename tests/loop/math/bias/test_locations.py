"""Recall that differs from place to place, with bounds that hold together."""

from __future__ import annotations

import numpy as np

from loop.base.arrays import Ints
from loop.math.bias.locations import recall_by_location

PLACES = 4


def drawn(seed: int, here: float, days: int = 12) -> tuple[Ints, Ints, Ints]:
    """Camera-days of four places; recall .8 everywhere but at place 0, with days that differ."""
    rng = np.random.default_rng(seed)
    location = np.repeat(np.arange(PLACES), days)
    objects = rng.poisson(10, len(location)) + 1
    recall = np.where(location == 0, here, 0.8)
    own = rng.beta(8 * recall, 8 * (1 - recall))
    return rng.binomial(objects, own), objects, location


def test_the_place_where_less_is_found_comes_first() -> None:
    shown = 0
    for seed in range(20):
        rows = recall_by_location(*drawn(seed, 0.45), seed=seed)
        assert rows[0].location == 0
        shown += rows[0].shown
    assert shown >= 18


def test_bounds_hold_for_all_places_together() -> None:
    held = 0
    for seed in range(200):
        rows = recall_by_location(*drawn(seed, 0.8), seed=seed)
        held += all(row.bounds is not None and row.bounds[0] <= 0 <= row.bounds[1] for row in rows)
    assert held / 200 >= 0.93


def test_bounds_of_many_places_and_of_few_days_hold_together() -> None:
    held = 0
    for seed in range(150):
        rng = np.random.default_rng([seed, 5])
        location = np.repeat(np.arange(12), 8)
        objects = rng.poisson(8, len(location)) + 1
        found = rng.binomial(objects, rng.beta(4.8, 1.2, len(location)))
        rows = recall_by_location(found, objects, location, seed=seed)
        held += all(row.bounds is not None and row.bounds[0] <= 0 <= row.bounds[1] for row in rows)
    assert held / 150 >= 0.92


def test_a_place_of_few_days_is_told_without_bounds() -> None:
    found, objects, location = drawn(0, 0.8)
    kept = (location != 0) | (np.arange(len(location)) < 4)
    rows = recall_by_location(found[kept], objects[kept], location[kept], seed=0)
    few = next(row for row in rows if row.location == 0)
    assert few.bounds is None
    assert not few.shown
    assert few.groups == 4
    assert few.objects == objects[:4].sum()


def test_days_without_objects_say_nothing() -> None:
    found, objects, location = drawn(0, 0.8)
    objects[:2] = found[:2] = 0
    (row,) = [one for one in recall_by_location(found, objects, location, seed=0) if one.location == 0]
    assert row.groups == 10
    assert recall_by_location(found[:0], objects[:0], location[:0], seed=0) == []
