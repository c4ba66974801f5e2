"""How far a measurement is from what is usual of a camera, where single values are skewed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from loop.base.arrays import Reals
from loop.math.coverage.frame_arrays import Named
from loop.settings.conditions import ENOUGH_FRAMES

OFFSET = 0.01
"""Added before the logarithm is taken, so that none of nothing has one."""
LEAST_SPREAD = 0.05
"""Of the logarithm; no camera is steadier."""
Usual = tuple[float, float]
ALL = ""
"""In place of a camera: of all training frames, for cameras that have too few."""


def usual_values(values: Reals, camera: Named) -> dict[str, Usual]:
    """By camera with 20 training frames or more, and for ALL, the median of log(value + OFFSET) and its
    spread: the median absolute deviation, as a standard deviation.

    values: (M,) of training frames, NaN for unknown. Empty where nothing is known.
    """
    logs = _logs(values)
    known = np.isfinite(logs)
    if not known.any():
        return {}
    found = {ALL: _usual(logs[known])}
    for code, name in enumerate(camera.names):
        own = logs[known & (camera.code == code)]
        if name and len(own) >= ENOUGH_FRAMES:
            found[name] = _usual(own)
    return found


def spreads_above(values: Reals, camera: Named, usual: Mapping[str, Usual]) -> Reals:
    """(N,) how many spreads each value lies above the usual one of its camera, negative below; 0 where
    it is unknown.
    """
    by_camera = np.array([usual.get(name or ALL, usual[ALL]) for name in camera.names]).reshape(-1, 2)
    middle, spread = by_camera[camera.code].T
    found: Reals = np.nan_to_num((_logs(values) - middle) / spread)
    return found


def _logs(values: Reals) -> Reals:
    return np.log(np.maximum(values, 0.0) + OFFSET)


def _usual(logs: Reals) -> Usual:
    middle = float(np.median(logs))
    spread = max(1.4826 * float(np.median(np.abs(logs - middle))), LEAST_SPREAD)
    return round(middle, 5), round(spread, 5)
