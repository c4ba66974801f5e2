"""The paired comparison on cases that can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from loop.math.evaluation import compare as comparison
from loop.math.evaluation.ap import Matches
from loop.math.evaluation.compare import Slice, compare, group_numbers, p_gain
from tests.loop.math.evaluation.simulated import GOOD, detector, skills, world


def found(images: list[int], total: int, objects: int | None = None) -> Matches:
    """One class, one object in each of the first `objects` images, found where listed."""
    truths = np.zeros((total, 1), np.int64)
    truths[: total if objects is None else objects] = 1
    image = np.array(images, np.int64)
    confidence = np.linspace(0.9, 0.5, len(images))
    hit = truths[image, 0][None] > 0
    return Matches(image, np.zeros(len(images), np.int64), confidence, hit, truths, np.array([0.5]))


def everywhere(total: int) -> list[Slice]:
    return [Slice("all", np.ones(total))]


def test_a_gain_in_each_of_four_groups_is_one_exchange_in_sixteen() -> None:
    nothing, everything = found([], 4), found([0, 1, 2, 3], 4)
    groups = np.arange(4)
    assert p_gain(nothing, everything, everywhere(4), groups) == 1 / 16
    assert p_gain(everything, nothing, everywhere(4), groups) == 1
    assert p_gain(everything, everything, everywhere(4), groups) == 1


def test_drawn_exchanges_agree_with_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    scene = world(rng, 11)
    pair = detector(rng, scene, skills(gaps=0.3)), detector(rng, scene, skills(gaps=0.5))
    exact = p_gain(*pair, everywhere(len(scene.group)), scene.group)
    monkeypatch.setattr(comparison, "_EXACT", 0)
    drawn = p_gain(*pair, everywhere(len(scene.group)), scene.group, draws=6000, seed=1)
    assert 0.02 < exact < 0.98
    assert drawn == pytest.approx(exact, abs=0.02)


def test_groups_without_objects_are_no_evidence() -> None:
    before, after = found([0], 4, objects=4), found([0, 1, 2, 3], 4, objects=4)
    padded = (found([0], 60, objects=4), found([0, 1, 2, 3], 60, objects=4))
    few = compare(before, after, everywhere(4), np.arange(4))
    many = compare(*padded, everywhere(60), np.arange(60))
    assert (few.groups, many.groups) == (4, 4)
    assert p_gain(*padded, everywhere(60), np.arange(60)) == p_gain(
        before, after, everywhere(4), np.arange(4)
    )
    assert many.p_fall() == pytest.approx(few.p_fall())


def test_jackknife_of_found_objects_by_hand() -> None:
    """Half the objects found by one model and all by the other: the difference is 1 - 51/101 in
    AP50.
    """
    one = compare(found([0, 1], 4), found([0, 1, 2, 3], 4), everywhere(4), np.arange(4))
    assert one.before == pytest.approx(51 / 101)
    assert one.after == 1
    assert one.estimate == pytest.approx(50 / 101)
    without_hit, without_miss = 1 - 34 / 101, 1 - 67 / 101
    expected = [4 * 50 / 101 - 3 * d for d in (without_hit, without_hit, without_miss, without_miss)]
    np.testing.assert_allclose(one.shares, expected)
    assert one.standard_error == pytest.approx(np.std(expected, ddof=1) / 2)
    assert one.upper_fall(0.05) == pytest.approx(2.353363 * one.standard_error - 50 / 101)
    assert not one.persistent


def test_a_fall_in_every_group_is_persistent_and_certain() -> None:
    one = compare(found([0, 1, 2], 3), found([], 3), everywhere(3), np.arange(3))
    assert one.persistent
    assert one.p_fall() == 0
    assert one.upper_fall(0.05) == pytest.approx(1)


def test_one_group_has_no_error_to_speak_of() -> None:
    one = compare(found([0], 1), found([], 1), everywhere(1), np.zeros(1, np.int64))
    assert (one.groups, one.estimate, len(one.shares)) == (1, -1, 0)
    assert np.isnan(one.standard_error)
    assert np.isnan(one.upper_fall(0.05))
    assert np.isnan(one.p_fall())
    assert one.persistent


def test_a_slice_without_objects_is_not_a_number() -> None:
    one = compare(found([], 3, objects=0), found([], 3, objects=0), everywhere(3), np.arange(3))
    assert np.isnan(one.before)
    assert one.groups == 0
    assert p_gain(found([], 3, objects=0), found([], 3, objects=0), everywhere(3), np.arange(3)) == 1


def test_weights_move_the_estimate() -> None:
    before, after = found([0], 2), found([1], 2)
    heavy = [Slice("all", np.array([1.0, 9.0]))]
    assert compare(before, after, everywhere(2), np.arange(2)).estimate == pytest.approx(0)
    assert compare(before, after, heavy, np.arange(2)).estimate > 0.7


def test_bound_on_a_fall_covers() -> None:
    """Two trainings of equal skill: the 95 % bound lies above the true difference, zero, in most
    worlds.
    """
    covered = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        scene = world(rng, 20, frames=3)
        a, b = (detector(rng, scene, skills(gaps=GOOD - 1.5)) for _ in range(2))
        covered += compare(a, b, everywhere(len(scene.group)), scene.group).upper_fall(0.05) >= 0
    assert covered / 120 >= 0.9


def test_groups_are_numbered_in_the_order_met() -> None:
    assert group_numbers(["b|1", "a|1", "b|1"]).tolist() == [0, 1, 0]


def test_unpaired_models_are_refused() -> None:
    with pytest.raises(ValueError, match="expected both models matched on the same frames"):
        compare(found([0], 2), replace(found([0], 2), truths=np.zeros((2, 1), np.int64)), [], np.arange(2))
    with pytest.raises(ValueError, match="expected a group for each of 2 images, got 3"):
        compare(found([0], 2), found([0], 2), [], np.arange(3))
