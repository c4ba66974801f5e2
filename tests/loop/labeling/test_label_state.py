"""Frames that several tasks ask about: answers taken back, given anew, and understood later."""

from __future__ import annotations

from connectors.ports import Box, Purpose
from db.engine import write
from db.states import TaskStatus
from loop.labeling.asking import Ask, ask
from tests.fakes import FakeParts
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
