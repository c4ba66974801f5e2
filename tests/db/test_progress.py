"""How far producers have come: facts count, whoever saw the frame last."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Engine, update

from db.analysis import producer_id, record_detections, record_embeddings
from db.engine import read, write
from db.frames import add_frame, add_reject, frames, group_id
from db.progress import Backlog, backlog, count_seen, find_producer, has_producer
from db.states import Origin, Role
from db.tables import Frame
from tests.db.test_analysis import seen
from tests.db.world import new_frame, stocked, unit_vectors


def test_facts_of_a_former_producer_are_still_counted(engine: Engine) -> None:
    seqs = stocked(engine, 5)
    with write(engine) as session:
        former, later = (producer_id(session, "detector", name) for name in ("a", "b"))
        record_detections(session, former, seqs[:4], [seen(1)] * 4)
        record_detections(session, later, seqs[:3], [seen(1)] * 3)
    with read(engine) as session:
        assert [count_seen(session, "detector", each, 5) for each in (former, later, later + 1)] == [4, 3, 0]
        assert (find_producer(session, "detector", "b"), find_producer(session, "detector", "c")) == (
            later,
            None,
        )
        assert (has_producer(session, "detector"), has_producer(session, "embedder")) == (True, False)


def test_the_backlog_is_productions_own(engine: Engine) -> None:
    seqs = stocked(engine, 6)
    with write(engine) as session:
        imported = group_id(session, "imported", Role.POOL)
        add_frame(session, new_frame(imported, 99, Origin.IMPORTED))
        clip, yolo = producer_id(session, "embedder", "a"), producer_id(session, "detector", "a")
        record_embeddings(session, clip, seqs[:4], unit_vectors(4, 4))
        record_detections(session, yolo, seqs[1:5], [seen(1)] * 4)
    with read(engine) as session:
        assert backlog(session, clip, yolo) == Backlog(production=6, analyzed=3)
        assert backlog(session, clip, yolo).waiting == 3


def test_damaged_files_and_later_arrivals_are_no_backlog(engine: Engine) -> None:
    seqs = stocked(engine, 3)
    with write(engine) as session:
        clip, yolo = producer_id(session, "embedder", "a"), producer_id(session, "detector", "a")
        (damaged, *_) = frames(session, seqs=seqs[:1])
        add_reject(session, damaged.source_key, damaged.content_hash, "unreadable", "damaged")
        late = damaged.ingested_at + timedelta(hours=1)
        session.execute(update(Frame).where(Frame.seq == seqs[2]).values(ingested_at=late))
    with read(engine) as session:
        assert backlog(session, clip, yolo) == Backlog(production=2, analyzed=0)
        assert backlog(session, clip, yolo, until=late - timedelta(minutes=1)) == Backlog(1, 0)
