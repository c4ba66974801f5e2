"""How well one model sees: average precision with its interval over groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from loop.base.arrays import Bools, Ints, Reals
from loop.math.evaluation.ap import ROUNDING, Matches, average_precisions

ENOUGH_GROUPS = 5
"""With objects; of fewer, an interval would promise what it does not hold."""
EVEN_GROUPS = 4.0
"""As many of equal weight (Kish 1965), and more."""
EDGE = 1e-3
"""AP this near to 0 or 1 counts as that, since a logit has no value there."""


@dataclass(frozen=True, slots=True)
class OneModel:
    """AP50 over some images: the mean over classes, each by its objects; NaN without objects.

    interval: 95 %, None where too few groups tell, or where leaving out any of them changes nothing.
    groups: that hold objects.
    """

    ap50: float
    interval: tuple[float, float] | None
    groups: int


def of_one_model(matches: Matches, rows: Bools, group: Ints) -> OneModel:
    """rows: (N,) images that count. group: (N,) of each image, from 0.

    The interval is Student's on the logit of AP, by leaving out one group after the other
    (jackknife; Efron and Stein 1981).
    """
    objects = np.bincount(group, rows * matches.truths.sum(axis=1), int(group.max(initial=-1)) + 1)
    telling = np.flatnonzero(objects)
    if not len(telling):
        return OneModel(float("nan"), None, 0)
    left_out = np.tile(rows.astype(np.float64), (1 + len(telling), 1))
    left_out[1:][group[None] == telling[:, None]] = 0
    value, *without = _mean_ap(matches, left_out).tolist()
    even = objects.sum() ** 2 / (objects**2).sum()
    if len(telling) < ENOUGH_GROUPS or even < EVEN_GROUPS:
        return OneModel(value, None, len(telling))
    return OneModel(value, _interval(value, np.array(without)), len(telling))


def _mean_ap(matches: Matches, weights: Reals) -> Reals:
    """(R,) of each weighting (R, N)."""
    table, held = average_precisions(matches, weights, (0.5,))[:, 0], weights @ matches.truths
    total: Reals = np.where(held > 0, table, 0.0) * held
    mean: Reals = total.sum(axis=1) / np.maximum(held.sum(axis=1), 1e-12)
    return mean


def _interval(value: float, without: Reals) -> tuple[float, float] | None:
    left, size = _logit(without), len(without)
    variance = (size - 1) / size * float(((left - left.mean()) ** 2).sum())
    if variance <= ROUNDING:
        return None
    middle, half = float(_logit(np.array(value))), float(stats.t.isf(0.025, size - 1)) * variance**0.5
    low, high = (1 / (1 + np.exp(-end)) for end in (middle - half, middle + half))
    return float(low), float(high)


def _logit(values: Reals) -> Reals:
    clipped = np.clip(values, EDGE, 1 - EDGE)
    found: Reals = np.log(clipped / (1 - clipped))
    return found
