"""Leases expire, and the ledger tells what ran."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy import Engine, update

from db.engine import read, write
from db.leases import acquire, beat, finish_run, last_runs, lease, release, start_run
from db.tables import Lease, utcnow


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
    with write(engine) as session:
        first, second, other = (
            start_run(session, "ingest"),
            start_run(session, "ingest"),
            start_run(session, "push"),
        )
        assert finish_run(session, first, "done", "20 frames")
        assert finish_run(session, other, "waiting", "Label Studio is away")
        assert not finish_run(session, other, "failed")
    with read(engine) as session:
        runs = last_runs(session)
        assert lease(session, "serve") is None
    assert list(runs) == ["ingest", "push"]
    assert (runs["ingest"].id, runs["ingest"].finished_at) == (second, None)
    assert (runs["push"].outcome, runs["push"].detail) == ("waiting", "Label Studio is away")
    assert runs["push"].finished_at is not None
    assert runs["push"].finished_at >= runs["push"].started_at
