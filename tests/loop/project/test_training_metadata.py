"""What is said of the images of a training set when a project is made, and what that is good for."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil

from db.engine import read, write
from db.frames import FrameRow, frames
from db.states import Origin
from db.tables import Fact
from loop.analysis.analyze import analyze
from loop.analysis.held_out_groups import held_out_groups
from loop.analysis.load import load_side, open_facts
from loop.analysis.producers import producers
from loop.base.errors import ConfigError, ProjectError
from loop.gaps import coverage_view
from loop.ingest.ingest import ingest
from loop.project.init import CreateReport, NewProject
from loop.project.project import open_project
from loop.project.training_metadata import FACT, TrainingMetadata
from tests.fakes import (
    FakeParts,
    create,
    make_project,
    quiet,
    stopped_import,
    weights,
    write_dataset,
    write_frames,
)

PATTERN = "images/*/{camera}_{date:%Y-%m-%d}_{n}.jpg"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def plan(tmp_path: Path) -> NewProject:
    data = write_dataset(tmp_path / "dataset", train=8, val=4)
    checkpoint = tmp_path / "best.pt"
    checkpoint.write_bytes(weights())
    return NewProject(tmp_path / "project", data, checkpoint, str(tmp_path / "incoming"), clip="small")


def rename(dataset: Path, cameras: int, every: int = 1) -> None:
    """Images 1000.jpg, ... become cam0_2026-03-01_1000.jpg, ..., or one in `every` of them does."""
    for folder in ("images", "labels"):
        for path in sorted(dataset.parent.glob(f"{folder}/*/*")):
            number = int(path.stem)
            if number % every == 0:
                camera = number // every % cameras
                path.rename(path.with_name(f"cam{camera}_2026-03-01_{number}{path.suffix}"))


def made(plan: NewProject, **said: object) -> tuple[CreateReport, list[FrameRow]]:
    report = create(replace(plan, training=TrainingMetadata(**said)))  # type: ignore[arg-type]
    return report, imported(plan.root)


def imported(root: Path) -> list[FrameRow]:
    project = open_project(root)
    with read(project.engine) as session:
        found = frames(session, origin=Origin.IMPORTED)
    project.engine.dispose()
    return sorted(found, key=lambda row: row.source_key)


def with_exif(path: Path, camera: str, taken: str) -> None:
    image = Pil.open(io.BytesIO(path.read_bytes()))
    exif = Pil.Exif()
    exif[0x0110] = camera
    exif.get_ifd(0x8769)[0x9003] = taken
    image.save(path, exif=exif)


def test_a_path_tells_camera_and_day_and_the_splits_stay(plan: NewProject) -> None:
    rename(plan.dataset, cameras=2)
    report, rows = made(plan, pattern=PATTERN)
    assert "camera known of 12 of 12 images, time of 12" in report.lines()
    assert {row.camera for row in rows} == {"cam0", "cam1"}
    assert {row.captured_at for row in rows} == {NOON}
    assert sorted(str(row.split) for row in rows) == ["train"] * 8 + ["val"] * 4


def test_the_day_is_of_the_zone_of_production(plan: NewProject) -> None:
    rename(plan.dataset, cameras=2)
    _, rows = made(replace(plan, overrides=("frames.timezone=Europe/Rome",)), pattern=PATTERN)
    assert {row.captured_at for row in rows} == {NOON.replace(hour=11)}


def test_each_fact_is_from_the_first_that_knows_it(plan: NewProject) -> None:
    rename(plan.dataset, cameras=2, every=2)
    first, second, third = sorted((plan.dataset.parent / "images" / "train").glob("10*.jpg"))[:3]
    first.with_suffix(".json").write_text(json.dumps({"camera": "told", "captured_at": "2026-02-01T08:00"}))
    with_exif(second, "model X", "2026:02:02 09:00:00")
    (plan.dataset.parent / "facts.csv").write_text(f"file,site\nimages/train/{third.name},yard\n")
    report, rows = made(plan, camera="gate", site="north", pattern=PATTERN)
    by_name = {Path(row.source_key).name: row for row in rows}
    assert (by_name[first.name].camera, by_name[first.name].site) == ("told", "north")
    assert by_name[first.name].captured_at == datetime(2026, 2, 1, 8, tzinfo=UTC)
    assert (by_name[second.name].camera, by_name[third.name].site) == ("gate", "yard")
    assert by_name[second.name].captured_at == datetime(2026, 2, 2, 9, tzinfo=UTC)
    assert by_name["cam0_2026-03-01_1000.jpg"].camera == "cam0"
    assert "camera known of 12 of 12 images, time of 8" in report.lines()
    (problem,) = report.problems
    assert "got 6 that differ, such as this one" in problem.message, "half of the names fit"


def test_what_nobody_says_is_unknown(plan: NewProject) -> None:
    report, rows = made(plan)
    assert {(row.camera, row.captured_at) for row in rows} == {("unknown", None)}
    assert "camera known of 0 of 12 images, time of 0" in report.lines()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            {"pattern": "{camera}/*.jpg"},
            r"--train-pattern: expected a pattern of paths below .*dataset, such as 'images/train/1000\.jpg',"
            r" got '\{camera\}/\*\.jpg', which fits none of 12 images; write it after these paths",
        ),
        ({"pattern": "{camra}.jpg"}, r"--train-pattern: .*got \{camra\}; did you mean \{camera\}\?"),
        ({"time": datetime(1, 1, 1)}, "--train-time: expected a time that UTC can express, got 0001-01-01"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_written(
    plan: NewProject, said: dict[str, object], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        made(replace(plan, overrides=("frames.timezone=Europe/Rome",)), **said)
    assert not plan.root.exists()


def test_a_day_that_no_calendar_has_is_named(plan: NewProject) -> None:
    rename(plan.dataset, cameras=1)
    for folder, suffix in (("images", "jpg"), ("labels", "txt")):
        path = plan.dataset.parent / folder / "train" / f"cam0_2026-03-01_1000.{suffix}"
        path.rename(path.with_name(f"cam0_2026-02-30_1000.{suffix}"))
    report, rows = made(plan, pattern=PATTERN)
    assert [problem.path.name for problem in report.problems] == ["cam0_2026-02-30_1000.jpg"]
    assert [row.captured_at for row in rows].count(None) == 1


def test_a_stopped_import_goes_on_with_what_was_said(plan: NewProject) -> None:
    with stopped_import(5), pytest.raises(KeyboardInterrupt):
        made(plan, camera="gate", time=NOON)
    assert len(imported(plan.root)) == 5
    _, rows = made(plan, camera="gate", time=NOON)
    assert [row.camera for row in rows] == ["gate"] * 12
    with pytest.raises(
        ProjectError, match=r'\(\{"camera": "gate", .*\), got \{"camera": "door"\}; leave out'
    ):
        made(plan, camera="door")


def test_a_project_from_before_goes_on_where_nothing_is_said(plan: NewProject) -> None:
    made(plan)
    project = open_project(plan.root)
    with write(project.engine) as session:
        session.delete(session.get_one(Fact, FACT))
    project.engine.dispose()
    with pytest.raises(ProjectError, match=r"when this project was made \(\{\}\), got"):
        made(plan, camera="gate")
    assert made(plan)[0].images == {"train": 8, "val": 4}


def compared(root: Path, cameras: int, **said: object) -> FakeParts:
    rename(write_dataset(root.parent / "dataset"), cameras)
    write_frames(root.parent / "incoming")
    training = TrainingMetadata(**said)  # type: ignore[arg-type]
    parts = FakeParts(make_project(root, training=training))
    ingest(parts, quiet)
    analyze(parts, quiet)
    return parts


def camera_gaps(parts: FakeParts) -> list[str]:
    gaps = coverage_view.build(parts, quiet).gaps
    return [gap.name for gap in gaps if gap.name.startswith("camera")]


def test_no_camera_that_trained_is_a_gap(tmp_path: Path) -> None:
    assert camera_gaps(compared(tmp_path / "both" / "project", 2, pattern=PATTERN)) == []
    assert camera_gaps(compared(tmp_path / "one" / "project", 1, pattern=PATTERN)) == ["camera: cam1"]


def test_a_time_of_the_whole_set_tells_the_time_of_day_alone(tmp_path: Path) -> None:
    """All its images at one moment would be one burst, and those that judge one camera-day."""
    parts = compared(tmp_path / "project", 1, camera="cam0", time=NOON)
    found = producers(parts)
    rows = imported(parts.project.root)
    side = load_side(
        open_facts(parts.project, found),
        np.array([row.seq for row in rows]),
        lambda: lambda vectors: np.zeros(len(vectors), dtype=np.bool_),
    )
    assert set(side.captured_at.tolist()) == {NOON.timestamp()}
    assert set(side.sequence.tolist()) == {-1}
    judging = [row for row in rows if row.split == "val"]
    assert len(set(held_out_groups(parts.project.engine, found.embedder, judging))) > 1


def test_what_is_no_text_is_refused_before_anything_is_written() -> None:
    with pytest.raises(ConfigError, match="--train-camera: expected printable text"):
        TrainingMetadata(camera="cam\udcff").in_utc("UTC")


def test_a_date_tells_no_time_of_day_and_no_burst(tmp_path: Path) -> None:
    """Noon stands for a day that a pattern told; production has hours."""
    parts = compared(tmp_path / "project", 2, pattern=PATTERN)
    rows = imported(parts.project.root)
    side = load_side(
        open_facts(parts.project, producers(parts)),
        np.array([row.seq for row in rows]),
        lambda: lambda vectors: np.zeros(len(vectors), dtype=np.bool_),
    )
    assert {row.captured_at for row in rows} == {NOON}
    assert np.isnan(side.captured_at).all()
    assert set(side.sequence.tolist()) == {-1}
