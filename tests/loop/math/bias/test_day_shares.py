"""How far days of places differ in how often they show a class."""

from __future__ import annotations

import numpy as np
import pytest

from loop.base.arrays import Ints
from loop.math.bias.day_shares import DayShares, lie_in_one_level

LEVEL = np.repeat([0, 1], 40)
CODE = np.repeat(np.arange(8), 10)


def shown(*frames: int) -> np.ndarray:
    """(80, 1) so many frames of each day."""
    return (np.arange(80) % 10 < np.repeat(frames, 10)).astype(np.float32)[:, None]


def apart(*frames: int, level: Ints = LEVEL) -> float:
    return float(DayShares(level, CODE, 0.1).apart(shown(*frames))[0])


def test_places_that_are_told_by_the_class_alone_are_wholly_apart() -> None:
    assert apart(5, 5, 5, 5, 0, 0, 0, 0) == pytest.approx(1)
    assert apart(5, 0, 5, 0, 5, 0, 5, 0) == pytest.approx(0)
    assert apart(3, 3, 3, 3, 3, 3, 3, 3) == 0


def test_one_day_that_shows_much_sways_less_than_all_that_show_some() -> None:
    assert apart(8, 0, 0, 0, 0, 0, 0, 0) < apart(2, 2, 2, 2, 0, 0, 0, 0) / 3


def test_what_levels_are_called_does_not_matter() -> None:
    assert apart(4, 1, 2, 3, 0, 1, 0, 0) == pytest.approx(apart(4, 1, 2, 3, 0, 1, 0, 0, level=1 - LEVEL))


@pytest.mark.parametrize(("level", "whole"), [(LEVEL, True), (np.arange(80) % 2, False)])
def test_days_that_show_several_levels_are_told(level: Ints, whole: bool) -> None:
    assert lie_in_one_level(level, CODE) == whole
