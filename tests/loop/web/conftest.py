"""One empty and one full project for all tests of the pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from starlette.testclient import TestClient

from benchmarks.bias.project import NoDetector, NoEmbedder, project_of
from benchmarks.scale.verbs import GivenParts, close
from db.engine import write
from db.leases import note_run
from db.tables import utcnow
from loop.analysis.analyze import analyze
from loop.gaps import coverage_view
from loop.ingest.ingest import ingest
from loop.insights.bias import survey
from loop.labeling.push import push
from loop.project.project import Project, open_project
from loop.rounds import rounds
from loop.selection import select
from loop.selection.select import Request
from loop.web.pages import gaps
from tests.fakes import FakeParts, make_project, quiet, write_frames
from tests.loop.web.worker import FakeWorker, browsing
from tests.studio import chromium


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    project = make_project(tmp_path_factory.mktemp("empty") / "project")
    yield project
    project.engine.dispose()


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Ingested, analyzed, selected, pushed, one file set aside, one round cancelled, one job that
    waits.
    """
    folder = tmp_path_factory.mktemp("full")
    make_project(folder / "project", overrides=["select.max_per_sequence=50"]).engine.dispose()
    write_frames(folder / "incoming")
    (folder / "incoming" / "<b>broken.jpg").write_bytes(b"no image")
    parts = FakeParts(open_project(folder / "project"))
    ingest(parts, quiet)
    analyze(parts, quiet)
    view = coverage_view.build(parts, quiet)
    select.select_from(parts.project, view, Request(8, "hybrid"))
    gaps.write(parts.project, view, parts.project.pages / "gaps.html")
    push(parts, quiet)
    rounds.start(parts)
    rounds.cancel(parts)
    with write(parts.project.engine) as session:
        for job, detail in (("ingest", "42 new frames, 1 set aside"), ("select", "8 frames chosen")):
            note_run(session, job, utcnow(), "done", detail)
        note_run(session, "push", utcnow(), "waiting", "Label Studio does not answer")
    yield parts.project
    parts.project.engine.dispose()


@pytest.fixture
def worker(full: Project) -> FakeWorker:
    """What the pages of `site` ask of the service."""
    return FakeWorker(FakeParts(full))


@pytest.fixture
def site(full: Project, worker: FakeWorker) -> TestClient:
    """A browser at the pages of the full project, which tests share: what changes it takes `parts`
    and `browsing` instead.
    """
    return browsing(FakeParts(full), worker)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real Chromium."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def looked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a planted tie of a class to a camera, that was looked at once."""
    folder = tmp_path_factory.mktemp("ties") / "project"
    project_of(folder, seed=2, share=0.3, blind=False)
    parts = GivenParts(folder, NoEmbedder(), NoDetector())
    survey(parts, quiet)
    close(parts)
    return folder


@pytest.fixture
def tied(looked: Path, tmp_path: Path) -> Iterator[GivenParts]:
    shutil.copytree(looked, tmp_path / "project")
    made = GivenParts(tmp_path / "project", NoEmbedder(), NoDetector())
    yield made
    close(made)
