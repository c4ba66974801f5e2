"""Leases expire, and the ledger tells what ran."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy import Engine, select, update

from db.engine import read, write
from db.leases import acquire, beat, last_runs, lease, note_run, release
from db.tables import Lease, Run, utcnow


def let_expire(engine: Engine) -> None:
    with write(engine) as session:
        session.execute(update(Lease).values(expires_at=utcnow() - timedelta(milliseconds=1)))


def test_a_lease_has_one_holder(engine: Engine) -> None:
    with write(engine) as session:
        assert acquire(session, "serve", "a", 30)
        assert not acquire(session, "serve", "b", 30)
        assert acquire(session, "serve", "a", 30)
        assert acquire(session, "other", "b", 30)
        assert not beat(session, "serve", "b", 30)
        assert not release(session, "serve", "b")
        assert release(session, "serve", "a")
        assert acquire(session, "serve", "b", 30)


def test_who_stops_beating_loses_it(engine: Engine) -> None:
    with write(engine) as session:
        acquire(session, "serve", "a", 30)
    let_expire(engine)
    with write(engine) as session:
        assert acquire(session, "serve", "b", 30)
        assert not beat(session, "serve", "a", 30)
        held = lease(session, "serve")
    assert held is not None
    assert held.holder == "b"
    assert held.expires_at > utcnow() + timedelta(seconds=20)


def test_a_late_beat_saves_a_lease_that_nobody_took(engine: Engine) -> None:
    with write(engine) as session:
        acquire(session, "serve", "a", 30)
    let_expire(engine)
    with write(engine) as session:
        assert beat(session, "serve", "a", 30)
        assert not acquire(session, "serve", "b", 30)


def test_of_several_threads_one_gets_an_expired_lease(engine: Engine) -> None:
    with write(engine) as session:
        acquire(session, "serve", "dead", 30)
    let_expire(engine)

    def take(holder: str) -> bool:
        with write(engine) as session:
            return acquire(session, "serve", holder, 30)

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(take, "abcd")) == 1


def test_the_ledger_shows_the_newest_run_of_each_job(engine: Engine) -> None:
    began = utcnow()
    with write(engine) as session:
        note_run(session, "ingest", began, "done", "20 frames")
        note_run(session, "ingest", began, "done", "3 frames")
        note_run(session, "push", began, "waiting", "Label Studio is away")
    with read(engine) as session:
        runs = last_runs(session)
        assert lease(session, "serve") is None
    assert list(runs) == ["ingest", "push"]
    assert (runs["ingest"].outcome, runs["ingest"].detail) == ("done", "3 frames")
    assert (runs["push"].outcome, runs["push"].detail) == ("waiting", "Label Studio is away")
    assert runs["push"].finished_at is not None
    assert runs["push"].finished_at >= runs["push"].started_at == began


def test_what_is_met_again_moves_the_end_of_one_line(engine: Engine) -> None:
    began = utcnow()
    for detail in ("away", "away", "token refused", "away"):
        with write(engine) as session:
            note_run(session, "push", began, "waiting", detail, repeated=True)
    with read(engine) as session:
        found = session.execute(select(Run.detail).order_by(Run.id)).scalars().all()
    assert found == ["away", "token refused", "away"]


def test_the_ledger_keeps_so_many_lines_of_each_job(engine: Engine) -> None:
    with write(engine) as session:
        note_run(session, "push", utcnow(), "done", "old", keep=3)
        for number in range(9):
            note_run(session, "pull", utcnow(), "done", f"{number} answers", keep=3)
    with read(engine) as session:
        found = session.execute(select(Run.job, Run.detail).order_by(Run.id)).all()
    assert [tuple(row) for row in found] == [
        ("push", "old"),
        ("pull", "6 answers"),
        ("pull", "7 answers"),
        ("pull", "8 answers"),
    ]
