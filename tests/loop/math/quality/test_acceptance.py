"""Acceptance plans keep their risks, whatever draws them and however errors cluster."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from connectors.ports import Box
from loop.math.quality.acceptance import (
    Kind,
    acceptance,
    consumer_risk,
    decide,
    expected_places,
    operating_curve,
    plan_of,
    producer_risk,
)
from loop.math.quality.lot_sampling import Changes, changes_of, drawn_places, errors_at, places_of

A = Box("person", (10.0, 10.0, 50.0, 50.0))
B = Box("person", (100.0, 10.0, 140.0, 50.0))


@pytest.mark.parametrize("kind", ["zero", "double"])
@pytest.mark.parametrize(("boxes", "places"), [(100, 150), (600, 900), (2000, 3000), (50_000, 80_000)])
def test_a_lot_that_misses_the_claim_is_seldom_accepted(kind: Kind, boxes: int, places: int) -> None:
    plan = plan_of(boxes, places, 0.98, 0.95, kind)
    assert plan.limit == boxes // 50 + 1
    risks = [acceptance(plan, wrong) for wrong in range(plan.limit, min(plan.limit + 50, places))]
    assert max(risks) == risks[0] == consumer_risk(plan) <= 0.05


def test_the_zero_plan_is_the_smallest_known() -> None:
    plan = plan_of(1_000_000, 1_000_000, 0.95, 0.95, "zero")
    assert (plan.first, plan.second, plan.accept, plan.risks) == (59, 0, 0, "binomial")
    small = plan_of(100, 100, 0.98, 0.95, "zero")
    assert small.risks == "hypergeometric"
    assert (
        stats.hypergeom.pmf(0, 100, 3, small.first) <= 0.05 < stats.hypergeom.pmf(0, 100, 3, small.first - 1)
    )


@pytest.mark.parametrize(("boxes", "places"), [(600, 900), (20_000, 30_000)])
def test_risks_are_those_of_the_distributions(boxes: int, places: int) -> None:
    plan, wrong = plan_of(boxes, places, 0.98, 0.95, "double"), boxes // 80
    share = wrong / places
    if plan.risks == "binomial":
        stage = [stats.binom.pmf(seen, plan.first, share) for seen in range(plan.accept + 1)]
        rest = [stats.binom.cdf(plan.accept - seen, plan.second, share) for seen in range(plan.accept + 1)]
    else:
        stage = [stats.hypergeom.pmf(seen, places, wrong, plan.first) for seen in range(plan.accept + 1)]
        rest = [
            stats.hypergeom.cdf(plan.accept - seen, places - plan.first, wrong - seen, plan.second)
            for seen in range(plan.accept + 1)
        ]
    known = stage[0] + sum(a * b for a, b in zip(stage[1:], rest[1:], strict=True))
    assert acceptance(plan, wrong) == pytest.approx(known, abs=1e-9)


def test_the_double_plan_turns_down_fewer_good_lots_and_is_the_default() -> None:
    double, zero = (plan_of(2000, 3000, 0.98, 0.95, kind) for kind in ("double", "zero"))
    assert plan_of(2000, 3000, 0.98, 0.95) == double
    assert producer_risk(double) <= 0.1
    assert producer_risk(zero) > 0.45
    assert zero.first < expected_places(double) < double.first + double.second
    right, chance = operating_curve(double)
    assert np.all(np.diff(right) > 0)
    assert np.all(np.diff(chance) >= 0)
    assert (right[-1], chance[-1]) == (1.0, pytest.approx(1.0))


def test_a_lot_is_rejected_as_soon_as_nothing_can_save_it() -> None:
    plan = plan_of(2000, 3000, 0.98, 0.95, "double")
    few, many = plan.accept, plan.accept + 1
    assert decide(plan, [many, 0], [many, 0]) == "rejected"
    assert decide(plan, [plan.first - 1, 0], [0, 0]) == "first"
    assert decide(plan, [plan.first, 0], [0, 0]) == "accepted"
    assert decide(plan, [plan.first, 0], [few, 0]) == "second"
    assert decide(plan, [plan.first, plan.second], [few, 0]) == "accepted"
    assert decide(plan, [plan.first, plan.second - 1], [few, 1]) == "rejected"


def test_a_lot_without_boxes_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a lot with boxes and no fewer places, got 0 boxes"):
        plan_of(0, 12, 0.98, 0.95)


@pytest.mark.parametrize(
    ("answer", "wrong", "overlooked"),
    [
        ([A, B], (False, False), 0),
        ([A], (False, True), 0),
        ([A, Box("helmet", B.xyxy)], (False, True), 0),
        ([A, Box("person", (102.0, 10.0, 142.0, 50.0))], (False, False), 0),
        ([A, Box("person", (110.0, 10.0, 150.0, 50.0))], (False, True), 0),
        ([A, B, Box("person", (200.0, 10.0, 240.0, 50.0))], (False, False), 1),
        ([Box("person", (300.0, 10.0, 340.0, 50.0))], (True, True), 1),
    ],
    ids=["same", "deleted", "class", "moved a little", "moved", "added", "elsewhere"],
)
def test_what_an_inspector_changes_is_counted(
    answer: list[Box], wrong: tuple[bool, ...], overlooked: int
) -> None:
    assert changes_of([A, B], answer) == Changes(wrong, overlooked)


def test_overlooked_objects_take_places_one_by_one() -> None:
    assert places_of(np.array([4, 1, 0, 7])).tolist() == [5, 4, 7, 8]
    assert errors_at(Changes((True, False), 0), 4) == (1, 0, 0, 0)
    assert errors_at(Changes((True, False), 1), 4) == (1, 0, 1, 0)
    assert errors_at(Changes((True, False), 3), 4) == (1, 1, 1, 1)
    assert errors_at(Changes((True, False), 8), 4) == (3, 3, 3, 3)


def test_every_stratum_has_its_share_and_a_seed_draws_the_same() -> None:
    places = np.full(900, 10, dtype=np.int64)
    strata = ["a"] * 600 + ["b"] * 300
    plan = plan_of(6000, 9000, 0.98, 0.95, "double")
    assert plan.risks == "binomial"
    first, second = drawn_places(plan, places, strata, 3)
    assert drawn_places(plan, places, strata, 3) == (first, second)
    assert drawn_places(plan, places, strata, 4) != (first, second)
    for stage, size in ((first, plan.first), (second, plan.second)):
        assert sum(map(len, stage.values())) == size
        in_a = sum(len(chosen) for frame, chosen in stage.items() if frame < 600)
        assert abs(in_a - size * 2 / 3) <= 1
        assert all(0 <= place < 10 for chosen in stage.values() for place in chosen)


def test_no_place_of_a_small_lot_comes_twice() -> None:
    places = np.array([3, 2, 4] * 20, dtype=np.int64)
    plan = plan_of(120, int(places.sum()), 0.98, 0.95, "double")
    assert plan.risks == "hypergeometric"
    first, second = drawn_places(plan, places, ["a"] * 60, 1)
    drawn = [
        (frame, place) for stage in (first, second) for frame, chosen in stage.items() for place in chosen
    ]
    assert len(drawn) == len(set(drawn)) == plan.first + plan.second


@pytest.mark.parametrize("kind", ["zero", "double"])
@pytest.mark.parametrize("clustered", ["evenly", "one stratum", "few frames"])
def test_clustered_errors_do_not_deceive_a_plan(kind: Kind, clustered: str) -> None:
    rng = np.random.default_rng(1)
    places = rng.integers(2, 9, 600)
    strata = [str(number // 50) for number in range(600)]
    plan = plan_of(int(places.sum() - 600), int(places.sum()), 0.98, 0.95, kind)
    wrong = [np.zeros(size, dtype=np.bool_) for size in places]
    order = {
        "evenly": [(f, 0) for f in rng.permutation(600)],
        "one stratum": [(f, p) for f in range(50) for p in range(places[f])],
        "few frames": [(f, p) for f in rng.permutation(600) for p in range(places[f])],
    }[clustered]
    for frame, place in order[: plan.limit]:
        wrong[frame][place] = True
    accepted = 0
    for seed in range(400):
        stages = drawn_places(plan, places, strata, seed)
        seen = [sum(wrong[f][p] for f, chosen in stage.items() for p in chosen) for stage in stages]
        first = decide(plan, [plan.first, 0], [seen[0], 0])
        last = decide(plan, [plan.first, plan.second], seen)
        accepted += (last if first == "second" else first) == "accepted"
    assert accepted <= stats.binom.ppf(0.999, 400, 0.05)
