"""What a process keeps of the sizes of groups is what is counted anew, whatever happened since."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from db import group_sizes as sizes
from db.engine import read, write
from db.frames import FrameFacts, days_by_camera, frame_counts, frames, group_id
from db.group_sizes import group_sizes
from db.states import Origin, Role
from loop.ingest.ingest import ingest
from loop.project.project import Project, open_project
from tests.fakes import FakeParts, picture, quiet


def same(project: Project) -> Mapping[str, int]:
    """The counts, which are those of a count of all."""
    with read(project.engine) as session:
        found = group_sizes(session)
        assert found.counts == frame_counts(session)
        assert found.days_by_camera == days_by_camera(session)
        return found.counts


def test_frames_that_come_are_added(parts: FakeParts, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = same(parts.project)
    assert before["imported"] > 0
    ingest(parts, quiet)
    assert same(parts.project)["production"] == 42
    counted: list[int] = []
    real = sizes._more
    monkeypatch.setattr(sizes, "_more", lambda *given: counted.append(given[2]) or real(*given))
    assert same(parts.project)["production"] == 42
    assert counted == [], "nothing came, so nothing is counted"
    (folder / "incoming" / "cam9" / "2026-03-09").mkdir(parents=True)
    (folder / "incoming" / "cam9" / "2026-03-09" / "080000-1.jpg").write_bytes(picture(seed=991))
    ingest(parts, quiet)
    assert same(parts.project)["production"] == 43
    assert len(counted) == 1
    assert counted[0] > 42, "only what came is counted"


def test_frames_that_move_to_another_group_are_counted_anew(parts: FakeParts) -> None:
    from db.frames import set_facts

    ingest(parts, quiet)
    before = same(parts.project)
    with write(parts.project.engine) as session:
        row = next(row for row in frames(session, origin=Origin.PRODUCTION) if row.role == Role.POOL)
        group = group_id(session, "elsewhere|2026-01-01", Role.EVALUATION)
        set_facts(session, [FrameFacts(row.seq, group, "elsewhere", row.site, row.sequence, row.captured_at)])
    after = same(parts.project)
    assert (after["pool"], after["evaluation"]) == (before["pool"] - 1, before["evaluation"] + 1)


def test_two_databases_are_kept_apart(parts: FakeParts, folder: Path) -> None:
    ingest(parts, quiet)
    assert same(parts.project)["production"] == 42
    other = open_project(folder / "project")
    assert same(other)["production"] == 42
    other.engine.dispose()
