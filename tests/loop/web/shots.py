"""Screenshots beside those that somebody looked at, with a tolerance.

Both are made small and gray first: letters are drawn differently from machine to machine, while a part
that moved, vanished or changed its color shows in the small picture as well.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pil

FOLDER = Path(__file__).with_name("shots")
ANEW = os.environ.get("TEST_SHOTS_ANEW", "")
"""Set, pictures are written instead of compared; look at them before they are committed."""
CELL = 16
"""Pixels of a screenshot that are one of the small picture, each way."""
MEAN, MOST, SHARE = 4.0, 40.0, 0.02
"""Of 255: the mean difference; the difference from which a cell counts as another, and the share of such."""


def small(png: bytes) -> NDArray[np.float64]:
    """(H, W) gray 0..255, a sixteenth of the size."""
    image = Pil.open(io.BytesIO(png)).convert("L")
    size = (max(1, image.width // CELL), max(1, image.height // CELL))
    return np.asarray(image.resize(size, Pil.Resampling.BOX), np.float64)


def differs(found: NDArray[np.float64], expected: NDArray[np.float64]) -> str:
    """Why two small pictures are not the same, "" where they are. Heights may differ by a line of text."""
    if found.shape[1] != expected.shape[1] or abs(len(found) - len(expected)) > 2:
        return f"expected a picture of {expected.shape}, got {found.shape}"
    rows = min(len(found), len(expected))
    apart = np.abs(found[:rows] - expected[:rows])
    if apart.mean() > MEAN:
        return f"expected a mean difference of at most {MEAN}, got {apart.mean():.1f}"
    other = float((apart > MOST).mean())
    return "" if other <= SHARE else f"expected at most {SHARE:.0%} of the picture to differ, got {other:.1%}"


def compared(name: str, png: bytes) -> str:
    """Why the page is not as it was when somebody looked at it, "" where it is."""
    path = FOLDER / f"{name}.png"
    found = small(png)
    if ANEW:
        FOLDER.mkdir(exist_ok=True)
        Pil.fromarray(found.round().astype(np.uint8)).save(path, optimize=True)
        return ""
    if not path.is_file():
        return f"expected {path.name}, found none; look at the page, then run again with TEST_SHOTS_ANEW=1"
    return differs(found, np.asarray(Pil.open(path), np.float64))
