"""Two models on the same held-out frames, with what their tests need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from loop.base.arrays import Ints, Reals
from loop.math.evaluation.ap import Matches
from loop.math.evaluation.compare import AP50, Difference, Slice, compare, exchanged, p_gain

FIRST_SHARE = 7 / 8
"""Of alpha, on frames that never judged; the rest is for all later times together."""
_NOISE_DRAWS = 128
_ENOUGH_AS_LARGE = 16


class GateSettings(Protocol):
    """What a verdict depends on; the section `gate` of a project's settings is such, and the
    defaults stand there.

    margin: AP that nothing may lose.
    alpha: of the tests for a gain, and of all those for a fall, family-wise.
    min_groups: that must show objects before a gain is tested.
    fall_frames, fall_objects, fall_groups: that must show a slice before a fall is tested.
    max_slowdown: candidate / deployed.
    required: names of checks that must pass, not merely not fail.
    when_unjudged: whether a candidate that passes waits for a person, where a target of the round or
    a class is held out nowhere or what few frames show fell far, or is promoted all the same.
    """

    margin: float
    alpha: float
    min_groups: int
    fall_frames: int
    fall_objects: int
    fall_groups: int
    max_slowdown: float
    required: tuple[str, ...]
    when_unjudged: Literal["wait", "promote"]


@dataclass(frozen=True, slots=True)
class Pair:
    """groups: (N,) a number for each image's group.

    looks: (N,) how often each image has judged before.
    seed, draws: of the exchanges.
    """

    deployed: Matches
    candidate: Matches
    groups: Ints
    looks: Reals
    settings: GateSettings
    seed: int
    draws: int

    def compare(self, slices: Sequence[Slice], ious: Sequence[float] = AP50) -> Difference:
        return compare(self.deployed, self.candidate, slices, self.groups, ious)

    def p_gain(self, slices: Sequence[Slice], alpha: float) -> float:
        """By as many exchanges as a p-value of alpha needs; by the first of them where so many
        already give as much that it is no gain (Besag and Clifford 1991).
        """
        models = self.deployed, self.candidate
        for draws in sorted({self.draws, max(self.draws, round(8 / alpha))}):
            p = p_gain(*models, slices, self.groups, draws=draws, seed=self.seed)
            if p * draws >= _ENOUGH_AS_LARGE and p > alpha:
                break
        return p

    def exchanged(self, slices: Sequence[Slice], ious: Sequence[float] = AP50) -> Reals:
        models = self.deployed, self.candidate
        return exchanged(*models, slices, self.groups, ious, _NOISE_DRAWS, self.seed)

    def alpha(self, slices: Sequence[Slice]) -> float:
        """What is left of alpha for a test on these slices."""
        inside = np.any([one.weights > 0 for one in slices], axis=0)
        return alpha_left(self.settings.alpha, self.looks[inside])


def alpha_left(alpha: float, looks: Reals) -> float:
    """What is left of alpha on frames after the times that each has judged, (N,); what is new
    brings its own.

    7/8 of it at first, then 1/16, 1/48, 1/96 …: 1/8 over u (u + 1) after u times, so that all times
    on the same frames together never spend more than alpha.
    """
    if not len(looks):
        return alpha * FIRST_SHARE
    again = (1 - FIRST_SHARE) / np.maximum(looks * (looks + 1), 1)
    return float(alpha * np.where(looks > 0, again, FIRST_SHARE).mean())
