"""How far chance alone moves the AP of a slice, two trainings of one model apart.

A small slice tells little of its own chance: with four camera-days a fall in all of them is no
rarer than one in sixteen. So what chance does is learned from all slices together, and a small one
borrows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.optimize import nnls

from loop.base.arrays import Reals
from loop.math.evaluation.compare import Difference

ENOUGH_GROUPS = 8
"""Groups from which on exchanges tell how far chance moves a slice."""
_SURE = 0.05


@dataclass(frozen=True, slots=True)
class Chance:
    """variance = p (1 - p) (by_group / groups + by_object / objects): that of a share p with a
    component of the groups and one of the objects (Cochran 1977, chapter 11).
    """

    by_group: float
    by_object: float

    def p_fall(self, one: Difference, freedom: int) -> float:
        """One-sided p-value of "it did not fall", by Student's t."""
        deviation = self.deviation(one)
        return (
            float(stats.t.sf(-one.estimate / deviation, freedom)) if deviation else float(one.estimate >= 0)
        )

    def deviation(self, one: Difference) -> float:
        """Standard deviation of a slice's difference where the models are equally good."""
        parts = self.by_group / one.even_groups + self.by_object / one.even_objects
        return float(np.sqrt(_variance_of_share(one) * parts))


def fitted(slices: Sequence[Difference], exchanged: Sequence[Reals]) -> Chance | None:
    """By non-negative least squares over the slices that enough groups show; None without any.

    exchanged: of each slice, differences with the models exchanged, see `compare.exchanged`.
    """
    told = [
        (one, _variance(one, values) / _variance_of_share(one))
        for one, values in zip(slices, exchanged, strict=True)
        if one.groups >= ENOUGH_GROUPS
    ]
    if not told:
        return None
    groups = np.array([one.even_groups for one, _ in told])
    design = np.stack([np.ones(len(told)), groups / [one.even_objects for one, _ in told]], axis=1)
    (by_group, by_object), _ = nnls(design, groups * [variance for _, variance in told])
    return Chance(float(by_group), float(by_object))


def _variance(one: Difference, exchanged: Reals) -> float:
    """Of the difference about its mean. Exchanges give that about zero, which what really changed
    widens by its square over the groups.
    """
    n = one.even_groups
    return max(float(exchanged[1:].var()) - one.estimate**2 / n, 0.0) * n / (n - 1)


def _variance_of_share(one: Difference) -> float:
    """p (1 - p) at the mean AP of both models; that of .05 where both miss all or nothing."""
    middle = min(max((one.before + one.after) / 2, _SURE), 1 - _SURE)
    return middle * (1 - middle)
