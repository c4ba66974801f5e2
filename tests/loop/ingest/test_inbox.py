"""Frames that are handed over: what is accepted is what ingest stores, with what was said of it."""

from __future__ import annotations

import errno
import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil
from sqlalchemy import select

from connectors import pushed
from connectors.errors import ImageRejected
from connectors.images import content_hash
from connectors.ports import Capture
from db.engine import read
from db.frames import FrameRow, frames
from db.tables import Reject
from loop.base.errors import ConfigError
from loop.ingest.inbox import HashDiffers, Inbox, NoInbox
from loop.ingest.ingest import ingest
from loop.project.project import Project
from tests.fakes import FakeParts, make_project, quiet

WHEN = datetime(2026, 5, 4, 8, 30, tzinfo=UTC)


def picture(shade: int, kind: str = "JPEG", size: tuple[int, int] = (64, 48)) -> bytes:
    pixels = np.random.default_rng(shade).integers(0, 256, (size[1], size[0], 3), np.uint8)
    buffer = io.BytesIO()
    Pil.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def said(data: bytes, camera: str | None = "gate") -> Capture:
    return Capture("", data=data, camera=camera, site="hall", sequence="s1", captured_at=WHEN)


def watched(root: Path, *more: str) -> Project:
    (root / "incoming").mkdir(parents=True)
    return make_project(root / "project", overrides=["frames.path=../incoming", "frames.settle_s=0", *more])


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made = watched(tmp_path)
    yield made
    made.engine.dispose()


def production(project: Project) -> list[FrameRow]:
    with read(project.engine) as session:
        return [row for row in frames(session) if row.origin == "production"]


def files(project: Project) -> list[str]:
    root = project.root.parent / "incoming"
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_what_is_accepted_is_stored_with_what_was_said_of_it(project: Project) -> None:
    inbox, data = Inbox(project), picture(1)
    sha256 = content_hash(data)
    assert inbox.state_of(sha256) is None
    handed = inbox.take(said(data), sha256)
    assert (handed.state, handed.new, handed.sha256) == ("waiting", True, sha256)
    assert ingest(FakeParts(project), quiet).stored == 1
    (row,) = production(project)
    assert (row.camera, row.site, row.sequence, row.captured_at) == ("gate", "hall", "s1", WHEN)
    found = inbox.state_of(sha256)
    assert found is not None
    assert (found.state, found.seq) == ("stored", row.seq)


def test_a_frame_that_is_known_is_not_written_again(project: Project) -> None:
    inbox, data = Inbox(project), picture(2)
    assert inbox.take(said(data)).new
    before = files(project)
    assert not inbox.take(said(data, camera="other")).new
    assert files(project) == before
    ingest(FakeParts(project), quiet)
    again = inbox.take(said(data))
    assert (again.state, again.new) == ("stored", False)
    assert production(project)[0].camera == "gate"


def test_a_frame_known_from_elsewhere_is_not_written(project: Project) -> None:
    data = picture(3)
    (project.root.parent / "incoming" / "a.jpg").write_bytes(data)
    ingest(FakeParts(project), quiet)
    assert Inbox(project).take(said(data)).state == "stored"
    assert files(project) == ["a.jpg"]


def test_a_frame_of_16_bits_is_followed_to_what_is_stored_of_it(project: Project) -> None:
    buffer = io.BytesIO()
    Pil.fromarray(np.arange(64 * 48, dtype=np.uint16).reshape(48, 64)).save(buffer, "PNG")
    inbox = Inbox(project)
    inbox.take(said(buffer.getvalue()))
    ingest(FakeParts(project), quiet)
    (row,) = production(project)
    found = inbox.state_of(content_hash(buffer.getvalue()))
    assert found is not None
    assert (found.state, found.seq) == ("stored", row.seq)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (b"no image", "not_an_image"),
        (picture(4)[:-400], "truncated"),
        (picture(4, size=(4, 4)), "unsupported"),
    ],
)
def test_what_ingest_would_set_aside_is_refused(project: Project, data: bytes, code: str) -> None:
    with pytest.raises(ImageRejected) as refused:
        Inbox(project).take(said(data))
    assert refused.value.code == code
    assert files(project) == []


def test_pixels_are_bounded_as_in_ingest(tmp_path: Path) -> None:
    project = watched(tmp_path, "frames.max_pixels=1000")
    with pytest.raises(ImageRejected, match=r"expected at most 1,000 pixels, got 64x48"):
        Inbox(project).take(said(picture(5)))
    project.engine.dispose()


def test_other_bytes_than_announced_are_refused(project: Project) -> None:
    with pytest.raises(HashDiffers, match=f"expected {'0' * 64}, got .* send the frame again"):
        Inbox(project).take(said(picture(6)), "0" * 64)
    assert files(project) == []


def test_a_time_that_cannot_be_is_refused(project: Project) -> None:
    for when in (datetime(1970, 1, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(days=3)):
        with pytest.raises(ConfigError, match="captured_at: expected a time since 2002"):
            Inbox(project).take(replace(said(picture(7)), captured_at=when))
    assert files(project) == []


def test_a_disk_that_is_full_keeps_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    write = pushed.write_atomically

    def full(path: Path, data: bytes | str) -> None:
        if path.suffix == ".jpg":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, data)

    monkeypatch.setattr(pushed, "write_atomically", full)
    with pytest.raises(OSError, match="No space left"):
        Inbox(project).take(said(picture(8)))
    assert files(project) == []


def test_names_become_no_paths(project: Project) -> None:
    data = picture(9)
    Inbox(project).take(replace(said(data, camera="../../etc/passwd"), site="/root", sequence="a\0b"))
    sha256 = hashlib.sha256(data).hexdigest()
    place = f"pushed-frames/{sha256[:2]}/{sha256}"
    assert files(project) == [f"{place}.jpg", f"{place}.json"]
    ingest(FakeParts(project), quiet)
    assert production(project)[0].camera == "../../etc/passwd"


def test_the_pattern_says_nothing_of_pushed_frames(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    project = watched(tmp_path, "frames.pattern={site}/{camera}/*.jpg", "frames.camera=door")
    Inbox(project).take(Capture("", data=picture(10)))
    ingest(FakeParts(project), quiet)
    (row,) = production(project)
    assert (row.camera, row.site) == ("door", "unknown")
    assert "expected names as in the pattern" not in caplog.text
    project.engine.dispose()


def test_sidecars_follow_the_columns_of_the_project(tmp_path: Path) -> None:
    project = watched(tmp_path, 'frames.columns={"camera": "Kamera"}')
    data = picture(11)
    Inbox(project).take(said(data))
    sha256 = content_hash(data)
    sidecar = tmp_path / "incoming" / "pushed-frames" / sha256[:2] / f"{sha256}.json"
    assert json.loads(sidecar.read_text())["Kamera"] == "gate"
    ingest(FakeParts(project), quiet)
    assert production(project)[0].camera == "gate"
    project.engine.dispose()


@pytest.mark.parametrize(
    ("path", "got"), [("", "got nothing"), ("a.mp4", "which is not there"), ("nowhere", "which is not there")]
)
def test_without_a_folder_to_watch_it_is_refused(tmp_path: Path, path: str, got: str) -> None:
    project = make_project(tmp_path / "project", overrides=[f"frames.path={path}"])
    with pytest.raises(NoInbox, match=f"frames.path: expected a folder to put pushed frames into, .*{got}"):
        Inbox(project).state_of("0" * 64)
    project.engine.dispose()


def test_what_was_set_aside_since_is_said_with_its_reason(project: Project) -> None:
    inbox, data = Inbox(project), picture(12)
    inbox.take(said(data))
    sha256 = content_hash(data)
    place = project.root.parent / "incoming" / "pushed-frames" / sha256[:2] / f"{sha256}.jpg"
    place.write_bytes(b"torn by somebody else")
    ingest(FakeParts(project), quiet)
    found = inbox.state_of(sha256)
    assert found is not None
    assert found.state == "set aside"
    assert "expected an image" in found.reason
    with read(project.engine) as session:
        assert session.execute(select(Reject.code)).scalars().all() == ["not_an_image"]
