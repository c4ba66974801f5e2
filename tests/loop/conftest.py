"""One project made once, and a copy of it for every test."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from loop.analysis.analyze import analyze
from loop.gaps import coverage_view
from loop.gaps.coverage_view import CoverageView
from loop.ingest.ingest import ingest
from loop.project.project import open_project
from loop.selection.select import select
from tests.fakes import FakeParts, copy_linked, make_project, quiet, write_frames
from tests.loop.desk import asking, push
from tests.loop.judged import BY_DAY, BY_NIGHT, class_of, label_all
from tests.loop.seconded import answer_twice
from tests.studio import Studio

STAGES = {"chosen": "chosen_template", "view": "compared_template", "analyzed": "analyzed_template"}
"""Fixtures that ask for more than an empty project, and what is copied for them."""


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `project` (nothing ingested yet) and `incoming` (36 bright frames, 6 dark
    ones).
    """
    folder = tmp_path_factory.mktemp("template")
    logging.getLogger("connectors.sources.folder").setLevel(logging.ERROR)
    made = make_project(
        folder / "project", overrides=["frames.path=../incoming", "select.max_per_sequence=50"]
    )
    made.engine.dispose()
    write_frames(folder / "incoming")
    return folder


@pytest.fixture
def folder(request: pytest.FixtureRequest, template: Path, tmp_path: Path) -> Path:
    """A copy of `template`, or of what has come as far as the test asks for (see STAGES)."""
    made = next((made for name, made in STAGES.items() if name in request.fixturenames), None)
    if made:
        copy_linked(request.getfixturevalue(made), tmp_path)
        return tmp_path
    for name in ("project", "incoming"):
        shutil.copytree(template / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def parts(folder: Path) -> Iterator[FakeParts]:
    made = FakeParts(open_project(folder / "project"))
    yield made
    made.project.engine.dispose()


@pytest.fixture(scope="session")
def analyzed_template(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of `template`, all of it ingested and analyzed."""
    folder = tmp_path_factory.mktemp("analyzed")
    for name in ("project", "incoming"):
        shutil.copytree(template / name, folder / name)
    parts = FakeParts(open_project(folder / "project"))
    ingest(parts, quiet)
    analyze(parts, quiet)
    parts.project.engine.dispose()
    before = _pictures(folder)
    yield folder
    assert _pictures(folder) == before, "a test wrote into a picture that all tests share"


@pytest.fixture(scope="session")
def chosen_template(analyzed_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `analyzed_template` with a batch of 12."""
    folder = tmp_path_factory.mktemp("chosen")
    copy_linked(analyzed_template, folder)
    parts = FakeParts(open_project(folder / "project"))
    select(parts, quiet, budget=12)
    parts.project.engine.dispose()
    return folder


@pytest.fixture(scope="session")
def comparison(
    analyzed_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, CoverageView]:
    """The folder of `analyzed_template` once it is compared, and what the comparison says."""
    folder = tmp_path_factory.mktemp("compared")
    copy_linked(analyzed_template, folder)
    parts = FakeParts(open_project(folder / "project"))
    view = coverage_view.build(parts, quiet)
    parts.project.engine.dispose()
    return folder, view


@pytest.fixture(scope="session")
def compared_template(comparison: tuple[Path, CoverageView]) -> Path:
    return comparison[0]


@pytest.fixture
def analyzed(parts: FakeParts) -> FakeParts:
    """All is ingested and analyzed."""
    return parts


@pytest.fixture
def view(comparison: tuple[Path, CoverageView]) -> CoverageView:
    """One comparison for all tests, for reading; `parts` of such a test are those that it is of."""
    return comparison[1]


@pytest.fixture
def chosen(parts: FakeParts) -> FakeParts:
    """All is ingested and analyzed, and a batch of 12 is queued."""
    return parts


def _pictures(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*.jpg")}


@pytest.fixture
def pushed(chosen: FakeParts) -> FakeParts:
    push(chosen)
    return chosen


@pytest.fixture
def real(parts: FakeParts, label_studio: Studio, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeParts]:
    """Eight tasks in the real Label Studio."""
    from connectors.label_studio.backend import LabelStudio

    backend = LabelStudio(label_studio.server.url, label_studio.server.token, images="upload")
    monkeypatch.setattr(parts, "_studio", backend)
    ingest(parts, quiet)
    analyze(parts, quiet)
    select(parts, quiet, budget=8)
    project = push(parts).project_id
    yield parts
    label_studio.call("DELETE", f"projects/{project}")


@pytest.fixture(scope="session")
def labeled_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 camera-days, most of them to evaluate, two thirds of all frames dark; a few bursts by day
    show a helmet.
    """
    folder = tmp_path_factory.mktemp("rounds")
    overrides = [
        "frames.path=../incoming",
        "evaluation.group_share=0.75",
        "round.epochs=3",
        "gaps.regions=false",
    ]
    project = make_project(folder / "project", overrides=overrides, train=24, val=8)
    write_frames(folder / "incoming", bright=BY_DAY, dark=BY_NIGHT, cameras=4, days=5, class_of=class_of)
    parts = FakeParts(project)
    ingest(parts, quiet)
    analyze(parts, quiet)
    label_all(project)
    project.engine.dispose()
    return folder


@pytest.fixture
def labeled(labeled_template: Path, tmp_path: Path) -> FakeParts:
    for name in ("project", "incoming"):
        shutil.copytree(labeled_template / name, tmp_path / name)
    return FakeParts(open_project(tmp_path / "project"))


@pytest.fixture
def asked(chosen: FakeParts) -> FakeParts:
    """Twelve tasks, each before a first and a second person."""
    push(asking(chosen))
    return chosen


@pytest.fixture
def answered(asked: FakeParts) -> FakeParts:
    """Twelve frames that two people answered, with five contradictions."""
    answer_twice(asked)
    return asked
