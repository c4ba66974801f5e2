"""Replay statistics: by hand, and beside scipy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from loop.replay.stats import aubc, reach, saving


def test_the_area_is_the_mean_height() -> None:
    assert aubc([0, 10, 20], [0, 10, 10], 0, 20) == 7.5
    assert aubc([0, 10, 20], [0, 10, 10], 10, 20) == 10
    assert aubc([0, 10, 20], [0, 10, 10], 5, 15) == pytest.approx((5 + 10) / 2 * 0.5 + 10 * 0.5)


def test_beyond_its_ends_a_curve_is_level() -> None:
    assert aubc([10, 20], [4, 8], 0, 40) == pytest.approx((4 * 10 + 6 * 10 + 8 * 20) / 40)


def test_an_axis_that_does_not_rise_is_refused() -> None:
    with pytest.raises(ValueError, match="expected x to rise, got"):
        aubc([0, 10, 5], [1, 2, 3], 0, 1)


def test_rounds_without_boxes_share_a_place() -> None:
    assert aubc([0, 10, 10, 20], [0, 8, 12, 10], 0, 20) == aubc([0, 10, 20], [0, 10, 10], 0, 20)


def test_a_level_is_read_off_between_the_rounds() -> None:
    assert reach([0, 60, 120], [10, 20, 40], 30).x == 90
    assert reach([0, 60, 120], [10, 20, 40], 20).x == 60


def test_a_curve_that_falls_is_made_rising_first() -> None:
    found = reach([0, 60, 120], [10, 30, 20], 25)
    assert (found.x, found.censored) == (60, "")


def test_a_level_out_of_reach_is_censored() -> None:
    assert reach([0, 60], [10, 20], 21).censored == "after"
    assert reach([0, 60], [10, 20], 9).censored == "before"
    assert reach([0, 60], [10, 20], 10).censored == ""


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 100), min_size=2, max_size=6), st.floats(0, 1))
def test_the_level_is_where_scikit_learn_has_it(heights: list[float], part: float) -> None:
    x = np.arange(len(heights)) * 10.0
    fitted = IsotonicRegression().fit_transform(x, heights)
    level = fitted[0] + part * (fitted[-1] - fitted[0])
    found = reach(x, heights, level)
    if not found.censored:
        assert np.interp(found.x, x, fitted) == pytest.approx(level, abs=1e-6)


def test_half_the_labels_for_the_same_ap_are_found() -> None:
    x = np.tile([0.0, 60, 120], (3, 1))
    slow, fast = np.tile([0.0, 6, 12], (3, 1)), np.tile([0.0, 12, 24], (3, 1))
    middle, final = (saving(x, fast, x, slow, part, draws=50) for part in (0.5, 1.0))
    assert (middle.level, final.level) == (6, 12)
    assert middle.ratio == pytest.approx(0.5)
    assert (middle.guessed, final.guessed) == (True, False)
    assert (final.ratio, final.low, final.high) == (
        pytest.approx(0.5),
        pytest.approx(0.5),
        pytest.approx(0.5),
    )


def test_a_sampler_that_never_gets_there_is_censored_with_its_interval() -> None:
    x = np.tile([0.0, 60, 120], (4, 1))
    good = np.tile([0.0, 6, 12], (4, 1))
    bad = np.array([[0.0, 1, 2], [0.0, 1, 2], [0.0, 1, 2], [0.0, 20, 40]])
    found = saving(x, bad, x, good, 1.0, draws=400)
    assert found.censored == "after"
    assert found.ratio == 1.0
    assert found.high == float("inf")
    assert found.low < 1


def test_the_interval_is_that_of_one_draw_after_another() -> None:
    """Of curves that rise and fall, some of which never get there."""
    rng = np.random.default_rng(3)
    for seeds in (3, 9):
        x, x_random = (np.cumsum(rng.integers(1, 30, (seeds, 5)), axis=1).astype(float) for _ in range(2))
        y, y_random = (np.cumsum(rng.normal(0.3, 1, (seeds, 5)), axis=1) for _ in range(2))
        drawn, ratios = np.random.default_rng(7), []
        for _ in range(200):
            rows = drawn.integers(0, seeds, seeds)
            one = saving(x[rows], y[rows], x_random[rows], y_random[rows], 0.5, draws=0)
            ratios.append({"before": 0.0, "after": np.inf, "": one.ratio}[one.censored])
        low, high = np.quantile(ratios, [0.025, 0.975], method="inverted_cdf")
        found = saving(x, y, x_random, y_random, 0.5, draws=200, seed=7)
        assert (found.low, found.high) == (low, high)
        assert len(set(ratios)) >= 5


def test_random_against_itself_saves_nothing() -> None:
    rng = np.random.default_rng(0)
    x = np.tile([0.0, 60, 120, 180], (8, 1))
    y = np.cumsum(rng.uniform(1, 3, (8, 4)), axis=1)
    found = saving(x, y, x, y, 0.5, draws=100)
    assert (found.ratio, found.low, found.high) == (1.0, 1.0, 1.0)


def test_where_random_gains_nothing_nothing_is_saved() -> None:
    x = np.tile([0.0, 60, 120], (3, 1))
    falling, better = np.tile([5.0, 4, 3], (3, 1)), np.tile([4.0, 6, 8], (3, 1))
    late = saving(x, better - 1, x, falling, 1.0, draws=20)
    assert (late.ratio, late.censored) == (1.0, "after")
    same = saving(x, falling, x, falling, 0.5, draws=20)
    assert (same.ratio, same.low, same.high) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("random", "ours", "first"),
    [
        ([30.0, 28, 29, 29], [30.0, 30, 31, 32], 63),
        ([50.0, 44, 48, 49.5], [50.0, 50.2, 50.4, 50.6], 0),
    ],
    ids=["random falls, frames were labeled before", "random dips and ends below where all began"],
)
def test_nothing_is_saved_for_what_the_shared_start_has(
    random: list[float], ours: list[float], first: float
) -> None:
    x = np.tile(first + np.array([0.0, 60, 120, 180]), (5, 1))
    found = saving(x, np.tile(ours, (5, 1)), x, np.tile(random, (5, 1)), 1.0, draws=20)
    assert (found.ratio, found.censored, found.low, found.high) == (1.0, "", 1.0, 1.0)
