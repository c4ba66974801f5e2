"""Sets of frames on SQLite and PostgreSQL alike: columns that follow, and ids of what is rare."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from sqlalchemy import Engine

from connectors.ports import Box, Detections, Purpose
from db.analysis import producer_id, record_detections
from db.engine import read, write
from db.facts import set_fact
from db.frame_columns import forget, frames_view
from db.frame_sets import (
    FrameTables,
    MemberSets,
    dataset_frames,
    detected_among,
    label_classes,
    label_stamp,
    label_times,
    labeled_frames,
    priorities,
    task_frames,
)
from db.frames import FrameFacts, group_id, set_facts
from db.labels import set_label
from db.recorded_slices import Recorded, open_recorded, save_recorded
from db.rounds import Member, add_dataset, datasets_of
from db.slice_members import Members, add_members, load_counts, record_members
from db.slices import NewSlice, define_slices
from db.states import OPEN_TASKS, Role, SliceKind, TaskStatus
from db.tasks import add_tasks, create_batch, move, queue_batch, tasks
from tests.db.world import add_frames, new_task, stocked

TOKEN = "left"


def test_a_table_follows_what_comes_in_and_what_is_corrected(engine: Engine, tmp_path: Path) -> None:
    tables = FrameTables(engine, tmp_path)
    assert len(tables.now()) == 0
    seqs = stocked(engine, 5)
    first = tables.now()
    assert first.seq.tolist() == seqs
    assert first.cameras == ("gate-1",)
    with write(engine) as session:
        more = add_frames(session, 3, start=5, role=Role.EVALUATION)
    assert tables.now().seq.tolist() == [*seqs, *more]
    assert tables.now() is tables.now()
    assert tables.now().role.tolist() == [0] * 5 + [1] * 3
    moment = datetime(2026, 5, 1, tzinfo=UTC)
    with write(engine) as session:
        group = group_id(session, "gate-2|2026-05-01", Role.POOL)
        set_facts(session, [FrameFacts(seqs[0], group, "gate-2", "north", None, moment)])
    forget(tmp_path, frames_view())
    now = tables.now()
    assert now.cameras[int(now.camera[0])] == "gate-2"
    assert now.captured_at[0] == moment.timestamp()
    assert FrameTables(engine, tmp_path).now().seq.tolist() == [*seqs, *more]


def test_rows_of_ids_are_found_with_gaps_and_without(engine: Engine, tmp_path: Path) -> None:
    seqs = stocked(engine, 6)
    tables = FrameTables(engine, tmp_path)
    asked = np.array([seqs[4], 10**9, seqs[0], 0], np.int64)
    assert tables.now().locate(asked).tolist() == [4, -1, 0, -1]
    assert tables.now().rows(asked).tolist() == [4, 0]
    from sqlalchemy import delete

    from db.tables import Frame

    with write(engine) as session:
        session.execute(delete(Frame).where(Frame.seq == seqs[2]))
    forget(tmp_path, frames_view())
    assert tables.now().locate(np.array([seqs[3], seqs[2], seqs[5]], np.int64)).tolist() == [2, -1, 4]
    assert tables.now().mask(np.array(seqs, np.int64)).all()


def test_tasks_labels_and_datasets_by_frame(engine: Engine) -> None:
    seqs = stocked(engine, 8)
    with write(engine) as session:
        batch = create_batch(session, "hybrid", 0, 3, {})
        add_tasks(session, batch, [new_task(seq, rank) for rank, seq in enumerate(seqs[:3])])
        queue_batch(session, batch)
        move(session, [tasks(session)[0].id], TaskStatus.PENDING, TaskStatus.DONE)
        detector = producer_id(session, "detector", "yolo", {})
        nothing = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
        record_detections(session, detector, seqs[3:5], [nothing, nothing])
        for seq, name in zip(seqs[3:6], ("helmet", "person", "helmet"), strict=True):
            set_label(session, seq, [Box(name, (0, 0, 3, 3))], Purpose.TRAIN, "annotation")
        members = [Member(seqs[0], "train", 1), Member(seqs[1], "val", 1)]
        dataset = add_dataset(session, "a" * 64, "datasets/a", {}, members)
    with read(engine) as session:
        assert sorted(task_frames(session).tolist()) == seqs[:3]
        assert task_frames(session, [TaskStatus.DONE]).tolist() == seqs[:1]
        assert sorted(task_frames(session, OPEN_TASKS, [batch]).tolist()) == seqs[1:3]
        assert task_frames(session, None, [batch + 1]).tolist() == []
        assert sorted(labeled_frames(session).tolist()) == seqs[3:6]
        assert sorted(dataset_frames(session, [dataset]).tolist()) == seqs[:2]
        assert dataset_frames(session, [dataset], ["val"]).tolist() == seqs[1:2]
        assert [found[:2] for found in datasets_of(session, seqs[1])] == [(dataset, "val")]
        frames, worth = priorities(session)
        assert dict(zip(frames.tolist(), worth.tolist(), strict=True)) == {seqs[1]: 0.99, seqs[2]: 0.98}
        labeled, by_class = label_classes(session)
        assert labeled.tolist() == seqs[3:6]
        assert by_class["helmet"].tolist() == [seqs[3], seqs[5]]
        assert detected_among(session, detector) == 2
        assert label_times(session, detector)[0].tolist() == seqs[3:5]
        before = label_stamp(session)
    with write(engine) as session:
        set_label(session, seqs[3], [], Purpose.TRAIN, "annotation")
    with read(engine) as session:
        assert label_stamp(session) != before


def test_members_are_what_is_stored_whoever_wrote_them(engine: Engine, tmp_path: Path) -> None:
    seqs = np.array(stocked(engine, 10), np.int64)
    with write(engine) as session:
        made = producer_id(session, "measure", "m", {})
        number = define_slices(session, [NewSlice("fog", SliceKind.MEASURED, "fog")])["fog"]
        left = Members(seqs[:4], np.ones(4))
        record_members(session, made, number, left)
        set_fact(session, TOKEN, "one")
        counts = load_counts(session)
    save_recorded(tmp_path, "one", Recorded(seqs[:6], {(made, number): left}, counts))
    sets = MemberSets(TOKEN, lambda token: open_recorded(tmp_path, token))

    def now() -> list[int]:
        with read(engine) as session:
            return sets.of(session, made, number).frames.tolist()

    assert now() == seqs[:4].tolist()
    with write(engine) as session:
        add_members(session, made, number, Members(seqs[7:8], np.ones(1)))
    assert now() == [*seqs[:4].tolist(), int(seqs[7])]
    with write(engine) as session:  # a frame that came in before others that were compared
        add_members(session, made, number, Members(seqs[5:6], np.ones(1)))
    assert now() == [*seqs[:4].tolist(), int(seqs[5]), int(seqs[7])]
    with write(engine) as session:
        record_members(session, made, number, Members(seqs[8:9], np.ones(1)))
        set_fact(session, TOKEN, "two")
    assert now() == [int(seqs[8])]
