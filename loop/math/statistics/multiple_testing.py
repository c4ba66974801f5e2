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
