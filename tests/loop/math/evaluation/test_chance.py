"""What chance does to a slice, learned from all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t

from loop.math.evaluation.chance import USUAL, Chance, fitted, measurable, measured
from loop.math.evaluation.compare import Difference

BY_GROUP, BY_OBJECT = 0.3, 0.8


def difference(groups: float, objects: float, before: float = 0.5, after: float = 0.5) -> Difference:
    return Difference(before, after, int(objects), int(objects), int(groups), groups, objects)


def varied(rng: np.random.Generator, one: Difference, size: int = 4000) -> np.ndarray:
    """Differences about zero as exchanges would give them, the first of them none."""
    middle = (one.before + one.after) / 2
    variance = middle * (1 - middle) * (BY_GROUP / one.even_groups + BY_OBJECT / (one.even_objects - 2))
    spread = np.sqrt(variance * (1 - 1 / one.even_groups) + one.estimate**2 / one.even_groups)
    return rng.normal(0, spread, size)


def test_components_come_back() -> None:
    rng = np.random.default_rng(0)
    slices = [difference(g, g * k) for g, k in ((8, 1), (10, 8), (20, 2), (30, 5), (60, 1), (60, 9))]
    found = fitted([measured(one, varied(rng, one)) for one in slices])
    assert found is not None
    assert found.by_group == pytest.approx(BY_GROUP, rel=0.2)
    assert found.by_object == pytest.approx(BY_OBJECT, rel=0.2)


def test_what_really_changed_is_no_chance() -> None:
    rng = np.random.default_rng(1)
    slices = [difference(g, g * k, 0.2, 0.7) for g, k in ((10, 1), (20, 8), (30, 2), (60, 4))]
    found = fitted([measured(one, varied(rng, one)) for one in slices])
    assert found is not None
    assert (found.by_group, found.by_object) == (
        pytest.approx(BY_GROUP, rel=0.3),
        pytest.approx(BY_OBJECT, rel=0.3),
    )


def test_nothing_measured_is_judged_by_the_usual() -> None:
    assert fitted([]) is USUAL


def test_one_group_that_holds_nearly_all_tells_nothing() -> None:
    assert measurable(difference(8, 40))
    assert not measurable(replace(difference(20, 200), even_groups=1.3))
    assert not measurable(difference(7, 40))
    still = replace(difference(20, 200), variance=0.0)
    assert fitted([still, still]) is USUAL, "else every small fall would be certain"


def test_its_own_counts_by_its_groups() -> None:
    """Moderated as by Smyth (2004): ten groups are worth as much as what all slices tell."""
    known = Chance(BY_GROUP, BY_OBJECT)
    told = known.deviation(difference(11, 100)) ** 2
    one = replace(difference(11, 100), variance=3 * told)
    assert known.deviation(one) ** 2 == pytest.approx(2 * told)
    assert (known.freedom(one), known.freedom(difference(11, 100))) == (30, 20)


def test_a_small_slice_is_judged_by_what_the_others_tell() -> None:
    known = Chance(BY_GROUP, BY_OBJECT)
    lost = difference(4, 8, 0.9, 0.0)
    assert known.p_fall(lost, 0.0) < 0.01, "four groups alone would tell no more than 1/16"
    assert known.p_fall(difference(4, 8, 0.9, 0.75), 0.0) > 0.1
    assert known.p_fall(difference(4, 8, 0.5, 0.9), 0.0) > 0.9


def test_the_bound_lies_above_what_was_measured() -> None:
    known, one = Chance(BY_GROUP, BY_OBJECT), difference(4, 8, 0.9, 0.75)
    assert known.reach(one, 0.05) == pytest.approx(t.isf(0.05, 20) * known.deviation(one))


def test_without_any_chance_a_fall_is_certain_and_a_copy_has_not_fallen() -> None:
    still = Chance(0.0, 0.0)
    assert still.p_fall(difference(9, 9, 0.5, 0.5), 0.0) == 1
    assert still.p_fall(difference(9, 9, 0.5, 0.4), 0.0) == 0


def test_what_may_be_lost_is_no_fall() -> None:
    known, one = Chance(BY_GROUP, BY_OBJECT), difference(30, 300, 0.5, 0.4)
    assert known.p_fall(one, 0.1) == pytest.approx(0.5)
    assert known.p_fall(one, 0.0) < known.p_fall(one, 0.03)


def test_where_both_miss_all_or_nothing_chance_is_not_nothing() -> None:
    assert Chance(BY_GROUP, BY_OBJECT).deviation(difference(9, 9, 1.0, 1.0)) > 0


def test_the_interval_holds_the_true_change_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    chance, true = Chance(BY_GROUP, BY_OBJECT), -0.1
    one = difference(20, 200, 0.6, 0.6 + true)
    told = rng.normal(true, chance.deviation(one), 2000)
    found = [chance.interval(replace(one, after=one.before + change)) for change in told]
    held = np.mean([low <= true <= high for low, high in found])
    assert 0.94 <= held <= 0.97, held


def test_an_interval_ends_where_an_ap_would_leave_its_scale() -> None:
    low, high = Chance(BY_GROUP, BY_OBJECT).interval(difference(3, 4, 0.9, 0.95))
    assert low > -0.9
    assert high == pytest.approx(0.1)
    low, high = Chance(BY_GROUP, BY_OBJECT).interval(difference(3, 4, 0.1, 0.0))
    assert low == pytest.approx(-0.1)
    assert np.isnan(USUAL.interval(difference(0, 0, np.nan, np.nan))).all()
