"""Evaluation frames: drawn with the probability that is stated, first for what lacks groups."""

from __future__ import annotations

import numpy as np
import pytest

from samplers.evaluation_sample import RARER, Draw, Need, allocate, draw_evaluation


def draws(
    times: int, strata: np.ndarray, group: np.ndarray, budget: int, **given: object
) -> tuple[np.ndarray, np.ndarray]:
    """How often each frame was drawn in so many draws, and the probability that was stated of it."""
    hits, stated = np.zeros(len(strata)), np.zeros(len(strata))
    eligible = given.pop("eligible", np.ones(len(strata), dtype=bool))
    for seed in range(times):
        draw = draw_evaluation(strata, group, eligible, budget, np.random.default_rng(seed), **given)
        assert len(draw.rows) == len(np.unique(draw.rows)) == budget
        hits[draw.rows] += 1
        stated[draw.rows] = draw.probability
    return hits / times, stated


def test_inclusion_probabilities_are_what_happens() -> None:
    strata = np.repeat([7, 3, -1], [30, 8, 2])
    eligible = np.ones(40, dtype=bool)
    eligible[0] = False
    needs = {label: Need(2) for label in (7, 3, -1)}
    often, stated = draws(4000, strata, np.arange(40) // 4, 9, eligible=eligible, needs=needs)
    assert often[0] == 0
    np.testing.assert_allclose(often[1:], stated[1:], atol=0.035)
    assert stated[1:].sum() == pytest.approx(9)
    assert often[38:].tolist() == [1, 1], "a stratum of two with a minimum of two"


def test_inclusion_probabilities_are_what_happens_where_groups_lack() -> None:
    strata, group = np.repeat([0, -1], [20, 40]), np.arange(60) // 4
    judging = group < 3
    often, stated = draws(4000, strata, group, 6, needs={0: Need(groups=9)}, judging=judging)
    np.testing.assert_allclose(often, stated, atol=0.035)
    assert stated.sum() == pytest.approx(6)
    new, known = stated[(strata == 0) & ~judging], stated[(strata == 0) & judging]
    np.testing.assert_allclose(known, RARER * new[0])
    np.testing.assert_allclose(stated[strata == -1], stated[-1])


def test_groups_that_judge_already_are_not_avoided_where_none_lack() -> None:
    strata, group = np.repeat([0, -1], [20, 40]), np.arange(60) // 4
    _, stated = draws(400, strata, group, 6, needs={0: Need(groups=0)}, judging=group < 3)
    assert np.ptp(stated[:20]) == 0


def test_the_mean_probability_of_every_stratum_is_told() -> None:
    strata, group = np.repeat([0, -1], [20, 40]), np.arange(60) // 4
    draw = draw_evaluation(
        strata,
        group,
        np.ones(60, dtype=bool),
        6,
        np.random.default_rng(0),
        needs={0: Need(groups=9), 5: Need()},
        judging=group < 3,
    )
    sizes = {0: 20, -1: 40}
    assert sum(draw.mean[label] * size for label, size in sizes.items()) == pytest.approx(6)
    share = 2 + 3 / (1 + 2**0.5)
    assert draw.mean[0] == pytest.approx(share / 20), "one each of two new groups, then by square roots"
    assert draw.mean[5] == 1, "nothing is left of it; one frame would be drawn"
    assert set(draw.mean) == {-1, 0, 5}


def test_no_stratum_is_out_of_reach_of_a_small_budget() -> None:
    drawn, _ = draws(200, np.arange(10) // 2, np.arange(10), 2)
    assert (drawn * 200).min() > 10


def test_frames_spread_over_the_groups_of_a_stratum() -> None:
    group = np.repeat(np.arange(10), 4)
    for seed in range(100):
        draw = draw_evaluation(
            np.zeros(40, dtype=np.int64), group, np.ones(40, dtype=bool), 10, np.random.default_rng(seed)
        )
        assert sorted(group[draw.rows].tolist()) == list(range(10)), "one of each camera-day"


def judged(seed: int, prefer: bool) -> int:
    """How many of 20 groups judge after three batches of five."""
    group, strata = np.arange(80) // 4, np.zeros(80, dtype=np.int64)
    eligible = np.ones(80, dtype=bool)
    for batch in range(3):
        held = np.unique(group[~eligible])
        needs, judging = {0: Need(groups=15 - len(held))}, np.isin(group, held)
        rng = np.random.default_rng([seed, batch])
        told = {"needs": needs, "judging": judging} if prefer else {}
        eligible[draw_evaluation(strata, group, eligible, 5, rng, **told).rows] = False
    return len(np.unique(group[~eligible]))


def test_groups_that_do_not_judge_yet_come_first() -> None:
    preferred, otherwise = (
        np.mean([judged(seed, prefer) for seed in range(100)]) for prefer in (True, False)
    )
    assert otherwise == pytest.approx(20 * (1 - 0.75**3), abs=1), "11.6: as chance has it"
    assert preferred > 13.5


def test_edges() -> None:
    everything, nothing = np.ones(3, dtype=bool), np.zeros(3, dtype=np.int64)

    def draw(eligible: np.ndarray, budget: int) -> Draw:
        return draw_evaluation(nothing, nothing, eligible, budget, np.random.default_rng(0))

    all_of_it = draw(everything, 99)
    assert sorted(all_of_it.rows.tolist()) == [0, 1, 2]
    assert all_of_it.probability.tolist() == [1, 1, 1]
    assert all_of_it.mean == {0: 1}
    for none in (draw(~everything, 5), draw(everything, 0)):
        assert (len(none.rows), none.mean) == (0, {})
    with pytest.raises(ValueError, match="budget: expected 0 or more frames, got -1"):
        draw(everything, -1)


def shared(sizes: list[int], budget: int, least: list[float], lacking: list[int]) -> list[float]:
    return allocate(np.array(sizes), budget, np.array(least, float), np.array(lacking)).round(9).tolist()


def test_allocation_by_hand() -> None:
    assert shared([90, 10], 8, [0.001, 0.001], [0, 0]) == pytest.approx([6, 2], abs=1e-3), "by square roots"
    assert shared([90, 10], 10, [3, 3], [0, 0]) == [6, 4]
    assert shared([90, 1], 50, [3, 3], [0, 0]) == [49, 1]


def test_what_lacks_groups_comes_before_more_of_the_rest() -> None:
    assert shared([900, 50, 50], 10, [1, 1, 1], [0, 15, 15]) == [1, 4.5, 4.5]
    assert shared([900, 50, 50], 10, [1, 1, 1], [0, 12, 3]) == pytest.approx([1, 6.6, 2.4])
    assert shared([900, 50, 3], 10, [1, 1, 1], [0, 3, 6]) == pytest.approx([4, 3, 3], abs=1.5)
    assert shared([900, 100, 100], 25, [1, 1, 1], [0, 3, 4]) == pytest.approx([11.2, 6.4, 7.4])
    assert shared([900, 50, 50], 2, [2, 1, 1], [0, 9, 9]) == [1, 0.5, 0.5], "less than the least"
