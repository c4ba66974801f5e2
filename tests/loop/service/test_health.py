"""Health tells the truth: clocks that are set, full disks, damage, jobs that fail or never run."""

from __future__ import annotations

import errno
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import apscheduler.schedulers.base as base
import pytest
from apscheduler.triggers.interval import IntervalTrigger

from connectors.ports import Progress
from db.engine import read, write
from db.facts import set_fact
from db.leases import last_runs
from loop.base.errors import ConfigError, Waiting
from loop.labeling.pull import pull
from loop.project.project import open_project
from loop.project.wiring import Parts
from loop.service import pulse as pulses
from loop.service import scheduler as schedulers
from loop.service import steady
from loop.service.jobs import Job
from loop.service.pulse import Pulse
from loop.service.scheduler import Service, run_job
from tests.fakes import FakeParts
from tests.loop.service.test_scheduler import set_yaml as with_settings
from tests.loop.service.test_scheduler import until

HOURS = 2 * 3600


def idle(parts: Parts, progress: Progress) -> str:
    return ""


def serving(parts: Parts, run: Callable[[Parts, Progress], str] = idle) -> Service:
    return Service(parts, threading.Event(), (Job("push", "schedule.push", "io", run),))


@pytest.fixture
def alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs are run by the test itself."""
    monkeypatch.setattr(Service, "alive", lambda service: True)


@pytest.fixture
def wall_clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the wall clock was set by, in seconds, as the scheduler sees it."""
    set_by = [0.0]

    class Moved(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) + timedelta(seconds=set_by[0])

    real = time.time
    monkeypatch.setattr(base, "datetime", Moved)
    monkeypatch.setattr(steady, "datetime", Moved)
    monkeypatch.setattr(steady.time, "time", lambda: real() + set_by[0])
    monkeypatch.setattr(schedulers, "utcnow", lambda: Moved.now(UTC))
    return set_by


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_clock_that_is_set_stops_no_job(folder: Path, wall_clock: list[float], hours: int) -> None:
    with_settings(folder, schedule__push="1s")
    ran: list[float] = []

    def run(parts: Parts, progress: Progress) -> str:
        ran.append(time.monotonic())
        return ""

    parts = FakeParts(open_project(folder / "project"))
    served = serving(parts, run)
    served.start()
    until(lambda: bool(ran))
    wall_clock[0] = hours * 3600
    before = len(ran)
    until(lambda: len(ran) >= before + 2)
    assert ran[-1] - ran[before - 1] < 8
    assert served.health()["ok"]
    assert served.shut_down()
    parts.project.engine.dispose()


def test_a_date_is_the_next_one_by_the_new_clock(folder: Path, wall_clock: list[float]) -> None:
    with_settings(folder, schedule__push="0 6 * * *")
    parts = FakeParts(open_project(folder / "project"))
    served = serving(parts)
    served.start()
    wall_clock[0] = -HOURS * 24
    served.scheduler.wakeup()

    def ahead_s() -> float:
        due: float = served.scheduler.get_job("push").next_run_time.timestamp()
        return due - steady.time.time()

    until(lambda: ahead_s() <= 86400)
    assert ahead_s() > 0
    assert served.shut_down()
    parts.project.engine.dispose()


@pytest.mark.parametrize("missed", ["make_up", "say"])
def test_a_date_that_the_clock_leaps_over_is_made_up_once_or_said(
    folder: Path, wall_clock: list[float], caplog: pytest.LogCaptureFixture, missed: str
) -> None:
    with_settings(folder, schedule__push="0 6 * * *")
    file = folder / "project" / "fieldloop.yaml"
    file.write_text(file.read_text() + f"missed_dates: {missed}\n")
    ran: list[float] = []

    def run(parts: Parts, progress: Progress) -> str:
        ran.append(time.monotonic())
        return "3 tasks made"

    parts = FakeParts(open_project(folder / "project"))
    served = serving(parts, run)
    served.start()
    assert not ran
    wall_clock[0] = 86400
    served.scheduler.wakeup()
    until(lambda: bool(served.states["push"].outcome))
    until(lambda: served.scheduler.get_job("push").next_run_time.timestamp() > steady.time.time())
    made_up = missed == "make_up"
    assert (len(ran), served.states["push"].outcome) == ((1, "done") if made_up else (0, "missed"))
    what = "it is made up now" if made_up else "it waits for its next date (missed_dates)"
    assert f"06:00 UTC passed as the clock was set; {what}" in caplog.text
    assert served.shut_down()
    parts.project.engine.dispose()


def test_a_clock_that_is_set_back_while_jobs_are_due_is_soon_seen(
    folder: Path, wall_clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_settings(folder, schedule__push="1s")
    parts = FakeParts(open_project(folder / "project"))
    served = serving(parts)
    process = steady.BackgroundScheduler._process_jobs

    def set_back_meanwhile(scheduler: steady.SteadyScheduler) -> float | None:
        if served.states["push"].checked_at:
            wall_clock[0] = -HOURS
        wait: float | None = process(scheduler)
        return wait

    monkeypatch.setattr(steady.BackgroundScheduler, "_process_jobs", set_back_meanwhile)
    monkeypatch.setattr(steady, "LOOK_S", 0.1)
    served.start()
    until(lambda: wall_clock[0] < 0)
    before = served.states["push"].checked_at
    until(lambda: served.states["push"].checked_at not in (None, before))
    assert served.shut_down()
    parts.project.engine.dispose()


@pytest.mark.usefixtures("alive")
def test_a_job_that_has_not_run_for_three_intervals_is_not_ok(
    parts: FakeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serving(parts)
    trigger = served.triggers["push"]
    assert isinstance(trigger, IntervalTrigger)
    now = time.monotonic()
    served._heard_at["push"] = now - 3 * trigger.interval_length
    assert served.health()["ok"]
    served._heard_at["push"] = now - 3 * trigger.interval_length - schedulers.LATE_GRACE_S - 1
    found = served.health()
    assert not found["ok"]
    assert found["problems"][0].startswith("push: expected a run every ")
    run_job(served, served.jobs[0])
    assert served.health()["ok"]


@pytest.mark.usefixtures("alive")
def test_a_job_that_runs_long_is_not_late(parts: FakeParts) -> None:
    seen: list[bool] = []

    def run(parts: Parts, progress: Progress) -> str:
        trigger = served.triggers["push"]
        assert isinstance(trigger, IntervalTrigger)
        served._heard_at["push"] -= 3 * trigger.interval_length + schedulers.LATE_GRACE_S + 1
        seen.append(served.health()["ok"])
        return ""

    served = serving(parts, run)
    run_job(served, served.jobs[0])
    assert seen == [True]


@pytest.mark.usefixtures("alive")
@pytest.mark.parametrize("schedule", ["1s", "0 6 * * *"])
def test_a_job_that_says_nothing_while_it_runs_hangs(folder: Path, schedule: str) -> None:
    with_settings(folder, schedule__push=schedule)
    parts = FakeParts(open_project(folder / "project"))
    seen: list[list[str]] = []

    def run(parts: Parts, progress: Progress) -> str:
        for silent_s in (1700, 1900):
            served._heard_at["push"] = time.monotonic() - silent_s
            seen.append(served.problems())
        progress(1, 2, "tasks")
        seen.append(served.problems())
        return ""

    served = serving(parts, run)
    run_job(served, served.jobs[0])
    assert (seen[0], seen[2], served.problems()) == ([], [], [])
    (hangs,) = seen[1]
    assert hangs.startswith(
        "push: expected to hear of it within 30 min while it runs, got nothing for 32 min: it hangs; see"
    )
    parts.project.engine.dispose()


@pytest.mark.usefixtures("alive")
def test_what_could_not_be_recorded_is_recorded_later(
    parts: FakeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps the service unwell, and nothing else may happen for days."""

    def full(*given: object, **more: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    left = ["5 tasks made", ""]
    served = serving(parts, lambda parts, progress: left.pop(0))
    with monkeypatch.context() as patched:
        patched.setattr(schedulers, "note_run", full)
        run_job(served, served.jobs[0])
    assert served.problems() == [
        "push: what it did could not be recorded: OSError: [Errno 28] No space left on device"
    ]
    run_job(served, served.jobs[0])
    assert served.problems() == []
    with read(parts.project.engine) as session:
        recorded = last_runs(session)["push"]
    assert (recorded.outcome, recorded.detail) == ("done", "5 tasks made")


@pytest.mark.usefixtures("alive")
def test_a_job_that_failed_last_is_not_ok_until_it_works(
    parts: FakeParts, caplog: pytest.LogCaptureFixture
) -> None:
    broken = [True]

    def run(parts: Parts, progress: Progress) -> str:
        if broken:
            raise ConfigError("label_studio.url: wrong")
        return ""

    served = serving(parts, run)
    with caplog.at_level(logging.WARNING, "loop.service"):
        for _ in range(3):
            run_job(served, served.jobs[0])
            served.tell_problems()
        assert served.health()["problems"] == ["push failed: label_studio.url: wrong"]
        broken.clear()
        run_job(served, served.jobs[0])
        served.tell_problems()
    assert served.health()["ok"]
    told = [record.message for record in caplog.records if record.message.startswith(("not", "all"))]
    assert told == ["not well: push failed: label_studio.url: wrong", "all is well again"]


@pytest.mark.usefixtures("alive")
def test_a_label_studio_that_stays_away_is_not_ok_until_it_answers(pushed: FakeParts) -> None:
    job = Job("pull", "schedule.pull", "io", lambda parts, progress: str(pull(parts, progress).foreign or ""))
    served = Service(pushed, threading.Event(), (job,))
    pushed.server.down = True
    for passed_s, ok in ((0, True), (90, True), (270, False)):
        run_job(served, job)
        served._away_since["pull"] -= passed_s
        assert served.health()["ok"] is ok
    (said,) = served.problems()
    assert said.startswith("pull has waited for Label Studio for 360 s: expected an answer, got none; start")
    pushed.server.down = False
    run_job(served, job)
    assert served.problems() == []


@pytest.mark.usefixtures("alive")
def test_a_job_that_waits_for_other_work_waits_for_no_label_studio(parts: FakeParts) -> None:
    def wait(parts: Parts, progress: Progress) -> str:
        raise Waiting("expected another to end first")

    served = serving(parts, wait)
    run_job(served, served.jobs[0])
    assert (served.states["push"].outcome, served._away_since, served.problems()) == ("waiting", {}, [])


@pytest.mark.usefixtures("alive")
def test_a_disk_that_takes_nothing_is_not_ok(parts: FakeParts, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    served = serving(parts)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        served.pulse.beat()
    assert served.health()["problems"] == [
        f"expected to write in {parts.project.root}, got: No space left on device"
    ]
    served.pulse.beat()
    assert served.health()["ok"]
    assert not list(parts.project.root.glob(".pulse*"))


def test_no_free_descriptor_is_not_ok(parts: FakeParts, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*given: object, **more: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    pulse = Pulse(parts.project, threading.Event())
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", none_left)
        pulse.beat()
    assert pulse.problems() == [f"expected to write in {parts.project.root}, got: Too many open files"]


def test_damage_that_no_job_meets_is_found(parts: FakeParts) -> None:
    with write(parts.project.engine) as session:
        for number in range(300):
            set_fact(session, f"fact {number}", "x" * 300)
    parts.project.engine.dispose()
    pulse = Pulse(parts.project, threading.Event())
    pulse.check()
    pulse.beat()
    assert pulse.problems() == []
    file = parts.project.root / "fieldloop.db"
    with file.open("r+b") as opened:
        opened.seek(20 * 4096)
        opened.write(os.urandom(8 * 4096))
    pulse.check()
    pulse.beat()
    assert any(found.startswith(f"the database {file} is damaged: ") for found in pulse.problems())


def test_a_database_that_is_replaced_or_gone_is_said(parts: FakeParts) -> None:
    file = parts.project.root / "fieldloop.db"
    pulse = Pulse(parts.project, threading.Event())
    pulse.beat()
    assert pulse.problems() == []
    shutil.copyfile(file, file.with_suffix(".copy"))
    file.with_suffix(".copy").replace(file)
    pulse.beat()
    (said,) = pulse.problems()
    assert "as it was opened, got another file or none" in said
    file.unlink()
    pulse.beat()
    assert pulse.problems() == [said]


def test_a_disk_that_hangs_is_said(parts: FakeParts, monkeypatch: pytest.MonkeyPatch) -> None:
    pulse = Pulse(parts.project, threading.Event())
    now = time.monotonic()
    monkeypatch.setattr(pulses.time, "monotonic", lambda: now + pulses.SILENT_S + 1)
    assert pulse.problems() == ["expected disk and database to answer, got nothing for 91 s"]
