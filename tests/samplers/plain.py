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


def covering(
    points: Floats, weights: Floats, picks: list[int], labeled: Floats, scale: float
) -> tuple[list[float], list[float]]:
    """Of each pick in turn the gain in sum_i w_i max_s exp(-|x_i - s|^2 / scale^2), and the largest one to be had."""
    exact = points.astype(np.float64)
    kernel = similarities(exact, exact, scale)
    covered = np.zeros(len(points))
    if len(labeled):
        covered = similarities(exact, labeled.astype(np.float64), scale).max(axis=1)
    had: list[float] = []
    best: list[float] = []
    for step, pick in enumerate(picks):
        gain = np.array([weights @ np.maximum(kernel[:, row] - covered, 0) for row in range(len(points))])
        gain[picks[:step]] = -1
        had.append(float(gain[pick]))
        best.append(float(gain.max()))
        covered = np.maximum(covered, kernel[:, pick])
    return had, best


def similarities(left: Floats, right: Floats, scale: float) -> Floats:
    return np.exp(-((left[:, None] - right[None]) ** 2).sum(axis=2) / scale**2)


def coverage(points: Floats, weights: Floats, chosen: Floats, scale: float) -> float:
    """The objective itself."""
    if not len(chosen):
        return 0.0
    return float(
        weights @ similarities(points.astype(np.float64), chosen.astype(np.float64), scale).max(axis=1)
    )
