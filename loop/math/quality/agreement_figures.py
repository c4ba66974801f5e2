"""What many compared tasks tell of how persons agree, each figure with its interval over camera-days."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from loop.base.arrays import Ints, Reals
from loop.math.quality.agreement import Compared
from loop.math.statistics.shares import ENOUGH_DAYS, EVEN_DAYS, interval

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Figure:
    """value: None where nothing tells it. low, high: 95 % interval over camera-days, None where too few
    tell it.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """tasks, days: compared tasks, and their camera-days.

    objects: drawn by either. missed, conflicts, hidden: numbers of disagreements.
    alpha: mean K-alpha of tasks. iou: mean of matched boxes.
    miss_rate: share of a person's objects that the other did not draw.
    conflict_rate: share of matched objects with two classes.
    spread: how far a side strays from where it is meant, standard deviation in parts of the object's size.
    hidden_rate: share of matched objects that one alone marked as occluded or truncated.
    """

    tasks: int
    days: int
    objects: int
    missed: int
    conflicts: int
    hidden: int
    alpha: Figure
    iou: Figure
    miss_rate: Figure
    conflict_rate: Figure
    spread: Figure
    hidden_rate: Figure


def figures(compared: Sequence[Compared], day: Sequence[int]) -> Figures:
    """day: of each compared task, a number that its camera-day alone has."""
    groups = np.unique(np.asarray(day, np.int64), return_inverse=True)[1]

    def summed(of: Callable[[Compared], float]) -> Reals:
        values = np.array([of(one) for one in compared], np.float64)
        return np.bincount(groups, values, minlength=groups.max(initial=-1) + 1).astype(np.float64)

    matched, tasks = summed(lambda one: one.matched), summed(lambda one: 1)
    missed, conflicts = summed(lambda one: one.missed), summed(lambda one: one.conflicts)
    hidden = summed(lambda one: one.hidden)
    variance = mean(summed(lambda one: one.spread), matched, low=0.0)
    return Figures(
        tasks=len(compared),
        days=len(tasks),
        objects=int(matched.sum() + missed.sum()),
        missed=int(missed.sum()),
        conflicts=int(conflicts.sum()),
        hidden=int(hidden.sum()),
        alpha=mean(summed(lambda one: one.alpha), tasks, low=-1.0, high=1.0),
        iou=mean(summed(lambda one: one.iou), matched, low=0.0, high=1.0),
        miss_rate=share(missed, summed(lambda one: one.boxes)),
        conflict_rate=share(conflicts, matched),
        spread=_root(variance),
        hidden_rate=share(hidden, matched),
    )


def share(hits: Reals, totals: Reals) -> Figure:
    """Of counts by camera-day. The interval is Korn and Graubard's (1998), see
    `loop.math.statistics.shares.interval`.
    """
    if not totals.sum():
        return Figure(None)
    limits = interval(_whole(hits), _whole(totals), LEVEL)
    return Figure(float(hits.sum() / totals.sum()), *(limits or (None, None)))


def mean(sums: Reals, counts: Reals, low: float = -np.inf, high: float = np.inf) -> Figure:
    """Of sums and counts by camera-day: the ratio of both, with a t interval by the jackknife over
    camera-days (Cochran 1977) and degrees of freedom of as many as they are in effect (Kish 1965).

    low, high: what a value can be; the interval ends there.
    """
    known = counts > 0
    sums, counts = sums[known], counts[known]
    total = counts.sum()
    if not total:
        return Figure(None)
    value = float(sums.sum() / total)
    groups = float(total**2 / (counts**2).sum())
    if len(counts) < ENOUGH_DAYS or groups < EVEN_DAYS:
        return Figure(value)
    residual = (sums - value * counts) / (1 - counts / total)
    error = float(np.sqrt((residual**2).sum() / total**2 * (len(counts) - 1) / len(counts)))
    if error <= 1e-12:
        return Figure(value)  # days that are all alike do not tell how far the next may be
    half = float(stats.t.isf((1 - LEVEL) / 2, groups - 1)) * error
    return Figure(value, max(value - half, low), min(value + half, high))


def _root(squared: Figure) -> Figure:
    return replace(
        squared,
        **{
            name: None if value is None else float(np.sqrt(value))
            for name in ("value", "low", "high")
            for value in (getattr(squared, name),)
        },
    )


def _whole(counts: Reals) -> Ints:
    return np.rint(counts).astype(np.int64)
