"""Several tests at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from loop.base.arrays import Reals


def holm(p: ArrayLike) -> Reals:
    """(K,) p-values adjusted for K tests, in the order given (Holm 1979).

    The hypotheses with at most alpha are refuted at family-wise level alpha. NaN stays NaN and
    counts as a test.
    """
    values = np.asarray(p, np.float64)
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    out = np.empty(len(values))
    out[order] = np.minimum(stepped, 1.0)
    return out


def benjamini_hochberg(p: ArrayLike) -> Reals:
    """(K,) p-values adjusted for K tests, in the order given (Benjamini and Hochberg 1995).

    Of the hypotheses with at most q, a share of at most q is refuted wrongly in expectation; where
    all are true, any is with probability q at most.
    """
    values = np.asarray(p, np.float64)
    order = np.argsort(values, kind="stable")
    stepped = values[order] * len(values) / np.arange(1, len(values) + 1)
    out = np.empty(len(values))
    out[order] = np.minimum(np.minimum.accumulate(stepped[::-1])[::-1], 1.0)
    return out
