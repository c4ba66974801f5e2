"""Times of the training set and of production are compared only where their zones allow it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags
from PIL import Image as Pil

from connectors.ports import Capture
from connectors.sources.folder import FolderSource
from db.engine import read, write
from db.states import Origin
from loop.gaps import arrivals, coverage_view
from loop.project.project import Project
from loop.project.zones import (
    SAID,
    UNKNOWN_ZONE,
    note_zones,
    read_again,
    training_zone,
    unclear_line,
    zones_of,
)
from tests.fakes import FakeParts, quiet

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def said(project: Project, origin: Origin, *assumed: bool, timezone: str = "UTC") -> None:
    captures = [Capture("a", captured_at=NOON, zone_assumed=each) for each in assumed]
    with write(project.engine) as session:
        note_zones(session, origin, captures, timezone)


@pytest.mark.parametrize(
    ("training", "production", "now", "expected"),
    [
        ([True], [False], "UTC", UNKNOWN_ZONE),
        ([False], [True], "UTC", UNKNOWN_ZONE),
        ([True, False], [False], "UTC", UNKNOWN_ZONE),
        ([True], [True], "UTC", ""),
        ([False], [False], "UTC", ""),
        ([True], [], "UTC", ""),
        ([True], [False], "America/Denver", "America/Denver"),
        ([False], [False], "America/Denver", ""),
    ],
)
def test_which_zone_the_training_set_is_read_in(
    parts: FakeParts, training: list[bool], production: list[bool], now: str, expected: str
) -> None:
    said(parts.project, Origin.IMPORTED, *training)
    said(parts.project, Origin.PRODUCTION, *production)
    with read(parts.project.engine) as session:
        assert training_zone(session, now) == expected
        assert bool(unclear_line(session, now)) == (expected == UNKNOWN_ZONE)


def test_zones_add_up_and_undated_frames_say_none(parts: FakeParts) -> None:
    said(parts.project, Origin.PRODUCTION, True, timezone="Europe/Rome")
    said(parts.project, Origin.PRODUCTION, False)
    with write(parts.project.engine) as session:
        note_zones(session, Origin.PRODUCTION, [Capture("b", zone_assumed=True)], "UTC")
        assert zones_of(session, Origin.PRODUCTION) == {"Europe/Rome", SAID}


def test_a_time_read_as_utc_is_read_again() -> None:
    again = datetime.fromtimestamp(read_again(NOON.timestamp(), "America/Denver"), UTC)
    assert again == datetime(2026, 3, 2, 19, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "assumed"),
    [
        ('"2026-03-02T12:00:00"', True),
        ('"2026-03-02T12:00:00+01:00"', False),
        ('"2026-03-02T12:00:00Z"', False),
        ("1770113472", False),
        ('"1770113472"', False),
    ],
)
def test_a_sidecar_says_whether_its_time_has_a_zone(tmp_path: Path, text: str, assumed: bool) -> None:
    Pil.new("RGB", (16, 16)).save(tmp_path / "a.jpg")
    (tmp_path / "a.json").write_text(f'{{"captured_at": {text}}}')
    (capture,) = FolderSource(tmp_path, settle_s=0).captures()
    assert isinstance(capture, Capture)
    assert capture.zone_assumed is assumed


@pytest.mark.parametrize(
    ("name", "pattern", "assumed"),
    [
        ("20260302T120000.jpg", "{datetime}.jpg", True),
        ("20260302T120000+0100.jpg", "{datetime:%Y%m%dT%H%M%S%z}.jpg", False),
        ("1770113472.jpg", "{datetime:%s}.jpg", False),
        ("exif.jpg", None, True),
    ],
)
def test_a_name_and_exif_say_whether_their_time_has_a_zone(
    tmp_path: Path, name: str, pattern: str | None, assumed: bool
) -> None:
    exif = Pil.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2026:03:02 12:00:00"
    Pil.new("RGB", (16, 16)).save(tmp_path / name, exif=exif)
    (capture,) = FolderSource(tmp_path, pattern, settle_s=0).captures()
    assert isinstance(capture, Capture)
    assert (capture.captured_at is not None, capture.zone_assumed) == (True, assumed)


def test_no_gap_of_a_zone_that_nobody_chose(analyzed: FakeParts) -> None:
    """Hours of the training set are unknown while zones are unclear, and no gap is made of them."""
    said(analyzed.project, Origin.IMPORTED, True)
    said(analyzed.project, Origin.PRODUCTION, False)
    view = coverage_view.build(analyzed, quiet)
    assert np.isnan(view.training.captured_at).all()
    assert [gap.key for gap in view.gaps if gap.key.startswith("daypart")] == []
    assert "time of day is not compared: times of the training set have no zone" in view.note


@pytest.fixture
def analyzed(parts: FakeParts) -> FakeParts:
    from loop.ingest.ingest import ingest

    ingest(parts, quiet)
    arrivals.analyze(parts, quiet)
    return parts
