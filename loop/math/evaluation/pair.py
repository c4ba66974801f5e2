"""Two models on the same held-out frames, with what their tests need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from loop.base.arrays import Ints, Reals
from loop.math.evaluation.ap import Matches
from loop.math.evaluation.compare import AP50, Difference, Slice, compare, exchanged, p_gain

FIRST_SHARE, SHARE_AGAIN = 7 / 8, 1 / 8
"""Of alpha: what a test has on frames that never judged, and what is left each further time. All
times together never spend more than alpha.
"""
_NOISE_DRAWS = 256


class GateSettings(Protocol):
    """What a verdict depends on; the section `gate` of a project's settings is such, and the
    defaults stand there.

    margin: AP that nothing may lose.
    alpha: of the tests for a gain, and of all those for a fall, family-wise.
    min_groups: that must show objects before a gain is tested.
    fall_frames, fall_objects, fall_groups: that must show a slice before a fall is tested.
    max_slowdown: candidate / deployed.
    required: names of checks that must pass, not merely not fail.
    when_unjudged: whether a candidate that passes waits for a person, where a target of the round is
    held out nowhere or what few frames show fell far, or is promoted all the same.
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
    deployed: Matches
    candidate: Matches
    groups: Ints
    looks: Reals
    settings: GateSettings
    seed: int
    draws: int

    def compare(self, slices: Sequence[Slice], ious: Sequence[float] = AP50) -> Difference:
        return compare(self.deployed, self.candidate, slices, self.groups, ious)

    def p_gain(self, slices: Sequence[Slice]) -> float:
        return p_gain(self.deployed, self.candidate, slices, self.groups, draws=self.draws, seed=self.seed)

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
    """
    return float(alpha * FIRST_SHARE * (SHARE_AGAIN**looks).mean()) if len(looks) else alpha * FIRST_SHARE
