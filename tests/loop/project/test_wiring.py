"""What the settings and one run's options become in a source."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.ports import Capture
from connectors.sources.folder import VIDEO_SUFFIXES, FolderSource
from connectors.sources.video import VideoSource
from loop.project.project import Project
from loop.project.wiring import Given, build_source
from tests.fakes import FakeParts
from tests.test_contracts import small_video


@pytest.fixture
def project(parts: FakeParts) -> Project:
    return parts.project


def first(project: Project, path: Path, given: Given) -> Capture:
    found = next(iter(build_source(project, str(path), given=given).captures()))
    assert isinstance(found, Capture)
    return found


@pytest.mark.parametrize("suffix", sorted(VIDEO_SUFFIXES))
def test_every_suffix_of_a_video_is_one(suffix: str, project: Project, tmp_path: Path) -> None:
    assert isinstance(build_source(project, str(tmp_path / f"a{suffix.upper()}")), VideoSource)
    assert isinstance(build_source(project, str(tmp_path)), FolderSource)


def test_pattern_sidecar_and_options_reach_a_video(project: Project, tmp_path: Path) -> None:
    path = small_video(tmp_path / "walk.avi")
    given = Given("gate", "north", "walk", datetime(2026, 1, 2, 3, 4))
    capture = first(project, path, given)
    assert (capture.camera, capture.site, capture.sequence) == ("gate", "north", "walk")
    assert capture.captured_at == datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    frames = project.settings.frames.model_copy(update={"pattern": "{camera}/*.avi", "site": "yard"})
    object.__setattr__(project, "settings", project.settings.model_copy(update={"frames": frames}))
    path.with_suffix(".json").write_text('{"sequence": "told"}')
    capture = first(project, path, Given(camera="gate"))
    assert (capture.camera, capture.site, capture.sequence) == (tmp_path.name, "yard", "told")


def test_what_is_said_of_one_run_does_not_stay(parts: FakeParts, folder: Path) -> None:
    (folder / "incoming" / "bare.jpg").write_bytes(b"x")

    def sites(given: Given) -> set[str | None]:
        items = parts.source(None, given).captures()
        return {item.site for item in items if isinstance(item, Capture)}

    assert sites(Given(site="north")) == {"north"}
    assert sites(Given()) == {None}
