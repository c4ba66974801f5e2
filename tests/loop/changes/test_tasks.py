"""Tasks that people drop, pin and hurry: on record, told to Label Studio, and taken back."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from connectors.errors import LabelStudioDown
from connectors.ports import Purpose
from db.changes import changes
from db.engine import read, write
from db.states import BatchStatus, TaskStatus
from db.tasks import NewTask, add_tasks, batches, create_batch, engaged_frames, move
from loop.base.errors import ConfigError
from loop.changes.audit import Who
from loop.changes.tasks import MOST, drop, hurry, pin, undo
from loop.cli.tasks import tasks_drop, tasks_hurry, tasks_pin, tasks_undo
from loop.insights.queue import QueueItem, QueueQuery, queue
from loop.labeling import pull as pulling
from loop.labeling import push as pushing
from loop.labeling.push import anything_to_push
from loop.service.jobs import JOBS
from tests.fakes import FakeParts, quiet
from tests.loop.desk import HAT, label_of, pull, push, row, rows
from tests.loop.judged import Killed

ANN = Who("ann", "page")


def due(parts: FakeParts, tab: str = "due") -> list[QueueItem]:
    return list(queue(parts.project, QueueQuery(tab=tab)).items)


def key_of(parts: FakeParts, number: int) -> str:
    return next(task.key for task in rows(parts) if task.id == number)


def seen(parts: FakeParts) -> dict[str, float]:
    """What Label Studio holds: priorities by key."""
    return {task.task.key: task.task.priority for task in parts.server.tasks}


def test_a_dropped_task_is_taken_back_from_label_studio_and_not_chosen_again(pushed: FakeParts) -> None:
    number = due(pushed)[0].id
    key, frame = key_of(pushed, number), row(pushed, key_of(pushed, number)).frame
    report = drop(pushed.project, ANN, [number], "too\nblurred")
    assert report.done == [number]
    stored = row(pushed, key)
    assert (stored.status, stored.problem) == (TaskStatus.CANCELLED, "dropped by ann: too blurred")
    assert key in seen(pushed)
    assert anything_to_push(pushed)
    told = push(pushed)
    assert key not in seen(pushed)
    assert "1 dropped task taken back" in told.lines()
    assert not anything_to_push(pushed)
    with read(pushed.project.engine) as session:
        assert frame in engaged_frames(session)
        (line,) = changes(session, 10)
    assert (line.who, line.via, line.what, line.subject) == ("ann", "page", "task dropped", f"task {number}")
    assert (line.before["status"], line.after["status"]) == ("confirmed", "cancelled")
    assert line.after["reason"] == "too blurred"


def test_it_is_taken_back_once_the_server_answers_again(pushed: FakeParts) -> None:
    number = due(pushed)[0].id
    key = key_of(pushed, number)
    drop(pushed.project, ANN, [number])
    pushed.server.down = True
    with pytest.raises(LabelStudioDown):
        push(pushed)
    pushed.server.down = False
    push(pushed)
    assert key not in seen(pushed)


def test_what_somebody_answered_meanwhile_stays_and_counts(pushed: FakeParts) -> None:
    number = due(pushed)[0].id
    key = key_of(pushed, number)
    pushed.server.answer(key, [HAT])
    drop(pushed.project, ANN, [number])
    told = push(pushed)
    assert "1 dropped task stays, because somebody has begun: an answer will count" in told.lines()
    pull(pushed)
    assert row(pushed, key).status is TaskStatus.DONE
    assert label_of(pushed, key) == (HAT,)


def test_a_task_that_is_dropped_while_its_import_is_under_way_is_taken_back_when_it_arrives(
    chosen: FakeParts,
) -> None:
    push(chosen)
    chosen.server.late = True
    number = rows(chosen)[0].id
    with write(chosen.project.engine) as session:
        move(session, [number], TaskStatus.CONFIRMED, TaskStatus.PENDING)
    key = key_of(chosen, number)
    chosen.server.delete_task(key)
    with pytest.raises(LabelStudioDown):
        push(chosen)
    assert row(chosen, key).status is TaskStatus.SENT
    drop(chosen.project, ANN, [number])
    chosen.server.late = False
    pushing.push(chosen, quiet)
    assert anything_to_push(chosen), "it may still arrive"
    chosen.server.arrive()
    pushing.push(chosen, quiet)
    assert key not in seen(chosen)
    assert not anything_to_push(chosen)


def test_dropping_is_undone_before_and_after_label_studio_heard_of_it(pushed: FakeParts) -> None:
    early, late = (item.id for item in due(pushed)[:2])
    undo(pushed.project, ANN, drop(pushed.project, ANN, [early]).changes)
    report = drop(pushed.project, ANN, [late])
    push(pushed)
    assert key_of(pushed, late) not in seen(pushed)
    undo(pushed.project, ANN, report.changes)
    push(pushed)
    for number in (early, late):
        stored = row(pushed, key_of(pushed, number))
        assert (stored.status, stored.problem) == (TaskStatus.CONFIRMED, "")
        assert list(seen(pushed)).count(stored.key) == 1
    with read(pushed.project.engine) as session:
        assert [line.what for line in changes(session, 10)] == [
            "task dropped, taken back",
            "task dropped",
            "task dropped, taken back",
            "task dropped",
        ]


@pytest.mark.parametrize("stop", ["before remove", "after remove", "before prioritize", "after prioritize"])
def test_whatever_stops_the_push_label_studio_hears_of_all_of_it_once_more(
    pushed: FakeParts, stop: str
) -> None:
    listed = [item.id for item in due(pushed)]
    drop(pushed.project, ANN, listed[:2])
    pin(pushed.project, ANN, [listed[5]])
    hurry(pushed.project, ANN, [listed[7]])

    def stopping(what: str) -> None:
        if what == stop:
            raise Killed

    with pytest.raises(Killed):
        push(FakeParts(pushed.project, pushed.server, hook=stopping))
    push(pushed)
    order = sorted(seen(pushed), key=lambda key: -seen(pushed)[key])
    assert [row(pushed, key).id for key in order] == [item.id for item in due(pushed)]
    assert [row(pushed, key).id for key in order[:2]] == [listed[5], listed[7]]
    assert len(order) == 10
    assert not anything_to_push(pushed)


def test_the_ledger_says_what_label_studio_was_told(pushed: FakeParts) -> None:
    (job,) = [job for job in JOBS if job.name == "push"]
    listed = [item.id for item in due(pushed)]
    drop(pushed.project, ANN, listed[:1])
    hurry(pushed.project, ANN, listed[1:2])
    assert job.run(pushed, quiet) == "1 dropped task taken back; 1 task moved in the order"
    assert job.run(pushed, quiet) == ""


def test_what_was_changed_since_is_not_undone(pushed: FakeParts) -> None:
    number = due(pushed)[0].id
    first = pin(pushed.project, ANN, [number])
    hurry(pushed.project, ANN, [number])
    report = undo(pushed.project, ANN, first.changes)
    assert report.refused == {number: "it was changed again since"}
    assert row(pushed, key_of(pushed, number)).pinned
    again = undo(pushed.project, ANN, first.changes)
    assert again.done == []


def test_a_frame_that_was_asked_for_again_is_not_asked_for_twice(pushed: FakeParts) -> None:
    item = due(pushed)[0]
    report = drop(pushed.project, ANN, [item.id])
    with write(pushed.project.engine) as session:
        batch = create_batch(session, "hybrid", 0, 1, {})
        add_tasks(session, batch, [NewTask(item.frame, Purpose(item.purpose), "again", 0, 1.0, "", "")])
    assert undo(pushed.project, ANN, report.changes).refused == {
        item.id: "its frame has another open task by now"
    }


def test_the_last_dropped_task_closes_its_batch_and_undoing_opens_it(pushed: FakeParts) -> None:
    report = drop(pushed.project, ANN, [item.id for item in due(pushed)])
    with read(pushed.project.engine) as session:
        assert [batch.status for batch in batches(session)] == [BatchStatus.CLOSED]
    undo(pushed.project, ANN, report.changes)
    with read(pushed.project.engine) as session:
        assert [batch.status for batch in batches(session)] == [BatchStatus.QUEUED]


def test_an_answer_that_is_to_mend_can_be_dropped_and_comes_back_as_it_was(pushed: FakeParts) -> None:
    key = pushed.server.tasks[0].task.key
    pushed.server.answer(key, [replace(HAT, class_name="unicorn")])
    pull(pushed)
    before = row(pushed, key)
    report = drop(pushed.project, ANN, [before.id])
    push(pushed)
    pulling.pull(pushed, quiet, everything=True)
    assert row(pushed, key).status is TaskStatus.CANCELLED, "nobody wants it mended"
    undo(pushed.project, ANN, report.changes)
    after = row(pushed, key)
    assert (after.status, after.problem) == (TaskStatus.QUARANTINED, before.problem)


def test_a_pinned_task_is_first_for_labelers_and_stays_so(pushed: FakeParts) -> None:
    number = due(pushed)[-1].id
    key = key_of(pushed, number)
    pin(pushed.project, ANN, [number])
    push(pushed)
    assert max(seen(pushed), key=lambda key: seen(pushed)[key]) == key
    hurry(pushed.project, ANN, [due(pushed)[3].id])
    push(pushed)
    assert max(seen(pushed), key=lambda key: seen(pushed)[key]) == key
    pin(pushed.project, ANN, [number], pinned=False)
    push(pushed)
    assert seen(pushed)[key] == pytest.approx(row(pushed, key).priority)
    assert seen(pushed)[key] <= 1


def test_what_is_pinned_before_the_push_goes_there_first(chosen: FakeParts) -> None:
    number = due(chosen, "sending")[-1].id
    pin(chosen.project, ANN, [number])
    push(chosen)
    assert seen(chosen)[key_of(chosen, number)] > 2
    assert due(chosen)[0].id == number


def test_hurried_tasks_are_in_front_in_their_order_until_others_are_hurried(pushed: FakeParts) -> None:
    listed = [item.id for item in due(pushed)]
    hurry(pushed.project, ANN, [listed[5], listed[7]])
    assert [item.id for item in due(pushed)[:3]] == [listed[5], listed[7], listed[0]]
    hurry(pushed.project, ANN, [listed[9]])
    front = [item.id for item in due(pushed)[:4]]
    assert front == [listed[9], listed[5], listed[7], listed[0]]
    push(pushed)
    order = sorted(seen(pushed), key=lambda key: -seen(pushed)[key])
    assert [row(pushed, key).id for key in order[:4]] == front


def test_hurrying_is_undone(pushed: FakeParts) -> None:
    before = [item.id for item in due(pushed)]
    report = hurry(pushed.project, ANN, before[-3:])
    push(pushed)
    undo(pushed.project, ANN, report.changes)
    push(pushed)
    assert [item.id for item in due(pushed)] == before
    order = sorted(seen(pushed), key=lambda key: -seen(pushed)[key])
    assert [row(pushed, key).id for key in order] == before


def test_closed_and_unknown_tasks_stay_as_they_are_and_the_others_do_not(pushed: FakeParts) -> None:
    first, second = due(pushed)[:2]
    pushed.server.accept(key_of(pushed, first.id))
    pull(pushed)
    report = drop(pushed.project, ANN, [first.id, second.id, 9999])
    assert report.done == [second.id]
    assert report.refused == {first.id: "it is answered", 9999: "it is not known"}
    assert pin(pushed.project, ANN, [due(pushed)[0].id], pinned=False).refused == {
        due(pushed)[0].id: "it is not pinned"
    }


def test_it_is_said_that_dropped_frames_were_to_judge(pushed: FakeParts) -> None:
    drawn = [task for task in rows(pushed) if task.inclusion_probability is not None]
    assert drawn
    report = drop(pushed.project, ANN, [task.id for task in rows(pushed)])
    assert report.judging == len(drawn)
    assert f"{len(drawn)} of them had been drawn to judge models" in report.lines()[1]


@pytest.mark.parametrize(
    ("ids", "said"), [([], "expected at least one task"), (range(MOST + 1), f"at most {MOST} tasks at once")]
)
def test_none_and_too_many_are_refused(pushed: FakeParts, ids: list[int], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        drop(pushed.project, ANN, list(ids))


def test_a_reason_has_an_end(pushed: FakeParts) -> None:
    with pytest.raises(ConfigError, match="a reason of at most 1000 characters, got 1001"):
        drop(pushed.project, ANN, [due(pushed)[0].id], "x" * 1001)
    assert len(due(pushed)) == 12


def test_what_is_no_change_of_a_task_cannot_be_undone(pushed: FakeParts) -> None:
    with pytest.raises(ConfigError, match="expected the number of a task's change, got 7"):
        undo(pushed.project, ANN, [7])


def test_the_commands_do_the_same_on_record(pushed: FakeParts, capsys: pytest.CaptureFixture[str]) -> None:
    root = pushed.project.root
    first, second = (item.id for item in due(pushed)[:2])
    tasks_drop([first], "blurred", root)
    tasks_pin([second], project=root)
    tasks_hurry([second], root)
    out, err = capsys.readouterr()
    assert out.splitlines() == ["1 task dropped", "1 task pinned", "1 task hurried"]
    assert "fieldloop tasks undo 1\n" in err
    tasks_undo([1], root, as_json=True)
    assert json.loads(capsys.readouterr().out)["done"] == [first]
    with read(pushed.project.engine) as session:
        assert {line.via for line in changes(session, 10)} == {"command"}
