"""The service with fakes: jobs never take the schedule along, the ledger tells what came of them,
the loop turns by itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from sqlalchemy import func, select

from connectors.errors import LabelStudioDown
from connectors.ports import Progress
from db.engine import read, write
from db.errors import StateError
from db.labels import set_label
from db.leases import RunRow, last_runs
from db.rounds import newest_round
from db.states import RoundStatus
from db.tables import Run
from loop.base.errors import ConfigError, Waiting
from loop.insights.coverage import coverage
from loop.insights.overview import overview
from loop.project.project import open_project
from loop.project.wiring import Parts
from loop.rounds import rounds
from loop.service import jobs, scheduler
from loop.service.jobs import EXECUTORS, JOBS, Job, triggers_of
from loop.service.scheduler import Service, State, run_job
from loop.settings.settings import Schedule, load_settings, valid_keys
from tests.fakes import FakeParts, FakeTrainer, quiet
from tests.loop.judged import BETTER, with_round

WAIT_S = 30.0


def runs(parts: Parts) -> dict[str, RunRow]:
    with read(parts.project.engine) as session:
        return last_runs(session)


def lines(parts: Parts) -> int:
    with read(parts.project.engine) as session:
        return session.execute(select(func.count()).select_from(Run)).scalar_one()


def serving(parts: Parts, run: Callable[[Parts, Progress], str], **more: str) -> tuple[Service, Job]:
    job = Job("push", "schedule.push", "io", run, **more)
    return Service(parts, threading.Event(), (job,)), job


def set_yaml(folder: Path, **changes: str) -> None:
    """Settings by their names with __ between section and key."""
    path = folder / "project" / "fieldloop.yaml"
    tree = yaml.safe_load(path.read_text())
    for name, value in changes.items():
        section, key = name.split("__")
        tree[section][key] = value
    path.write_text(yaml.safe_dump(tree))


def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def raising(error: BaseException) -> Callable[[Parts, Progress], str]:
    def run(parts: Parts, progress: Progress) -> str:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "outcome", "detail"),
    [
        (LabelStudioDown("expected an answer, got none"), "waiting", "expected an answer, got none"),
        (Waiting("expected analyzed frames, got a part"), "waiting", "expected analyzed frames, got a part"),
        (ConfigError("label_studio.url: wrong"), "failed", "label_studio.url: wrong"),
        (OSError(28, "No space left on device"), "failed", "[Errno 28] No space left on device"),
        (ZeroDivisionError("division by zero"), "failed", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_job_never_raises_and_its_failure_is_on_record(
    parts: FakeParts, error: BaseException, outcome: str, detail: str
) -> None:
    served, job = serving(parts, raising(error))
    run_job(served, job)
    found = runs(parts)["push"]
    assert (found.outcome, found.detail) == (outcome, detail)
    assert served.states["push"].outcome == outcome


def test_the_same_failure_is_one_line_and_one_warning(
    parts: FakeParts, caplog: pytest.LogCaptureFixture
) -> None:
    served, job = serving(parts, raising(LabelStudioDown("away")))
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            run_job(served, job)
    found = runs(parts)["push"]
    assert lines(parts) == 1
    assert found.finished_at is not None
    assert found.finished_at > found.started_at
    assert [record.message for record in caplog.records] == ["push: waits: away"]


def test_what_works_again_is_said_even_when_nothing_was_left_to_do(parts: FakeParts) -> None:
    answers: list[object] = [LabelStudioDown("away"), "", ""]

    def run(parts: Parts, progress: Progress) -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    served, job = serving(parts, run)
    for _ in range(3):
        run_job(served, job)
    assert (runs(parts)["push"].outcome, runs(parts)["push"].detail) == ("done", "goes on")
    assert lines(parts) == 2


def test_a_failure_from_before_a_restart_is_remembered(parts: FakeParts) -> None:
    served, job = serving(parts, raising(LabelStudioDown("away")))
    run_job(served, job)
    again, well = serving(parts, lambda parts, progress: "")
    again._recall()
    run_job(again, well)
    assert runs(parts)["push"].outcome == "done"


def test_idle_runs_leave_no_line(parts: FakeParts) -> None:
    served, job = serving(parts, lambda parts, progress: "")
    run_job(served, job)
    assert lines(parts) == 0
    assert served.states["push"].checked_at is not None


def test_a_ledger_that_cannot_be_written_stops_nothing(
    parts: FakeParts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def locked(*args: object, **more: object) -> None:
        raise OSError("database is locked")

    monkeypatch.setattr(scheduler, "note_run", locked)
    served, job = serving(parts, lambda parts, progress: "3 tasks")
    run_job(served, job)
    assert served.states["push"].detail == "3 tasks"
    assert "the run of push could not be recorded" in caplog.text


def test_a_job_hears_at_its_next_progress_that_it_has_to_stop(parts: FakeParts) -> None:
    def run(parts: Parts, progress: Progress) -> str:
        served.stop.set()
        try:
            progress(1, 2, "batches")
        except Exception:
            return "took the request to stop for a failure of its own"
        return "went on"

    served, job = serving(parts, run)
    run_job(served, job)
    assert runs(parts)["push"].outcome == "stopped"
    run_job(served, job)
    assert lines(parts) == 1


def test_progress_is_shown_while_a_job_runs(parts: FakeParts) -> None:
    seen: list[State] = []

    def run(parts: Parts, progress: Progress) -> str:
        progress(3, 9, "frames")
        seen.append(served.states["push"])
        progress(4, 0, "frames")
        seen.append(served.states["push"])
        return ""

    served, job = serving(parts, run)
    run_job(served, job)
    assert [state.now for state in seen] == ["3/9 frames", "4 frames"]
    assert served.states["push"].now == ""


def test_wrong_triggers_are_refused_before_anything_starts(folder: Path) -> None:
    set_yaml(folder, schedule__push="sometimes")
    with pytest.raises(ConfigError, match=r"schedule\.push: .* got 'sometimes'"):
        open_project(folder / "project")


def test_every_job_has_its_trigger_and_never_means_none(folder: Path) -> None:
    settings = load_settings(None)
    usual = {"ingest", "analyze", "select", "map", "coverage", "push", "pull", "round"}
    assert set(triggers_of(settings, JOBS)) == usual
    set_yaml(folder, round__at="0 2 * * 6", schedule__pull="")
    own = load_settings(folder / "project" / "fieldloop.yaml")
    assert set(triggers_of(own, JOBS)) == usual - {"pull"} | {"round_at"}


def test_the_table_of_jobs_and_the_settings_speak_of_the_same() -> None:
    scheduled = {key for key in valid_keys() if key.startswith("schedule.")}
    assert {job.schedule for job in JOBS} == scheduled | {"round.at"}
    assert {f"schedule.{name}" for name in Schedule.model_fields} == scheduled
    assert len({job.name for job in JOBS}) == len({job.schedule for job in JOBS}) == len(JOBS)
    assert {job.executor for job in JOBS} == set(EXECUTORS)
    assert {job.wakes for job in JOBS if job.wakes} <= {job.name for job in JOBS}


def test_a_date_is_never_an_interval(folder: Path) -> None:
    set_yaml(folder, round__at="5m")
    with pytest.raises(ConfigError, match=r"round\.at: expected a five-field cron expression"):
        load_settings(folder / "project" / "fieldloop.yaml")


def test_the_loop_turns_by_itself(folder: Path) -> None:
    set_yaml(folder, **{f"schedule__{job}": "1s" for job in ("ingest", "analyze", "select", "push")})
    parts = FakeParts(open_project(folder / "project"))
    served = Service(parts, threading.Event())
    served.start()
    try:
        assert served.alive()
        until(lambda: bool(parts.server.tasks))
        until(lambda: "push" in runs(parts))
    finally:
        assert served.shut_down()
    assert not served.alive()
    done = runs(parts)
    assert done["ingest"].detail == "42 new frames, 0 set aside"
    state = overview(parts.project)
    assert {item.done for item in state.analyzed} == {
        74
    }  # in one run, or the imported frames in a run of their own
    assert (
        state.tasks["confirmed"]
        == len({task.task.key for task in parts.server.tasks})
        == len(parts.server.tasks)
    )
    compared = coverage(parts.project)
    assert compared is not None
    assert compared.suspected
    parts.project.engine.dispose()


def test_what_feeds_a_job_wakes_it_unless_it_waits_for_a_date(folder: Path) -> None:
    set_yaml(folder, schedule__push="0 6 * * *")
    parts = FakeParts(open_project(folder / "project"))
    woken: list[str] = []
    served = Service(parts, threading.Event())
    served.scheduler.modify_job = lambda name, **more: woken.append(name)
    served.wake("push")
    served.wake("analyze")
    served.wake("round_at")
    assert woken == ["analyze"]
    parts.project.engine.dispose()


def test_at_its_date_a_round_opens_only_for_new_labels(parts: FakeParts) -> None:
    assert rounds.start_if_labeled(parts) == "no new labels since the last round; none started"
    with write(parts.project.engine) as session:
        set_label(session, 1, [], "train", "annotation")
    assert rounds.start_if_labeled(parts) == "round 1 is open"
    assert rounds.start_if_labeled(parts) == ""


def test_a_round_goes_on_where_the_preflight_of_pages_cannot_be_kept(
    labeled: FakeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(parts: Parts, progress: Progress) -> str:
        raise StateError("the index is damaged")

    monkeypatch.setattr(jobs, "keep_preflight", broken)
    parts = with_round(labeled, labels=1)
    parts.fake_trainer = FakeTrainer(BETTER)
    (job,) = [job for job in JOBS if job.name == "round"]
    with pytest.raises(StateError, match="damaged"):
        job.run(parts, quiet)
    with read(parts.project.engine) as session:
        newest = newest_round(session)
    assert newest is not None
    assert newest.status is RoundStatus.PROMOTED


def test_a_dead_scheduler_is_not_alive(parts: FakeParts) -> None:
    served = Service(parts, threading.Event())
    assert served.health()["ok"] is False
    served.scheduler.start()
    assert served.alive()
    thread = served.scheduler._thread
    served.scheduler._thread = threading.Thread()
    assert not served.alive()
    served.scheduler._thread = thread
    assert served.shut_down()


def test_one_that_will_not_stop_is_not_waited_for(parts: FakeParts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "STOP_WITHIN_S", 0.2)
    busy, release = threading.Event(), threading.Event()

    def run(parts: Parts, progress: Progress) -> str:
        busy.set()
        release.wait(WAIT_S)
        return ""

    served = Service(parts, threading.Event(), (Job("push", "schedule.push", "io", run),))
    served.start()
    assert busy.wait(WAIT_S)
    assert not served.shut_down()
    release.set()
