"""How much detail a frame shows, along which direction and where, whatever the sensor's noise.

Detail is the mean product of two second differences that lie side by side and share no pixel.
Noise is independent there, even when it was smeared over neighbors by demosaicing, so it adds
nothing, however strong; edges and texture go on to the side and stay.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from loop.base.arrays import Bytes

Floats = NDArray[np.float32]
Offset = tuple[int, int]
"""Rows down, columns to the right."""

PIXELS = 150_000
"""About so many are enough."""
SMALLEST = 16
"""Sides of less show nothing."""
ROWS, COLUMNS = 4, 6
SLANTS = ("slant_upright", "slant_diagonal")
CELLS = tuple(f"cell_{row}{column}" for row in range(ROWS) for column in range(COLUMNS))
LEAST = 0.001
"""Of the variance: less detail along a direction counts as so much."""

FINE: tuple[tuple[Offset, Offset], ...] = (((0, 2), (3, 0)), ((2, 0), (0, 3)))
"""Step and way to the side, for detail across and down."""
COARSE: tuple[tuple[Offset, Offset], ...] = (
    ((0, 5), (3, 0)),
    ((5, 0), (0, 3)),
    ((4, 4), (2, -2)),
    ((4, -4), (2, 2)),
)
"""Likewise across, down, and along both diagonals."""


def details(bands: Bytes) -> dict[str, float]:
    """Sharpness, slants and cells of (n, rows, W) luma.

    All 0 where a side is shorter than 16 pixels.
    """
    every = min(3, max(1, round(bands.size / PIXELS)))
    luma = bands[::every].astype(np.float32)
    if min(luma.shape[1:]) < SMALLEST:
        return dict.fromkeys(("sharpness", *SLANTS, *CELLS), 0.0)
    variance = max(_variance(luma), 1.0)
    fine = sum(_mean(_products(luma, *pair)) for pair in FINE)
    across, down, falling, rising = (_products(luma, *pair) for pair in COARSE)
    cells = (_cells(across) + _cells(down)) / variance
    return {
        "sharpness": fine / variance,
        "slant_upright": _slant(across, down, LEAST * variance),
        "slant_diagonal": _slant(falling, rising, LEAST * variance),
        **{name: float(f"{value:.4g}") for name, value in zip(CELLS, cells.ravel().tolist(), strict=True)},
    }


def _products(luma: Floats, step: Offset, beside: Offset) -> Floats:
    """Of the second difference two steps long with the one beside it, where both lie in one band."""
    middle = _moved(luma, step, (0, 0))
    second = _moved(luma, step, step) + _moved(luma, step, (-step[0], -step[1]))
    second -= 2 * middle
    (down, right), (_, rows, columns) = beside, second.shape
    here = second[:, : rows - down, max(0, -right) : columns - max(0, right)]
    return here * second[:, down:, max(0, right) : columns - max(0, -right)]


def _moved(luma: Floats, margin: Offset, by: Offset) -> Floats:
    """What lies `by` away from each pixel that keeps this margin."""
    (high, wide), (_, rows, columns) = (abs(margin[0]), abs(margin[1])), luma.shape
    return luma[:, high + by[0] : rows - high + by[0], wide + by[1] : columns - wide + by[1]]


def _variance(luma: Floats) -> float:
    """Covariance with what lies three rows below: the variance without noise."""
    centered = luma - cv2.mean(luma.reshape(-1, luma.shape[2]))[0]
    return _mean(centered[:, :-3] * centered[:, 3:])


def _slant(one: Floats, other: Floats, least: float) -> float:
    first, second = (max(_mean(products), 0.0) + least for products in (one, other))
    return math.log(first / second)


def _cells(products: Floats) -> Floats:
    """(ROWS, COLUMNS) means."""
    parts = np.array_split(products.reshape(-1, products.shape[2]), ROWS)
    rows = np.stack([part.mean(axis=0) for part in parts])
    return np.stack([part.mean(axis=1) for part in np.array_split(rows, COLUMNS, axis=1)], axis=1)


def _mean(values: Floats) -> float:
    return float(cv2.mean(values.reshape(-1, values.shape[2]))[0])
