"""`fieldloop serve`: the loop runs by itself.

Jobs are declared here, their triggers in the configuration. The job store is memory: what was due while the service was down is not
owed, because every stage takes up whatever there is. One leader per project holds the lease `serve`; another process waits.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from connectors.errors import ConnectorError, LabelStudioDown
from connectors.ports import Progress
from db.engine import write
from db.errors import StateError
from db.leases import finish_run, last_runs, start_run
from loop import rounds, selecting, stages
from loop.errors import ConfigError, LoopError, ProjectError
from loop.project import Project
from loop.wiring import Parts

log = logging.getLogger(__name__)
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
STOP_WITHIN_S = 8.0


class Stopping(Exception):
    """The service is asked to end; a stage that hears it goes on at its next run."""


@dataclass(frozen=True)
class Job:
    """One job: what it does, and which executor it may occupy. `run` answers what it did, "" for nothing."""

    name: str
    executor: str
    run: Callable[[Parts, Progress], str]


def _ingest(parts: Parts, progress: Progress) -> str:
    report = stages.ingest(parts, progress)
    aside = report.rejected.total()
    return f"{report.stored} new frames, {aside} set aside" if report.stored or aside else ""


def _analyze(parts: Parts, progress: Progress) -> str:
    report = stages.analyze(parts, progress)
    if report.failures:
        raise ProjectError("; ".join(f"{kind}: {why}" for kind, why in report.failures.items()))
    return f"{report.analyzed} frames analyzed" if report.analyzed else ""


def _select(parts: Parts, progress: Progress) -> str:
    report = selecting.select_daily(parts, progress)
    return f"{len(report.chosen)} frames chosen" if report.chosen else ""


def _push(parts: Parts, progress: Progress) -> str:
    if not stages.anything_to_push(parts):
        return ""
    report = stages.push(parts, progress)
    return f"{report.pushed} tasks made, {report.waiting} may still arrive"


def _pull(parts: Parts, progress: Progress) -> str:
    if not stages.anything_to_pull(parts):
        return ""
    report = stages.pull(parts, progress)
    return f"{report.answers.total()} answers" if report.answers else ""


def _round(parts: Parts, progress: Progress) -> str:
    return rounds.step_or_start(parts, progress)


JOBS = (
    Job("ingest", "io", _ingest),
    Job("analyze", "inference", _analyze),
    Job("select", "inference", _select),
    Job("push", "io", _push),
    Job("pull", "io", _pull),
    Job("round", "training", _round),
)


class Service:
    """The scheduler of one project. Start it while holding the lease `serve`."""

    def __init__(self, parts: Parts, stop: threading.Event) -> None:
        self.parts = parts
        self.stop = stop
        self.doing: dict[str, str] = {}
        self.scheduler = BackgroundScheduler(
            executors={
                "io": ThreadPoolExecutor(3),
                "inference": ThreadPoolExecutor(1),
                "training": ThreadPoolExecutor(1),
            },
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone=UTC,
        )

    def start(self) -> None:
        """Schedules every job that has a trigger. Raises ConfigError."""
        schedule = self.parts.project.settings.schedule
        for job in JOBS:
            trigger = parse_trigger(f"schedule.{job.name}", getattr(schedule, job.name))
            if trigger is not None:
                self.scheduler.add_job(
                    run_job,
                    trigger,
                    args=[self, job],
                    id=job.name,
                    executor=job.executor,
                    next_run_time=datetime.now(UTC) if isinstance(trigger, IntervalTrigger) else None,
                )
        self.scheduler.start()

    def alive(self) -> bool:
        """Whether the scheduler's own thread still runs: a dead one would leave `running` true."""
        thread = getattr(self.scheduler, "_thread", None)
        return self.scheduler.running and thread is not None and thread.is_alive()

    def shut_down(self) -> bool:
        """Asks every job to stop; False when one did not within STOP_WITHIN_S."""
        self.stop.set()
        self.scheduler.pause()
        waiter = threading.Thread(target=self.scheduler.shutdown, kwargs={"wait": True}, daemon=True)
        waiter.start()
        waiter.join(STOP_WITHIN_S)
        return not waiter.is_alive()


def run_job(service: Service, job: Job) -> None:
    """One run with its line in the ledger; never raises, so that one failure does not take the schedule along."""
    if service.stop.is_set():
        return

    def progress(done: int, total: int, what: str) -> None:
        service.doing[job.name] = f"{done}/{total} {what}" if total else f"{done} {what}"
        if service.stop.is_set():
            raise Stopping

    outcome, detail = _attempt(service, job, progress)
    service.doing.pop(job.name, None)
    if detail:
        _ledger(service.parts.project, job.name, outcome, detail)


def parse_trigger(key: str, text: str) -> BaseTrigger | None:
    """ "30s", "5m", "2h", "1d" or a five-field cron expression; None for "". Raises ConfigError."""
    text = text.strip()
    if not text:
        return None
    number, unit = text[:-1], text[-1]
    if unit in UNITS and number.isdigit() and int(number) > 0:
        return IntervalTrigger(seconds=int(number) * UNITS[unit])
    try:
        return CronTrigger.from_crontab(text, timezone=UTC)
    except ValueError as error:
        raise ConfigError(
            f'{key}: expected "30s", "5m", "2h", "1d", a five-field cron expression or "" for never, got {text!r} ({error})'
        ) from error


def _attempt(service: Service, job: Job, progress: Progress) -> tuple[str, str]:
    try:
        return "done", job.run(service.parts, progress)
    except Stopping:
        return "stopped", "asked to stop; it goes on at the next start"
    except LabelStudioDown as error:
        log.warning("%s waits: %s", job.name, error)
        return "waiting", str(error)
    except (LoopError, ConnectorError, StateError, OSError) as error:
        log.error("%s failed: %s", job.name, error)
        return "failed", str(error)
    except Exception as error:
        log.exception("%s failed", job.name)
        return "failed", f"{type(error).__name__}: {error}"


def _ledger(project: Project, job: str, outcome: str, detail: str) -> None:
    try:
        with write(project.engine) as session:
            last = last_runs(session).get(job)
            if outcome == "done" or last is None or (last.outcome, last.detail) != (outcome, detail):
                finish_run(session, start_run(session, job), outcome, detail)
    except Exception:
        log.exception("the run of %s could not be recorded", job)


def end_process(clean: bool) -> None:
    """Ends at once when a job would not stop: every stage may be stopped anywhere."""
    if not clean:
        log.warning("a job did not stop in time; it goes on at the next start")
        logging.shutdown()
        os._exit(0)
