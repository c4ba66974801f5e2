"""Batches and tasks: each frame before a person once, every move compare-and-set."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from connectors.ports import Purpose
from db.engine import read, write
from db.errors import Conflict
from db.labels import set_label
from db.states import BatchStatus, TaskStatus
from db.tables import utcnow
from db.tasks import (
    add_tasks,
    batches,
    close_batches,
    create_batch,
    engaged_frames,
    move,
    queue_batch,
    reopen_batches,
    selected_today,
    task_by_key,
    task_counts,
    tasks,
    tasks_by_keys,
)
from tests.db.world import new_task, stocked

PENDING, SENT, CONFIRMED, DONE = TaskStatus.PENDING, TaskStatus.SENT, TaskStatus.CONFIRMED, TaskStatus.DONE


def queued(engine: Engine, frames: list[int]) -> list[int]:
    """Ids of the pending tasks of a new queued batch."""
    with write(engine) as session:
        batch = create_batch(session, "hybrid", 7, len(frames), {"k": 5})
        add_tasks(
            session, batch, [new_task(seq, rank, key=f"{batch}-{seq}") for rank, seq in enumerate(frames)]
        )
        queue_batch(session, batch)
        return [task.id for task in tasks(session, batch=batch)]


def test_a_batch_and_its_tasks_come_back_as_they_were_given(engine: Engine) -> None:
    seqs = stocked(engine, 2)
    given = replace(
        new_task(seqs[1], purpose=Purpose.EVALUATION),
        inclusion_probability=0.125,
        rank=1,
    )
    with write(engine) as session:
        batch = create_batch(session, "hybrid", 2**40, 2, {"weights": [1, 2]})
        assert add_tasks(session, batch, [given, new_task(seqs[0])]) == 2
    with read(engine) as session:
        (stored,) = batches(session)
        first, second = tasks(session)
    assert (stored.id, stored.status, stored.seed, stored.settings) == (
        batch,
        "selecting",
        2**40,
        {"weights": [1, 2]},
    )
    assert {name: getattr(second, name) for name in given.__slots__} == {
        name: getattr(given, name) for name in given.__slots__
    }
    assert (first.frame, first.rank, first.status, first.external_id) == (seqs[0], 0, PENDING, None)


def test_a_purpose_is_stored_as_its_word(engine: Engine) -> None:
    seqs = stocked(engine, len(Purpose))
    with write(engine) as session:
        batch = create_batch(session, "random", 1, len(seqs), {})
        add_tasks(session, batch, [new_task(seq, purpose=p) for seq, p in zip(seqs, Purpose, strict=True)])
    with read(engine) as session:
        stored = session.execute(text("SELECT purpose FROM label_tasks ORDER BY frame")).scalars().all()
        found = tasks(session)
    assert stored == ["train", "evaluation", "consensus", "suspect", "inspection", "report"]
    assert [type(task.purpose) for task in found] == [Purpose] * len(found)


def test_a_frame_has_one_open_task_per_purpose(engine: Engine) -> None:
    (seq,) = stocked(engine, 1)
    (task,) = queued(engine, [seq])
    with write(engine) as session:
        batch = create_batch(session, "random", 1, 2, {})
        again = [new_task(seq, key="again"), new_task(seq, purpose=Purpose.EVALUATION, key="other purpose")]
        assert add_tasks(session, batch, again) == 1
        move(session, [task], PENDING, TaskStatus.CANCELLED)
        assert add_tasks(session, batch, [new_task(seq, key="after")]) == 1
        assert {task.key for task in tasks(session, batch=batch)} == {"other purpose", "after"}


def test_a_task_cannot_be_opened_beside_another_one(engine: Engine) -> None:
    (seq,) = stocked(engine, 1)
    (old,) = queued(engine, [seq])
    with write(engine) as session:
        move(session, [old], PENDING, TaskStatus.CANCELLED)
    queued(engine, [seq])

    def reopen() -> None:
        with write(engine) as session:
            move(session, [old], TaskStatus.CANCELLED, PENDING)

    with pytest.raises(Conflict, match="expected no other open task of these frames when moving to pending"):
        reopen()


def test_move_is_compare_and_set(engine: Engine) -> None:
    ids = queued(engine, stocked(engine, 3))
    with write(engine) as session:
        assert move(session, ids[:2], PENDING, SENT, external_project=4) == 2
        assert move(session, ids, PENDING, SENT) == 1
        assert move(session, ids, PENDING, SENT) == 0
        assert move(session, ids[:1], (PENDING, SENT), CONFIRMED, external_id=77) == 1
        first = task_by_key(session, f"1-{tasks(session)[0].frame}")
    assert first is not None
    assert (first.status, first.external_project, first.external_id) == (CONFIRMED, 4, 77)
    assert first.changed_at > first.created_at


def test_only_one_of_several_threads_moves_a_task(engine: Engine) -> None:
    ids = queued(engine, stocked(engine, 20))

    def push(_: int) -> int:
        moved = 0
        for task in ids:
            with write(engine) as session:
                moved += move(session, [task], PENDING, SENT)
        return moved

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(push, range(4))) == 20


def test_move_refuses_what_may_not_change(lite: Engine) -> None:
    (task,) = queued(lite, stocked(lite, 1))
    with (
        write(lite) as session,
        pytest.raises(ValueError, match=r"expected fields among \['about'.*got \['frame'\]"),
    ):
        move(session, [task], PENDING, SENT, frame=3)


def test_tasks_are_listed_by_batch_and_rank(engine: Engine) -> None:
    seqs = stocked(engine, 4)
    first, second = queued(engine, [seqs[3], seqs[1]]), queued(engine, [seqs[2], seqs[0]])
    with write(engine) as session:
        move(session, [first[1]], PENDING, DONE)
        assert [task.frame for task in tasks(session)] == [seqs[3], seqs[1], seqs[2], seqs[0]]
        assert [task.frame for task in tasks(session, status=PENDING, limit=2)] == [seqs[3], seqs[2]]
        assert [task.id for task in tasks(session, status=(PENDING, DONE), batch=1)] == first
        assert [task.id for task in tasks(session, frames=[seqs[0], seqs[2]])] == second
        assert set(tasks_by_keys(session, [f"1-{seqs[3]}", "unknown"])) == {f"1-{seqs[3]}"}
        assert task_by_key(session, "unknown") is None


def test_a_batch_closes_when_its_last_task_does(engine: Engine) -> None:
    seqs = stocked(engine, 4)
    first, second = queued(engine, seqs[:2]), queued(engine, seqs[2:])
    with write(engine) as session:
        unfinished = create_batch(session, "random", 1, 1, {})
        assert close_batches(session) == []
        move(session, first, PENDING, DONE)
        move(session, second[:1], PENDING, TaskStatus.SKIPPED)
        move(session, second[1:], PENDING, TaskStatus.QUARANTINED)
        assert close_batches(session) == [1]
        assert close_batches(session) == []
        move(session, second[1:], TaskStatus.QUARANTINED, DONE)
        assert close_batches(session) == [2]
        assert [row.id for row in batches(session, BatchStatus.SELECTING)] == [unfinished]
        assert queue_batch(session, unfinished)
        assert not queue_batch(session, unfinished)


def test_a_closed_batch_is_queued_again_while_a_task_of_it_is_open_again(engine: Engine) -> None:
    seqs = stocked(engine, 3)
    first, second = queued(engine, seqs[:2]), queued(engine, seqs[2:])
    with write(engine) as session:
        move(session, first + second, PENDING, DONE)
        assert close_batches(session) == [1, 2]
        assert reopen_batches(session) == []
        move(session, first[:1], DONE, CONFIRMED)
        assert reopen_batches(session) == [1]
        assert [row.status for row in batches(session)] == [BatchStatus.QUEUED, BatchStatus.CLOSED]
        assert close_batches(session) == []
        move(session, first[:1], CONFIRMED, DONE)
        assert close_batches(session) == [1]
        assert reopen_batches(session) == []


def test_engaged_are_the_asked_the_answered_the_skipped_and_the_labeled(engine: Engine) -> None:
    seqs = stocked(engine, 7)
    ids = queued(engine, seqs[:5])
    with write(engine) as session:
        for task, status in zip(
            ids, [DONE, TaskStatus.SKIPPED, TaskStatus.CANCELLED, TaskStatus.QUARANTINED], strict=False
        ):
            move(session, [task], PENDING, status)
        set_label(session, seqs[5], [], "train", "imported")
        assert engaged_frames(session) == {seqs[0], seqs[1], seqs[3], seqs[4], seqs[5]}


def test_counts(engine: Engine) -> None:
    ids = queued(engine, stocked(engine, 3))
    with write(engine) as session:
        move(session, ids[:1], PENDING, TaskStatus.CANCELLED)
        counts = task_counts(session)
        assert selected_today(session, utcnow() - timedelta(minutes=5)) == 3
        assert selected_today(session, utcnow() + timedelta(seconds=5)) == 0
    assert set(counts) == set(TaskStatus)
    assert {status: count for status, count in counts.items() if count} == {
        PENDING: 2,
        TaskStatus.CANCELLED: 1,
    }
