"""What became of drawn boxes, what each edit costs, and what drawn boxes do."""

from __future__ import annotations

import numpy as np
import pytest

from connectors.ports import Box, BoxOrigin
from loop.math.quality.drawn_boxes import NEVER, drawn_from, worth_drawing
from loop.math.quality.effort import (
    FEW,
    LEAST_S,
    RULE,
    EditSeconds,
    counts_of,
    edit_seconds,
    edits_of,
)
from loop.math.quality.grouped_means import (
    FEW_GROUPS,
    difference,
    mean_seconds,
    winsorized_beside,
)
from loop.math.quality.object_counts import ObjectCounts, in_bands, learned_counts
from samplers.ragged import Ragged

TRUE = EditSeconds(9, 1.5, 5, 3, 8)


def drawn(name: str = "person", at: float = 0.0, confidence: float = 0.6) -> Box:
    return Box(name, (at, 0.0, at + 10, 10.0), "prediction", confidence)


def given(name: str = "person", at: float = 0.0, origin: BoxOrigin = "prediction") -> Box:
    return Box(name, (at, 0.0, at + 10, 10.0), origin)


def fates(*pair: list[Box], told: bool = True) -> list[tuple[str, str]]:
    return [(edit.class_name, edit.fate) for edit in edits_of(*pair, told)]


def test_label_studio_says_what_became_of_each_box() -> None:
    before = [drawn(), drawn("helmet", 30), drawn("person", 60), drawn("person", 90)]
    after = [
        given(),
        given("helmet", 34, "prediction-changed"),
        given("helmet", 60),
        given("person", 200, "manual"),
    ]
    assert fates(before, after) == [
        ("person", "accepted"),
        ("helmet", "moved"),
        ("person", "moved"),
        ("person", "deleted"),
        ("person", "added"),
    ], "another class of the same box is a correction"
    assert counts_of(edits_of(before, after, True)) == [1, 2, 1, 1]


def test_a_box_that_was_deleted_and_drawn_again_is_two_edits() -> None:
    assert fates([drawn()], [given("person", 1, "manual")]) == [("person", "deleted"), ("person", "added")]


def test_where_label_studio_says_nothing_overlap_does() -> None:
    before = [drawn(), drawn("person", 30), drawn("person", 60)]
    after = [given(at=0, origin="manual"), given(at=33, origin="manual"), given(at=67, origin="manual")]
    assert [fate for _, fate in fates(before, after, told=False)] == ["accepted", "moved", "deleted", "added"]


def test_each_box_has_one_partner() -> None:
    twice = [drawn(), drawn(at=0.2, confidence=0.3)]
    assert sorted(fate for _, fate in fates(twice, [given()])) == ["accepted", "deleted"]
    assert fates([], []) == []
    assert fates([drawn()], []) == [("person", "deleted")]


def timed(tasks: int, seed: int, lunch: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Edits and seconds of tasks, some of which a lunch break lies in."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson([2, 0.7, 0.6, 0.8], (tasks, 4)).astype(np.float64)
    seconds = TRUE.task + counts @ [TRUE.accepted, TRUE.moved, TRUE.deleted, TRUE.added]
    seconds *= np.exp(rng.normal(0, 0.25, tasks))
    return counts, np.where(rng.random(tasks) < lunch, seconds + rng.uniform(120, 4000, tasks), seconds)


@pytest.mark.parametrize("lunch", [0.0, 0.1])
def test_seconds_of_edits_are_learned_whatever_breaks_lie_between(lunch: float) -> None:
    found = edit_seconds(*timed(600, 1, lunch))
    assert found.known
    assert 500 < found.tasks <= 600
    for name in ("task", "accepted", "moved", "deleted", "added"):
        assert getattr(found, name) == pytest.approx(getattr(TRUE, name), abs=1.0), name
    assert found.seconds_for(2, accepted=3, moved=1) == pytest.approx(2 * 9 + 3 * 1.5 + 5, abs=4)


def test_few_tasks_leave_the_rule_and_some_more_do_not_go_wild() -> None:
    assert edit_seconds(*timed(FEW - 1, 2)) == RULE
    assert not RULE.known
    counts, seconds = timed(FEW, 2)
    some = edit_seconds(counts, seconds)
    assert some.tasks == FEW
    assert all(0 <= getattr(some, name) < 20 for name in ("task", "accepted", "moved", "deleted", "added"))
    assert edit_seconds(counts, np.full(FEW, np.nan)) == RULE


def test_a_task_takes_time_however_little_its_boxes_leave_of_it() -> None:
    counts, _ = timed(5000, 3)
    found = edit_seconds(counts, counts @ [3.0, 8.0, 4.0, 12.0] + 1e-3)
    assert found.task == LEAST_S, "or what a person settles in a second would be free"


def test_a_box_is_drawn_from_where_correcting_it_costs_less() -> None:
    assert worth_drawing(RULE) == pytest.approx(0.25)
    assert worth_drawing(TRUE, 0.5) == pytest.approx(3 / (3 + 8 - 3.25))
    assert worth_drawing(EditSeconds(added=2, moved=6), 1.0) == np.inf
    rng = np.random.default_rng(0)
    confidence = rng.random(2000)
    honest = (rng.random(2000) < confidence).astype(float)
    vain = (rng.random(2000) < confidence / 2).astype(float)
    assert drawn_from(confidence, honest, 0.25) == pytest.approx(0.25, abs=0.06)
    assert drawn_from(confidence, vain, 0.25) == pytest.approx(0.5, abs=0.1), "right half as often as it says"
    assert drawn_from(confidence, vain, np.inf) == NEVER
    assert drawn_from(np.zeros(0), np.zeros(0), 0.25) == pytest.approx(0.25, abs=0.11), "taken at its word"


def null_world(seed: int, groups: int, effect: float = 0.0) -> tuple[np.ndarray, ...]:
    """Camera-days with levels of their own, a tenth of their tasks bare; seconds have a heavy tail."""
    rng = np.random.default_rng([groups, seed])
    group = np.repeat(np.arange(groups), rng.integers(2, 20, groups))
    objects = rng.poisson(3 * np.exp(rng.normal(0, 0.6, groups))[group])
    bare = rng.random(len(group)) < 0.1
    seconds = np.exp(rng.normal(2.5, 0.8, len(group))) * (1 + 0.3 * objects)
    return objects + effect * bare, winsorized_beside(seconds, bare), bare, group


@pytest.mark.parametrize("groups", [25, 40])
def test_nothing_is_found_where_drawn_boxes_do_nothing(groups: int) -> None:
    """300 null worlds: the 95 % interval holds 0 in at least .93 of them."""
    for value in (0, 1):
        found = [
            difference(world[value], world[2], world[3])
            for seed in range(300)
            if (world := null_world(seed, groups))
        ]
        told = [one.interval for one in found if one is not None and one.interval is not None]
        assert len(told) > 280
        assert np.mean([low <= 0 <= high for low, high in told]) >= 0.93


def test_objects_that_drawn_boxes_hide_are_found() -> None:
    objects, _, bare, group = null_world(0, 80, effect=2.0)
    found = difference(objects, bare, group)
    assert found is not None
    assert found.shown
    assert found.difference == pytest.approx(2, abs=0.8)
    assert (found.bare_tasks, found.drawn_tasks) == (bare.sum(), (~bare).sum())


def test_seconds_that_drawn_boxes_save_are_not_cut_away() -> None:
    """A tenth of the tasks takes 60 s and the others 20 s: one cut for all would leave half of the 40 s."""
    rng = np.random.default_rng(0)
    bare, group = rng.random(4000) < 0.1, rng.integers(0, 40, 4000)
    seconds = np.where(bare, 60, 20) * np.exp(rng.normal(0, 0.3, 4000))
    found = difference(winsorized_beside(seconds, bare), bare, group)
    assert found is not None
    assert found.difference == pytest.approx(40, rel=0.1)


def test_too_few_camera_days_tell_nothing() -> None:
    values, group = np.arange(40.0), np.arange(40) % (FEW_GROUPS - 1)
    found = difference(values, np.arange(40) < 20, group)
    assert found is not None
    assert found.interval is None
    assert not found.shown
    assert found.groups == FEW_GROUPS - 1
    assert difference(values, np.zeros(40, dtype=bool), group) is None
    assert difference(values, np.ones(40, dtype=bool), group) is None


def test_a_mean_says_how_well_it_is_known() -> None:
    _, seconds, _, group = null_world(1, 40)
    found = mean_seconds(seconds, group)
    assert found is not None
    assert found.interval is not None
    assert found.interval[0] < found.value < found.interval[1]
    few = mean_seconds(seconds[group < 5], group[group < 5])
    assert few is not None
    assert few.interval is None
    assert mean_seconds(np.zeros(0), np.zeros(0, dtype=np.int64)) is None


def test_how_many_objects_a_frame_holds_is_learned() -> None:
    """A detector that is unsure of much that is nothing: its confidences add up to three times as many."""
    rng = np.random.default_rng(3)
    confidence = [
        np.append(rng.uniform(0.05, 0.26, rng.poisson(20)), [0.9] * rng.poisson(1)) for _ in range(300)
    ]
    bands = in_bands(Ragged.of(confidence))
    objects = bands[:, 3] + rng.binomial(bands[:, 0].astype(int), 0.02) + rng.poisson(0.3, 300)
    learned, rule = learned_counts(bands[:200], objects[:200], FEW), ObjectCounts()
    new = slice(200, None)
    truth, raw = objects[new].sum(), sum(each.sum() for each in confidence[200:])
    assert raw > 2 * truth
    assert learned.frames == 200
    assert learned.expected(bands[new]).sum() == pytest.approx(truth, rel=0.1)
    assert abs(rule.expected(bands[new]).sum() - truth) < abs(raw - truth)
    assert learned_counts(bands[: FEW - 1], objects[: FEW - 1], FEW) == rule
    assert rule.shares([0.1, 0.25, 0.9]).tolist() == [0, 1, 1]
