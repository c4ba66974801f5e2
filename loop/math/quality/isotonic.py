"""Isotonic regression (Barlow et al. 1972) as the points of a line that can be asked anywhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from sklearn.isotonic import IsotonicRegression

from loop.base.arrays import Reals


@dataclass(frozen=True, eq=False)
class Line:
    """x: (S,) rising. y: (S,) values there, straight between and level beyond."""

    x: Reals
    y: Reals

    def at(self, values: ArrayLike) -> Reals:
        """The same shape as `values`."""
        return np.asarray(np.interp(np.asarray(values, np.float64), self.x, self.y), np.float64)


def isotonic(x: Reals, y: Reals, weights: Reals | None = None, increasing: bool = True) -> Line | None:
    """The monotone line nearest to the points x (N,) and y (N,), None without points."""
    if not len(x):
        return None
    curve = IsotonicRegression(increasing=increasing, out_of_bounds="clip").fit(x, y, weights)
    return Line(np.asarray(curve.X_thresholds_, np.float64), np.asarray(curve.y_thresholds_, np.float64))
