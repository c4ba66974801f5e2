"""The comparison of screenshots sees what an eye sees, and passes over what it does not."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pil

from tests.loop.web.shots import CELL, differs, small

WIDE, HIGH = 40 * CELL, 60 * CELL


def page(seed: int = 0) -> NDArray[np.uint8]:
    """Light, with gray lines of text, a dark card and a colored button."""
    rng = np.random.default_rng(seed)
    image = np.full((HIGH, WIDE), 245, np.uint8)
    for top in range(40, HIGH - 40, 24):
        image[top : top + 10, 30:400] = rng.choice([245, 40], (10, 370), p=[0.7, 0.3])
    image[200:300, 420:620] = 60
    return image


def png(image: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Pil.fromarray(image).save(file, "PNG")
    return file.getvalue()


def against(image: NDArray[np.uint8]) -> str:
    return differs(small(png(image)), small(png(page())))


def test_the_same_page_with_letters_drawn_otherwise_is_the_same() -> None:
    assert against(page()) == ""
    assert against(page(seed=7)) == ""
    assert against(np.roll(page(), 1, axis=1)) == ""


@pytest.mark.parametrize("change", ["moved", "gone", "dark", "narrow", "long"])
def test_what_moved_vanished_or_changed_its_color_is_seen(change: str) -> None:
    other = page()
    if change == "moved":
        other[200:300, 420:620] = 245
        other[500:600, 420:620] = 60
    elif change == "gone":
        other[200:300, 420:620] = 245
    elif change == "dark":
        other = 255 - other
    elif change == "narrow":
        other = other[:, : WIDE - 5 * CELL]
    else:
        other = np.concatenate([other, other[: 10 * CELL]])
    assert against(other) != ""
