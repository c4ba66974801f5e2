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

from loop.base.arrays import Ints, Reals

Censored = Literal["", "before", "after"]
CENSORED: tuple[Censored, ...] = ("", "before", "after")
BEFORE, AFTER = 1, 2
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
    xs, ys = (np.asarray(each, dtype=np.float64)[None] for each in (x, y))
    found, side = _reached(xs, _risen(ys), np.array([level], dtype=np.float64))
    return Reach(float(found[0]), CENSORED[int(side[0])])


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
    ratios = _drawn_ratios(tables, part, draws, seed)
    low, high = np.quantile(ratios, [0.025, 0.975], method="inverted_cdf") if draws else (ratio, ratio)
    found, needed = reach(means[0], means[1], level), reach(means[2], means[3], level).x
    guessed = bool(means[0][0] < found.x < means[0][1])
    seen = np.inf if found.censored == "after" else means[0][np.searchsorted(means[0], found.x)]
    measured = float(seen / needed) if needed > 0 else np.inf
    return Saving(level, ratio, float(low), float(high), censored, needed, guessed, measured)


def _ratio(curves: Sequence[Reals], part: float) -> tuple[float, float, Censored]:
    """(level, ratio, which end it is beyond)."""
    level, ratio, side = _ratios([curve[None] for curve in curves], part)
    return float(level[0]), float(ratio[0]), CENSORED[int(side[0])]


def _drawn_ratios(tables: Sequence[Reals], part: float, draws: int, seed: int) -> Reals:
    """(draws,) ratios of bootstrapped seeds: 0 before the first round, infinite beyond the last.

    With few seeds the same rows are drawn in the same order again and again: those are looked at
    once.
    """
    count = len(tables[0])
    rows = np.random.default_rng(seed).integers(0, count, (draws, count))
    unique, place = np.unique(rows, axis=0, return_inverse=True)
    _, ratio, side = _ratios([table[unique].mean(axis=1) for table in tables], part)
    ratio = np.where(side == BEFORE, 0.0, np.where(side == AFTER, np.inf, ratio))
    return np.asarray(ratio[place.reshape(-1)])


def _ratios(curves: Sequence[Reals], part: float) -> tuple[Reals, Reals, Ints]:
    """(level, ratio, place in CENSORED of the end it is beyond) of each row of the four tables."""
    x, y, x_random, y_random = curves
    fitted = _risen(y_random)
    wanted = x_random[:, 0] + part * (x_random[:, -1] - x_random[:, 0])
    level = _height_at(wanted, x_random, fitted)
    needed, _ = _reached(x_random, fitted, level)
    found, side = _reached(x, _risen(y), level)
    # Where random has it from the start, nothing can be saved.
    had = (needed <= x_random[:, 0]) | (y_random[:, 0] >= level)
    ratio = np.divide(found, needed, out=np.ones_like(found), where=~had)
    return level, ratio, np.where(had, np.where(found <= x[:, 0], 0, AFTER), side)


def _risen(y: Reals) -> Reals:
    """Isotonic least squares of each row; a row that rises already is its own."""
    fitted = y.copy()
    for row in np.flatnonzero(~(np.diff(y, axis=1) > 0).all(axis=1)):
        fitted[row] = isotonic_regression(y[row]).x
    return fitted


def _height_at(wanted: Reals, x: Reals, y: Reals) -> Reals:
    """What np.interp has at `wanted`, row by row: x rises, and `wanted` lies within it."""
    rows, last = np.arange(len(x)), x.shape[1] - 1
    left = (x <= wanted[:, None]).sum(axis=1) - 1
    right = np.minimum(left + 1, last)
    x_left, y_left = x[rows, left], y[rows, left]
    exact = (left == last) | (x_left == wanted)
    run = np.where(exact, 1.0, x[rows, right] - x_left)
    slope = (y[rows, right] - y_left) / run
    return np.asarray(np.where(exact, y_left, slope * (wanted - x_left) + y_left))


def _reached(x: Reals, fitted: Reals, level: Reals) -> tuple[Reals, Ints]:
    """Where each row, a curve that rises, first has its level: x, and the place in CENSORED."""
    rows = np.arange(len(x))
    begun, never = fitted[:, 0] >= level, fitted[:, -1] < level
    after = np.argmax(fitted >= level[:, None], axis=1)
    before = np.maximum(after - 1, 0)
    rise = np.where(begun | never, 1.0, fitted[rows, after] - fitted[rows, before])
    part = (level - fitted[rows, before]) / rise
    crossed = x[rows, before] + part * (x[rows, after] - x[rows, before])
    found = np.where(begun, x[:, 0], np.where(never, x[:, -1], crossed))
    return found, np.where(fitted[:, 0] > level, BEFORE, np.where(never, AFTER, 0))
