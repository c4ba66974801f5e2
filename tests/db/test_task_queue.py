"""Tasks as a queue: in the order of labelers, a page at a time, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from connectors.ports import Purpose
from db.engine import read, write
from db.states import TaskStatus
from db.tables import Frame, LabelTask, utcnow
from db.task_queue import (
    After,
    Order,
    Wanted,
    aims_of,
    batches_of,
    cameras_of,
    front_priority,
    pinned_count,
    task_page,
    tasks_by_id,
)
from db.tasks import TaskRow, add_tasks, create_batch, move, tasks
from tests.db.world import new_task, stocked

PENDING, DONE, SKIPPED = TaskStatus.PENDING, TaskStatus.DONE, TaskStatus.SKIPPED
WAITING = Wanted((PENDING,))


def made(engine: Engine, count: int = 6) -> list[int]:
    """Ids of pending tasks of one batch, of falling priority."""
    seqs = stocked(engine, count)
    with write(engine) as session:
        batch = create_batch(session, "hybrid", 0, count, {})
        new = [replace(new_task(seq, rank), priority=1 - rank / count) for rank, seq in enumerate(seqs)]
        add_tasks(session, batch, new)
        return [task.id for task in tasks(session, batch=batch)]


def change(engine: Engine, number: int, **values: object) -> None:
    with write(engine) as session:
        session.execute(update(LabelTask).where(LabelTask.id == number).values(**values))


def walked(session: Session, wanted: Wanted, order: Order, limit: int) -> list[int]:
    found: list[TaskRow] = []
    after = None
    while page := task_page(session, wanted, order, limit, after):
        found += page
        last = page[-1]
        after = After(last.id, last.priority, last.pinned, last.changed_at)
    return [row.id for row in found]


def test_pinned_tasks_are_first_then_priority_decides_then_age(engine: Engine) -> None:
    ids = made(engine)
    change(engine, ids[4], pinned=True)
    change(engine, ids[5], pinned=True)
    change(engine, ids[2], priority=1 - 1 / 6)
    with read(engine) as session:
        assert walked(session, WAITING, "front", 100) == [ids[4], ids[5], ids[0], ids[1], ids[2], ids[3]]
        for limit in (1, 2, 4):
            assert walked(session, WAITING, "front", limit) == walked(session, WAITING, "front", 100)
        assert pinned_count(session) == 2
        assert [row.id for row in task_page(session, replace(WAITING, pinned=True), "front", 9)] == ids[4:]
        assert front_priority(session) == 1


def test_what_changed_last_is_first_whatever_became_of_it(engine: Engine) -> None:
    ids = made(engine)
    now = utcnow()
    for place, number in enumerate(ids):
        change(
            engine, number, status=(DONE, SKIPPED)[place % 2], changed_at=now + timedelta(seconds=place // 2)
        )
    with read(engine) as session:
        for limit in (1, 2, 100):
            assert walked(session, Wanted((DONE, SKIPPED)), "recent", limit) == ids[::-1]


def test_conditions_narrow_it(engine: Engine) -> None:
    ids = made(engine)
    change(engine, ids[0], purpose=Purpose.EVALUATION)
    for number, shows in zip(ids, ([1], [12, 2], [2, 1, 3], [3, 1], [11], []), strict=True):
        change(engine, number, shows=shows)
    with write(engine) as session:
        frame = tasks_by_id(session, [ids[1]])[ids[1]].frame
        session.execute(update(Frame).where(Frame.seq == frame).values(camera="other"))
    with read(engine) as session:
        assert [r.id for r in task_page(session, replace(WAITING, slice_id=1), "front", 9)] == [
            ids[0],
            ids[2],
            ids[3],
        ]
        assert [r.id for r in task_page(session, replace(WAITING, camera="other"), "front", 9)] == [ids[1]]
        judging = replace(WAITING, purpose=Purpose.EVALUATION)
        assert [r.id for r in task_page(session, judging, "front", 9)] == [ids[0]]
        (batch,) = batches_of(session, (PENDING,))
        assert len(task_page(session, replace(WAITING, batch=batch), "front", 9)) == 6
        assert task_page(session, replace(WAITING, batch=batch + 1), "front", 9) == []
        assert "other" in cameras_of(session, (PENDING,))
        assert aims_of(session, (PENDING,)) == []


def test_unknown_ids_are_absent(engine: Engine) -> None:
    ids = made(engine, 2)
    with read(engine) as session:
        assert set(tasks_by_id(session, [*ids, 9999])) == set(ids)


def test_a_frame_that_a_person_dropped_is_not_chosen_again_and_a_deleted_one_may_be(engine: Engine) -> None:
    from db.tasks import engaged_frames

    ids = made(engine, 2)
    with write(engine) as session:
        move(session, [ids[0]], PENDING, TaskStatus.CANCELLED, problem="dropped by ann")
        move(session, [ids[1]], PENDING, TaskStatus.CANCELLED)
    with read(engine) as session:
        known = tasks_by_id(session, ids)
        assert engaged_frames(session) == {known[ids[0]].frame}
