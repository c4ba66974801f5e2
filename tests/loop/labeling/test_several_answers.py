"""Several answers to one task: which one is in force, by which rule, and when a person must decide."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.ports import Box
from db.engine import read
from db.labels import labels
from db.states import TaskStatus
from loop.insights.overview import overview
from loop.labeling.ruling import in_words, same_objects
from tests.fakes import FakeParts
from tests.loop.desk import HAT, a_key, label_of, pull, row

BOB = {"author": "bob@example.org"}
NEAR = Box("helmet", (1.5, 2.0, 9.0, 10.0))
"""HAT with an IoU of .94."""
FAR = Box("helmet", (14.0, 2.0, 22.0, 10.0))
PERSON = Box("person", HAT.xyxy)


def rule_of(parts: FakeParts, key: str) -> str:
    with read(parts.project.engine) as session:
        return labels(session)[row(parts, key).frame].rule


@pytest.mark.parametrize(
    ("given", "expected", "rule"),
    [
        ([([HAT], {})], (HAT,), "only answer"),
        ([([FAR], {}), ([HAT], {})], (HAT,), "latest of its author"),
        ([([HAT], {}), ([NEAR], BOB)], (NEAR,), "others agree"),
        ([([], {}), ([], BOB)], (), "others agree"),
        ([([HAT], {"ground_truth": True}), ([], BOB)], (HAT,), "ground truth"),
        ([([HAT], {}), ([FAR], {**BOB, "unseen": True})], (HAT,), "only answer"),
        ([([HAT], {"cancelled": True}), ([FAR], BOB)], (FAR,), "only answer"),
        ([([HAT], {"unseen": True})], (HAT,), "accepted unseen"),
    ],
)
def test_one_is_in_force_and_its_rule_stands_beside_the_label(
    pushed: FakeParts, given: list[tuple[list[Box], dict[str, Any]]], expected: tuple[Box, ...], rule: str
) -> None:
    key = a_key(pushed)
    for boxes, more in given:
        pushed.server.answer(key, boxes, **more)
    pull(pushed)
    assert (row(pushed, key).status, label_of(pushed, key)) == (TaskStatus.DONE, expected)
    assert rule_of(pushed, key) == rule


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ([], "1 helmet; {} says no object"),
        ([PERSON], "1 helmet; {} says 1 person"),
        ([HAT, FAR], "1 helmet; {} says 2 helmet"),
        ([FAR], "1 helmet; {} says 1 helmet in different places"),
    ],
)
def test_a_contradiction_is_named_and_waits_for_a_person(
    pushed: FakeParts, other: list[Box], said: str
) -> None:
    key = a_key(pushed)
    first = pushed.server.answer(key, [HAT])
    pull(pushed)
    second = pushed.server.answer(key, other, **BOB)
    report = pull(pushed)
    assert (report.answers, report.revoked) == ({TaskStatus.QUARANTINED: 1}, 1)
    assert report.to_mend == [
        f"task {first.external_task_id}: answers contradict one another ({first.external_id} says"
        f" {said.format(second.external_id)}): delete the wrong ones, or mark the right one as ground truth"
    ]
    assert (row(pushed, key).status, label_of(pushed, key)) == (TaskStatus.QUARANTINED, None)
    assert pull(pushed).to_mend == []
    pushed.server.delete_answer(second)
    pull(pushed)
    assert (row(pushed, key).status, row(pushed, key).problem) == (TaskStatus.DONE, "")
    assert label_of(pushed, key) == (HAT,)


def test_a_mark_ends_a_contradiction(pushed: FakeParts) -> None:
    key = a_key(pushed)
    pushed.server.answer(key, [HAT])
    wrong = pushed.server.answer(key, [], **BOB)
    pull(pushed)
    pushed.server.answer(key, [HAT, FAR], again=wrong, ground_truth=True, **BOB)
    assert pull(pushed).answers == {TaskStatus.DONE: 1}
    assert (label_of(pushed, key), rule_of(pushed, key)) == ((HAT, FAR), "ground truth")


def test_predictions_accepted_in_bulk_are_counted_and_never_judge(pushed: FakeParts) -> None:
    train, evaluation = a_key(pushed, "train"), a_key(pushed, "evaluation")
    for key in (train, evaluation):
        pushed.server.answer(key, pushed.server.of(key).task.predictions, unseen=True)
    report = pull(pushed)
    assert (report.answers, report.unseen) == ({TaskStatus.DONE: 1, TaskStatus.QUARANTINED: 1}, 2)
    assert report.lines()[0] == "1 done, 1 quarantined; 2 accepted unseen"
    assert [box.origin for box in label_of(pushed, train) or ()] == ["prediction"]
    assert label_of(pushed, evaluation) is None
    assert row(pushed, evaluation).problem.startswith("accepted unseen, but this frame judges models")
    assert overview(pushed.project).labels["accepted unseen"] == 1
    pushed.server.accept(evaluation)
    pull(pushed)
    assert (row(pushed, evaluation).status, rule_of(pushed, evaluation)) == (TaskStatus.DONE, "only answer")


@pytest.mark.parametrize(
    ("unknown", "said"),
    [
        ([], ""),
        (["cap", "hat"], "unknown class cap, hat: choose one that the model knows"),
        (["[polygonlabels]"], "not an upright box of one class (polygonlabels): draw it again"),
        (
            ["[rotated car]", "hat"],
            "unknown class hat: choose one that the model knows; not an upright box of one class (rotated"
            " car): draw it again",
        ),
    ],
)
def test_what_is_no_box_of_ours_is_said_in_words(unknown: list[str], said: str) -> None:
    assert in_words(unknown) == said


def test_objects_are_the_same_in_any_order_and_each_has_one_partner() -> None:
    assert same_objects([HAT, FAR], [FAR, NEAR])
    assert not same_objects([HAT, FAR], [HAT, NEAR])
    at = {x: Box("helmet", (x, 0.0, x + 10.0, 10.0)) for x in (0.0, 1.0, 3.0, -2.0)}
    # The best pair, 0 and 1, would leave 3 and -2 without a partner; 0 with -2 and 3 with 1 fit.
    assert same_objects([at[0.0], at[3.0]], [at[1.0], at[-2.0]])
