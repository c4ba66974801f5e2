"""A date that passed while no service ran is made up once, or said."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from connectors.ports import Progress
from db.engine import read
from db.facts import get_fact
from db.leases import RunRow, last_runs
from loop.base.errors import ConfigError
from loop.project.project import open_project
from loop.project.wiring import Parts
from loop.service import scheduler
from loop.service.jobs import Job
from loop.service.scheduler import Service, run_job
from tests.fakes import FakeParts

SATURDAY = datetime(2026, 11, 28, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
EVERY_SATURDAY = "0 2 * * 6"


class Clock:
    """Time as the service sees it, and what it ran."""

    def __init__(self) -> None:
        self.now = SATURDAY - HOUR
        self.ran: list[datetime] = []

    def job(self, name: str = "round_at", schedule: str = "round.at") -> Job:
        def run(parts: Parts, progress: Progress) -> str:
            self.ran.append(self.now)
            return "round 1 is open"

        return Job(name, schedule, "io", run)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(scheduler, "utcnow", lambda: made.now)
    return made


def opened(folder: Path, missed: str = "make_up", at: str = EVERY_SATURDAY, **schedule: str) -> FakeParts:
    path = folder / "project" / "fieldloop.yaml"
    tree = yaml.safe_load(path.read_text()) | {"missed_dates": missed}
    tree.setdefault("round", {})["at"] = at
    tree.setdefault("schedule", {}).update(schedule)
    path.write_text(yaml.safe_dump(tree))
    return FakeParts(open_project(folder / "project"))


def started(parts: FakeParts, job: Job) -> bool:
    """Starts a service and says whether the job was to run at once; nothing runs by itself."""
    service = Service(parts, threading.Event(), (job,))
    service.scheduler.start = lambda: None
    service.start()
    (waiting,) = service.scheduler.get_jobs()
    due = hasattr(waiting, "next_run_time")
    if due:
        run_job(service, job)
    return due


def ledger(parts: FakeParts, job: str = "round_at") -> RunRow | None:
    with read(parts.project.engine) as session:
        return last_runs(session).get(job)


def test_a_missed_date_is_made_up_once(folder: Path, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    parts, job = opened(folder), clock.job()
    assert not started(parts, job)
    clock.now = SATURDAY + 30 * HOUR
    assert started(parts, job)
    assert clock.ran == [clock.now]
    assert (
        "round_at: its date 2026-11-28 02:00 UTC passed while no service ran; it is made up now"
        in caplog.text
    )
    clock.now += HOUR
    assert not started(parts, job)
    clock.now = SATURDAY + timedelta(days=22)
    assert started(parts, job)
    assert len(clock.ran) == 2
    parts.project.engine.dispose()


def test_where_the_settings_want_it_said_it_is_said_and_on_record(folder: Path, clock: Clock) -> None:
    parts, job = opened(folder, "say"), clock.job()
    started(parts, job)
    clock.now = SATURDAY + HOUR
    for _ in range(2):
        assert not started(parts, job)
    found = ledger(parts)
    assert found is not None
    assert (found.outcome, found.detail) == (
        "missed",
        "its date 2026-11-28 02:00 UTC passed while no service ran; it waits for its next date"
        " (missed_dates)",
    )
    assert clock.ran == []
    parts.project.engine.dispose()


def test_a_date_that_was_kept_is_not_owed(folder: Path, clock: Clock) -> None:
    parts, job = opened(folder), clock.job()
    started(parts, job)
    clock.now = SATURDAY
    run_job(Service(parts, threading.Event(), (job,)), job)
    clock.now += HOUR
    assert not started(parts, job)
    parts.project.engine.dispose()


def test_a_run_that_was_stopped_is_owed_still(folder: Path, clock: Clock) -> None:
    def run(parts: Parts, progress: Progress) -> str:
        served.stop.set()
        progress(1, 2, "steps")
        return ""

    parts, job = opened(folder), clock.job()
    started(parts, job)
    clock.now = SATURDAY
    stopping = Job("round_at", "round.at", "io", run)
    served = Service(parts, threading.Event(), (stopping,))
    run_job(served, stopping)
    clock.now += HOUR
    assert started(parts, job)
    parts.project.engine.dispose()


def test_any_job_of_a_date_is_made_up_and_another_schedule_owes_nothing(folder: Path, clock: Clock) -> None:
    job = clock.job("push", "schedule.push")
    parts = opened(folder, push="0 6 * * *")
    started(parts, job)
    clock.now = SATURDAY + 4.5 * HOUR
    parts.project.engine.dispose()
    parts = opened(folder, push="0 7 * * *")
    assert not started(parts, job)
    clock.now = SATURDAY + 6 * HOUR
    assert started(parts, job)
    parts.project.engine.dispose()


def test_a_job_of_an_interval_remembers_no_date(
    folder: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    parts, job = opened(folder, push="10s"), clock.job("push", "schedule.push")
    with caplog.at_level(logging.WARNING):
        assert started(parts, job)
    with read(parts.project.engine) as session:
        assert get_fact(session, "next_date_push") is None
    assert caplog.text == ""
    parts.project.engine.dispose()


def test_what_to_do_is_one_of_two(folder: Path) -> None:
    with pytest.raises(ConfigError, match="missed_dates"):
        opened(folder, "forget")
