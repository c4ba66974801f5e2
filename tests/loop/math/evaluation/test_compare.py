"""The paired comparison on cases that can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from loop.math.evaluation.ap import Matches
from loop.math.evaluation.compare import Slice, compare, exchanged, group_numbers, p_gain
from tests.loop.math.evaluation.simulated import detector, skills, world


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


def test_drawn_exchanges_agree_with_all_of_them() -> None:
    rng = np.random.default_rng(3)
    scene = world(rng, 11)
    pair = detector(rng, scene, skills(gaps=0.3)), detector(rng, scene, skills(gaps=0.5))
    exact = p_gain(*pair, everywhere(len(scene.group)), scene.group)
    assert exact == p_gain(*pair, everywhere(len(scene.group)), scene.group, seed=1), "all 1024 of them"
    drawn = p_gain(*pair, everywhere(len(scene.group)), scene.group, draws=2000, seed=1)
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
    assert (many.even_groups, many.even_objects) == (few.even_groups, few.even_objects)


def test_half_the_objects_found_by_hand() -> None:
    one = compare(found([0, 1], 4), found([0, 1, 2, 3], 4), everywhere(4), np.arange(4))
    assert one.before == pytest.approx(51 / 101)
    assert one.after == 1
    assert one.estimate == pytest.approx(50 / 101)
    assert (one.frames, one.objects, one.groups) == (4, 4, 4)


def test_exchanges_by_hand() -> None:
    """One model finds both of two objects, the other none: only an exchange of one group changes
    that.
    """
    values = exchanged(found([], 2), found([0, 1], 2), everywhere(2), np.arange(2))
    assert values.tolist() == pytest.approx([1, 0])


def test_classes_count_by_their_objects() -> None:
    """Nine objects of one class are found, the only one of another is not."""
    truths = np.zeros((10, 2), np.int64)
    truths[:9, 0] = truths[9, 1] = 1
    nine = np.arange(9)
    after = Matches(nine, nine * 0, np.linspace(0.9, 0.5, 9), np.ones((1, 9), bool), truths, np.array([0.5]))
    none = replace(
        after, image=nine[:0], class_id=nine[:0], confidence=after.confidence[:0], hit=after.hit[:, :0]
    )
    assert compare(none, after, everywhere(10), np.arange(10)).after == pytest.approx(0.9)


def test_groups_of_unequal_size_count_as_fewer() -> None:
    equal = compare(found([], 4), found([0], 4), everywhere(4), np.array([0, 0, 1, 1]))
    uneven = compare(found([], 4), found([0], 4), everywhere(4), np.array([0, 0, 0, 1]))
    assert (equal.even_groups, equal.even_objects) == (2, 4)
    assert (uneven.groups, uneven.even_groups) == (2, pytest.approx(16 / 10))
    heavy = compare(found([], 2), found([0], 2), [Slice("all", np.array([3.0, 1.0]))], np.arange(2))
    assert heavy.even_objects == pytest.approx(16 / 10)


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


def test_groups_are_numbered_in_the_order_met() -> None:
    assert group_numbers(["b|1", "a|1", "b|1"]).tolist() == [0, 1, 0]


def test_unpaired_models_are_refused() -> None:
    with pytest.raises(ValueError, match="expected both models matched on the same frames"):
        compare(found([0], 2), replace(found([0], 2), truths=np.zeros((2, 1), np.int64)), [], np.arange(2))
    with pytest.raises(ValueError, match="expected a group for each of 2 images, got 3"):
        compare(found([0], 2), found([0], 2), [], np.arange(3))
