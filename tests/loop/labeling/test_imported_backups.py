"""A backup that is imported into Label Studio gives old answers new times and another author: they
say what they said, and no more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from connectors.ports import Box
from db.engine import read
from db.labels import labels
from db.states import TaskStatus
from db.tasks import tasks
from loop.labeling import pull as pulling
from tests.fakes import FakeParts, quiet
from tests.loop.desk import HAT, a_key, label_of, pull, row
from tests.loop.labeling.test_mending import standing
from tests.studio import Person, Studio, drawn

BOB = "bob@example.org"
BOLD = Box("person", HAT.xyxy)


def compared(parts: FakeParts) -> pulling.PullReport:
    return pulling.pull(parts, quiet, everything=True)


def test_an_older_backup_outdoes_no_later_answer(pushed: FakeParts) -> None:
    key = a_key(pushed)
    given = pushed.server.answer(key, [BOLD])
    pull(pushed)
    backup = pushed.server.backup()
    pushed.server.answer(key, [HAT], again=given)
    pull(pushed)
    pushed.server.import_backup(backup)
    assert pull(pushed).answers == {}
    assert label_of(pushed, key) == (HAT,)
    assert (compared(pushed).answers, row(pushed, key).external_id) == ({}, given.external_task_id)
    copied = max(pushed.server.tasks, key=lambda task: task.id if task.task.key == key else 0)
    pushed.server.answer(key, [], task=copied, again=copied.answers[0])
    assert pull(pushed).answers == {TaskStatus.DONE: 1}
    assert label_of(pushed, key) == ()


def test_a_comparison_after_an_import_finds_all_settled(pushed: FakeParts) -> None:
    skipped, done = pushed.server.task_keys()[:2]
    pushed.server.answer(skipped, [], cancelled=True)
    pushed.server.answer(done, [HAT])
    pull(pushed)
    pushed.server.import_backup(pushed.server.backup())
    pull(pushed)
    before = [row(pushed, key) for key in (skipped, done)]
    for _ in range(2):
        assert compared(pushed).answers == {}
        assert [row(pushed, key) for key in (skipped, done)] == before


def test_what_was_accepted_unseen_is_so_after_an_import_too(pushed: FakeParts) -> None:
    key = a_key(pushed, "evaluation")
    pushed.server.answer(key, pushed.server.of(key).task.predictions, unseen=True)
    pull(pushed)
    backup = pushed.server.backup()
    pushed.server.delete_task(key)
    pushed.server.import_backup([task for task in backup if task.task.key == key])
    pull(pushed)
    assert (row(pushed, key).status, label_of(pushed, key)) == (TaskStatus.QUARANTINED, None)
    assert row(pushed, key).problem.startswith("accepted unseen")


def test_persons_who_contradict_one_another_do_so_after_an_import_too(pushed: FakeParts) -> None:
    key = a_key(pushed)
    pushed.server.answer(key, [HAT])
    pushed.server.answer(key, [], author=BOB)
    pull(pushed)
    backup = pushed.server.backup()
    pushed.server.delete_task(key)
    pushed.server.import_backup([task for task in backup if task.task.key == key])
    report = pull(pushed)
    number = pushed.server.of(key).id
    assert (row(pushed, key).status, row(pushed, key).external_id) == (TaskStatus.QUARANTINED, number)
    assert [one.task for one in report.standing] == [number]
    assert "contradict" in report.standing[0].reason


def test_a_task_that_was_deleted_and_imported_again_is_followed_there(pushed: FakeParts) -> None:
    key, wrong = pushed.server.task_keys()[:2]
    pushed.server.answer(key, [HAT])
    pushed.server.answer(wrong, [Box("hat", HAT.xyxy)])
    pull(pushed)
    backup = pushed.server.backup()
    for one in (key, wrong):
        pushed.server.delete_task(one)
    pushed.server.import_backup([task for task in backup if task.task.key in (key, wrong)])
    assert pull(pushed).deleted == 0
    assert label_of(pushed, key) == (HAT,)
    assert [one.task for one in standing(pushed)] == [pushed.server.of(wrong).id]
    pushed.server.delete_answer(pushed.server.of(key).answers[0])
    assert pull(pushed).revoked == 1
    assert (label_of(pushed, key), row(pushed, key).status) == (None, TaskStatus.CONFIRMED)


def test_an_older_backup_in_place_of_a_deleted_task_takes_no_label_back(pushed: FakeParts) -> None:
    key = a_key(pushed)
    given = pushed.server.answer(key, [BOLD])
    pull(pushed)
    backup = [task for task in pushed.server.backup() if task.task.key == key]
    pushed.server.answer(key, [HAT], again=given)
    pull(pushed)
    pushed.server.delete_task(key)
    pushed.server.import_backup(backup)
    assert pull(pushed).kept == {pushed.server.of(key).id}
    assert label_of(pushed, key) == (HAT,)


def test_an_answer_to_a_deleted_task_that_was_imported_again_counts(pushed: FakeParts) -> None:
    key = a_key(pushed)
    backup = [task for task in pushed.server.backup() if task.task.key == key]
    pushed.server.delete_task(key)
    pull(pushed)
    assert row(pushed, key).status is TaskStatus.CANCELLED
    pushed.server.import_backup(backup)
    given = pushed.server.answer(key, [HAT])
    assert pull(pushed).answers == {TaskStatus.DONE: 1}
    assert (row(pushed, key).status, label_of(pushed, key)) == (TaskStatus.DONE, (HAT,))
    assert pull(pushed).answers == {}
    pushed.server.delete_answer(given)
    assert pull(pushed).revoked == 1


def test_an_imported_answer_that_was_never_fetched_is_new(pushed: FakeParts) -> None:
    key = a_key(pushed)
    pushed.server.answer(key, [HAT])
    backup = [task for task in pushed.server.backup() if task.task.key == key]
    pushed.server.delete_task(key)
    pushed.server.import_backup(backup)
    assert pull(pushed).answers == {TaskStatus.DONE: 1}
    assert label_of(pushed, key) == (HAT,)


@pytest.mark.parametrize("change", ["marked", "deleted"])
def test_a_label_that_comes_of_no_new_answer_is_counted(pushed: FakeParts, change: str) -> None:
    key = a_key(pushed)
    first = pushed.server.answer(key, [HAT])
    second = pushed.server.answer(key, [], author=BOB)
    pull(pushed)
    if change == "marked":
        held = pushed.server.of(key)
        held.answers = [replace(one, ground_truth=one == first) for one in held.answers]
    else:
        pushed.server.delete_answer(second)
    assert compared(pushed).answers == {TaskStatus.DONE: 1}
    assert label_of(pushed, key) == (HAT,)


@pytest.mark.slow
@pytest.mark.studio
def test_an_export_imported_into_the_real_label_studio_changes_nothing(
    real: FakeParts, label_studio: Studio
) -> None:
    with read(real.project.engine) as session:
        waiting = sorted(tasks(session), key=lambda task: task.purpose)
    judging, hand, corrected = waiting[0], waiting[-1], waiting[-2]
    person, call = Person(label_studio), label_studio.call
    number, size = hand.external_project, (32, 24)
    call(
        "POST",
        "dm/actions",
        params={"project": number, "id": "predictions_to_annotations"},
        json={"project": number, "selectedItems": {"all": False, "included": [judging.external_id]}},
    )
    person.submit(hand.external_id or 0, [drawn("helmet", HAT.xyxy, size)])
    given = person.submit(corrected.external_id or 0, [drawn("person", HAT.xyxy, size)])
    pull(real)
    exported: list[dict[str, Any]] = call(
        "GET", f"projects/{number}/export", params={"exportType": "JSON", "download_all_tasks": "true"}
    )
    person.change(given, [drawn("helmet", HAT.xyxy, size)])
    pull(real)
    call("DELETE", f"tasks/{hand.external_id}/")
    given_back = [{"data": one["data"], "annotations": one["annotations"]} for one in exported]
    call("POST", f"projects/{number}/import", json=given_back)

    with read(real.project.engine) as session:
        before = labels(session)
    assert pull(real).answers == {}
    report = compared(real)
    assert (report.answers, report.revoked, report.deleted) == ({}, 0, 0)
    with read(real.project.engine) as session:
        assert labels(session) == before
    assert [box.class_name for box in label_of(real, corrected.key) or ()] == ["helmet"]
    assert row(real, judging.key).problem.startswith("accepted unseen")
    assert row(real, hand.key).external_id not in (hand.external_id, None)
