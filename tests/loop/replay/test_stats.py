"""Replay statistics: by hand, and beside scipy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from sklearn.isotonic import IsotonicRegression

from loop.replay.stats import aubc, holm, mean_ranks, not_worse, paired, reach, saving, sign_flip

DELTAS = np.array([0.4, -0.1, 0.3, 0.6, 0.2, 0.1, -0.2, 0.5])


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


def test_the_paired_interval_is_scipys() -> None:
    ours, theirs = DELTAS + 3, np.full(8, 3.0)
    found = paired(ours, theirs)
    interval = scipy_stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert (found.low, found.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
    one_sided = scipy_stats.ttest_rel(ours, theirs, alternative="greater").confidence_interval(0.95)
    assert found.lower == pytest.approx(one_sided.low)
    assert found.mean == pytest.approx(DELTAS.mean())


def test_one_seed_is_no_pair() -> None:
    with pytest.raises(ValueError, match="expected two seeds or more, got 1"):
        paired([1.0], [0.0])


def test_sign_flips_by_hand() -> None:
    assert sign_flip([1, 1, 1]) == 2 / 8
    assert sign_flip([1, -1]) == 1.0
    assert sign_flip(np.ones(8)) == 2 / 2**8


def test_sign_flips_are_scipys() -> None:
    oracle = scipy_stats.permutation_test(
        (DELTAS,),
        lambda each: each.sum(),
        permutation_type="samples",
        n_resamples=np.inf,
        alternative="two-sided",
    )
    assert sign_flip(DELTAS) == pytest.approx(oracle.pvalue)


def test_many_seeds_are_sampled() -> None:
    many = np.random.default_rng(1).normal(0.5, 1, 30)
    expected = scipy_stats.wilcoxon(many).pvalue
    assert sign_flip(many) == pytest.approx(expected, abs=0.03)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]).tolist() == [0.03, 0.06, 0.06]
    assert holm([0.6, 0.7]).tolist() == [1.0, 1.0]


def test_not_worse_needs_the_bound_and_not_the_mean() -> None:
    steady, shaky = paired([0.1, -0.1, 0.0], [0.0] * 3), paired([5.0, -5.0, 0.0], [0.0] * 3)
    assert not_worse(steady, 0.5)
    assert not not_worse(shaky, 0.5)


def test_ranks_share_ties() -> None:
    assert mean_ranks([[3, 1, 2], [3, 3, 1]]).tolist() == [1.25, 2.25, 2.5]
