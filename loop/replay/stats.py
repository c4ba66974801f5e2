"""The curves of a replay in numbers: areas, levels reached, labels saved. Pure: numbers in, numbers
out.

Average precision comes in points of 0..100 wherever a margin is given in points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import isotonic_regression

from loop.base.arrays import Reals

Censored = Literal["", "before", "after"]
DRAWS = 1000


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a curve reaches a level.

    censored: "before" where it begins above it, "after" where it never gets there.
    """

    x: float
    censored: Censored = ""


@dataclass(frozen=True, slots=True)
class Saving:
    """Labels that a sampler needs for what random reaches, by random's.

    low, high: 95 % by bootstrap over seeds (approximate).
    level: the AP in question.
    ratio: below 1 saves.
    censored: of the ratio itself; low 0 and high infinity where the bootstrap's ends are.
    needed: labels at which random has it.
    guessed: the sampler has it within its first round, where nothing was measured, so that the
    ratio stands on a straight line from the start; measured: at which round's end it was seen to
    have it, by `needed` (infinite where it never has).
    """

    level: float
    ratio: float
    low: float
    high: float
    censored: Censored
    needed: float
    guessed: bool
    measured: float


def aubc(x: ArrayLike, y: ArrayLike, low: float, high: float) -> float:
    """Mean height of the straight-line curve between `low` and `high` (trapezoids); the ends are
    extended level.

    Where x stays (a round without boxes), the mean of its heights counts. Raises ValueError when x
    falls.
    """
    given, heights = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(given) < 1 or np.any(np.diff(given) < 0):
        raise ValueError(f"expected x to rise, got {given.tolist()}; give one point for each round")
    xs, place = np.unique(given, return_inverse=True)
    ys = np.bincount(place, heights) / np.bincount(place)
    if high <= low:
        return float(np.interp(low, xs, ys))
    points = np.unique(np.concatenate([[low, high], xs[(xs > low) & (xs < high)]]))
    return float(np.trapezoid(np.interp(points, xs, ys), points) / (high - low))


def reach(x: ArrayLike, y: ArrayLike, level: float) -> Reach:
    """The first x at which the rising curve through the points (isotonic least squares, then
    straight lines) has `level`.
    """
    xs = np.asarray(x, dtype=np.float64)
    fitted = np.asarray(isotonic_regression(np.asarray(y, dtype=np.float64)).x)
    if fitted[0] >= level:
        return Reach(float(xs[0]), "before" if fitted[0] > level else "")
    if fitted[-1] < level:
        return Reach(float(xs[-1]), "after")
    after = int(np.argmax(fitted >= level))
    rise = fitted[after] - fitted[after - 1]
    part = (level - fitted[after - 1]) / rise
    return Reach(float(xs[after - 1] + part * (xs[after] - xs[after - 1])))


def saving(
    x: ArrayLike,
    y: ArrayLike,
    x_random: ArrayLike,
    y_random: ArrayLike,
    part: float,
    draws: int = DRAWS,
    seed: int = 0,
) -> Saving:
    """How many labels reach what random reaches at `part` of the way (.5: in the middle, 1: at the
    end).

    x, y, x_random, y_random: (seeds, rounds), rows of the same seeds.
    What is labeled before the first round counts for both.
    """
    tables = [np.asarray(each, np.float64) for each in (x, y, x_random, y_random)]
    means = [table.mean(axis=0) for table in tables]
    level, ratio, censored = _ratio(means, part)
    rng = np.random.default_rng(seed)
    ratios = []
    for _ in range(draws):
        rows = rng.integers(0, len(tables[0]), len(tables[0]))
        _, drawn, side = _ratio([table[rows].mean(axis=0) for table in tables], part)
        ratios.append({"before": 0.0, "after": np.inf, "": drawn}[side])
    low, high = np.quantile(ratios, [0.025, 0.975], method="inverted_cdf") if ratios else (ratio, ratio)
    found, needed = reach(means[0], means[1], level), reach(means[2], means[3], level).x
    guessed = bool(means[0][0] < found.x < means[0][1])
    seen = np.inf if found.censored == "after" else means[0][np.searchsorted(means[0], found.x)]
    measured = float(seen / needed) if needed > 0 else np.inf
    return Saving(level, ratio, float(low), float(high), censored, needed, guessed, measured)


def _ratio(curves: Sequence[Reals], part: float) -> tuple[float, float, Censored]:
    """(level, ratio, which end it is beyond)."""
    x, y, x_random, y_random = curves
    fitted = np.asarray(isotonic_regression(y_random).x)
    wanted = x_random[0] + part * (x_random[-1] - x_random[0])
    level = float(np.interp(wanted, x_random, fitted))
    needed = reach(x_random, y_random, level).x
    found = reach(x, y, level)
    if needed <= x_random[0] or y_random[0] >= level:  # random has it from the start: nothing can be saved
        return level, 1.0, "" if found.x <= x[0] else "after"
    return level, found.x / needed, found.censored
