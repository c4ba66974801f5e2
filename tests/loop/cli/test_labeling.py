"""What `fieldloop pull` says, typed on the command line."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from connectors.ports import Box
from db.engine import read
from db.leases import last_runs
from db.tasks import batches
from loop.analysis.analyze import analyze
from loop.cli.app import FAILED
from loop.ingest.ingest import ingest
from loop.labeling.push import push
from loop.project.project import open_project
from loop.project.wiring import Parts
from loop.selection.select import select
from loop.service.jobs import JOBS
from loop.service.scheduler import Service, run_job
from tests.fakes import FakeParts, make_project, quiet, write_frames
from tests.loop.cli.test_cli import run


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeParts:
    """A project whose tasks stand in Label Studio; the command line meets the same server."""
    make_project(tmp_path / "project").engine.dispose()
    write_frames(tmp_path / "incoming", bright=12, dark=3)
    parts = FakeParts(open_project(tmp_path / "project"))
    ingest(parts, quiet)
    analyze(parts, quiet)
    select(parts, quiet, budget=4)
    push(parts, quiet)
    monkeypatch.setattr(Parts, "label_backend", lambda self: parts.label_backend())
    return parts


def test_pull_says_how_many_labels_were_revoked(
    desk: FakeParts, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def pulled(*more: str) -> str:
        code, out, _ = run(capsys, monkeypatch, "pull", "--project", str(desk.project.root), *more)
        assert code == 0
        return out.strip()

    first, second, third = desk.server.task_keys()[:3]
    given = {key: desk.server.answer(key, []) for key in (first, second)}
    assert pulled() == "2 done"
    desk.server.delete_answer(given[first])
    assert pulled() == "no new answers; 1 label revoked"
    desk.server.answer(second, [], cancelled=True, again=given[second])
    desk.server.answer(third, [Box("hat", (1.0, 2.0, 9.0, 10.0))])
    task = f"task {desk.server.of(third).id} ({desk.server.of(third).task.meta['file']})"
    assert pulled().splitlines() == [
        "1 quarantined, 1 skipped; 1 label revoked",
        f"mend in Label Studio, no label until then: {task}: unknown class hat: choose one that the"
        " model knows",
    ]
    assert json.loads(pulled("--json"))["revoked"] == 0
    fourth = desk.server.task_keys()[3]
    for key in (first, fourth):
        desk.server.delete_task(key)
    assert pulled().splitlines() == [
        "no new answers; 2 tasks cancelled: they were deleted in Label Studio",
        f"mend in Label Studio, no label until then: {task}: unknown class hat: choose one that the"
        " model knows",
    ]


def test_a_new_project_says_what_became_of_the_old_one(
    desk: FakeParts, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (former,) = desk.server.projects
    desk.server.answer(desk.server.task_keys()[0], [])
    code, out, _ = run(capsys, monkeypatch, "push", "--new-project", "--project", str(desk.project.root))
    (made,) = set(desk.server.projects) - {former}
    assert (code, out.splitlines()) == (
        0,
        [
            (
                f"project {former} is left, its answers were fetched first (1 done); what is answered there"
                " from now on is not; 3 open tasks go to a new project"
            ),
            "3 tasks made, 0 were there already, 0 may still be arriving",
            f"label them at http://studio/projects/{made}",
        ],
    )


def test_the_services_ledger_tells_of_deleted_tasks_and_of_what_is_to_mend(desk: FakeParts) -> None:
    job = next(job for job in JOBS if job.name == "pull")
    service = Service(desk, threading.Event(), (job,))
    first, second, third = desk.server.task_keys()[:3]
    for key in (first, second):
        desk.server.delete_task(key)
    run_job(service, job)
    assert service.states["pull"].detail == "2 tasks deleted in Label Studio"
    desk.server.answer(third, [Box("hat", (1.0, 2.0, 9.0, 10.0))])
    run_job(service, job)
    with read(desk.project.engine) as session:
        assert last_runs(session)["pull"].detail == "1 answer, 1 to mend"


def test_a_page_that_cannot_be_written_stops_before_anything_is_queued(
    desk: FakeParts, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    page = tmp_path / "file" / "batch.html"
    place = ("--project", str(desk.project.root))
    code, out, err = run(capsys, monkeypatch, "select", "--budget", "4", "--html", str(page), *place)
    assert (code, out) == (FAILED, "")
    assert "in the way" not in err
    assert str(tmp_path / "file") in err
    with read(desk.project.engine) as session:
        assert len(batches(session)) == 1
