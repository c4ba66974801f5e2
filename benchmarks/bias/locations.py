"""Recall from place to place: do the bounds of all places hold together?"""

from __future__ import annotations

from typing import Any

import numpy as np

from loop.base.arrays import Ints
from loop.math.bias.locations import recall_by_location

RECALL, LESS = 0.8, 0.5
BOUNDS = ((5, 6), (5, 10), (5, 30), (12, 10))
"""Places, and days of each."""


def bounds_hold(case: tuple[int, int], worlds: int) -> list[dict[str, Any]]:
    """Of worlds with so many places and days of each: in how many all bounds hold where places are alike, and
    in how many the place that is worse is shown.
    """
    places, days = case
    held = kept = shown = 0
    apart = np.array([LESS - RECALL, *[(RECALL - LESS) / (places - 1)] * (places - 1)])
    for seed in range(worlds):
        alike = recall_by_location(*drawn(places, days, RECALL, seed), seed=seed)
        held += all(row.bounds is None or row.bounds[0] <= 0 <= row.bounds[1] for row in alike)
        worse = recall_by_location(*drawn(places, days, LESS, seed), seed=seed)
        kept += all(
            row.bounds is None or row.bounds[0] <= apart[row.location] <= row.bounds[1] for row in worse
        )
        shown += next(row for row in worse if row.location == 0).shown
    rates = {"held": held / worlds, "held_apart": kept / worlds, "shown": shown / worlds}
    return [{"places": places, "days": days, "worlds": worlds, **rates}]


def drawn(places: int, days: int, here: float, seed: int) -> tuple[Ints, Ints, Ints]:
    """Objects found and objects of each camera-day, and its place; days of a place differ."""
    rng = np.random.default_rng([seed, 31])
    location = np.repeat(np.arange(places), days)
    objects = rng.poisson(8, len(location)) + 1
    recall = np.where(location == 0, here, RECALL)
    own = rng.beta(6 * recall, 6 * (1 - recall))
    return rng.binomial(objects, own), objects, location
