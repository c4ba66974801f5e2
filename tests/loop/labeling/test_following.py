"""A label follows its answer: deleted, skipped or changed in Label Studio, it is so here after the
next pull.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from connectors.ports import Annotation, Box, TaskAnswers
from db.engine import read
from db.labels import LabelRow, answers, labels
from db.rounds import dataset_members, open_round
from db.states import BatchStatus, TaskStatus
from db.tasks import batches, engaged_frames, tasks
from loop.analysis.producers import producers
from loop.labeling import pull as pulling
from loop.rounds import freeze, rounds
from tests.fakes import FakeLabelStudio, FakeParts
from tests.loop.desk import HAT, a_key, label_of, pull, row
from tests.studio import Person, Studio

HELMET = (HAT,)


@pytest.fixture
def answered(pushed: FakeParts) -> tuple[FakeParts, str, Annotation]:
    """A desk, the key of one task that was answered and pulled, and its answer."""
    key = a_key(pushed)
    given = pushed.server.answer(key, [HAT])
    pull(pushed)
    assert label_of(pushed, key) == HELMET
    return pushed, key, given


def deleted(parts: FakeParts, given: Annotation) -> None:
    parts.server.delete_answer(given)


def skipped(parts: FakeParts, given: Annotation) -> None:
    parts.server.answer(given.key, given.boxes, cancelled=True, again=given)


def misnamed(parts: FakeParts, given: Annotation) -> None:
    parts.server.answer(given.key, [Box("hat", HAT.xyxy)], again=given)


CHANGES = [
    (deleted, TaskStatus.CONFIRMED),
    (skipped, TaskStatus.SKIPPED),
    (misnamed, TaskStatus.QUARANTINED),
]


@pytest.mark.parametrize(("change", "status"), CHANGES)
def test_a_label_whose_answer_is_gone_is_revoked_and_the_task_can_be_answered_again(
    answered: tuple[FakeParts, str, Annotation],
    change: Callable[[FakeParts, Annotation], None],
    status: TaskStatus,
) -> None:
    parts, key, given = answered
    change(parts, given)
    assert pull(parts).revoked == 1
    assert (label_of(parts, key), row(parts, key).status) == (None, status)
    with read(parts.project.engine) as session:
        assert row(parts, key).frame in engaged_frames(session)
        assert answers(session, [row(parts, key).id])[0].result == given.result
    assert (pull(parts).revoked, row(parts, key).status) == (0, status)
    parts.server.answer(key, [HAT])
    report = pull(parts)
    assert (report.answers, report.revoked) == ({TaskStatus.DONE: 1}, 0)
    assert (label_of(parts, key), row(parts, key).status) == (HELMET, TaskStatus.DONE)


def test_a_skip_that_is_taken_back_waits_again(pushed: FakeParts) -> None:
    key = a_key(pushed)
    skip = pushed.server.answer(key, [], cancelled=True)
    pull(pushed)
    pushed.server.delete_answer(skip)
    assert pull(pushed).revoked == 0
    assert row(pushed, key).status is TaskStatus.CONFIRMED


def test_an_answer_given_and_deleted_between_two_pulls_leaves_nothing(pushed: FakeParts) -> None:
    key = a_key(pushed)
    pushed.server.delete_answer(pushed.server.answer(key, [HAT]))
    assert pull(pushed).revoked == 0
    assert (label_of(pushed, key), row(pushed, key).status) == (None, TaskStatus.CONFIRMED)


def test_of_two_answers_the_one_that_is_left_counts(answered: tuple[FakeParts, str, Annotation]) -> None:
    parts, key, _ = answered
    second = parts.server.answer(key, [])
    pull(parts)
    assert label_of(parts, key) == ()
    parts.server.delete_answer(second)
    assert pull(parts).revoked == 0
    assert (label_of(parts, key), row(parts, key).status) == (HELMET, TaskStatus.DONE)


def test_a_copy_that_nobody_answered_revokes_nothing(answered: tuple[FakeParts, str, Annotation]) -> None:
    parts, key, _ = answered
    server = parts.server
    server.now += timedelta(seconds=1)
    copy = replace(server.of(key), id=server.next(), answers=[], updated_at=server.now)
    server.tasks.append(copy)
    assert pull(parts).revoked == 0
    assert label_of(parts, key) == HELMET
    server.tasks.append(copy)
    server.answer(key, [], cancelled=True, task=copy)
    assert pull(parts).revoked == 0
    assert (label_of(parts, key), row(parts, key).status) == (HELMET, TaskStatus.DONE)


def test_other_labels_stay_as_they_are(answered: tuple[FakeParts, str, Annotation]) -> None:
    parts, key, given = answered
    other = a_key(parts)
    parts.server.accept(other)
    pull(parts)
    before = all_labels(parts)
    parts.server.delete_answer(given)
    pull(parts)
    del before[row(parts, key).frame]
    assert all_labels(parts) == before
    assert {label.source for label in before.values()} == {"imported", "annotation"}


def test_a_closed_batch_is_open_again_until_its_task_is_answered(pushed: FakeParts) -> None:
    given = [pushed.server.accept(key) for key in pushed.server.task_keys()]
    pull(pushed)
    assert batch_status(pushed) is BatchStatus.CLOSED
    pushed.server.delete_answer(given[0])
    pull(pushed)
    assert batch_status(pushed) is BatchStatus.QUEUED
    pushed.server.accept(given[0].key)
    pull(pushed)
    assert batch_status(pushed) is BatchStatus.CLOSED


def test_a_deletion_is_read_incrementally_and_moves_the_watermark(
    answered: tuple[FakeParts, str, Annotation], monkeypatch: pytest.MonkeyPatch
) -> None:
    parts, _, given = answered
    parts.server.now += timedelta(hours=1)
    parts.server.delete_answer(given)
    asked: list[datetime | None] = []
    read_answers = FakeLabelStudio.answers

    def asking(self: FakeLabelStudio, project: int, since: datetime | None) -> Any:
        asked.append(since)
        return read_answers(self, project, since)

    monkeypatch.setattr(FakeLabelStudio, "answers", asking)
    pull(parts)
    pull(parts)
    assert asked == [given.updated_at - pulling.OVERLAP, parts.server.now - pulling.OVERLAP]


def test_tasks_that_nobody_answered_cost_no_transaction(pushed: FakeParts) -> None:
    seen: list[int] = []
    pulling.pull(pushed, lambda done, total, what: seen.append(done))
    assert seen == []


def test_a_label_that_a_slower_pull_brings_back_is_gone_after_the_next(
    answered: tuple[FakeParts, str, Annotation], monkeypatch: pytest.MonkeyPatch
) -> None:
    parts, key, given = answered
    project = row(parts, key).external_project
    assert project is not None
    stale = [*parts.label_backend().answers(project, None)]
    parts.server.delete_answer(given)
    assert pull(parts).revoked == 1

    def late(self: FakeLabelStudio, project: int, since: datetime | None) -> list[TaskAnswers]:
        return stale

    with monkeypatch.context() as slower:
        slower.setattr(FakeLabelStudio, "answers", late)
        pull(parts)
    assert label_of(parts, key) == HELMET
    assert pull(parts).revoked == 1
    assert (label_of(parts, key), row(parts, key).status) == (None, TaskStatus.CONFIRMED)


@pytest.mark.parametrize(("change", "status"), CHANGES)
def test_a_stop_between_revoking_and_the_status_undoes_both(
    answered: tuple[FakeParts, str, Annotation],
    change: Callable[[FakeParts, Annotation], None],
    status: TaskStatus,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parts, key, given = answered
    change(parts, given)

    def stop(*values: object, **named: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as stopping:
        stopping.setattr(pulling, "move", stop)
        with pytest.raises(KeyboardInterrupt):
            pull(parts)
    assert (label_of(parts, key), row(parts, key).status) == (HELMET, TaskStatus.DONE)
    assert pull(parts).revoked == 1
    assert (label_of(parts, key), row(parts, key).status) == (None, status)


def test_stopped_at_any_commit_the_next_pull_ends_the_same(pushed: FakeParts) -> None:
    for key in pushed.server.task_keys():
        pushed.server.accept(key)
    pull(pushed)
    first, second = pushed.server.task_keys()[:2]
    revoked_before_the_stop = set()
    for at in count():
        pushed.server.now += timedelta(hours=1)
        for key in (first, second):
            pushed.server.answer(key, [HAT])
        pull(pushed)
        pushed.server.now += timedelta(hours=1)
        for key, change in ((first, deleted), (second, skipped)):
            for given in pushed.server.of(key).answers:
                change(pushed, given)
        if not stopped(pushed, at):
            break
        done = [label_of(pushed, key) for key in (first, second)].count(None)
        revoked_before_the_stop.add(done)
        assert pull(pushed).revoked == 2 - done
        assert (label_of(pushed, first), label_of(pushed, second)) == (None, None)
        assert row(pushed, first).status is TaskStatus.CONFIRMED
        assert row(pushed, second).status is TaskStatus.SKIPPED
        assert batch_status(pushed) is BatchStatus.QUEUED
    assert revoked_before_the_stop == {0, 1, 2}


def test_a_frozen_dataset_stays_and_the_next_one_is_without_the_frame(pushed: FakeParts) -> None:
    key = a_key(pushed, "train")
    for one in pushed.server.task_keys():
        pushed.server.accept(one)
    pull(pushed)
    frame, project = row(pushed, key).frame, pushed.project
    rounds.start(pushed)
    with read(project.engine) as session:
        opened = open_round(session)
    assert opened is not None
    dataset = freeze.freeze_dataset(project, producers(pushed).embedder, opened)
    frozen = members(pushed, dataset), contents(project.datasets)
    assert frame in frozen[0]
    pushed.server.delete_answer(pushed.server.of(key).answers[0])
    assert pull(pushed).revoked == 1
    assert (members(pushed, dataset), contents(project.datasets)) == frozen
    manifest = freeze.build_manifest(project, producers(pushed).embedder, opened)
    assert {entry.frame for entry in manifest.entries} == set(frozen[0]) - {frame}


@pytest.mark.slow
@pytest.mark.studio
def test_labels_follow_what_people_do_in_the_real_label_studio(real: FakeParts, label_studio: Studio) -> None:
    with read(real.project.engine) as session:
        waiting = sorted(tasks(session), key=lambda task: task.rank)
    deleted, swept, skipped, unskipped, redrawn, withdrawn, kept, untouched = waiting
    person, call = Person(label_studio), label_studio.call
    ids = {
        task.key: (person.skip if task in (unskipped, withdrawn) else person.accept)(task.external_id or 0)
        for task in waiting[:-1]
    }
    report = pull(real)
    assert (report.answers, report.revoked) == ({TaskStatus.DONE: 5, TaskStatus.SKIPPED: 2}, 0)
    before = all_labels(real)

    call("DELETE", f"annotations/{ids[deleted.key]}/")
    swept_tasks = {"selectedItems": {"all": False, "included": [swept.external_id]}}
    number = {"project": swept.external_project}
    call("POST", "dm/actions", params=number | {"id": "delete_tasks_annotations"}, json=number | swept_tasks)
    call("PATCH", f"annotations/{ids[skipped.key]}/", json={"was_cancelled": True})
    call("PATCH", f"annotations/{ids[unskipped.key]}/", json={"was_cancelled": False})
    call("PATCH", f"annotations/{ids[redrawn.key]}/", json={"result": []})
    call("POST", f"annotations/{ids[withdrawn.key]}/convert-to-draft")
    report = pull(real)
    assert (report.answers, report.revoked) == ({TaskStatus.DONE: 2, TaskStatus.SKIPPED: 1}, 3)
    assert {task.key: row(real, task.key).status for task in waiting} == {
        deleted.key: TaskStatus.CONFIRMED,
        swept.key: TaskStatus.CONFIRMED,
        skipped.key: TaskStatus.SKIPPED,
        unskipped.key: TaskStatus.DONE,
        redrawn.key: TaskStatus.DONE,
        withdrawn.key: TaskStatus.CONFIRMED,
        kept.key: TaskStatus.DONE,
        untouched.key: TaskStatus.CONFIRMED,
    }
    after = all_labels(real)
    gone = {task.frame for task in (deleted, swept, skipped)}
    changed = {unskipped.frame, redrawn.frame}
    assert set(after) == set(before) - gone | changed
    assert {seq: after[seq] for seq in after.keys() - changed} == {
        seq: before[seq] for seq in before.keys() - gone - changed
    }
    assert after[redrawn.frame].boxes == ()

    for task in (deleted, swept, skipped, withdrawn):
        person.accept(task.external_id or 0)
    assert pull(real).answers == {TaskStatus.DONE: 4}
    report = pull(real)
    assert (report.answers, report.revoked) == ({}, 0)
    assert {row(real, task.key).status for task in waiting[:-1]} == {TaskStatus.DONE}


def stopped(parts: FakeParts, at: int) -> bool:
    """One pull that is stopped at its commit number `at`; False when it ended before."""
    left = iter(range(at, -2, -1))

    def stop(connection: object) -> None:
        if next(left, -1) == 0:
            raise KeyboardInterrupt

    event.listen(parts.project.engine, "commit", stop)
    try:
        pull(parts)
    except KeyboardInterrupt:
        return True
    finally:
        event.remove(parts.project.engine, "commit", stop)
    return False


def all_labels(parts: FakeParts) -> dict[int, LabelRow]:
    with read(parts.project.engine) as session:
        return labels(session)


def batch_status(parts: FakeParts) -> BatchStatus:
    with read(parts.project.engine) as session:
        (batch,) = batches(session)
    return batch.status


def members(parts: FakeParts, dataset: int) -> list[int]:
    with read(parts.project.engine) as session:
        return [member.frame for member in dataset_members(session, dataset)]


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
