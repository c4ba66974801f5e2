"""What people ask of the running service: jobs now, paused, resumed; work done once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from connectors.errors import LabelStudioDown
from connectors.ports import Progress
from db.engine import read, write
from db.leases import last_runs
from db.states import WorkKind
from db.work import WorkRow, begin_work
from loop.base.errors import ConfigError, ProjectError
from loop.base.lease import exclusive
from loop.changes.asking import ask_for
from loop.changes.audit import Who
from loop.changes.work import KINDS
from loop.insights import work
from loop.project.project import open_project
from loop.project.wiring import Parts
from loop.service import asked, readiness
from loop.service.jobs import Job
from loop.service.scheduler import Service
from tests.fakes import FakeParts
from tests.loop.service.test_scheduler import set_yaml, until

QUICK, NEVER, DAILY = "1s", "", "0 6 * * *"


class Running(NamedTuple):
    """ran: how often the job ran so far."""

    service: Service
    ran: list[int]


WORKS: dict[str, Callable[[Parts, Progress], str]] = {}
"""What work of a title does."""
Serve = Callable[..., Running]


@pytest.fixture
def serve(folder: Path) -> Iterator[Serve]:
    """Starts a service with one job, push, on that schedule; as often as asked, over one project."""
    started: list[Service] = []

    def begin(schedule: str, work: Callable[[Parts, Progress], str] | None = None) -> Running:
        set_yaml(folder, schedule__push=schedule)
        ran: list[int] = []

        def run(parts: Parts, progress: Progress) -> str:
            ran.append(1)
            return work(parts, progress) if work else ""

        parts = FakeParts(open_project(folder / "project"))
        service = Service(parts, threading.Event(), (Job("push", "schedule.push", "io", run),))
        service.asked.kinds = {WorkKind.MAP: lambda parts, row, told: WORKS[row.title](parts, told)}
        started.append(service)
        service.start()
        return Running(service, ran)

    yield begin
    for service in started:
        assert service.stop.is_set() or service.shut_down()
        service.parts.project.engine.dispose()


def ask_it(service: Service, title: str, do: Callable[[Parts, Progress], str]) -> int:
    """Asks for work that does what is given; its number."""
    number = ask_for(service.parts.project, Who("ann", "page"), WorkKind.MAP, title)
    WORKS[title] = do
    service.take_up()
    return number


def asked_of(service: Service) -> list[work.Submitted]:
    return work.submitted(service.parts.project)


def stays(ran: list[int], seconds: float = 2.5) -> bool:
    before = len(ran)
    threading.Event().wait(seconds)
    return len(ran) == before


def test_a_paused_job_does_not_run_until_it_is_resumed(serve: Serve) -> None:
    service, ran = serve(QUICK)
    until(lambda: len(ran) >= 2)
    service.pause("push")
    until(lambda: stays(ran, 1.5))
    assert stays(ran)
    found = service.health()
    assert found["ok"], "what a person paused is no problem"
    assert found["notes"] == ["push is paused; it runs again once it is resumed on the overview"]
    assert found["jobs"]["push"].paused_at is not None
    before = len(ran)
    service.resume("push")
    until(lambda: len(ran) >= before + 2)
    assert service.health()["notes"] == []
    assert service.health()["jobs"]["push"].paused_at is None


def test_a_pause_lasts_over_a_restart(serve: Serve) -> None:
    first, ran = serve(QUICK)
    until(lambda: bool(ran))
    first.pause("push")
    since = first.states["push"].paused_at
    assert first.shut_down()
    second, ran = serve(QUICK)
    assert stays(ran)
    assert second.health()["jobs"]["push"].paused_at == since
    second.resume("push")
    until(lambda: bool(ran))


def test_a_paused_job_that_failed_is_no_problem(serve: Serve) -> None:
    def fail(parts: Parts, progress: Progress) -> str:
        raise ProjectError("expected luck")

    service, _ = serve(QUICK, fail)
    until(lambda: not service.health()["ok"])
    service.pause("push")
    until(lambda: service.health()["ok"])
    service.resume("push")
    until(lambda: not service.health()["ok"])


@pytest.mark.parametrize("schedule", [NEVER, DAILY, "1h"])
def test_a_job_runs_now(serve: Serve, schedule: str) -> None:
    service, ran = serve(schedule)
    first = 1 if schedule == "1h" else 0
    until(lambda: len(ran) == first)
    service.run_now("push")
    until(lambda: len(ran) == first + 1)
    assert stays(ran, 1)


def test_a_paused_job_runs_once_when_it_is_asked_to_and_stays_paused(serve: Serve) -> None:
    service, ran = serve(QUICK)
    service.pause("push")
    until(lambda: stays(ran, 1.5))
    before = len(ran)
    service.run_now("push")
    until(lambda: len(ran) == before + 1)
    assert stays(ran)
    assert service.states["push"].paused_at is not None


def test_a_job_never_runs_twice_at_once(serve: Serve) -> None:
    at_once, most = [0], [0]
    release = threading.Event()

    def work(parts: Parts, progress: Progress) -> str:
        at_once[0] += 1
        most[0] = max(most[0], at_once[0])
        release.wait(3)
        at_once[0] -= 1
        return ""

    service, ran = serve(NEVER, work)
    for _ in range(5):
        service.run_now("push")
        threading.Event().wait(0.1)
    assert (len(ran), most) == (1, [1])
    release.set()
    until(lambda: at_once == [0])
    service.run_now("push")
    until(lambda: len(ran) == 2)


@pytest.mark.parametrize("do", [Service.run_now, Service.pause, Service.resume])
def test_a_job_that_there_is_not_is_refused(serve: Serve, do: Callable[[Service, str], None]) -> None:
    service, _ = serve(NEVER)
    with pytest.raises(ConfigError, match="expected one of push; got 'pusch'"):
        do(service, "pusch")


def test_the_next_run_is_said(serve: Serve) -> None:
    service, _ = serve(DAILY)
    due = service.health()["jobs"]["push"].next_at
    assert (due.hour, due.minute) == (6, 0)
    service.pause("push")
    assert service.health()["jobs"]["push"].next_at is None


def test_work_is_done_once_in_the_background_with_its_progress(serve: Serve) -> None:
    service, _ = serve(NEVER)
    step, done = threading.Event(), threading.Event()

    def work(parts: Parts, progress: Progress) -> str:
        progress(3, 9, "frames")
        step.set()
        assert done.wait(30)
        return f"12 of {parts.project.settings.name}"

    first = ask_it(service, "A batch of 12", work)
    second = ask_it(service, "Another", lambda parts, progress: "too")
    assert step.wait(30)
    waiting, running = asked_of(service)
    assert (running.id, running.title, running.outcome) == (first, "A batch of 12", "")
    assert service.doing() == {first: "3/9 frames"}
    assert running.started_at is not None
    assert (waiting.id, waiting.started_at) == (second, None)
    done.set()
    until(lambda: all(one.outcome for one in asked_of(service)))
    latest, before = asked_of(service)
    assert (service.doing(), before.outcome, before.detail) == ({}, "done", "12 of project")
    assert before.finished_at is not None
    assert latest.outcome == "done"
    with read(service.parts.project.engine) as session:
        row = last_runs(session)[asked.LEDGER]
    assert (row.outcome, row.detail) == ("done", "Another: too")


@pytest.mark.parametrize(
    ("error", "outcome", "detail"),
    [
        (LabelStudioDown("away"), "waiting", "away; ask for it again later"),
        (ConfigError("expected a, got b"), "failed", "expected a, got b"),
        (ZeroDivisionError("by zero"), "failed", "ZeroDivisionError: by zero"),
    ],
)
def test_work_that_fails_says_why(serve: Serve, error: Exception, outcome: str, detail: str) -> None:
    service, _ = serve(NEVER)

    def work(parts: Parts, progress: Progress) -> str:
        raise error

    ask_it(service, "A batch", work)
    until(lambda: bool(asked_of(service)[0].outcome))
    (found,) = asked_of(service)
    assert (found.outcome, found.detail) == (outcome, detail)
    assert service.health()["ok"], "what a person asked for once is no state of the service"


def test_work_that_is_under_way_stops_with_the_service_and_is_done_after_the_next_start(
    serve: Serve,
) -> None:
    service, _ = serve(NEVER)
    begun, again = threading.Event(), threading.Event()

    def work(parts: Parts, progress: Progress) -> str:
        for number in range(0 if again.is_set() else 10_000):
            progress(number, 10_000, "steps")
            begun.set()
            threading.Event().wait(0.05)
        return "at last"

    number = ask_it(service, "Long", work)
    assert begun.wait(30)
    assert service.shut_down()
    (waits,) = asked_of(service)
    assert (waits.id, waits.outcome, waits.started_at) == (number, "", None)
    again.set()
    serve(NEVER)
    until(lambda: bool(asked_of(service)[0].outcome))
    (done,) = asked_of(service)
    assert (done.id, done.outcome, done.detail) == (number, "done", "at last")


def test_work_that_kills_the_service_every_time_is_begun_three_times_and_then_said(serve: Serve) -> None:
    service, _ = serve(NEVER)
    assert service.shut_down()
    number = ask_it(service, "Deadly", lambda parts, progress: "not this time")
    with write(service.parts.project.engine) as session:
        for _ in range(asked.MOST_BEGUN):
            assert begin_work(session)
    serve(NEVER)
    until(lambda: bool(asked_of(service)[0].outcome))
    (found,) = asked_of(service)
    assert (found.id, found.outcome) == (number, "stopped")
    assert found.detail.startswith("expected it to end, but the service was killed each of the 3 times")


def test_work_is_done_after_a_kill_in_its_middle(serve: Serve) -> None:
    service, _ = serve(NEVER)
    assert service.shut_down()
    number = ask_it(service, "Cut short", lambda parts, progress: "whole")
    root = service.parts.project.root
    process = multiprocessing.get_context("spawn").Process(target=serve_and_die, args=(root,))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    (cut,) = asked_of(service)
    assert (cut.id, cut.outcome) == (number, "")
    assert cut.started_at is not None
    serve(NEVER)
    until(lambda: bool(asked_of(service)[0].outcome))
    (done,) = asked_of(service)
    assert (done.id, done.outcome, done.detail) == (number, "done", "whole")


def serve_and_die(root: Path) -> None:
    """A service whose process is killed in the middle of what was asked for."""

    def die(parts: Parts, row: WorkRow, progress: Progress) -> str:
        progress(1, 2, "steps")
        os.kill(os.getpid(), signal.SIGKILL)
        return "never"

    parts = FakeParts(open_project(root))
    service = Service(parts, threading.Event(), ())
    service.asked.kinds = {WorkKind.MAP: die}
    service.start()
    threading.Event().wait(60)


def test_every_kind_of_work_can_be_done() -> None:
    assert set(KINDS) == set(WorkKind)


def test_only_the_newest_are_shown(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "SHOWN", 3)
    service, _ = serve(NEVER)
    for number in range(1, 7):
        ask_it(service, f"{number}", lambda parts, progress: "")
    until(lambda: all(one.outcome for one in asked_of(service)))
    assert [one.title for one in asked_of(service)] == ["6", "5", "4"]


def test_readiness_names_what_the_work_needs(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    service, _ = serve(NEVER)
    assert service.ready() == {
        "database": "",
        "disk": "",
        "leader": "expected a process that leads this project, found none with the lease 'serve'",
    }
    with exclusive(service.parts.project.engine, "serve", 30.0) as held:
        assert held
        assert not any(service.ready().values())
    service.around = lambda: {"label_studio": ""}
    assert "it is away" in service.ready()["label_studio"]
    service.around = lambda: {"label_studio": "http://studio"}
    assert service.ready()["label_studio"] == ""
    service.found_studio("push", False)
    assert service.ready()["label_studio"] == "expected Label Studio to answer at http://studio, got nothing"
    monkeypatch.setattr(readiness, "LEAST_FREE", 10**18)
    assert service.ready()["disk"].startswith("expected 1000000000000 MB free below ")


def test_a_database_that_does_not_answer_is_not_ready(serve: Serve) -> None:
    service, _ = serve(NEVER)
    file = service.parts.project.root / "fieldloop.db"
    service.parts.project.engine.dispose()
    kept = file.read_bytes()
    file.write_bytes(b"noise" * 4096)
    for beside in file.parent.glob("fieldloop.db-*"):
        beside.unlink()
    found = service.ready()
    assert found["database"].startswith("expected the database to answer, got: ")
    assert found["leader"]
    service.parts.project.engine.dispose()
    file.write_bytes(kept)
