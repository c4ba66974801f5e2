"""What evens out a class over places with the fewest frames."""

from __future__ import annotations

import numpy as np

from loop.math.bias.association import cramers_v
from loop.math.bias.evening import evening


def test_frames_with_the_class_are_wanted_where_it_is_rare() -> None:
    hits, totals = np.array([30, 2]), np.array([80, 80])
    wanted = evening(hits, totals, 100)
    assert wanted[1, 0] > 10
    assert wanted[0, 0] == wanted[1, 1] == 0
    after = cramers_v(hits + wanted[:, 0], totals + wanted.sum(axis=1))
    assert after == 0 < cramers_v(hits, totals)


def test_frames_without_it_are_wanted_where_it_is_always() -> None:
    wanted = evening(np.array([40, 20]), np.array([40, 40]), 100)
    assert wanted[0, 1] > 0
    assert wanted[0, 1] > wanted[1, 0], "a place that always shows it is evened out by frames without"


def test_no_more_than_there_are_and_no_more_than_asked() -> None:
    hits, totals = np.array([30, 2]), np.array([80, 80])
    assert evening(hits, totals, 5).sum() == 5
    few = evening(hits, totals, 100, available=np.array([[0, 3], [4, 0]]))
    assert few.tolist() == [[0, 3], [4, 0]]
    assert evening(np.array([8, 8]), np.array([80, 80]), 50).sum() == 0, "what is even stays"


def test_frames_that_are_wrong_half_of_the_time_are_wanted_twice() -> None:
    hits, totals = np.array([30, 2]), np.array([80, 80])
    sure, unsure = evening(hits, totals, 100), evening(hits, totals, 100, right=(0.6, 1.0))
    assert unsure[1, 0] > 1.4 * sure[1, 0]
