"""What the settings and one run's options become in a source."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from connectors.images import content_hash, stretched
from connectors.ports import Capture, Finished
from connectors.sources.folder import VIDEO_SUFFIXES, FolderSource
from connectors.sources.video import VideoSource
from loop.project.project import Project
from loop.project.wiring import Given, build_source, fetch_again, resolve
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


def test_a_picture_of_16_bits_and_a_video_in_the_folder_are_fetched_again(project: Project) -> None:
    root = resolve(project, project.settings.frames.path)
    (root / "gate").mkdir()
    small_video(root / "gate" / "walk.avi")
    done, deep = cv2.imencode(".png", np.arange(32 * 24, dtype=np.uint16).reshape(24, 32))
    assert done
    (root / "deep.png").write_bytes(deep.tobytes())
    source = build_source(project, str(root))
    kept = {one.key: one.read() for one in source.captures() if isinstance(one, Capture)}
    kept["deep.png"] = stretched(deep.tobytes())
    asked = {key: kept[key] for key in kept if key == "deep.png" or key.startswith("gate/walk.avi#")}
    assert len(asked) > 1
    assert dict(fetch_again(project, {key: content_hash(data) for key, data in asked.items()})) == asked


def test_a_video_in_a_folder_is_finished_once(project: Project, tmp_path: Path) -> None:
    small_video(tmp_path / "walk.avi")
    found = [one.key for one in build_source(project, str(tmp_path)).captures() if isinstance(one, Finished)]
    assert found == ["walk.avi"]
