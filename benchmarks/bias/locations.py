"""Recall from place to place: do the bounds of all places hold together?"""

from __future__ import annotations

from typing import Any

import numpy as np

from loop.base.arrays import Ints
from loop.math.bias.locations import recall_by_location

PLACES = 5
RECALL, LESS = 0.8, 0.5
DAYS = (6, 10, 30)


def bounds_hold(days: int, worlds: int) -> list[dict[str, Any]]:
    """Of worlds with so many days of each place: in how many all bounds hold where places are alike, and
    in how many the place that is worse is shown.
    """
    held = shown = 0
    for seed in range(worlds):
        alike = recall_by_location(*drawn(days, RECALL, seed), seed=seed)
        held += all(row.bounds is None or row.bounds[0] <= 0 <= row.bounds[1] for row in alike)
        worse = recall_by_location(*drawn(days, LESS, seed), seed=seed)
        shown += next(row for row in worse if row.location == 0).shown
    return [{"days": days, "worlds": worlds, "held": held / worlds, "shown": shown / worlds}]


def drawn(days: int, here: float, seed: int) -> tuple[Ints, Ints, Ints]:
    """Objects found and objects of each camera-day, and its place; days of a place differ."""
    rng = np.random.default_rng([seed, 31])
    location = np.repeat(np.arange(PLACES), days)
    objects = rng.poisson(8, len(location)) + 1
    recall = np.where(location == 0, here, RECALL)
    own = rng.beta(6 * recall, 6 * (1 - recall))
    return rng.binomial(objects, own), objects, location
