"""From which confidence on a box costs less to correct than to draw."""

from __future__ import annotations

import numpy as np
from sklearn.isotonic import IsotonicRegression

from loop.base.arrays import Reals
from loop.math.quality.effort import EditSeconds

NEVER = 1.0
"""Confidence from which a box is drawn where none is worth it."""
LOWEST = 0.05
_GRID: Reals = np.linspace(LOWEST, 0.95, 91, dtype=np.float64)
_WORD: Reals = np.linspace(0.05, 0.95, 10, dtype=np.float64)


def worth_drawing(seconds: EditSeconds, moved_share: float = 0.0) -> float:
    """How probable a box must be right so that drawing it costs a labeler less than leaving it out; above
    1 where none is.

    moved_share: of right boxes that were drawn, those that were moved.
    A drawn box is kept or deleted; one that is not drawn is added where it is right, so p keep +
    (1 - p) delete < p add. By the rule of thumb that is .25.
    """
    keep = (1 - moved_share) * seconds.accepted + moved_share * seconds.moved
    spared = seconds.added - keep
    return seconds.deleted / (seconds.deleted + spared) if spared > 0 else np.inf


def drawn_from(confidence: Reals, right: Reals, least: float) -> float:
    """The lowest confidence whose boxes are right with probability `least` or more; NEVER for none.

    confidence, right: (K,) of boxes of one class, right 1 where it was an object.
    By isotonic regression (Zadrozny and Elkan 2002); ten boxes more that are right as often as they say
    steady what few boxes tell.
    """
    given, hit = np.concatenate([confidence, _WORD]), np.concatenate([right, _WORD])
    curve = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(given, hit)
    enough = np.flatnonzero(curve.predict(_GRID) >= least - 1e-9)
    return round(float(_GRID[enough[0]]), 2) if len(enough) else NEVER
