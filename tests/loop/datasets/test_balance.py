"""How an epoch is composed."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from loop.datasets.balance import Replay, repeat_factors, repeats
from loop.datasets.imported import DatasetError
from loop.datasets.units import Item
from tests.loop.datasets.making import item

USUAL = Replay(old=500, new_repeats=2, max_repeats=4)
PERSON, FORKLIFT = ((0, 4.0, 4.0, 20.0, 24.0),), ((5, 4.0, 4.0, 20.0, 24.0),)


def world() -> list[Item]:
    """1,600 old daylight frames, 16 of them with a rare class, and 120 new ones of four conditions."""
    old = [item(n, origin="imported", conditions=("day",), boxes=PERSON) for n in range(1600)]
    rare = [item(2000 + n, origin="imported", conditions=("day",), boxes=FORKLIFT) for n in range(16)]
    new = [
        item(3000 + n, conditions=(("night", "fog", "rain", "dusk")[n % 4],), boxes=PERSON, new=True)
        for n in range(120)
    ]
    return [*old, *rare, *new]


def train(items: list[Item]) -> dict[int, str]:
    return {i.frame: "train" for i in items}


def test_all_new_the_rare_and_a_sample_of_the_old() -> None:
    items = world()
    times = repeats(items, train(items), replace(USUAL, old=256, new_repeats=2, max_repeats=4))
    assert all(times[i.frame] == 3 for i in items if i.new), (
        "twice, and each condition is in 30 of 1,736 frames"
    )
    assert all(times[2000 + n] == 2 for n in range(16)), (
        "a class in 16 of them, though in 16 of 376 that are seen"
    )
    assert sum(times[n] > 0 for n in range(1600)) == 240
    assert sum(times.values()) == 240 + 2 * 16 + 3 * 120


def test_rare_frames_are_repeated_within_the_bound() -> None:
    items = [*world()[:1600], item(5000, conditions=("snow",)), item(5001, conditions=("snow",), new=True)]
    times = repeats(items, train(items), replace(USUAL, old=0, new_repeats=2, max_repeats=4, rare=0.03))
    assert times[5000] == 4
    assert times[5001] == 4
    assert times[0] == 1
    assert len(times) == 1602
    bounded = repeats(items, train(items), replace(USUAL, old=0, new_repeats=2, max_repeats=2, rare=0.03))
    assert (bounded[5000], bounded[5001]) == (2, 2)


def test_repeat_factors_by_hand() -> None:
    items = [item(n, boxes=PERSON) for n in range(99)] + [item(99, boxes=FORKLIFT)]
    factors = repeat_factors(items, 0.04)
    assert factors[:99] == [1.0] * 99
    assert factors[99] == pytest.approx(2.0)
    assert repeat_factors([item(1, boxes=())], 0.04) == [1.0]


def test_rare_frames_do_not_crowd_out_the_others() -> None:
    old = [item(n, boxes=PERSON) for n in range(3000)]
    odd = [item(4000 + n, boxes=((n // 20, 4.0, 4.0, 20.0, 24.0),)) for n in range(20, 400)]
    items = [*old, *odd]
    times = repeats(items, train(items), replace(USUAL, old=200, rare=0.03, rare_part=0.5))
    common = sum(times[i.frame] > 0 for i in old)
    assert 60 <= common <= 100
    assert sum(t > 0 for t in times.values()) == 200


def test_held_out_frames_are_not_there_and_the_order_does_not_matter() -> None:
    items = world()
    sides = train(items) | {0: "val", 3000: "test"}
    one = repeats(items, sides, replace(USUAL, old=100), seed=4)
    assert 0 not in one
    assert 3000 not in one
    assert one == repeats(random.Random(0).sample(items, len(items)), sides, replace(USUAL, old=100), seed=4)
    assert one != repeats(items, sides, replace(USUAL, old=100), seed=5)


def test_fewer_old_frames_than_wanted_are_all_taken() -> None:
    items = [replace(i, new=False) for i in world()[:30]]
    assert Counter(repeats(items, train(items), replace(USUAL, old=500)).values()) == {1: 30}


def test_settings_that_contradict_each_other() -> None:
    with pytest.raises(
        DatasetError, match="1 <= new_repeats <= max_repeats, got old 500, new_repeats 5, max_repeats 4"
    ):
        repeats([], {}, replace(USUAL, new_repeats=5))
    with pytest.raises(DatasetError, match=r"expected rare and rare_part as shares, got 1\.5"):
        repeats([], {}, replace(USUAL, rare=1.5))
