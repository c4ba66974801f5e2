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
    value, code = float(winsorized(seconds).mean()), np.unique(group, return_inverse=True)[1]
    groups = int(code.max()) + 1
    if groups < FEW_GROUPS:
        return Mean(value, None)
    # the cut is taken anew each time: that it varies too is most of what a heavy tail leaves unknown
    without = np.array([winsorized(seconds[code != one]).mean() for one in range(groups)])
    return Mean(value, _reach(value, without, groups - 1))


def difference(
    values: Reals, bare: Bools, group: Ints, level: float = LEVEL, cut: bool = False
) -> Difference | None:
    """Of the means of bare tasks and of all others; None where one side has no task.

    values, bare, group: (N,). The interval is of a jackknife that leaves out one group at a time, with
    the degrees of freedom of the side with fewer groups (Cameron and Miller 2015).
    cut: whether values are times, of which the longest are cut, see `winsorized_beside`.
    """
    if not bare.any() or bare.all():
        return None
    code = np.unique(group, return_inverse=True)[1]
    means = _both(values, bare, cut)
    groups = [len(np.unique(code[side])) for side in (bare, ~bare)]
    reach = None
    if min(groups) >= FEW_GROUPS:
        kept = (code != one for one in range(int(code.max()) + 1))
        without = np.array([np.subtract(*_both(values[keep], bare[keep], cut)) for keep in kept])
        reach = _reach(means[0] - means[1], without, min(groups) - 1, level)
    sizes = int(bare.sum()), int((~bare).sum())
    return Difference(*means, means[0] - means[1], reach, *sizes, groups[0])


def _both(values: Reals, bare: Bools, cut: bool) -> tuple[float, float]:
    """The means of bare tasks and of others."""
    told = winsorized_beside(values, bare) if cut else values
    return float(told[bare].mean()), float(told[~bare].mean())


def _reach(found: float, without: Reals, freedom: int, level: float = LEVEL) -> tuple[float, float]:
    """without: (G,) the same with one group left out."""
    count = len(without)
    error = float(np.sqrt((count - 1) / count * ((without - found) ** 2).sum()))
    half = float(stats.t.isf((1 - level) / 2, freedom)) * error
    return found - half, found + half
