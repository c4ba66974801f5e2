"""How far chance alone moves the AP of a slice, two trainings of one model apart.

A small slice tells little of its own chance: with four camera-days a fall in all of them is no
rarer than one in sixteen. So what chance does is learned from all slices together, and a small one
borrows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats
from scipy.optimize import nnls

from loop.base.arrays import Reals
from loop.math.evaluation.compare import Difference

ENOUGH_GROUPS = 8
EVEN_GROUPS = 5.0
"""Groups, and as many of equal weight, from which on exchanges tell how far chance moves a slice: with
one group that holds nearly all, what really changed cannot be told from chance.
"""
PRIOR_GROUPS = 10
"""So many groups of its own weigh as much as what all slices tell."""
TOLD_FREEDOM = 20
"""Degrees of freedom of what all slices tell: in simulation equal models are told to have fallen in
less than .05 with 30 slices; with 10 degrees a broken slice of four groups was missed more often.
"""
_SURE = 0.05


@dataclass(frozen=True, slots=True)
class Chance:
    """variance = p (1 - p) (by_group / groups + by_object / objects): that of a share p with a
    component of the groups and one of the objects (Cochran 1977, chapter 11).
    """

    by_group: float
    by_object: float

    def p_fall(self, one: Difference, margin: float) -> float:
        """One-sided p-value of "it fell by no more than the margin", by Student's t."""
        deviation, beyond = self.deviation(one), -one.estimate - margin
        if not deviation:
            return float(beyond <= 0)
        return float(stats.t.sf(beyond / deviation, self.freedom(one)))

    def reach(self, one: Difference, alpha: float) -> float:
        """How far above what was measured the one-sided 1 - alpha bound of a fall lies."""
        return float(stats.t.isf(alpha, self.freedom(one))) * self.deviation(one)

    def interval(self, one: Difference, share: float = 0.95) -> tuple[float, float]:
        """Of the difference, two-sided, by Student's t; cut where an AP would leave 0..1. Both ends are
        NaN without objects.
        """
        if not one.objects:
            return np.nan, np.nan
        half = float(stats.t.isf((1 - share) / 2, self.freedom(one))) * self.deviation(one)
        return max(one.estimate - half, -one.before), min(one.estimate + half, 1 - one.before)

    def deviation(self, one: Difference) -> float:
        """Standard deviation of a slice's difference where the models are equally good: what all
        slices tell, moderated by its own (Smyth 2004).
        """
        parts = self.by_group / one.even_groups + self.by_object / _telling(one)
        told, own = _variance_of_share(one) * parts, _own_freedom(one)
        return float(np.sqrt((PRIOR_GROUPS * told + own * one.variance) / (PRIOR_GROUPS + own)))

    def freedom(self, one: Difference) -> int:
        """Degrees of freedom of that; what all slices tell rests on many more groups than it weighs."""
        return TOLD_FREEDOM + _own_freedom(one)


USUAL = Chance(by_group=0.1, by_object=1.0)
"""As in the simulation of the gate, where nothing can be learned of the models themselves."""


def measured(one: Difference, exchanged: Reals) -> Difference:
    """With the variance of the difference about its mean.

    Exchanges give that about zero, which what really changed widens by its square over the groups.
    exchanged: (R,) differences with the models exchanged, see `compare.exchanged`.
    """
    n = one.even_groups
    centered = max(float(exchanged[1:].var()) - one.estimate**2 / n, 0.0)
    return replace(one, variance=centered * n / (n - 1))


def measurable(one: Difference) -> bool:
    """Whether exchanges tell how far chance moves it."""
    return one.groups >= ENOUGH_GROUPS and one.even_groups >= EVEN_GROUPS


def fitted(slices: Sequence[Difference]) -> Chance:
    """By non-negative least squares over slices that were measured; the usual without any, and where
    they show no chance at all.
    """
    if not slices:
        return USUAL
    share = np.array([_variance_of_share(one) for one in slices])
    groups = np.array([one.even_groups for one in slices])
    design = np.stack([np.ones(len(slices)), groups / [_telling(one) for one in slices]], axis=1)
    (by_group, by_object), _ = nnls(design, groups * [one.variance for one in slices] / share)
    return Chance(float(by_group), float(by_object)) if by_group or by_object else USUAL


def _own_freedom(one: Difference) -> int:
    return one.groups - 1 if one.variance else 0


def _telling(one: Difference) -> float:
    """Objects as far as they tell. Of few, AP varies more than a share of as many would, because
    false alarms come between them: in simulation by as much as two objects less.
    """
    return max(one.even_objects - 2, 1.0)


def _variance_of_share(one: Difference) -> float:
    """p (1 - p) at the mean AP of both models; that of .05 where both miss all or nothing."""
    middle = min(max((one.before + one.after) / 2, _SURE), 1 - _SURE)
    return middle * (1 - middle)
