"""How well shares are known, and whether one side shows more, over camera-days."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import comb

from loop.math.statistics.multiple_testing import benjamini_hochberg
from loop.math.statistics.shares import Counted, blocks, interval, least_p, p_more

Array = np.ndarray


def days(
    rng: np.random.Generator, share: float, correlation: float, count: int, least: int = 10, most: int = 60
) -> tuple[Array, Array]:
    """Frames that show a condition, and all, of ragged camera-days."""
    frames = rng.integers(least, most, count)
    rate = (1 - correlation) / correlation
    return rng.binomial(frames, rng.beta(share * rate, (1 - share) * rate, count)), frames


@pytest.mark.parametrize(
    ("share", "correlation", "count"),
    [(0.2, 0.05, 5), (0.4, 0.3, 10), (0.05, 0.05, 20), (0.2, 0.8, 30), (0.05, 0.3, 60)],
)
def test_intervals_hold_the_share(share: float, correlation: float, count: int) -> None:
    rng = np.random.default_rng(0)
    told = [interval(*days(rng, share, correlation, count)) for _ in range(600)]
    held = [low <= share <= high for low, high in (each for each in told if each)]
    assert len(held) > 300
    assert 0.92 <= np.mean(held) <= 0.985


def test_too_few_days_tell_no_interval() -> None:
    frames = np.full(30, 40)
    assert interval(np.where(np.arange(30) < 4, 10, 0), frames) is None, "four of thirty show it"
    assert interval(np.where(np.arange(30) < 4, 30, 40), frames) is None, "all but four show nothing else"
    assert interval(np.array([5, 6, 7, 8, 9]), np.full(5, 40)) is not None
    assert interval(np.array([5, 6, 7, 8, 9, 0]), np.array([40, 40, 40, 40, 0, 40])) is None


def test_days_that_vary_tell_less_than_their_frames() -> None:
    frames = np.full(20, 50)
    even = interval(np.full(20, 10), frames)
    uneven = interval(np.tile([0, 20], 10), frames)
    assert even is not None
    assert uneven is not None
    assert 0.17 < even[0] < 0.2 < even[1] < 0.23
    assert uneven[0] < 0.12
    assert uneven[1] > 0.29


def test_exchanges_by_hand() -> None:
    """Three of five days here show it, none of five there: all three lie here in 10 of 120 ways."""
    frames = np.full((1, 5), 20)
    here, there = Counted(np.array([[20, 20, 20, 0, 0]]), frames), Counted(np.zeros((1, 5), int), frames)
    assert least_p(here, there)[0] == pytest.approx(comb(7, 2) / comb(10, 5))
    drawn = [p_more(here, there, seed)[0] for seed in range(40)]
    assert max(drawn) <= comb(7, 2) / comb(10, 5) + 0.02
    assert np.mean(drawn) == pytest.approx(comb(7, 2) / comb(10, 5) / 2, abs=0.02), "ties by lot"
    assert p_more(there, here, 0)[0] > 0.9
    unknown = Counted(np.zeros((1, 5), int), np.zeros((1, 5), int))
    assert p_more(here, unknown, 0)[0] == 1.0


@pytest.mark.parametrize(("here", "there"), [((10, 60), (10, 60)), ((10, 60), (1, 2)), ((4, 7), (200, 400))])
def test_alike_sides_are_seldom_told_apart(here: tuple[int, int], there: tuple[int, int]) -> None:
    """Whatever the groups' sizes, over ten conditions together."""
    rng = np.random.default_rng(1)
    false = 0
    for _ in range(150):
        share = rng.choice([0.02, 0.05, 0.1, 0.3], 10)
        counts = []
        for least, most in (here, there):
            alone = most == 2
            sides = [
                days(rng, each, 1e-3 if alone else 0.3, 300 if alone else 12, least, most) for each in share
            ]
            counts.append((np.stack([h for h, _ in sides]), np.stack([t for _, t in sides])))
        size = float(np.median(counts[0][1][0]))
        here_side, there_side = (Counted(h, t).joined(blocks(t[0], size, 0)) for h, t in counts)
        false += bool((benjamini_hochberg(p_more(here_side, there_side, 0)) <= 0.05).any())
    assert false / 150 <= 0.1


def test_small_groups_are_joined_and_large_ones_left() -> None:
    block = blocks(np.array([40, 1, 1, 1, 1, 38, *[1] * 76]), 40, 0)
    assert np.bincount(block).tolist() == [1, 1, 20, 20, 20, 20], "of half the size where they are few"
    assert np.bincount(blocks(np.ones(2000, dtype=np.int64), 40, 0)).tolist() == [40] * 50
    assert block[0] != block[5]
    assert len(np.unique(blocks(np.full(2000, 40), 40, 0))) == 500
    np.testing.assert_array_equal(blocks(np.array([5, 7, 4]), 5, 0), [0, 1, 2])


def test_false_discoveries_by_hand() -> None:
    np.testing.assert_allclose(benjamini_hochberg([0.01, 0.04, 0.03, 0.5]), [0.04, 0.16 / 3, 0.16 / 3, 0.5])
    assert benjamini_hochberg([]).tolist() == []
