"""How often a box of some confidence is an object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from sklearn.isotonic import IsotonicRegression

from loop.base.arrays import Bools, Reals
from loop.math.boxes.matching import ImageMatch
from samplers.ragged import Ragged

FEW_HITS = 50


@dataclass(frozen=True)
class Calibration:
    """pooled: of all classes, None where there was too little to learn from.
    by_class: of those with 50 objects found or more.
    """

    pooled: IsotonicRegression | None
    by_class: Mapping[int, IsotonicRegression]

    def chance(self, class_id: ArrayLike, confidence: ArrayLike) -> Reals:
        """(K,) probability of each box to be an object; its confidence where nothing was learned."""
        classes, given = np.asarray(class_id), np.asarray(confidence, dtype=np.float64)
        if self.pooled is None or not len(given):
            return given
        chance: Reals = np.asarray(self.pooled.predict(given), dtype=np.float64)
        for name, curve in self.by_class.items():
            own = classes == name
            if own.any():
                chance[own] = curve.predict(given[own])
        return chance

    def chances(self, class_ids: Ragged, confidences: Ragged) -> Ragged:
        """The same for N frames, (K,) each; all boxes are looked up at once."""
        return confidences.with_values(self.chance(class_ids.values, confidences.values))


def calibrate(matches: Sequence[ImageMatch]) -> Calibration:
    """Isotonic regression (Zadrozny and Elkan 2002) of hits at the first IoU on confidence, over
    frames that never trained.

    Per class where 50 objects or more were found, pooled otherwise, and not at all below 50 in all.
    """
    class_id = np.concatenate([each.class_id for each in matches] or [np.zeros(0, dtype=np.int64)])
    confidence = np.concatenate([each.confidence for each in matches] or [np.zeros(0)])
    hit = np.concatenate([each.hit[0] for each in matches] or [np.zeros(0, dtype=bool)])
    if hit.sum() < FEW_HITS:
        return Calibration(None, {})
    well_known = [int(name) for name in np.unique(class_id) if hit[class_id == name].sum() >= FEW_HITS]
    curves = {name: _curve(confidence[class_id == name], hit[class_id == name]) for name in well_known}
    return Calibration(_curve(confidence, hit), curves)


def _curve(confidence: Reals, hit: Bools) -> IsotonicRegression:
    return IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(confidence, hit)
