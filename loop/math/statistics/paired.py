"""Tests of values that come in pairs, such as two strategies by seed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata, t

from loop.base.arrays import Reals

EXACT = 20
"""Pairs up to which every assignment of signs is tried."""


@dataclass(frozen=True, slots=True)
class Paired:
    """Differences by seed.

    low, high: 95 % t interval of the mean.
    p: two-sided, exact sign flips.
    lower: one-sided 95 % t bound.
    """

    mean: float
    low: float
    high: float
    p: float
    lower: float
    seeds: int


def paired(ours: ArrayLike, theirs: ArrayLike) -> Paired:
    """Of values by seed. Raises ValueError with fewer than two seeds."""
    delta = np.asarray(ours, np.float64) - np.asarray(theirs, np.float64)
    n = len(delta)
    if n < 2:
        raise ValueError(f"expected two seeds or more, got {n}; run more")
    mean, error = float(delta.mean()), float(delta.std(ddof=1) / np.sqrt(n))
    half = float(t.ppf(0.975, n - 1)) * error
    return Paired(
        mean, mean - half, mean + half, sign_flip(delta), mean - float(t.ppf(0.95, n - 1)) * error, n
    )


def not_worse(test: Paired, margin: float) -> bool:
    """Whether the mean is above -margin with 95 % certainty."""
    return test.lower > -margin


def mean_ranks(scores: ArrayLike) -> Reals:
    """(K,) over seeds; scores: (seeds, K), the best gets 1, equal ones share."""
    return np.asarray(rankdata(-np.asarray(scores, np.float64), axis=1).mean(axis=0))


def sign_flip(delta: ArrayLike, draws: int = 100_000, seed: int = 0) -> float:
    """Two-sided p-value of "no difference": how often flipped signs give a sum as far from 0
    (Fisher 1935); exact up to 20.
    """
    values = np.asarray(delta, np.float64)
    n = len(values)
    if n <= EXACT:
        # the first sign may stay: every assignment has a mirror image
        rest = np.array(list(product((1.0, -1.0), repeat=n - 1)), dtype=np.float64).reshape(-1, n - 1)
        signs = np.concatenate([np.ones((len(rest), 1)), rest], axis=1)
    else:
        signs = np.random.default_rng(seed).choice([-1.0, 1.0], (draws, n))
        signs[0] = 1.0
    sums = np.abs(signs @ values)
    return float((sums >= abs(values.sum()) - 1e-12 * max(1.0, np.abs(values).sum())).mean())
