"""Slow and plainly written forms: what the fast ones are held against."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]


def k_center(points: Floats, k: int, labeled: Floats) -> tuple[list[int], list[float]]:
    """The farthest row, again and again, by differences in float64; ties to the lowest row."""
    exact = points.astype(np.float64)
    distance = np.full(len(points), np.inf)
    for center in labeled.astype(np.float64):
        distance = np.minimum(distance, np.linalg.norm(exact - center, axis=1))
    picks: list[int] = []
    radii: list[float] = []
    for _ in range(k):
        distance[picks] = -1
        picks.append(int(distance.argmax()))
        radii.append(float(distance.max()))
        distance = np.minimum(distance, np.linalg.norm(exact - exact[picks[-1]], axis=1))
    return picks, radii
