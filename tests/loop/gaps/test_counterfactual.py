"""Objects pasted elsewhere and painted over, on the frames of a project."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from connectors.ports import Box
from db.engine import write
from db.frames import frames
from db.labels import set_label
from db.states import Origin, Role
from loop.analysis.analyze import analyze
from loop.base.errors import ConfigError, ProjectError
from loop.cli import app, data
from loop.gaps.counterfactual import kept, lines, look
from loop.ingest.ingest import ingest
from tests.fakes import CLASSES, MONDAY, FakeParts, box_of, make_project, picture, quiet

BRIGHT, DIM = 190, 120
"""Light at the two cameras. The detector of `bound` sees nothing at the dim one."""


def tried(folder: Path, blind_below: float) -> FakeParts:
    """Two cameras, eight days of four frames each; every other frame shows a person."""
    project = make_project(folder / "project", overrides=["frames.path=../incoming"])
    for number in range(64):
        camera, day, place = number % 2, number // 8, number // 2 % 4
        when = MONDAY + timedelta(days=day, hours=place)
        boxes = [(0, *box_of(day))] if place % 2 == 0 else []
        path = folder / "incoming" / f"cam{camera}" / f"{when:%Y-%m-%d}" / f"{when:%H%M%S}-{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(DIM if camera else BRIGHT, number, boxes))
    parts = FakeParts(project)
    parts.detector().blind_below = blind_below
    ingest(parts, quiet)
    analyze(parts, quiet)
    with write(project.engine) as session:
        for row in frames(session, origin=Origin.PRODUCTION):
            day = (row.captured_at - MONDAY).days if row.captured_at else 0
            shows = row.captured_at is not None and row.captured_at.hour % 2 == 0
            purpose = "evaluation" if row.role == Role.EVALUATION else "train"
            set_label(
                session, row.seq, [Box(CLASSES[0], box_of(day))] if shows else [], purpose, "annotation"
            )
    return parts


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeParts]:
    parts = tried(tmp_path_factory.mktemp("free"), blind_below=0)
    yield parts
    parts.project.engine.dispose()


@pytest.fixture(scope="module")
def bound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeParts]:
    parts = tried(tmp_path_factory.mktemp("bound"), blind_below=150)
    yield parts
    parts.project.engine.dispose()


def test_a_detection_that_follows_the_object_is_not_bound(free: FakeParts) -> None:
    seen = free.detector().seen
    report = look(free, quiet)
    assert free.detector().seen - seen == report.images == 3 * 32
    whole, *places = report.rows
    assert (whole.class_name, whole.place, report.placed_by) == ("person", "", "camera")
    assert (whole.own.found, whole.own.tried) == (32, 32)
    assert whole.elsewhere.found == 32
    assert (whole.painted_over.found, whole.painted_over.tried) == (0, 32)
    assert whole.fall == 0
    assert not any(row.shown for row in report.rows)
    assert [row.place for row in places] == ["cam0", "cam1"]
    assert "nothing shows that it is bound to its place" in lines(report)[1]
    stored = kept(free.project)
    assert stored is not None
    assert stored[1] == report


def test_a_detection_that_follows_the_place_is_told_with_the_place(bound: FakeParts) -> None:
    report = look(bound, quiet)
    of = {row.place: row for row in report.rows}
    assert of["cam0"].own.found == of["cam0"].own.tried == 16
    assert of["cam0"].elsewhere.found == 0
    assert of["cam0"].shown
    assert of["cam0"].fall == 1
    assert of["cam1"].painted_over.tried == 0, "it was found there nowhere"
    assert not of["cam1"].shown
    said = "\n".join(lines(report))
    assert "person of camera cam0: pasted on its own camera 16 of 16 found, elsewhere 0 of 16" in said
    assert "it is bound to its place" in said


def test_no_more_images_than_asked_for(free: FakeParts) -> None:
    assert look(free, quiet, images=14).images == 12
    with pytest.raises(ConfigError, match="expected 3 or more, got 2"):
        look(free, quiet, images=2)


def test_without_labels_it_says_what_to_do(analyzed: FakeParts) -> None:
    with pytest.raises(ProjectError, match="label frames of another place"):
        look(analyzed, quiet)


def test_the_command_tells_it_too(free: FakeParts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "opened", lambda place: free)
    result = CliRunner().invoke(app, ["bias", "--counterfactual", "--images", "30", "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["counterfactual"]["images"] == 30
    assert {"ties", "tables", "findings", "lacking"} <= told.keys()
    result = CliRunner().invoke(app, ["bias"])
    assert result.exit_code == 0
    assert "to train on" in result.stdout
    assert "never were" not in result.stdout
