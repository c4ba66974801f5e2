"""Frames that several tasks ask about: answers taken back, given anew, and understood later."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import null, update

from connectors.errors import ProjectGone
from connectors.ports import Box, Purpose
from db.engine import read, write
from db.labels import labels
from db.states import TaskStatus
from db.tables import Annotation, Label
from loop.labeling import pull as pulling
from loop.labeling.asking import Ask, ask
from loop.labeling.project import holding_project
from loop.labeling.standing import settle
from tests.fakes import FakeParts, quiet
from tests.loop.desk import HAT, a_key, label_of, pull, push, row, rows

ANN, BOB, EVE = (f"{name}@example.org" for name in ("ann", "bob", "eve"))
PERSON = Box("person", HAT.xyxy)


def again(parts: FakeParts, key: str, purpose: Purpose = Purpose.SUSPECT) -> str:
    """The key of another task on the same frame, pushed."""
    with write(parts.project.engine) as session:
        made = ask(session, purpose, "again", [Ask(row(parts, key).frame, "look", 0.5)], {})
    push(parts)
    return next(task.key for task in rows(parts) if task.id in made.values())


def second_of(parts: FakeParts, key: str) -> str:
    """The key of the second person's task on the same frame."""
    frame = row(parts, key).frame
    return next(task.key for task in rows(parts) if task.slot == 1 and task.frame == frame)


def test_a_review_is_taken_back_while_another_is_open(pushed: FakeParts) -> None:
    key = a_key(pushed)
    pushed.server.answer(key, [HAT])
    pull(pushed)
    one = again(pushed, key)
    given = pushed.server.answer(one, [PERSON], author=BOB)
    pull(pushed)
    other = again(pushed, key)
    pushed.server.delete_answer(given)
    assert pull(pushed).revoked == 0, "the first answer stands again"
    assert label_of(pushed, key) == (HAT,)
    assert [row(pushed, task).status for task in (one, other)] == [TaskStatus.CANCELLED, TaskStatus.CONFIRMED]
    pushed.server.answer(one, [Box("hat", HAT.xyxy)], author=BOB)
    pull(pushed)
    assert row(pushed, one).status is TaskStatus.CANCELLED, "it would be open beside the other"
    pushed.server.answer(one, [PERSON], author=EVE, ground_truth=True)
    pull(pushed)
    assert (row(pushed, one).status, label_of(pushed, key)) == (TaskStatus.DONE, (PERSON,))


def test_a_second_opinion_is_taken_back_while_a_third_is_asked(asked: FakeParts) -> None:
    first = a_key(asked)
    second = second_of(asked, first)
    asked.server.answer(first, [HAT], author=ANN)
    given = asked.server.answer(second, [PERSON], author=BOB)
    pull(asked)
    push(asked)
    asked.server.delete_answer(given)
    pull(asked)
    assert label_of(asked, first) == (HAT,)
    (third,) = (task.key for task in rows(asked) if task.slot == 2)
    asked.server.answer(third, [PERSON], author=EVE)
    pull(asked)
    assert label_of(asked, first) == (HAT,)
    asked.server.answer(second, [PERSON], author=BOB)
    pull(asked)
    assert label_of(asked, first) == (PERSON,)


def test_what_is_understood_later_becomes_a_label(pushed: FakeParts, monkeypatch: pytest.MonkeyPatch) -> None:
    key, number = a_key(pushed), holding_project(pushed.project) or 0
    pushed.server.answer(key, [Box("hat", HAT.xyxy)])
    pull(pushed)
    assert row(pushed, key).status is TaskStatus.QUARANTINED
    monkeypatch.setattr("tests.fakes.CLASSES", ("person", "helmet", "hat"))
    shown = pushed.server.projects[number]
    pushed.server.projects[number] = replace(shown, classes=(*shown.classes, "hat"))
    pulling.pull(pushed, quiet, everything=True)
    assert row(pushed, key).status is TaskStatus.DONE
    assert label_of(pushed, key) == (Box("hat", HAT.xyxy),)


def test_an_answer_from_before_boxes_were_kept_stands_again(pushed: FakeParts) -> None:
    key = a_key(pushed)
    pushed.server.answer(key, [HAT], author=ANN)
    later = pushed.server.answer(key, [HAT], author=BOB)
    pull(pushed)
    with write(pushed.project.engine) as session:
        session.execute(update(Annotation).where(Annotation.author == ANN).values(boxes=null()))
    pushed.server.delete_answer(later)
    assert pull(pushed).revoked == 0
    assert label_of(pushed, key) == (HAT,)


def test_a_label_that_judges_never_trains(pushed: FakeParts) -> None:
    """The first answer is taken back, then the review, and the review alone is given anew."""
    key = a_key(pushed, "evaluation")
    given = pushed.server.answer(key, [HAT])
    pull(pushed)
    other = again(pushed, key)
    seen = pushed.server.answer(other, [PERSON], author=BOB)
    pull(pushed)
    pushed.server.delete_answer(given)
    pushed.server.delete_answer(seen)
    assert pull(pushed).revoked == 1
    pushed.server.answer(other, [PERSON], author=BOB)
    pull(pushed)
    with read(pushed.project.engine) as session:
        assert labels(session)[row(pushed, key).frame].purpose == "evaluation"


def test_a_purpose_that_comes_late_is_taken(pushed: FakeParts) -> None:
    """As after a restore, where the review is read before the first answer."""
    key = a_key(pushed, "evaluation")
    pushed.server.answer(key, [HAT])
    pull(pushed)
    frame = row(pushed, key).frame
    with write(pushed.project.engine) as session:
        session.execute(update(Label).where(Label.frame == frame).values(purpose="train"))
        assert not settle(session, frame)
        assert labels(session)[frame].purpose == "evaluation"


@pytest.mark.parametrize("slot", [0, 1, 2])
def test_one_project_that_is_gone_keeps_no_other_from_being_read(asked: FakeParts, slot: int) -> None:
    one, other = (task.key for task in rows(asked)[:2])
    asked.server.answer(one, [HAT], author=ANN)
    asked.server.answer(second_of(asked, one), [PERSON], author=BOB)
    pull(asked)
    push(asked)
    (third,) = (task.key for task in rows(asked) if task.slot == 2)
    given = (other, second_of(asked, other), third)
    for key, author in zip(given, (ANN, BOB, EVE), strict=True):
        asked.server.answer(key, [HAT], author=author)
    asked.server.delete_project(holding_project(asked.project, slot) or 0)
    for _ in range(2):
        with pytest.raises(ProjectGone):
            pull(asked)
    assert [row(asked, key).status is TaskStatus.DONE for key in given] == [slot != n for n in range(3)]
