"""The scheduler of `fieldloop serve`: it runs the jobs and keeps a ledger of what came of them.

The job store is memory. What an interval would have done while the service was down is not owed,
because every job takes up whatever there is. A date that passed meanwhile, or that the clock leapt
over, is made up once, or said.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.interval import IntervalTrigger

from connectors.errors import ConnectorError, LabelStudioDown
from connectors.ports import Progress
from db.engine import read, write
from db.errors import StateError
from db.facts import get_fact, set_fact
from db.leases import last_runs, note_run
from db.tables import utcnow
from loop.base.errors import ConfigError, LoopError, Waiting
from loop.base.moments import shown
from loop.labeling.mending import log_what_stands
from loop.project.wiring import Parts
from loop.service import readiness
from loop.service.asked import Asked, Stopping
from loop.service.dates import missed_date, remember_date
from loop.service.jobs import EXECUTORS, JOBS, Job, triggers_of
from loop.service.pulse import Pulse
from loop.service.steady import SteadyScheduler
from loop.settings.settings import value_of

log = logging.getLogger(__name__)
STOP_WITHIN_S = 5.0
NUMBERS = re.compile(r"\d+")
WELL_AGAIN = "goes on"
LATE_INTERVALS, LATE_GRACE_S = 3, 5.0
MISSED = "missed"
PAUSED = "paused_"
"""Begins the fact that says since when a job is paused."""


@dataclass(frozen=True)
class State:
    """What a job does now, and what came of its last run that did something or could not.

    checked_at: of its last run at all.
    title: what a page calls the job, "" for its name.
    paused_at: since when a person keeps it from running, None where nobody does.
    next_at: of its next run, None where that is not known.
    """

    now: str = ""
    outcome: str = ""
    detail: str = ""
    checked_at: datetime | None = None
    title: str = ""
    paused_at: datetime | None = None
    next_at: datetime | None = None


@dataclass(frozen=True)
class Unrecorded:
    """A line of the ledger that could not be written, and why."""

    started_at: datetime
    outcome: str
    detail: str
    why: str


class Service:
    """The scheduler of one project. Start it while holding the lease `serve`. Raises ConfigError."""

    def __init__(self, parts: Parts, stop: threading.Event, jobs: tuple[Job, ...] = JOBS) -> None:
        self.parts = parts
        self.stop = stop
        self.jobs = jobs
        self.triggers = triggers_of(parts.project.settings, jobs)
        self.states = {job.name: State(title=job.title) for job in jobs}
        self.pulse = Pulse(parts.project, stop)
        self._running: set[str] = set()
        self._beginning = threading.Lock()
        self._heard_at: dict[str, float] = {}
        self._away_since: dict[str, float] = {}
        self._told: tuple[str, ...] = ()
        self._unrecorded: dict[str, Unrecorded] = {}
        self.around: Callable[[], dict[str, Any]] = dict
        self.scheduler = SteadyScheduler(
            self._makes_up_leap,
            executors={name: ThreadPoolExecutor(size) for name, size in EXECUTORS.items()},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone=UTC,
        )
        self.asked = Asked(parts, stop, self.scheduler, self.record)

    def start(self) -> None:
        """Schedules every job that has a trigger; those of an interval run at once too, and those
        of a date that passed while no service ran, unless the settings only want it said. What a
        person must mend is told again.
        """
        self._recall()
        self._recall_paused()
        log_what_stands(self.parts.project)
        for job in self.jobs:
            trigger = self.triggers.get(job.name)
            if trigger is None:
                continue
            at_once = isinstance(trigger, IntervalTrigger) or self._makes_up(job, trigger)
            first = {"next_run_time": datetime.now(UTC)} if at_once else {}
            self._heard_at[job.name] = time.monotonic()
            self.scheduler.add_job(
                run_job, trigger, args=[self, job], id=job.name, executor=job.executor, **first
            )
        self.scheduler.start()
        self.pulse.start()
        self.take_up()

    def wake(self, name: str) -> None:
        """Runs a job now rather than at the end of its interval; one that waits for a date goes on
        waiting.
        """
        if not self.stop.is_set() and isinstance(self.triggers.get(name), IntervalTrigger):
            self.scheduler.modify_job(name, next_run_time=datetime.now(UTC))

    def run_now(self, job: str) -> None:
        """Runs a job once as soon as its executor is free, paused or not; nothing where it runs
        already. Raises ConfigError for a job that there is not.
        """
        found = self._job(job)
        if self.scheduler.get_job(job) and not self.states[job].paused_at:
            self.scheduler.modify_job(job, next_run_time=datetime.now(UTC))
            return
        options = {"id": f"{job} once", "executor": found.executor, "replace_existing": True}
        self.scheduler.add_job(run_job, args=[self, found, True], **options)

    def pause(self, job: str) -> None:
        """Keeps a job from running until it is resumed, over restarts too. A run under way ends as it
        would. Raises ConfigError.
        """
        self._job(job)
        since = self.states[job].paused_at or utcnow()
        with write(self.parts.project.engine) as session:
            set_fact(session, PAUSED + job, since.isoformat())
        self.note(job, paused_at=since)

    def resume(self, job: str) -> None:
        """Lets a paused job run again, at once where it runs at intervals. Raises ConfigError."""
        self._job(job)
        with write(self.parts.project.engine) as session:
            set_fact(session, PAUSED + job, "")
        self._heard_at[job] = time.monotonic()
        self.note(job, paused_at=None)
        self.wake(job)

    def take_up(self) -> None:
        """Does the work that people asked for in the background, one after the other."""
        self.asked.take_up()

    def doing(self) -> Mapping[int, str]:
        """What of that is under way, by its number."""
        return self.asked.doing()

    def alive(self) -> bool:
        """Whether the scheduler's own thread still runs: a dead one would leave `running` true."""
        thread = getattr(self.scheduler, "_thread", None)
        return self.scheduler.running and thread is not None and thread.is_alive()

    def health(self) -> dict[str, Any]:
        """Whether all is well, what is not, what else is worth saying, and the state of each job that
        has a trigger; asks neither database nor Label Studio.
        """
        problems, around = self.problems(), self.around()
        jobs = {job.name: self._state(job.name) for job in self.jobs if job.name in self.triggers}
        notes = [
            *around.pop("notes", []),
            *(_paused_note(name, job) for name, job in jobs.items() if job.paused_at),
        ]
        return {"ok": not problems, "problems": problems, "notes": notes, "jobs": jobs} | around

    def ready(self) -> dict[str, str]:
        """What the work needs, each with why it is not ready, "" where it is: the database, the lease
        of the leader, disk, and Label Studio where one is used.
        """
        project, stopped = self.parts.project, self.problems_of_schedule()
        found = {
            "database": readiness.of_database(project),
            "disk": readiness.of_disk(project.root) or next(iter(self.pulse.problems()), ""),
            "leader": stopped or readiness.of_leader(project),
        }
        url = self.around().get("label_studio")
        if url is None:
            return found
        away = f"expected Label Studio to answer at {url}, got nothing" if self._away_since else ""
        return found | {"label_studio": away if url else "expected Label Studio to run, it is away"}

    def problems_of_schedule(self) -> str:
        return "" if self.alive() else "expected the scheduler to run, got a dead one; start it again"

    def problems(self) -> list[str]:
        """What is not well, a sentence each: the schedule, disk and database, jobs that failed last, hang,
        have not run for three of their intervals, or have found no Label Studio for as long.
        """
        dead = self.problems_of_schedule()
        scheduled = [job for job in self.jobs if job.name in self.triggers]
        return [
            *([dead] if dead else []),
            *self.pulse.problems(),
            *(why for job in scheduled if (why := self._ails(job))),
        ]

    def tell_problems(self) -> None:
        """A line in the log for each problem that is new, and one once all is well again."""
        found = tuple(self.problems())
        for problem in found:
            if not self.stop.is_set() and _kind(problem) not in {_kind(told) for told in self._told}:
                log.error("not well: %s", problem)
        if self._told and not found:
            log.warning("all is well again")
        self._told = found

    def _job(self, name: str) -> Job:
        found = next((job for job in self.jobs if job.name == name), None)
        if found is None:
            names = ", ".join(job.name for job in self.jobs)
            raise ConfigError(f"job: expected one of {names}; got {name!r}")
        return found

    def _state(self, name: str) -> State:
        state, planned = self.states[name], self.scheduler.get_job(name)
        due = getattr(planned, "next_run_time", None)
        return replace(state, next_at=None if state.paused_at else due)

    def _ails(self, job: Job) -> str:
        state = self.states[job.name]
        if state.paused_at:
            return ""
        if state.outcome == "failed":
            return f"{job.name} failed: {state.detail}"
        if job.name in self._unrecorded:
            return f"{job.name}: what it did could not be recorded: {self._unrecorded[job.name].why}"
        trigger, now = self.triggers[job.name], time.monotonic()
        every = trigger.interval_length if isinstance(trigger, IntervalTrigger) else 0.0
        late = LATE_INTERVALS * every + LATE_GRACE_S
        away = now - self._away_since.get(job.name, now)
        if away > late:
            return f"{job.name} has waited for Label Studio for {away:.0f} s: {state.detail}"
        silent = now - self._heard_at.get(job.name, now)
        if job.name in self._running:
            return _hangs(job, silent) if silent > job.silent_s else ""
        if not every or silent <= late:
            return ""
        return f"{job.name}: expected a run every {every:g} s, got none for {silent:.0f} s"

    def shut_down(self) -> bool:
        """Asks every job to stop; False when one did not within STOP_WITHIN_S: it may be killed
        then, as any stage may.
        """
        self.stop.set()
        waiter = threading.Thread(target=self.scheduler.shutdown, kwargs={"wait": True}, daemon=True)
        waiter.start()
        waiter.join(STOP_WITHIN_S)
        return not waiter.is_alive()

    def run(self, job: Job, progress: Progress) -> tuple[str, str]:
        """Does the job; (outcome, detail)."""
        self._heard_at[job.name] = time.monotonic()
        try:
            return _attempt(self, job, progress)
        finally:
            self._running.discard(job.name)
            self._heard_at[job.name] = time.monotonic()

    def begin(self, name: str) -> bool:
        """Whether a run of this job may begin: one at a time does."""
        with self._beginning:
            if name in self._running:
                return False
            self._running.add(name)
            return True

    def found_studio(self, name: str, answers: bool) -> None:
        """Whether Label Studio answered a job that asked it, or that had no need to."""
        if answers:
            self._away_since.pop(name, None)
        else:
            self._away_since.setdefault(name, time.monotonic())

    def heard(self, name: str, now: str) -> None:
        """What a running job says of itself."""
        self._heard_at[name] = time.monotonic()
        self.note(name, now=now)

    def record(self, name: str, started_at: datetime, outcome: str, detail: str) -> None:
        """A line in the ledger. One that cannot be written is logged once, and tried again after the
        next run of its job.
        """
        try:
            with write(self.parts.project.engine) as session:
                note_run(session, name, started_at, outcome, detail, repeated=outcome != "done")
            self._unrecorded.pop(name, None)
        except Exception as error:
            before, why = self._unrecorded.get(name), f"{type(error).__name__}: {error}"
            self._unrecorded[name] = Unrecorded(started_at, outcome, detail, why)
            if before is None or before.why != why:
                log.error("the run of %s could not be recorded: %s", name, why)

    def record_again(self, name: str) -> None:
        """The line that could not be written, where there is one."""
        if found := self._unrecorded.get(name):
            self.record(name, found.started_at, found.outcome, found.detail)

    def note(self, name: str, **changes: Any) -> None:
        self.states[name] = replace(self.states[name], **changes)

    def wait_for_next_date(self, job: Job) -> None:
        """After a run of a job that waits for dates: the next one is owed from now on."""
        trigger = self.triggers.get(job.name)
        if trigger is not None and not isinstance(trigger, IntervalTrigger):
            remember_date(self.parts.project.engine, job.name, self._schedule(job), trigger, utcnow())

    def _makes_up_leap(self, name: str) -> bool:
        """Whether a job runs now whose date the clock leapt over; never raises, for the schedule's sake."""
        job = next(job for job in self.jobs if job.name == name)
        try:
            return self._makes_up(job, self.triggers[name])
        except Exception:
            log.exception("whether a date of %s was missed could not be read; it is made up", name)
            return True

    def _makes_up(self, job: Job, trigger: BaseTrigger) -> bool:
        """Whether a date of this job was missed and is to be made up. One that is only said is on
        record, and the next one is waited for.
        """
        engine, now = self.parts.project.engine, utcnow()
        due = missed_date(engine, job.name, self._schedule(job), now)
        made_up = self.parts.project.settings.missed_dates == "make_up"
        if due is not None:
            what = "it is made up now" if made_up else "it waits for its next date (missed_dates)"
            asleep = "while no service ran" if not self.scheduler.running else "as the clock was set"
            date = shown(due, self.parts.project.settings.frames.timezone)
            detail = f"its date {date} passed {asleep}; {what}"
            log.warning("%s: %s", job.name, detail)
            if not made_up:
                self.note(job.name, outcome=MISSED, detail=detail)
                self.record(job.name, now, MISSED, detail)
        if due is None or not made_up:
            remember_date(engine, job.name, self._schedule(job), trigger, now)
        return due is not None and made_up

    def _schedule(self, job: Job) -> str:
        return str(value_of(self.parts.project.settings, job.schedule))

    def _recall_paused(self) -> None:
        with read(self.parts.project.engine) as session:
            found = {job.name: get_fact(session, PAUSED + job.name) for job in self.jobs}
        for name, since in found.items():
            if since:
                self.note(name, paused_at=datetime.fromisoformat(since))

    def _recall(self) -> None:
        """What the ledger says, so that a job that failed before a restart is known to be well
        again after it.
        """
        with read(self.parts.project.engine) as session:
            runs = last_runs(session)
        for name in self.states.keys() & runs.keys():
            self.note(name, outcome=runs[name].outcome or "", detail=runs[name].detail or "")


def run_job(service: Service, job: Job, even_paused: bool = False) -> None:
    """One run with its line in the ledger; never raises, so that one failure does not take the
    schedule along.
    """
    if service.stop.is_set():
        return
    if service.states[job.name].paused_at and not even_paused:
        _wait_for_next_date(service, job)
        return
    if not service.begin(job.name):
        return

    def progress(done: int, total: int, what: str) -> None:
        service.heard(job.name, f"{done}/{total} {what}" if total else f"{done} {what}")
        if service.stop.is_set():
            raise Stopping

    started_at = utcnow()
    outcome, detail = service.run(job, progress)
    if outcome != "stopped":
        _wait_for_next_date(service, job)
    before = service.states[job.name]
    if outcome == "done" and not detail and before.outcome not in ("", "done"):
        detail = WELL_AGAIN
    service.note(job.name, now="", checked_at=utcnow())
    if not detail:
        service.record_again(job.name)
        return
    service.note(job.name, outcome=outcome, detail=detail)
    service.record(job.name, started_at, outcome, detail)
    if outcome == "done" and job.wakes and detail != WELL_AGAIN:
        service.wake(job.wakes)


def _attempt(service: Service, job: Job, progress: Progress) -> tuple[str, str]:
    before = service.states[job.name]
    answers = True
    try:
        return "done", job.run(service.parts, progress)
    except Stopping:
        return "stopped", "asked to stop; it goes on at the next start"
    except (LabelStudioDown, Waiting) as error:
        answers = not isinstance(error, LabelStudioDown)
        outcome, detail = "waiting", str(error)
    except (LoopError, ConnectorError, StateError, OSError) as error:
        outcome, detail = "failed", str(error)
    except Exception as error:
        outcome, detail = "failed", f"{type(error).__name__}: {error}"
        if (before.outcome, before.detail) != (outcome, detail):
            log.exception("%s failed", job.name)
        return outcome, detail
    finally:
        service.found_studio(job.name, answers)
    if (before.outcome, before.detail) != (outcome, detail):
        log.warning("%s: %s %s", job.name, "waits:" if outcome == "waiting" else "failed:", detail)
    return outcome, detail


def _wait_for_next_date(service: Service, job: Job) -> None:
    try:
        service.wait_for_next_date(job)
    except Exception:
        log.exception("the next date of %s could not be recorded", job.name)


def _paused_note(name: str, state: State) -> str:
    return f"{state.title or name} is paused; it runs again once it is resumed on the overview"


def _hangs(job: Job, silent_s: float) -> str:
    return (
        f"{job.name}: expected to hear of it within {job.silent_s / 60:g} min while it runs, got nothing for"
        f" {silent_s / 60:.0f} min: it hangs; see whether what it reads answers (a disk, a camera, a server),"
        " then stop the service and start it again"
    )


def _kind(problem: str) -> str:
    """Its words without the numbers, which grow while it lasts."""
    return NUMBERS.sub("", problem)
