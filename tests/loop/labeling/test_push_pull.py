"""The review desk: every chosen frame is one task, and only what a person submitted becomes a
label.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from unittest.mock import ANY

import pytest
from sqlalchemy import update

from connectors.errors import LabelConfigMismatch, LabelStudioDown
from connectors.ports import Annotation, Box, LabelProject, Purpose
from db.engine import read, write
from db.facts import set_fact
from db.frames import frames
from db.labels import answers, labels
from db.states import BatchStatus, TaskStatus
from db.tables import LabelTask
from db.tasks import NewTask, add_tasks, batches, create_batch, move, queue_batch
from loop.base.errors import ProjectError
from loop.labeling import pull as pulling
from loop.labeling.pull import anything_to_pull
from loop.labeling.push import PushReport, anything_to_push
from loop.selection.select import select
from tests.fakes import FakeParts, StudioServer, StudioTask, quiet
from tests.loop.desk import HAT, NOW, a_key, label_of, pull, push, row, rows

SOON = timedelta(seconds=30)


def test_every_task_shows_image_boxes_reason_and_priority(pushed: FakeParts) -> None:
    server = pushed.server
    assert server.task_keys() == sorted(task.key for task in rows(pushed))
    assert {task.status for task in rows(pushed)} == {TaskStatus.CONFIRMED}
    with read(pushed.project.engine) as session:
        frame_of = {frame.seq: frame for frame in frames(session)}
    for made in server.tasks:
        known = row(pushed, made.task.key)
        frame = frame_of[known.frame]
        assert (known.external_id, known.external_project) == (made.id, made.project)
        assert made.task.image.read_bytes() == (pushed.project.store / frame.path).read_bytes()
        assert (made.task.reason, made.task.priority) == (known.reason, known.priority)
        assert made.task.meta["camera"] == frame.camera
        assert made.task.meta["captured_at"] == f"{frame.captured_at:%Y-%m-%d %H:%M:%S} UTC"
        assert made.task.meta["file"] == frame.source_key
        assert made.task.model_version == pushed.detector().name
    (box,) = server.of(a_key(pushed)).task.predictions
    assert (box.class_name, box.origin) == ("person", "prediction")
    assert box.confidence == pytest.approx(0.9)


def test_pushing_twice_makes_nothing_twice(pushed: FakeParts) -> None:
    report = push(pushed)
    assert (report.pushed, report.found, report.waiting) == (0, 0, 0)
    assert len(pushed.server.tasks) == 12


def test_two_pushes_at_once_make_every_task_once(chosen: FakeParts) -> None:
    inside, go = threading.Event(), threading.Event()

    def hook(what: str) -> None:
        if what == "before import":
            inside.set()
            assert go.wait(20)

    reports: list[PushReport] = []
    slow = FakeParts(chosen.project, chosen.server, hook=hook)
    first = threading.Thread(target=lambda: reports.append(push(slow)))
    first.start()
    assert inside.wait(20)
    second = push(chosen)
    go.set()
    first.join(20)
    assert second.busy
    assert [report.pushed for report in reports] == [12]
    assert len(set(chosen.server.task_keys())) == len(chosen.server.tasks) == 12


def test_a_push_that_lost_its_lease_makes_no_task_twice(chosen: FakeParts) -> None:
    """Both hold the task list; the second sends while the first is about to."""
    done: list[PushReport] = []

    def overtaken(what: str) -> None:
        if what == "before import" and not done:
            with write(chosen.project.engine) as session:
                from db.leases import lease, release

                held = lease(session, "push")
                assert held is not None
                release(session, "push", held.holder)
            done.append(push(chosen, SOON))

    push(FakeParts(chosen.project, chosen.server, hook=overtaken), SOON)
    assert done[0].waiting == 12
    assert len(set(chosen.server.task_keys())) == len(chosen.server.tasks) == 12


@pytest.mark.parametrize("point", ["before import", "after import", "before project", "after project"])
def test_a_stop_in_between_neither_doubles_nor_loses_a_task(chosen: FakeParts, point: str) -> None:
    def stop(what: str) -> None:
        if what == point:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        push(FakeParts(chosen.project, chosen.server, hook=stop))
    push(chosen)
    assert len(chosen.server.projects) == 1
    assert len(set(chosen.server.task_keys())) == len(chosen.server.tasks) == 12
    assert {task.status for task in rows(chosen)} == {TaskStatus.CONFIRMED}


def test_what_may_still_arrive_is_waited_for(chosen: FakeParts) -> None:
    chosen.server.late = True
    with pytest.raises(LabelStudioDown, match="it may have arrived"):
        push(chosen)
    chosen.server.late = False
    assert push(chosen, SOON).waiting == 12
    chosen.server.arrive()
    report = push(chosen, SOON)
    assert (report.found, report.pushed, report.waiting) == (12, 0, 0)
    assert len(chosen.server.tasks) == 12


def test_what_never_arrived_is_sent_again(chosen: FakeParts) -> None:
    chosen.server.late = True
    with pytest.raises(LabelStudioDown):
        push(chosen)
    chosen.server.late = False
    chosen.server.under_way.clear()
    assert push(chosen, NOW).pushed == 12
    assert len(chosen.server.tasks) == 12


def test_what_arrives_after_it_was_given_up_is_found_before_it_is_sent_again(chosen: FakeParts) -> None:
    chosen.server.late = True
    with pytest.raises(LabelStudioDown):
        push(chosen)
    chosen.server.late = False
    with write(chosen.project.engine) as session:
        move(session, [task.id for task in rows(chosen)], TaskStatus.SENT, TaskStatus.PENDING)
    chosen.server.arrive()
    report = push(chosen)
    assert (report.found, report.pushed) == (12, 0)
    assert len(set(chosen.server.task_keys())) == len(chosen.server.tasks) == 12


def doubled(parts: FakeParts, key: str) -> None:
    """Another import of the same task arrives."""
    original = parts.server.of(key)
    parts.server.tasks.append(replace(original, id=parts.server.next(), answers=[]))


def test_copies_are_removed_before_anybody_sees_them(pushed: FakeParts) -> None:
    key = a_key(pushed)
    doubled(pushed, key)
    with write(pushed.project.engine) as session:
        move(session, [row(pushed, key).id], TaskStatus.CONFIRMED, TaskStatus.SENT)
    first = pushed.server.of(key).id
    push(pushed)
    assert pushed.server.task_keys().count(key) == 1
    assert row(pushed, key).external_id == first


def test_copies_that_arrive_later_are_removed_by_the_next_pull(pushed: FakeParts) -> None:
    key = a_key(pushed)
    doubled(pushed, key)
    pull(pushed)
    assert pushed.server.task_keys().count(key) == 1


def test_an_answered_copy_stays_and_the_one_nobody_answered_goes(pushed: FakeParts) -> None:
    key = a_key(pushed)
    doubled(pushed, key)
    copy = max((task for task in pushed.server.tasks if task.task.key == key), key=lambda task: task.id)
    pushed.server.answer(key, [HAT], task=copy)
    pull(pushed)
    (left,) = [task for task in pushed.server.tasks if task.task.key == key]
    assert left.id == copy.id == row(pushed, key).external_id
    assert label_of(pushed, key) == (HAT,)


def test_of_two_answered_copies_none_is_removed_and_the_later_answer_counts(pushed: FakeParts) -> None:
    key = a_key(pushed)
    doubled(pushed, key)
    one, other = (task for task in pushed.server.tasks if task.task.key == key)
    pushed.server.answer(key, [HAT], task=one)
    pushed.server.answer(key, [], task=other)
    pull(pushed)
    assert pushed.server.task_keys().count(key) == 2
    assert label_of(pushed, key) == ()


def accepted(server: StudioServer, key: str) -> Annotation:
    return server.accept(key)


def moved(server: StudioServer, key: str) -> Annotation:
    (box,) = server.of(key).task.predictions
    return server.answer(key, [Box(box.class_name, (1.004, 2.0, 9.0, 10.0), "prediction-changed", 0.9)])


def added(server: StudioServer, key: str) -> Annotation:
    return server.answer(key, [*server.of(key).task.predictions, HAT])


def emptied(server: StudioServer, key: str) -> Annotation:
    return server.answer(key, [])


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (accepted, [("person", "prediction")]),
        (moved, [("person", "prediction-changed")]),
        (added, [("person", "prediction"), ("helmet", "manual")]),
        (emptied, []),
    ],
)
def test_what_a_person_submitted_is_the_label(
    pushed: FakeParts, act: Callable[[StudioServer, str], Annotation], expected: list[tuple[str, str]]
) -> None:
    key = a_key(pushed)
    given = act(pushed.server, key)
    assert pull(pushed).answers == {TaskStatus.DONE: 1}
    label = label_of(pushed, key)
    assert label is not None
    assert [(box.class_name, box.origin) for box in label] == expected
    assert [box.xyxy for box in label] == [tuple(round(v, 2) for v in box.xyxy) for box in given.boxes]
    assert row(pushed, key).status is TaskStatus.DONE


def test_a_skipped_task_is_no_label(pushed: FakeParts) -> None:
    key = a_key(pushed)
    pushed.server.answer(key, pushed.server.of(key).task.predictions, cancelled=True)
    assert pull(pushed).answers == {TaskStatus.SKIPPED: 1}
    assert label_of(pushed, key) is None
    assert row(pushed, key).status is TaskStatus.SKIPPED


def test_a_prediction_that_nobody_submitted_is_never_a_label(pushed: FakeParts) -> None:
    pushed.server.accept(a_key(pushed))
    pull(pushed)
    with read(pushed.project.engine) as session:
        assert len(labels(session, source="annotation")) == 1


def test_the_purpose_of_a_label_is_that_of_its_task(pushed: FakeParts) -> None:
    train, evaluation = a_key(pushed, "train"), a_key(pushed, "evaluation")
    for key in (train, evaluation):
        pushed.server.accept(key)
    pull(pushed)
    with read(pushed.project.engine) as session:
        known = labels(session, source="annotation")
    assert {known[row(pushed, key).frame].purpose for key in (train,)} == {"train"}
    assert {known[row(pushed, key).frame].purpose for key in (evaluation,)} == {"evaluation"}


def asked_for(parts: FakeParts, key: str, purpose: Purpose) -> None:
    """The task is of that purpose, as one that a later version made would be."""
    with write(parts.project.engine) as session:
        session.execute(update(LabelTask).where(LabelTask.key == key).values(purpose=purpose))


@pytest.mark.parametrize("purpose", [Purpose.SUSPECT, Purpose.INSPECTION, Purpose.REPORT])
def test_the_last_of_answer_and_review_stands(pushed: FakeParts, purpose: Purpose) -> None:
    key = rows(pushed)[0].key
    pushed.server.accept(key)
    pull(pushed)
    with read(pushed.project.engine) as session:
        first = labels(session)[row(pushed, key).frame]
    with write(pushed.project.engine) as session:
        batch = create_batch(session, "review", 0, 1, {})
        review = NewTask(row(pushed, key).frame, purpose, f"review-{purpose}", 0, 1.0, "look again", "review")
        add_tasks(session, batch, [review])
        queue_batch(session, batch)
    push(pushed)
    pushed.server.now += timedelta(minutes=1)
    given = pushed.server.answer(f"review-{purpose}", [])
    pull(pushed)
    with read(pushed.project.engine) as session:
        reviewed = labels(session)[row(pushed, key).frame]
    assert (reviewed.boxes, reviewed.purpose) == ((), first.purpose)
    pushed.server.delete_answer(given)
    pull(pushed)
    with read(pushed.project.engine) as session:
        assert labels(session)[row(pushed, key).frame] == replace(first, updated_at=ANY)


def test_a_second_persons_answer_changes_no_label(pushed: FakeParts) -> None:
    key = rows(pushed)[0].key
    pushed.server.accept(key)
    asked_for(pushed, key, Purpose.CONSENSUS)
    pull(pushed)
    assert label_of(pushed, key) is None
    assert row(pushed, key).stands is not None


def test_pulling_is_incremental(pushed: FakeParts) -> None:
    first, second = (task.task.key for task in pushed.server.tasks[:2])
    early = pushed.server.accept(first)
    pull(pushed)
    pushed.server.now += timedelta(hours=1)
    pushed.server.accept(second)
    asked: list[object] = []
    backend = pushed.label_backend()
    answer = backend.answers

    def asking(project_id: int, since: object) -> object:
        asked.append(since)
        return answer(project_id, since)  # type: ignore[arg-type]

    backend.answers = asking  # type: ignore[method-assign, assignment]
    assert pull(pushed).answers == {TaskStatus.DONE: 1}
    assert asked == [early.updated_at - pulling.OVERLAP]
    assert pull(pushed).answers == {}


def test_a_changed_answer_changes_the_label_and_history_is_kept(pushed: FakeParts) -> None:
    key = a_key(pushed)
    first = pushed.server.accept(key)
    pull(pushed)
    pushed.server.answer(key, [HAT], again=first)
    assert pull(pushed).answers == {TaskStatus.DONE: 1}
    assert label_of(pushed, key) == (HAT,)
    with read(pushed.project.engine) as session:
        assert [answer.result for answer in answers(session)] == [
            [{"class": "person", "xyxy": list(first.boxes[0].xyxy)}],
            [{"class": "helmet", "xyxy": list(HAT.xyxy)}],
        ]


def test_an_answer_that_comes_late_does_not_replace_a_later_one(pushed: FakeParts) -> None:
    key = a_key(pushed)
    later = pushed.server.answer(key, [HAT])
    pull(pushed)
    pushed.server.answer(key, [], at=later.updated_at - timedelta(seconds=10))
    pull(pushed)
    assert label_of(pushed, key) == (HAT,)


def test_somebody_elses_skip_leaves_an_answer_in_force(pushed: FakeParts) -> None:
    key = a_key(pushed)
    pushed.server.answer(key, [HAT])
    pull(pushed)
    pushed.server.answer(key, [], cancelled=True)
    pull(pushed)
    assert row(pushed, key).status is TaskStatus.DONE
    assert label_of(pushed, key) == (HAT,)


def test_a_skipped_task_that_is_answered_after_all_counts(pushed: FakeParts) -> None:
    key = a_key(pushed)
    skipped = pushed.server.answer(key, [], cancelled=True)
    pull(pushed)
    pushed.server.answer(key, [HAT], again=skipped)
    pull(pushed)
    assert row(pushed, key).status is TaskStatus.DONE
    assert label_of(pushed, key) == (HAT,)


def test_an_unknown_class_is_quarantined_until_it_is_mended(pushed: FakeParts) -> None:
    key = a_key(pushed)
    wrong = pushed.server.answer(key, [Box("hat", HAT.xyxy), HAT])
    report = pull(pushed)
    assert (report.answers, report.unknown) == ({TaskStatus.QUARANTINED: 1}, {"hat"})
    assert report.to_mend == [
        f"task {pushed.server.of(key).id}: unknown class hat: choose one that the model knows"
    ]
    assert label_of(pushed, key) is None
    assert row(pushed, key).status is TaskStatus.QUARANTINED
    pushed.server.answer(key, [HAT], again=wrong)
    assert pull(pushed).answers == {TaskStatus.DONE: 1}
    assert label_of(pushed, key) == (HAT,)


def test_a_deleted_task_is_cancelled(pushed: FakeParts) -> None:
    key = a_key(pushed)
    pushed.server.delete_task(key)
    assert pull(pushed).deleted == 1
    assert row(pushed, key).status is TaskStatus.CANCELLED
    assert pull(pushed).deleted == 0


def test_a_deleted_task_that_was_answered_keeps_its_label(pushed: FakeParts) -> None:
    key = a_key(pushed)
    pushed.server.answer(key, [HAT])
    pull(pushed)
    pushed.server.delete_task(key)
    pull(pushed)
    assert row(pushed, key).status is TaskStatus.DONE
    assert label_of(pushed, key) == (HAT,)


def test_tasks_of_other_people_are_counted_and_left_alone(pushed: FakeParts) -> None:
    task = pushed.server.of(a_key(pushed))
    other = StudioTask(pushed.server.next(), task.project, replace(task.task, key="somebody-elses"))
    pushed.server.tasks.append(other)
    pushed.server.answer("somebody-elses", [HAT])
    report = pull(pushed)
    assert (report.foreign, report.answers) == (1, {})
    assert len(pushed.server.tasks) == 13


def test_an_answered_batch_is_closed(pushed: FakeParts) -> None:
    for key in pushed.server.task_keys():
        pushed.server.accept(key)
    pull(pushed)
    with read(pushed.project.engine) as session:
        assert [batch.status for batch in batches(session)] == [BatchStatus.CLOSED]


def test_a_stopped_server_loses_nothing(pushed: FakeParts) -> None:
    pushed.server.accept(a_key(pushed))
    select(pushed, quiet, budget=4)
    pushed.server.down = True
    for act in (push, pull):
        with pytest.raises(LabelStudioDown, match="start Label Studio, the work waits"):
            act(pushed)
    assert len(rows(pushed, TaskStatus.PENDING)) == 4
    pushed.server.down = False
    assert push(pushed).pushed == 4
    assert pull(pushed).answers == {TaskStatus.DONE: 1}


def test_a_pull_that_breaks_midway_starts_again_at_the_same_point(pushed: FakeParts) -> None:
    keys = pushed.server.task_keys()
    for key in keys:
        pushed.server.accept(key)

    def broken(done: int, total: int, what: str) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pulling.pull(pushed, broken)
    with read(pushed.project.engine) as session:
        assert len(labels(session, source="annotation")) == 5
    assert pull(pushed).answers == {TaskStatus.DONE: 7}


def test_a_renamed_class_stops_push_and_pull_until_it_is_named_back(pushed: FakeParts) -> None:
    server = pushed.server
    (number,) = server.projects
    right = server.projects[number]
    server.accept(a_key(pushed))
    server.projects[number] = LabelProject(number, right.url, ("person", "hat"))
    select(pushed, quiet, budget=4)
    for act in (push, pull):
        with pytest.raises(LabelConfigMismatch, match=r"the config lacks \['helmet'\]"):
            act(pushed)
    server.projects[number] = right
    assert push(pushed).pushed == 4
    assert pull(pushed).answers == {TaskStatus.DONE: 1}


def test_pulling_before_the_first_push_says_what_to_do(chosen: FakeParts) -> None:
    assert not anything_to_pull(chosen)
    assert anything_to_push(chosen)
    with pytest.raises(ProjectError, match="found none yet; `fieldloop push` makes it"):
        pull(chosen)


def test_the_watermark_is_that_of_the_project(pushed: FakeParts) -> None:
    with write(pushed.project.engine) as session:
        set_fact(session, "pull_watermark_99", "2030-01-01T00:00:00+00:00")
    pushed.server.accept(a_key(pushed))
    assert pull(pushed).answers == {TaskStatus.DONE: 1}
