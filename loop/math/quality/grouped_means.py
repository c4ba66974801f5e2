"""Means over tasks and how well they are known, because tasks of one camera-day are no independent evidence.

Intervals are of a jackknife that leaves out one camera-day at a time (Cameron and Miller 2015). Times have
a heavy tail, so that their means are of values that are cut at the quantile CUT (winsorized, Dixon 1960).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from loop.base.arrays import Bools, Ints, Reals

FEW_GROUPS = 8
"""So many camera-days on either side tell a difference; fewer leave it unknown."""
CUT = 0.9
"""Quantile that longer times are cut to."""
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Mean:
    """interval: 95 %, None where there are too few camera-days to tell."""

    value: float
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Difference:
    """Tasks without drawn boxes against those with them.

    bare, drawn: means of each. difference: bare less drawn. interval: 95 %, None where there are too few
    camera-days to tell.
    groups: camera-days with bare tasks.
    """

    bare: float
    drawn: float
    difference: float
    interval: tuple[float, float] | None
    bare_tasks: int
    drawn_tasks: int
    groups: int

    @property
    def shown(self) -> bool:
        """Whether chance does not explain it."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]


def winsorized(seconds: Reals) -> Reals:
    """(N,) seconds of timed tasks, the longest cut to their quantile CUT."""
    return np.minimum(seconds, np.quantile(seconds, CUT)) if len(seconds) else seconds


def winsorized_beside(seconds: Reals, bare: Bools) -> Reals:
    """(N,) seconds of timed tasks, the longest cut to the larger quantile CUT of bare ones and of others.

    That of all tasks would take most from the side that takes longer; two cuts would differ by chance.
    """
    sides = [side for side in (bare, ~bare) if side.any()]
    return np.minimum(seconds, max((np.quantile(seconds[side], CUT) for side in sides), default=np.inf))


def mean_seconds(seconds: Reals, group: Ints) -> Mean | None:
    """Of timed tasks, the longest cut; None of none. seconds, group: (N,)."""
    if not len(seconds):
        return None
    cut, code = winsorized(seconds), np.unique(group, return_inverse=True)[1]
    sums, sizes = np.bincount(code, cut), np.bincount(code).astype(np.float64)
    if len(sums) < FEW_GROUPS:
        return Mean(float(cut.mean()), None)
    without = (sums.sum() - sums) / (sizes.sum() - sizes)
    return Mean(float(cut.mean()), _reach(float(cut.mean()), without, len(sums) - 1))


def difference(values: Reals, bare: Bools, group: Ints, level: float = LEVEL) -> Difference | None:
    """Of the means of bare tasks and of all others; None where one side has no task.

    values, bare, group: (N,). The interval is of a jackknife that leaves out one group at a time, with
    the degrees of freedom of the side with fewer groups (Cameron and Miller 2015).
    """
    if not bare.any() or bare.all():
        return None
    code = np.unique(group, return_inverse=True)[1]
    sums = np.array([np.bincount(code, values * side) for side in (bare, ~bare)])
    sizes = np.array([np.bincount(code, side.astype(float)) for side in (bare, ~bare)])
    means = sums.sum(axis=1) / sizes.sum(axis=1)
    found, groups = float(means[0] - means[1]), (sizes > 0).sum(axis=1)
    return Difference(
        float(means[0]),
        float(means[1]),
        found,
        _interval(sums, sizes, found, level) if groups.min() >= FEW_GROUPS else None,
        int(sizes[0].sum()),
        int(sizes[1].sum()),
        int(groups[0]),
    )


def _interval(sums: Reals, sizes: Reals, found: float, level: float) -> tuple[float, float]:
    left = (sums.sum(axis=1, keepdims=True) - sums) / (sizes.sum(axis=1, keepdims=True) - sizes)
    return _reach(found, left[0] - left[1], int((sizes > 0).sum(axis=1).min()) - 1, level)


def _reach(found: float, without: Reals, freedom: int, level: float = LEVEL) -> tuple[float, float]:
    """without: (G,) the same with one group left out."""
    count = len(without)
    error = float(np.sqrt((count - 1) / count * ((without - found) ** 2).sum()))
    half = float(stats.t.isf((1 - level) / 2, freedom)) * error
    return found - half, found + half
