"""How many objects a frame will turn out to hold, by the boxes that a detector found in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import lsq_linear

from loop.base.arrays import Ints, Reals
from loop.math.boxes.drawn import DRAWN_ABOVE
from samplers.ragged import Ragged

BANDS = (0.0, DRAWN_ABOVE, 0.5, 0.75)
"""Boxes are counted by these bands of confidence, each from its value to the next."""
RULE_FRAMES = 5.0
"""The rule of thumb counts as so many frames with one box of each band."""


@dataclass(frozen=True, slots=True)
class ObjectCounts:
    """missed: objects of a frame that no box shows. per_box: (4,) objects for each box of a band of
    confidence. The rule of thumb before anything is learned: each box of DRAWN_ABOVE or more is one.

    frames: answered ones that it was learned from, 0 for the rule.
    """

    missed: float = 0.0
    per_box: tuple[float, ...] = (0.0, 1.0, 1.0, 1.0)
    frames: int = 0

    def expected(self, bands: Reals) -> Reals:
        """(N,) objects of frames with (N, 4) boxes by band."""
        found: Reals = self.missed + bands @ np.array(self.per_box)
        return found

    def shares(self, confidence: ArrayLike) -> Reals:
        """(K,) objects for each of K boxes of one frame or of many, without those that no box shows."""
        return np.array(self.per_box)[_band(confidence)]


def in_bands(confidence: Ragged) -> Reals:
    """(N, 4) boxes of N frames by band; confidence: (K,) of each frame."""
    counts = np.zeros((len(confidence), len(BANDS)))
    np.add.at(counts, (confidence.row, _band(confidence.values)), 1.0)
    return counts


def learned_counts(bands: Reals, objects: Reals, few: int) -> ObjectCounts:
    """What (N, 4) boxes by band, and the (N,) objects that people saw there, tell; the rule below `few`
    frames. Least squares in which a box is no object to one, steadied by a few frames as the rule says.
    """
    rule = ObjectCounts()
    if len(objects) < few:
        return rule
    assumed, steady = np.array([rule.missed, *rule.per_box]), np.sqrt(RULE_FRAMES)
    design = np.column_stack([np.ones(len(objects)), bands])
    table = np.vstack([design, steady * np.eye(design.shape[1])])
    most = [np.inf, *[1.0] * len(BANDS)]
    found = lsq_linear(table, np.concatenate([objects, steady * assumed]), bounds=(0, most)).x
    return ObjectCounts(float(found[0]), tuple(float(value) for value in found[1:]), len(objects))


def _band(confidence: ArrayLike) -> Ints:
    return np.searchsorted(BANDS, np.asarray(confidence), side="right") - 1
