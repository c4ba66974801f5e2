"""An ordinary pull counts the tasks in Label Studio and looks at none; where the count is off it looks at
all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

import pytest

from connectors.ports import TaskAnswers
from db.states import TaskStatus
from loop.labeling import pull as pulling
from loop.selection.select import select
from tests.fakes import FakeLabelStudio, FakeParts, quiet
from tests.loop.desk import HAT, a_key, label_of, pull, push, row, rows


def looks(parts: FakeParts) -> list[str]:
    """What one more pull asks of the server, without the project itself."""
    before = len(parts.server.calls)
    pull(parts)
    return [what for what, _ in parts.server.calls[before:] if what not in ("mark_of", "check", "count")]


def strange(parts: FakeParts, copied: str) -> None:
    """Somebody puts a task of their own into the project."""
    original = parts.server.of(copied)
    other = replace(original.task, key="a strangers task")
    parts.server.tasks.append(replace(original, id=parts.server.next(), task=other, answers=[]))


@pytest.fixture
def compared(pushed: FakeParts) -> FakeParts:
    pull(pushed)
    return pushed


def test_an_ordinary_pull_looks_for_no_task(compared: FakeParts) -> None:
    assert looks(compared) == ["answers"]
    compared.server.accept(a_key(compared))
    assert looks(compared) == ["answers"]


def test_a_deleted_task_is_noticed_by_the_next_pull(compared: FakeParts) -> None:
    gone = a_key(compared)
    compared.server.delete_task(gone)
    report = pull(compared)
    assert (report.deleted, report.compared) == (1, True)
    assert row(compared, gone).status is TaskStatus.CANCELLED
    report = pull(compared)
    assert (report.deleted, report.compared) == (0, False)


def test_a_deleted_task_that_was_answered_is_looked_for_once(compared: FakeParts) -> None:
    key = a_key(compared)
    compared.server.answer(key, [HAT])
    pull(compared)
    compared.server.delete_task(key)
    assert [pull(compared).compared for _ in range(3)] == [True, False, False]
    assert label_of(compared, key) == (HAT,)


def test_tasks_that_we_push_are_no_surprise(compared: FakeParts) -> None:
    select(compared, quiet, budget=4)
    assert push(compared).pushed == 4
    assert not pull(compared).compared


def test_a_task_of_a_stranger_is_looked_at_once(compared: FakeParts) -> None:
    strange(compared, a_key(compared))
    assert [pull(compared).compared for _ in range(3)] == [True, False, False]


def test_one_deleted_and_one_added_is_noticed_by_the_next_comparison(compared: FakeParts) -> None:
    gone = a_key(compared)
    strange(compared, gone)
    compared.server.delete_task(gone)
    assert pull(compared).deleted == 0
    assert pulling.pull(compared, quiet, everything=True).deleted == 1
    assert row(compared, gone).status is TaskStatus.CANCELLED


def test_a_copy_that_arrives_after_a_comparison_is_removed(compared: FakeParts) -> None:
    key = a_key(compared)
    original = compared.server.of(key)
    compared.server.tasks.append(replace(original, id=compared.server.next(), answers=[]))
    pull(compared)
    assert compared.server.task_keys().count(key) == 1
    assert [pull(compared).compared for _ in range(2)] == [True, False]


def test_a_task_deleted_and_imported_again_between_two_pulls_is_followed(compared: FakeParts) -> None:
    key = a_key(compared)
    backup = [task for task in compared.server.backup() if task.task.key == key]
    compared.server.delete_task(key)
    compared.server.import_backup(backup)
    assert pull(compared).deleted == 0
    assert row(compared, key).external_id == compared.server.of(key).id


def test_a_task_that_is_pushed_while_all_are_compared_is_not_held_to_be_deleted(
    compared: FakeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, selected = FakeLabelStudio.answers, []

    def pushing(self: FakeLabelStudio, project: int, since: datetime | None) -> Iterable[TaskAnswers]:
        found = [*answers(self, project, since)]
        if not selected:
            selected.append(select(compared, quiet, budget=4))
            push(compared)
        return found

    monkeypatch.setattr(FakeLabelStudio, "answers", pushing)
    assert pulling.pull(compared, quiet, everything=True).deleted == 0
    assert len(rows(compared, TaskStatus.CONFIRMED)) == 16
    assert [pull(compared).deleted for _ in range(2)] == [0, 0]


def test_what_was_just_pushed_is_read_again_only_for_a_while(
    compared: FakeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[datetime | None] = []
    answers = FakeLabelStudio.answers

    def asking(self: FakeLabelStudio, project: int, since: datetime | None) -> Iterable[TaskAnswers]:
        asked.append(since)
        return answers(self, project, since)

    monkeypatch.setattr(FakeLabelStudio, "answers", asking)
    pull(compared)
    later = pulling.utcnow() + 3 * pulling.OVERLAP
    monkeypatch.setattr(pulling, "utcnow", lambda: later)
    pull(compared)
    assert asked == [compared.server.now - pulling.OVERLAP, compared.server.now]
    given = compared.server.accept(a_key(compared))
    pull(compared)
    pull(compared)
    assert asked[3] == given.updated_at - pulling.OVERLAP
