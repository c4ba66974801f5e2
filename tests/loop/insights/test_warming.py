"""What is read before the first request."""

from __future__ import annotations

import pytest

from db.frame_sets import FrameTables
from loop.gaps.upkeep import keep_map
from loop.insights.frame_query import FrameQuery
from loop.insights.frames import frame_sets
from loop.insights.warming import warm
from tests.fakes import FakeParts, quiet


def test_the_columns_are_open_before_anybody_asks(
    analyzed: FakeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_map(analyzed, quiet)
    warm(analyzed)
    monkeypatch.setattr(FrameTables, "_opened", lambda _: pytest.fail("opened again"))
    assert frame_sets(analyzed).find(FrameQuery()).count


def test_what_cannot_be_read_keeps_no_service_from_starting(
    parts: FakeParts, caplog: pytest.LogCaptureFixture
) -> None:
    (parts.project.root / "fieldloop.db").unlink()
    parts.project.engine.dispose()
    (parts.project.root / "fieldloop.db").write_bytes(b"noise" * 4096)
    caplog.set_level("DEBUG")
    warm(parts)
    assert "not read ahead: " in caplog.text
