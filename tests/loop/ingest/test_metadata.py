"""What is told of frames after the fact: it reaches them, their camera-days and all that follows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from connectors.errors import SourceError
from connectors.ports import Box, Capture
from db.engine import read, write
from db.frames import FrameRow, frames
from db.labels import set_label
from db.states import Origin, Role
from loop.analysis.load import open_facts
from loop.analysis.producers import producers
from loop.base.errors import ConfigError
from loop.gaps import arrivals
from loop.ingest.ingest import ingest, one_pass
from loop.ingest.metadata import MetadataReport, import_metadata, import_paths
from loop.insights.placing import unplaced_lines
from loop.project.project import Project
from loop.settings.settings import IngestRules
from tests.fakes import FakeParts, picture, quiet
from tests.loop.ingest.test_ingest import Given
from tests.test_contracts import small_video

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def bare(parts: FakeParts) -> FakeParts:
    """Six frames of which nothing is known."""
    items = [Capture(f"in/{n}.jpg", data=picture(seed=900 + n)) for n in range(6)]
    one_pass(parts.project.engine, parts.project.store, Given(*items), IngestRules(10**8, 10**8, 0.25), quiet)
    return parts


def told(project: Project, text: str, name: str = "told.csv") -> MetadataReport:
    file = project.root / name
    file.write_text(text)
    return import_metadata(project, file)


def by_key(project: Project) -> dict[str, FrameRow]:
    with read(project.engine) as session:
        return {row.source_key: row for row in frames(session)}


def test_frames_learn_their_camera_time_and_camera_day(bare: FakeParts) -> None:
    report = told(
        bare.project,
        "filename;camera;site;captured_at\n"
        "0.jpg;gate;north;2026-03-02T12:00:00Z\n"
        "in/1.jpg;gate;;2026-03-03T12:00:00Z\n"
        "/mnt/cameras/in/2.jpg;yard;;\n"
        "gone.jpg;yard;;\n",
    )
    rows = by_key(bare.project)
    first, second, third, fourth = (rows[f"in/{n}.jpg"] for n in range(4))
    assert (first.camera, first.site, first.captured_at, first.group_key) == (
        "gate",
        "north",
        NOON,
        "gate|2026-03-02",
    )
    assert (second.site, second.group_key) == ("unknown", "gate|2026-03-03")
    assert (third.camera, third.captured_at, third.group_key) == ("yard", None, "yard|undated-1")
    assert (fourth.camera, fourth.group_key) == ("unknown", "unknown|undated-1")
    assert report == MetadataReport({"production": 3}, 0, [], ["gone.jpg"], [], len(rows) - 3)
    assert told(bare.project, "file,camera\n0.jpg,gate\n").changed == {}


def test_the_training_set_learns_too(bare: FakeParts) -> None:
    with read(bare.project.engine) as session:
        imported = frames(session, origin=Origin.IMPORTED)
    one = imported[0]
    report = told(
        bare.project,
        f'[{{"path": "{one.source_key}", "camera": "gate", "timestamp": "2026-03-02T12:00:00Z"}}]',
        "told.json",
    )
    after = by_key(bare.project)[one.source_key]
    assert (report.changed, after.camera, after.captured_at) == ({"imported": 1}, "gate", NOON)
    assert (after.group_key, after.role, after.split) == (one.group_key, one.role, one.split)


def test_rows_that_cannot_be_used_are_told_and_stop_no_other(bare: FakeParts) -> None:
    report = told(
        bare.project,
        "file,camera,captured_at\n0.jpg,gate,yesterday\n1.jpg,gate,1970-01-01T00:00:00Z\n,gate,\n2.jpg,gate,\n",
    )
    assert [text.split(":")[0] for text in report.unread] == ["row 1", "row 3", "row 2"]
    rows = by_key(bare.project)
    assert [rows[f"in/{n}.jpg"].camera for n in range(3)] == ["unknown", "gate", "gate"]
    assert rows["in/1.jpg"].captured_at is None


def test_a_name_that_several_frames_have_is_told(parts: FakeParts) -> None:
    items = [Capture(f"cam{n}/0.jpg", data=picture(seed=950 + n)) for n in range(2)]
    one_pass(parts.project.engine, parts.project.store, Given(*items), IngestRules(10**8, 10**8, 0.25), quiet)
    report = told(parts.project, "file,site\n0.jpg,north\ncam1/0.jpg,south\n")
    assert (report.ambiguous, report.changed) == (["0.jpg"], {"production": 1})
    assert by_key(parts.project)["cam1/0.jpg"].site == "south"


def test_rows_of_a_video_hold_for_its_frames_but_not_their_time(parts: FakeParts) -> None:
    items = [
        Capture(f"in/a.mp4#{n:08d}", data=picture(seed=970 + n), captured_at=NOON, sequence="a")
        for n in range(2)
    ]
    one_pass(parts.project.engine, parts.project.store, Given(*items), IngestRules(10**8, 10**8, 0.25), quiet)
    assert told(parts.project, "file,camera,captured_at\na.mp4,gate,2026-04-01T00:00:00Z\n").changed == {
        "production": 2
    }
    rows = by_key(parts.project)
    assert {rows[item.key].camera for item in items} == {"gate"}
    assert {rows[item.key].captured_at for item in items} == {NOON}


def test_a_row_of_a_video_tells_when_its_frames_were_taken(parts: FakeParts, tmp_path: Path) -> None:
    video = small_video(tmp_path / "a.mp4")
    ingest(parts, quiet, str(video))
    report = told(parts.project, "file,camera,captured_at\na.mp4,gate,2026-04-01T00:00:00Z\n")
    times = {
        row.source_key[-8:]: row.captured_at for key, row in by_key(parts.project).items() if "a.mp4#" in key
    }
    begin = datetime(2026, 4, 1, tzinfo=UTC)
    assert times == {"00000000": begin, "00000010": begin + timedelta(seconds=1)}
    assert (report.changed, report.unread) == ({"production": 2}, [])
    again = told(parts.project, "file,captured_at\na.mp4,2026-05-01T00:00:00Z\n")
    assert again.unread == ["row 1: the frames of this video have a time and keep it"]
    assert again.changed == {}


def test_a_video_that_is_gone_is_named(parts: FakeParts, tmp_path: Path) -> None:
    video = small_video(tmp_path / "a.mp4")
    ingest(parts, quiet, str(video))
    video.unlink()
    report = told(parts.project, "file,camera,captured_at\na.mp4,gate,2026-04-01T00:00:00Z\n")
    assert report.changed == {"production": 2}
    (line,) = report.unread
    assert line.startswith("row 1: the times within the video are not known: ")
    assert "expected a video, got no such file" in line


def test_rows_that_contradict_each_other_are_told_and_not_taken(bare: FakeParts) -> None:
    report = told(
        bare.project,
        "file,camera\n0.jpg,gate\nin/0.jpg,yard\n1.jpg,gate\n1.jpg,gate\n2.jpg,a\n2.jpg,b\n2.jpg,a\n",
    )
    rows = by_key(bare.project)
    assert [rows[f"in/{n}.jpg"].camera for n in range(3)] == ["unknown", "gate", "unknown"]
    assert report.contradicted == ["in/0.jpg", "2.jpg"]
    assert report.without_row == len(rows) - 3
    assert "2 files have rows that contradict each other; keep one of them: in/0.jpg, 2.jpg" in report.lines()


def test_a_row_of_a_json_that_is_no_object_stops_no_other(bare: FakeParts) -> None:
    report = told(bare.project, '[3, {"file": "0.jpg", "camera": "gate"}]', "told.json")
    assert report.changed == {"production": 1}
    assert report.unread == ["row 1: expected an object, got 3"]


@pytest.mark.parametrize("role", list(Role))
def test_a_new_camera_day_gets_the_side_of_its_labeled_frames(bare: FakeParts, role: Role) -> None:
    with write(bare.project.engine) as session:
        from sqlalchemy import update

        from db.tables import Group

        labeled = by_key(bare.project)["in/0.jpg"]
        session.execute(update(Group).where(Group.id == labeled.group_id).values(role=role))
        purpose = "train" if role is Role.POOL else "evaluation"
        set_label(session, labeled.seq, [Box("person", (1, 1, 9, 9))], purpose, "annotation")
    days = "".join(f"{n}.jpg,gate,2026-05-0{1 + n % 2}T12:00:00Z\n" for n in range(6))
    told(bare.project, f"file,camera,captured_at\n{days}")
    rows = by_key(bare.project)
    day = {rows[f"in/{n}.jpg"].role for n in (0, 2, 4)}
    assert day == {role}
    assert {rows[f"in/{n}.jpg"].group_key for n in (0, 2, 4)} == {"gate|2026-05-01"}


def test_what_follows_is_made_anew(bare: FakeParts) -> None:
    """Columns know the new facts, and near-duplicates are compared within the new camera."""
    arrivals.analyze(bare, quiet)
    made = producers(bare)
    open_facts(bare.project, made)
    told(bare.project, "file,camera\n" + "".join(f"{n}.jpg,gate\n" for n in range(6)))
    facts = open_facts(bare.project, made)
    names = facts.frames.notes["camera"]
    seqs = np.array([by_key(bare.project)[f"in/{n}.jpg"].seq for n in range(6)])
    codes = facts.frames["camera"][facts.frames.places(seqs)]
    assert {names[code] for code in codes.tolist()} == {"gate"}
    with read(bare.project.engine) as session:
        from db.duplicates import cameras_waiting, clusters_of

        assert cameras_waiting(session, made.embedder).get("gate") == 6
        assert not set(seqs.tolist()) & set(clusters_of(session, made.embedder)[0].tolist())
    arrivals.analyze(bare, quiet)
    with read(bare.project.engine) as session:
        assert cameras_waiting(session, made.embedder) == {}
        assert set(seqs.tolist()) <= set(clusters_of(session, made.embedder)[0].tolist())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "Bild;Ort\na.jpg;Nord\n",
            r"told\.csv: expected a column file and one of camera, .*, got Bild, Ort;",
        ),
        ("file,exposure\na.jpg,3\n", "expected a column file and one of camera"),
    ],
)
def test_a_table_that_is_not_understood_changes_nothing(bare: FakeParts, text: str, said: str) -> None:
    before = by_key(bare.project)
    with pytest.raises(SourceError, match=said):
        told(bare.project, text)
    with pytest.raises(SourceError, match=r"gone\.csv: expected a table of frames, got: .*check the path"):
        import_metadata(bare.project, Path("gone.csv"))
    assert by_key(bare.project) == before


def test_the_report_says_what_to_do() -> None:
    full = MetadataReport({"imported": 1, "production": 2}, 3, ["row 1: x"], list("abcd"), ["e"], 4)
    assert full.lines() == [
        "1 imported, 2 production frames changed, 3 were known so already, 4 have no row",
        "1 row could not be read: row 1: x",
        "4 files are none of the frames: a, b, c, ...",
        "1 file may be several frames; give more of its path: e",
        "next: fieldloop analyze, then gaps: what follows from these facts is made anew",
    ]
    assert replace(full, changed={}, unread=[], unmatched=[], ambiguous=[]).lines() == [
        "no frames changed, 3 were known so already, 4 have no row"
    ]


def test_a_pattern_that_is_set_later_is_read_from_the_paths_that_are_in(bare: FakeParts) -> None:
    project = bare.project
    assert unplaced_lines(project)[1].startswith("correct frames.pattern (")

    def with_pattern(text: str) -> Project:
        framed = project.settings.frames.model_copy(update={"pattern": text})
        return replace(project, settings=project.settings.model_copy(update={"frames": framed}))

    with pytest.raises(
        ConfigError, match=r"such as 'in/0.jpg', got '\{camera\}/x-\{n\}.jpg', which fits none"
    ):
        import_paths(with_pattern("{camera}/x-{n}.jpg"))
    with pytest.raises(ConfigError, match=r"expected frames.pattern, got none"):
        import_paths(with_pattern(""))
    later = with_pattern("{camera}/{n}.jpg")
    assert unplaced_lines(later)[1].endswith("import --paths` reads it for them")
    report = import_paths(later)
    assert report.changed == {"production": 6}
    rows = by_key(project)
    assert {rows[f"in/{n}.jpg"].camera for n in range(6)} == {"in"}
    assert unplaced_lines(later)[1].startswith("correct frames.pattern ("), "no path tells a time"
    assert import_paths(later).changed == {}


def test_a_whole_path_means_that_frame_though_another_ends_like_it(bare: FakeParts) -> None:
    items = [Capture("x/in/0.jpg", data=picture(seed=950))]
    one_pass(bare.project.engine, bare.project.store, Given(*items), IngestRules(10**8, 10**8, 0.25), quiet)
    report = told(bare.project, "file,camera\nin/0.jpg,gate\nx/in/0.jpg,yard\n0.jpg,attic\n")
    rows = by_key(bare.project)
    assert (rows["in/0.jpg"].camera, rows["x/in/0.jpg"].camera) == ("gate", "yard")
    assert report.ambiguous == ["0.jpg"]
