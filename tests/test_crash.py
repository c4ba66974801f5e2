"""The process is stopped at every commit and every outside effect, starts again, and nobody can
tell afterwards.

A stop is an exception that nothing in the product catches; from then on the dead process can
neither commit nor reach the outside, so `finally` blocks are as powerless as after a SIGKILL. The
lease it held stays behind and is found to be a dead process's.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from connectors import files
from connectors.files import move_durably
from connectors.ports import Box
from db.engine import read
from db.frames import frames, rejects
from db.labels import labels
from db.states import TaskStatus
from db.tasks import batches, tasks
from loop.analysis import analyze as analysis
from loop.analysis.analyze import analyze
from loop.base import lease as leases
from loop.ingest import ingest as ingestion
from loop.ingest.ingest import ingest
from loop.labeling import push as pushing
from loop.labeling.pull import pull
from loop.project.project import Project, open_project
from loop.selection import daily
from tests.fakes import FakeParts, StudioServer, copy_linked, make_project, quiet, write_frames

SETTINGS = (
    "frames.path=../incoming",
    "embedder.batch=12",
    "select.share_of_new=0.5",
    "select.max_per_sequence=50",
)


class Stopped(BaseException):
    """The process is gone."""


class Process:
    """Counts the points at which it could be stopped, and is stopped at point `at`; `only` names
    the points that count.
    """

    def __init__(self, at: int = -1, only: Callable[[str], bool] = lambda what: True) -> None:
        self.at, self.points, self.dead = at, 0, False
        self.passed: list[str] = []
        self._only = only

    def point(self, what: str) -> None:
        if not self.dead and self._only(what):
            self.dead = self.points == self.at
            self.points += 1
            self.passed.append(what)
        if self.dead:
            raise Stopped(what)


class World:
    """A project on disk, the server beside it and the person at it: what outlives a process."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.server = folder, StudioServer()
        self._patch = monkeypatch
        self._numbers = count(1)

    def run(self, process: Process, settle: timedelta = timedelta(0)) -> bool:
        """One process from ingest to pull; False when it was stopped."""
        self._patch.setattr(leases, "_started", lambda pid, number=next(self._numbers): str(number))
        self._patch.setattr(files, "move_durably", _watched(process, move_durably))
        project = open_project(self.folder / "project")
        event.listen(project.engine, "commit", lambda connection: process.point("commit"))
        try:
            self._stages(FakeParts(project, self.server, hook=process.point), settle)
        except Stopped:
            return False
        finally:
            project.engine.dispose()
        return True

    def _stages(self, parts: FakeParts, settle: timedelta) -> None:
        ingest(parts, quiet)
        analyze(parts, quiet)
        daily.select_daily(parts, quiet)
        pushing.push(parts, quiet, settle=settle)
        self.person_answers()
        pull(parts, quiet)

    def person_answers(self) -> None:
        """Every task that nobody has answered yet: by its key accepted, corrected, emptied or
        skipped.
        """
        for task in self.server.tasks:
            key, shown = task.task.key, task.task.predictions
            if task.answers:
                continue
            choice = int(key[:4], 16) % 4
            corrected = [Box("helmet", (1.0, 2.0, 9.0, 10.0))]
            self.server.answer(key, (shown, corrected, (), ())[choice], cancelled=choice == 3, task=task)

    def state(self) -> dict[str, Any]:
        project = open_project(self.folder / "project")
        try:
            return _state(project, self.server)
        finally:
            project.engine.dispose()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crash")
    make_project(folder / "project", overrides=SETTINGS, train=9, val=3).engine.dispose()
    write_frames(folder / "incoming", bright=9, dark=3)
    (folder / "incoming" / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing more")
    return folder


@pytest.fixture
def new_world(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], World]:
    _many_points(monkeypatch)
    numbers = count()
    return lambda: _copied(template, tmp_path / f"world{next(numbers)}", monkeypatch)


@pytest.fixture(scope="module")
def uninterrupted(template: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patched:
        _many_points(patched)
        world = _copied(template, tmp_path_factory.mktemp("uninterrupted") / "world", patched)
        assert world.run(Process())
        return world.state()


def _copied(template: Path, folder: Path, patch: pytest.MonkeyPatch) -> World:
    copy_linked(template / "project", folder / "project")
    (folder / "incoming").symlink_to(template / "incoming")
    return World(folder, patch)


def _many_points(patch: pytest.MonkeyPatch) -> None:
    """Small chunks have many ends; frames are decoded in the calling thread, so that what is stopped
    is one process, not one of its threads.
    """
    patch.setattr(ingestion, "CHUNK", 7)
    patch.setattr(pushing, "CHUNK", 4)
    patch.setattr(analysis, "ThreadPoolExecutor", _Inline)


def test_the_uninterrupted_run_does_what_it_should(uninterrupted: dict[str, Any]) -> None:
    assert len(uninterrupted["frames"]) == 12 + 12
    assert len(uninterrupted["rejects"]) == 1
    assert len(uninterrupted["tasks"]) == 6
    statuses = {task[1] for task in uninterrupted["tasks"]}
    assert statuses <= {TaskStatus.DONE, TaskStatus.SKIPPED}
    assert uninterrupted["studio"] == sorted(task[0] for task in uninterrupted["tasks"])


def test_running_it_all_again_changes_nothing(new_world: Callable[[], World]) -> None:
    world = new_world()
    assert world.run(Process())
    before = world.state()
    assert world.run(Process())
    assert world.state() == before


def test_stopped_at_some_points_it_ends_as_if_it_had_not_been(
    new_world: Callable[[], World], uninterrupted: dict[str, Any]
) -> None:
    assert len(stop_at(range(3, 1000, 13), new_world, uninterrupted)) > 3


@pytest.mark.slow
def test_stopped_at_any_point_it_ends_as_if_it_had_not_been(
    new_world: Callable[[], World], uninterrupted: dict[str, Any]
) -> None:
    stops = stop_at(range(1000), new_world, uninterrupted)
    assert len(stops) > 30
    assert set(stops) == {
        "commit",
        "before write",
        "after write",
        "before project",
        "after project",
        "before import",
        "after import",
    }


def test_stopped_twice_in_a_row_it_ends_the_same(
    new_world: Callable[[], World], uninterrupted: dict[str, Any]
) -> None:
    for first, second in ((20, 2), (33, 4)):
        world = new_world()
        assert not world.run(Process(first))
        world.run(Process(second))
        assert world.run(Process())
        assert world.state() == uninterrupted, f"stopped at {first}, then at {second}"


def test_an_import_that_the_server_commits_after_its_sender_died_is_waited_for(
    new_world: Callable[[], World], uninterrupted: dict[str, Any]
) -> None:
    world = new_world()
    world.server.late = True
    assert not world.run(Process(0, only=lambda what: what == "import under way"))
    world.server.late = False
    waiting = timedelta(seconds=30)
    assert world.run(Process(), settle=waiting)
    sent = world.server.calls.count(("push", 4))
    world.server.arrive()
    assert world.run(Process(), settle=waiting)
    assert world.state() == uninterrupted
    assert sent == world.server.calls.count(("push", 4))


def test_an_import_that_was_given_up_and_arrives_after_all_leaves_no_copy(
    new_world: Callable[[], World], uninterrupted: dict[str, Any]
) -> None:
    world = new_world()
    world.server.late = True
    assert not world.run(Process(0, only=lambda what: what == "import under way"))
    world.server.late = False
    late = list(world.server.under_way)
    world.server.under_way.clear()
    assert world.run(Process(), settle=timedelta(0))
    world.server.tasks += late
    assert len(world.server.task_keys()) > len(set(world.server.task_keys()))
    project = open_project(world.folder / "project")
    parts = FakeParts(project, world.server)
    pull(parts, quiet)
    project.engine.dispose()
    assert world.state() == uninterrupted


def stop_at(points: range, new_world: Callable[[], World], expected: dict[str, Any]) -> list[str]:
    """Stops one process at each of the points and lets a second one finish; what it was about to do
    or had done there.
    """
    stops: list[str] = []
    for at in points:
        world, process = new_world(), Process(at)
        if world.run(process):
            break
        stops.append(process.passed[-1])
        assert world.run(Process()), f"the second process was stopped too, after point {at}"
        assert world.state() == expected, f"stopped at point {at}: {stops[-1]}"
        shutil.rmtree(world.folder)
    return stops


def _watched(process: Process, act: Callable[[Path, Path], None]) -> Callable[[Path, Path], None]:
    """Of every file that is to outlive a stop: its draft is written, it is in its place."""

    def move(source: Path, target: Path) -> None:
        process.point("before write")
        act(source, target)
        process.point("after write")

    return move


def _state(project: Project, server: StudioServer) -> dict[str, Any]:
    """Everything that matters, without the times and numbers that an interruption may change."""
    with read(project.engine) as session:
        known = {row.seq: row for row in frames(session)}
        return {
            "frames": sorted(
                (row.content_hash, row.path, row.role, row.source_key, row.group_key)
                for row in known.values()
            ),
            "analyzed": sorted(
                (row.content_hash, row.embedded_by > 0, row.detected_by > 0, row.measured_by > 0)
                for row in known.values()
            ),
            "files": sorted(
                str(path.relative_to(project.store)) for path in project.store.rglob("*") if path.is_file()
            ),
            "rejects": sorted((row.source_key, row.code) for row in rejects(session)),
            "batches": [(row.status, row.budget, row.seed) for row in batches(session)],
            "tasks": sorted(
                (
                    t.key,
                    t.status,
                    t.purpose,
                    t.rank,
                    t.priority,
                    t.reason,
                    t.slice_id,
                    t.inclusion_probability,
                )
                for t in tasks(session)
            ),
            "labels": sorted(
                (known[seq].content_hash, row.purpose, row.source, row.boxes)
                for seq, row in labels(session).items()
            ),
            "studio": server.task_keys(),
        }


class _Inline:
    """Decodes in the calling thread."""

    def __init__(self, max_workers: int) -> None:
        self.map = map

    def __enter__(self) -> _Inline:
        return self

    def __exit__(self, *_: object) -> None:
        return None
