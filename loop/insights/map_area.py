"""A part of the map of the embedding space, as it stands in an address: the corners of a lasso, and the map
that it was drawn on.
"""

from __future__ import annotations

import re
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from loop.base.arrays import Bools, Reals

SIDE = 1000
"""A map is so many steps wide and high in an address."""
MOST_CORNERS = 40
CORNER = re.compile(r"(\d{1,4})-(\d{1,4})")
STAMP = re.compile(r"\.([0-9a-f]{8})$")
EXPECTED = f"3 to {MOST_CORNERS} corners on the map such as 0-0_500-0_500-400, each number from 0 to {SIDE}"


def read_area(text: str) -> str:
    """The text, where it is a part of the map. Raises ValueError with what was expected."""
    corners_of(text)
    return text


def stamp_of(made: datetime) -> str:
    """The map that was made then, in 8 letters: hexadecimal seconds since 1970."""
    return f"{int(made.timestamp()):08x}"


def drawn_on(text: str) -> str | None:
    """The stamp of the map that a part was drawn on, None where it does not say."""
    found = STAMP.search(text)
    return found[1] if found else None


def corners_of(text: str) -> Reals:
    """(C, 2) corners in 0..1. Raises ValueError with what was expected."""
    text = STAMP.sub("", text)
    found = [CORNER.fullmatch(part) for part in text.split("_")] if len(text) < 400 else []
    corners = [(int(each[1]), int(each[2])) for each in found if each]
    if not 3 <= len(corners) <= MOST_CORNERS or len(corners) < len(found):
        raise ValueError(EXPECTED)
    if max(max(corner) for corner in corners) > SIDE:
        raise ValueError(EXPECTED)
    return np.array(corners, dtype=np.float64) / SIDE


def area_of(corners: Reals, made: datetime | None = None) -> str:
    """The text of corners (C, 2) in 0..1 on the map that was made then."""
    steps = np.clip(np.rint(np.asarray(corners) * SIDE), 0, SIDE).astype(int).tolist()
    return "_".join(f"{x}-{y}" for x, y in steps) + (f".{stamp_of(made)}" if made else "")


def inside(plane: NDArray[np.floating], corners: Reals) -> Bools:
    """(N,) which points (N, 2) lie in a polygon (C, 2): those from which a ray crosses its line an odd
    number of times (Shimrat 1962). A corner on the far edge of the map stands behind what lies on it.
    """
    corners = np.where(corners >= 1.0, 1.0 + 1 / SIDE, corners)
    found = np.zeros(len(plane), dtype=np.bool_)
    low, high = corners.min(axis=0), corners.max(axis=0)
    near = np.flatnonzero(((plane >= low) & (plane <= high)).all(axis=1))
    x, y = plane[near, 0].astype(np.float64), plane[near, 1].astype(np.float64)
    odd = np.zeros(len(near), dtype=np.bool_)
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if ay != by:
            odd ^= ((ay > y) != (by > y)) & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
    found[near] = odd
    return found
