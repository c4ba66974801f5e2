"""Second and third opinions: who is asked, where it is sent, and which label comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from connectors.ports import Box, Purpose
from db.engine import read, write
from db.labels import labels
from db.states import TaskStatus
from db.tasks import TaskRow, tasks
from loop.labeling import pull as pulling
from loop.labeling.consensus import REASONS, Opinion, ask_third, draw_second, drawn_keys, opinion
from loop.labeling.project import holding_project
from loop.labeling.push import push as push_again
from tests.fakes import FakeParts, quiet
from tests.loop.desk import HAT, NOW, asking, label_of, pull, push, row, rows

ANN, BOB, EVE = ({"author": f"{name}@example.org"} for name in ("ann", "bob", "eve"))
NEAR = Box("helmet", (2.0, 2.0, 10.0, 10.0))
BETWEEN = Box("helmet", (1.5, 2.0, 9.5, 10.0))
OTHER = Box("person", HAT.xyxy)


def of_slot(parts: FakeParts, slot: int) -> list[TaskRow]:
    return [task for task in rows(parts) if task.slot == slot]


def pair(parts: FakeParts) -> tuple[str, str]:
    """Keys of the first and the second task of one frame that trains."""
    first = next(task for task in of_slot(parts, 0) if task.purpose is Purpose.TRAIN)
    return first.key, next(task.key for task in of_slot(parts, 1) if task.frame == first.frame)


def third(parts: FakeParts, key: str) -> str:
    """The key of the third task on the frame of that task."""
    pull(parts)
    push(parts)
    return next(task.key for task in of_slot(parts, 2) if task.frame == row(parts, key).frame)


def rule_of(parts: FakeParts, key: str) -> str:
    with read(parts.project.engine) as session:
        return labels(session)[row(parts, key).frame].rule


def test_second_tasks_go_bare_to_a_project_of_their_own(asked: FakeParts) -> None:
    main, second = holding_project(asked.project), holding_project(asked.project, 1)
    titles = asked.server.titles
    assert titles[second or 0] == f"{titles[main or 0]}, second person"
    assert {task.external_project for task in of_slot(asked, 0)} == {main}
    assert {task.external_project for task in of_slot(asked, 1)} == {second}
    shown = [task.task for task in asked.server.tasks if task.project == second]
    assert (len(shown), {len(task.predictions) for task in shown}) == (12, {0})
    assert {task.reason for task in shown} == {REASONS[1]}
    assert holding_project(asked.project, 2) is None


def test_nothing_is_drawn_twice(asked: FakeParts) -> None:
    assert draw_second(asked.project) == 0
    before = asked.server.task_keys()
    assert push(asked).pushed == 0
    assert asked.server.task_keys() == before


def test_stopped_at_any_effect_each_task_is_made_once(chosen: FakeParts) -> None:
    """One push after the other is stopped, having been let do so many effects; the last is not."""

    class Stopped(BaseException):
        pass

    left, stops = 0, []

    def hook(what: str) -> None:
        nonlocal left
        if left == 0:
            raise Stopped(what)
        left -= 1

    asking(chosen)
    for allowed in (0, 1, 2, 1, 0, 1, 2, 1, 99):
        left = allowed
        try:
            push(FakeParts(chosen.project, chosen.server, hook=hook))
        except Stopped as stop:
            stops.append(str(stop))
    assert stops == ["before project", "after project", "before import", "after import"] * 2
    keys = chosen.server.task_keys()
    assert (len(keys), len({*keys}), len(chosen.server.projects)) == (24, 24, 2)
    assert {task.status for task in rows(chosen)} == {TaskStatus.CONFIRMED}
    assert {task.external_project for task in of_slot(chosen, 1)} == {holding_project(chosen.project, 1)}


def test_without_a_share_nobody_is_asked_again(chosen: FakeParts) -> None:
    report = push(asking(chosen, 0.0))
    assert (of_slot(chosen, 1), report.others, len(chosen.server.projects)) == ([], {}, 1)


def test_frames_that_judge_come_first_and_the_share_is_met_in_the_mean(chosen: FakeParts) -> None:
    batch = rows(chosen)
    judging = [task.key for task in batch if task.purpose is Purpose.EVALUATION]
    assert 0 < len(judging) < len(batch)
    counts = []
    for number in range(400):
        drawn = drawn_keys([replace(task, batch_id=number) for task in batch], 0.1, "secret")
        counts.append(len(drawn))
        assert {*drawn} <= {*judging} or {*judging} <= {*drawn}
    assert set(counts) == {1, 2}
    assert sum(counts) / 400 == pytest.approx(1.2, abs=0.06)
    assert drawn_keys(batch, 0.5, "secret") == drawn_keys(batch[::-1], 0.5, "secret")
    assert drawn_keys(batch, 1.0, "one") != drawn_keys(batch, 1.0, "another")


def test_two_who_agree_give_one_fused_label(asked: FakeParts) -> None:
    first, second = pair(asked)
    asked.server.answer(second, [NEAR], **BOB)
    pull(asked)
    assert label_of(asked, first) is None
    asked.server.answer(first, [HAT], **ANN)
    pull(asked)
    assert (label_of(asked, first), rule_of(asked, first)) == ((BETWEEN,), "two agree, fused")
    assert push(asked).pushed == 0


def test_a_fused_label_goes_with_the_second_answer(asked: FakeParts) -> None:
    first, second = pair(asked)
    asked.server.answer(first, [HAT], **ANN)
    given = asked.server.answer(second, [NEAR], **BOB)
    pull(asked)
    asked.server.delete_answer(given)
    report = pull(asked)
    assert (label_of(asked, first), rule_of(asked, first)) == ((HAT,), "only answer")
    assert report.revoked == 0


@pytest.mark.parametrize(
    ("given", "expected", "rule"),
    [
        ([NEAR], (BETWEEN,), "most of three, fused"),
        ([], (), "most of three, fused"),
        ([OTHER], (HAT,), "only answer"),
    ],
)
def test_a_tie_goes_to_a_third_person(
    asked: FakeParts, given: Sequence[Box], expected: tuple[Box, ...], rule: str
) -> None:
    first, second = pair(asked)
    asked.server.answer(first, [HAT], **ANN)
    asked.server.answer(second, [], **BOB)
    pull(asked)
    assert label_of(asked, first) == (HAT,), "until a third person decides, the first answer stands"
    last = third(asked, first)
    assert asked.server.of(last).project == holding_project(asked.project, 2)
    asked.server.answer(last, given, **EVE)
    pull(asked)
    assert (label_of(asked, first), rule_of(asked, first)) == (expected, rule)
    with write(asked.project.engine) as session:
        assert ask_third(session) == 0


def test_two_answers_of_one_person_are_one_opinion(asked: FakeParts) -> None:
    first, second = pair(asked)
    asked.server.answer(first, [HAT], **ANN)
    given = asked.server.answer(second, [NEAR], **ANN)
    report = pull(asked)
    assert row(asked, second).status is TaskStatus.QUARANTINED
    assert row(asked, second).problem == (
        "no second opinion: ann@example.org answered this image before; delete this answer in Label Studio,"
        " so that another person gets the task"
    )
    assert (label_of(asked, first), len(report.to_mend)) == ((HAT,), 1)
    asked.server.delete_answer(given)
    pull(asked)
    assert row(asked, second).status is TaskStatus.CONFIRMED
    asked.server.answer(second, [NEAR], **BOB)
    pull(asked)
    assert label_of(asked, first) == (BETWEEN,)


def test_a_first_answer_that_comes_later_takes_the_second_opinion_back(asked: FakeParts) -> None:
    first, second = pair(asked)
    asked.server.answer(second, [NEAR], **ANN)
    pull(asked)
    assert row(asked, second).status is TaskStatus.DONE
    asked.server.answer(first, [HAT], **ANN)
    pull(asked)
    assert row(asked, second).status is TaskStatus.QUARANTINED
    assert (label_of(asked, first), rule_of(asked, first)) == ((HAT,), "only answer")
    pulling.pull(asked, quiet, everything=True)
    assert row(asked, second).status is TaskStatus.QUARANTINED


def test_beside_the_same_person_another_answer_counts(asked: FakeParts) -> None:
    first, second = pair(asked)
    for author, box in ((ANN, HAT), (BOB, NEAR)):
        asked.server.answer(second, [box], **author)
    asked.server.answer(first, [HAT], **ANN)
    pull(asked)
    assert (row(asked, second).status, label_of(asked, first)) == (TaskStatus.DONE, (BETWEEN,))


def test_new_projects_are_made_for_all_persons(asked: FakeParts) -> None:
    _, second = pair(asked)
    asked.server.answer(second, [NEAR], **BOB)
    left = {*asked.server.projects}
    report = push_again(asked, quiet, new_project=True, settle=NOW)
    now = {holding_project(asked.project, slot) for slot in (0, 1)}
    assert (row(asked, second).status, now & left) == (TaskStatus.DONE, set())
    assert len(asked.server.task_keys(holding_project(asked.project, 1))) == 11
    assert report.renewed.count("its answers were fetched first") == 2


def test_a_dropped_second_task_is_taken_back_there(asked: FakeParts) -> None:
    from loop.changes.audit import Who
    from loop.changes.tasks import drop

    _, second = pair(asked)
    drop(asked.project, Who("ann", "page"), [row(asked, second).id])
    assert push(asked).told.taken_back == 1
    assert second not in asked.server.task_keys()


def test_with_a_first_task_its_second_one_is_dropped(asked: FakeParts) -> None:
    from loop.changes.audit import Who
    from loop.changes.tasks import drop

    first, second = pair(asked)
    drop(asked.project, Who("ann", "page"), [row(asked, first).id])
    assert row(asked, second).status is TaskStatus.CANCELLED
    assert push(asked).told.taken_back == 2
    assert {first, second} & {*asked.server.task_keys()} == set()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([[HAT]], Opinion.ALONE),
        ([[HAT], [NEAR]], Opinion.AGREED),
        ([[HAT], [OTHER]], Opinion.TIE),
        ([[HAT], [OTHER], [OTHER]], Opinion.DECIDED),
        ([[HAT], [OTHER], []], Opinion.OPEN),
    ],
)
def test_what_answers_come_to(given: Any, told: Opinion) -> None:
    assert opinion(given)[0] is told


def test_a_review_outdoes_opinions(asked: FakeParts) -> None:
    from loop.labeling.asking import Ask, ask

    first, second = pair(asked)
    asked.server.answer(first, [HAT], **ANN)
    asked.server.answer(second, [], **BOB)
    frame = row(asked, first).frame
    with write(asked.project.engine) as session:
        number = ask(session, Purpose.SUSPECT, "suspect", [Ask(frame, "look again", 0.5)], {})[frame]
        (review,) = [task.key for task in tasks(session, frames=[frame]) if task.id == number]
    push(asked)
    asked.server.answer(review, [OTHER], **EVE)
    pull(asked)
    assert label_of(asked, first) == (OTHER,)
    assert [task for task in of_slot(asked, 2) if task.frame == frame] == []
