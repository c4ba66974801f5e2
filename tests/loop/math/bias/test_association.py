"""A class is tied to a place where camera-days say so, and never because frames of one day agree."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats.contingency import association as plain_v

from loop.math.bias.association import (
    Exchanges,
    Factor,
    assessed,
    corrected_v,
    cramers_v,
    exchanged_units,
    like_sizes,
    log_odds,
    telling_level,
    thinned,
    wanted_draws,
)
from loop.math.statistics.multiple_testing import benjamini_hochberg
from tests.loop.math.bias.planted import factor, planted


def test_v_is_bergsmas_and_nears_the_plain_one_of_many_frames() -> None:
    hits, totals = np.array([30, 6]), np.array([100, 100])
    phi2 = plain_v(np.stack([hits, totals - hits])) ** 2
    expected = np.sqrt((phi2 - 1 / 199) / (2 - 1 / 199 - 1))
    assert cramers_v(hits, totals) == pytest.approx(expected)
    many = cramers_v(1000 * hits, 1000 * totals)
    assert many == pytest.approx(plain_v(1000 * np.stack([hits, totals - hits])), abs=1e-4)
    assert corrected_v(float(phi2), float(phi2), 2, 200) == 0
    assert corrected_v(float(phi2), 1 / 199, 2, 200) == pytest.approx(expected)


def test_v_is_the_same_whether_or_not_a_place_without_frames_is_named() -> None:
    assert cramers_v(np.array([9, 1, 0]), np.array([10, 10, 0])) == cramers_v(
        np.array([9, 1]), np.array([10, 10])
    )
    assert cramers_v(np.array([5]), np.array([10])) == 0


def test_v_of_independent_frames_is_nearly_zero_in_the_mean() -> None:
    rng = np.random.default_rng(0)
    totals = np.full(8, 25)
    squares = [cramers_v(rng.binomial(25, 0.3, 8), totals) ** 2 for _ in range(400)]
    assert np.mean(squares) < 0.02, "the plain V squared is (8 - 1) / 200 = .035"


def found(seed: int, odds: float) -> list[float]:
    """q of every pair of class and place of a world, those of class 1 first."""
    world = planted(seed, odds)
    told = [
        assessed(world.presence, one, world.group, world.group, seed=seed, draws=499) for one in world.factors
    ]
    p = np.array([each.p for each in told])
    order = [1, 0, 2]
    return benjamini_hochberg(p[:, order].T.ravel()).tolist()


def test_what_is_planted_at_log_odds_2_is_found() -> None:
    assert sum(min(found(seed, 2.0)[:2]) <= 0.05 for seed in range(20)) >= 18


def test_where_nothing_is_tied_nothing_is_found() -> None:
    assert sum(min(found(seed, 0.0)) <= 0.05 for seed in range(40)) <= 5


def test_a_class_of_one_long_day_is_tied_to_nothing() -> None:
    """However many frames show it: .77 of such worlds pass a test that exchanges frames."""
    group = np.repeat(np.arange(12), 50)
    presence = np.zeros((600, 1), dtype=bool)
    presence[group == 3] = True
    told = assessed(presence, factor("site", group % 2), group, group, seed=0, draws=199)
    assert np.isnan(told.p).all(), "of one day nothing can be told"
    presence[::60] = True  # on ten of the days, a frame or so each
    told = assessed(presence, factor("site", group % 2), group, group, seed=0, draws=199)
    assert told.p[0] > 0.05


def test_one_place_and_unknown_places_are_not_tested() -> None:
    world = planted(0)
    one = Factor("site", "site", ("a",), ("a",), np.zeros(len(world.group), dtype=np.int64))
    assert np.isnan(assessed(world.presence, one, world.group, world.group, seed=0, draws=99).p).all()
    unknown = Factor("site", "site", ("a", "b"), ("a", "b"), np.full(len(world.group), -1))
    assert np.isnan(assessed(world.presence, unknown, world.group, world.group, seed=0, draws=99).p).all()


def test_a_place_that_changes_within_the_day_is_tested_too() -> None:
    """Night is a part of every camera-day, and the class comes at night."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(40), 20)
    night = np.tile(np.arange(20) >= 14, 40)
    presence = (rng.random(800) < np.where(night, 0.4, 0.08))[:, None]
    told = assessed(presence, factor("slice", night.astype(np.int64)), group, group, seed=0, draws=999)
    assert told.p[0] == pytest.approx(0.001)
    assert told.phi2[0] > 3 * told.by_chance[0]


def test_exchanges_give_each_group_what_one_of_like_size_shows() -> None:
    sizes = np.array([3] * 10 + [40] * 10)
    code = np.repeat(np.arange(20), sizes)
    rows = Exchanges(code, np.arange(20)).drawn(np.random.default_rng(0))
    source = code[rows]
    for group in range(20):
        (other,) = np.unique(source[code == group])
        assert sizes[other] == sizes[group]
    assert len(np.unique(source)) == 20, "every group gives once"
    own = np.flatnonzero(code == 15)
    steps = np.diff(rows[own])
    assert np.isin(steps, (1, -39)).all(), "runs stay together"


def test_few_groups_of_a_size_are_exchanged_with_the_next() -> None:
    assert len(np.unique(like_sizes(np.array([1] * 8 + [50] * 8)))) == 2
    assert len(np.unique(like_sizes(np.array([1] * 3 + [4] * 3 + [50] * 3)))) == 1


def test_log_odds_and_their_interval() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        inside, outside = rng.binomial(20, 0.3, 15), rng.binomial(20, 0.06, 15)
        told = log_odds(np.stack([inside, 20 - inside], 1), np.stack([outside, 20 - outside], 1))
        assert told.interval is not None
        held += told.interval[0] <= np.log(0.3 / 0.7 * 0.94 / 0.06) <= told.interval[1]
    assert 0.93 <= held / 200 <= 1.0
    assert log_odds(np.array([[5, 5], [0, 0]]), np.array([[1, 9], [2, 8]])).interval is None


def test_log_odds_of_never_are_wide_and_finite() -> None:
    never, often = np.array([[0, 20]] * 8), np.array([[10, 10]] * 8)
    told = log_odds(often, never)
    assert told.interval is not None
    assert np.isfinite(told.value)
    assert told.interval[1] - told.interval[0] > 4, "1.4 either way for independent frames, by Student's t"


def test_the_place_that_shows_more_is_named() -> None:
    assert telling_level(np.array([3, 30]), np.array([100, 100]), [True, True]) == 1
    assert telling_level(np.array([40, 40, 41, 1]), np.full(4, 50), [True] * 4) == 3, "hardly ever there"
    assert telling_level(np.array([3, 30]), np.array([100, 100]), [True, False]) == 0
    assert telling_level(np.array([3, 30]), np.array([100, 100]), [False, False]) is None


def test_more_tests_take_more_exchanges() -> None:
    assert wanted_draws(10, 0.05) == 999
    assert wanted_draws(100, 0.05) == 4000


def test_of_many_frames_some_of_each_group_tell_it() -> None:
    rng = np.random.default_rng(0)
    group = rng.integers(0, 1500, 60_000)
    rows = thinned(group, seed=0)
    assert len(np.unique(group[rows])) == 1000
    assert 7000 < len(rows) <= 8000
    assert (np.bincount(group[rows]) <= 8).all()
    few = np.repeat([7, 3], [5, 2])
    assert sorted(thinned(few, seed=0).tolist()) == list(range(7))
    one = thinned(np.zeros(50_000, dtype=np.int64), seed=0)
    assert len(one) == 8000
    assert np.diff(one).max() <= 7, "evenly spread"


def test_cameras_of_a_site_are_exchanged_together() -> None:
    """Three cameras, the first two of one site, on two days."""
    group = np.arange(6)
    day, site = np.repeat([100.0, 101.0], 3), np.tile([0, 0, 1], 2)
    together = exchanged_units("camera", site, day, group)
    assert len(np.unique(together)) == 4
    assert together[0] == together[1] != together[2]
    one = np.zeros(6, dtype=np.int64)
    assert len(np.unique(exchanged_units("camera", one, day, group))) == 6, "of one site, camera-days"
    assert len(np.unique(exchanged_units("slice", one, day, group))) == 2, "rain falls on all cameras"
    assert len(np.unique(exchanged_units("slice", site, day, group))) == 2, "and at all sites"
    undated = np.where(group < 3, np.nan, day)
    assert len(np.unique(exchanged_units("slice", one, undated, group))) == 4


def test_groups_of_a_unit_move_together_and_stay_whole() -> None:
    """Six days of a site with two cameras each: a day takes the place of a day."""
    code = np.repeat(np.arange(12), 5)
    unit = np.arange(12) // 2
    for seed in range(10):
        rows = Exchanges(code, unit).drawn(np.random.default_rng(seed))
        source = code[rows].reshape(12, 5)
        assert (source == source[:, :1]).all(), "a camera-day gets one camera-day"
        days = unit[source[:, 0]].reshape(6, 2)
        assert (days[:, 0] == days[:, 1]).all()
        assert sorted(days[:, 0].tolist()) == list(range(6))
        assert (source[::2, 0] != source[1::2, 0]).all()
