"""What is told against the usual frame of a camera, where the scene itself cancels: motion and dirt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from loop.base.arrays import Reals
from loop.math.coverage.frame_arrays import BLOCK, Named
from loop.math.coverage.image_detail import CELLS, SLANTS, Floats
from loop.settings.conditions import ENOUGH_FRAMES

LEAST_CELL = 0.1
"""Of a camera's median cell: less detail than that is hardly seen, present or lost."""
LEAST_SPREAD = 0.1
"""Of the log of detail: no cell is steadier."""
LOWEST = 3
"""Cells: dirt covers a part of the frame."""


@dataclass(frozen=True)
class Against:
    """parts: the measurements that it is told from.
    score: of (N, parts) values and the (M, parts) of a camera's training frames, (N,).
    """

    parts: tuple[str, ...]
    score: Callable[[Floats, Floats], Floats]


def against_usual(
    measure: str, production: Mapping[str, Reals], training: Mapping[str, Reals], here: Named, there: Named
) -> tuple[Reals, Reals]:
    """(N,) of production and (M,) of training frames, NaN for cameras with fewer than 20 training
    frames that were measured; two empty ones where a side lacks a part.
    """
    against = AGAINST_USUAL[measure]
    if not all(part in side for side in (production, training) for part in against.parts):
        return np.zeros(0), np.zeros(0)
    found = np.full(len(here.code), np.nan), np.full(len(there.code), np.nan)
    new, known = (_rows(side, against.parts) for side in (production, training))
    for code, name in enumerate(there.names):
        own = np.flatnonzero(there.code == code)
        usual = known[own[np.isfinite(known[own]).all(axis=1)]]
        if len(usual) < ENOUGH_FRAMES:
            continue
        same = np.flatnonzero(here.code == here.names.index(name)) if name in here.names else own[:0]
        for scores, rows, places in ((found[0], new, same), (found[1], known, own)):
            for start in range(0, len(places), BLOCK):
                part = places[start : start + BLOCK]
                scores[part] = against.score(rows[part], usual)
    return found


def _rows(values: Mapping[str, Reals], parts: tuple[str, ...]) -> Floats:
    """(N, parts) float32: a million frames have 24 cells each."""
    return np.stack([values[part].astype(np.float32) for part in parts], axis=1)


def _motion(slants: Floats, usual: Floats) -> Floats:
    """How far the slants are from the camera's median: blur along one direction takes the detail
    across it and leaves that along it.
    """
    turned: Floats = np.linalg.norm(slants - np.median(usual, axis=0), axis=1)
    return turned


def _dirt(cells: Floats, usual: Floats) -> Floats:
    """How much more detail the lowest cells lost than the frame did, by each cell's usual spread and
    over the frame's own.
    """
    least = max(LEAST_CELL * float(np.median(usual)), np.finfo(np.float32).tiny)
    known, logs = (np.log(np.maximum(each, 0.0) + least) for each in (usual, cells))
    middle = np.median(known, axis=0)
    spread = _deviation(_leveled(known - middle), axis=0) + LEAST_SPREAD
    lost = -_leveled(logs - middle) / spread
    highest = np.sort(lost, axis=1)[:, -LOWEST:].mean(axis=1)
    score: Floats = highest / (1 + _deviation(lost, axis=1))
    return score


def _leveled(logs: Floats) -> Floats:
    leveled: Floats = logs - np.median(logs, axis=1, keepdims=True)
    return leveled


def _deviation(values: Floats, axis: int) -> Floats:
    """Median absolute deviation from 0, as a standard deviation."""
    deviation: Floats = 1.4826 * np.median(np.abs(values), axis=axis)
    return deviation


AGAINST_USUAL = {"motion": Against(SLANTS, _motion), "dirt": Against(CELLS, _dirt)}
