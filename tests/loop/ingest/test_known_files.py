"""A watched folder is not read twice, and nothing new is passed over."""

from __future__ import annotations

import os
from pathlib import Path
from unittest.mock import patch

import pytest

from connectors.sources import precedence
from db.engine import read
from db.frames import reject_counts
from loop.ingest import known_files
from loop.ingest.ingest import ingest, one_pass
from loop.ingest.known_files import KnownFiles
from loop.project.project import open_project
from loop.settings.settings import IngestRules, rules_of
from tests.fakes import FakeParts, picture, quiet
from tests.test_contracts import small_video


@pytest.fixture
def watching(folder: Path) -> FakeParts:
    parts = FakeParts(open_project(folder / "project"))
    parts.watching = True
    return parts


def offered(parts: FakeParts) -> list[str]:
    known = KnownFiles(parts.project.engine, rules_of(parts.project.settings)) if parts.watching else None
    return [capture.key for capture in parts.source(known=known).captures()]


def test_known_files_are_not_offered_again(watching: FakeParts, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ingest(watching, quiet).stored == 42
    assert offered(watching) == []
    monkeypatch.setattr(precedence.Voices, "facts", lambda *given: pytest.fail("a known file was read again"))
    assert ingest(watching, quiet).stored == 0
    monkeypatch.undo()
    assert len(offered(FakeParts(watching.project))) == 42


def test_a_video_in_a_watched_folder_is_decoded_once(watching: FakeParts, folder: Path) -> None:
    small_video(folder / "incoming" / "clip.mp4")
    (folder / "incoming" / "bad.mp4").write_bytes(b"no video")
    assert ingest(watching, quiet).stored == 44
    assert [key for key in offered(watching) if "mp4" in key] == []
    with read(watching.project.engine) as session:
        assert reject_counts(session) == {"bad_video": 1}
    small_video(folder / "incoming" / "bad.mp4")
    assert offered(watching) == ["bad.mp4#00000000", "bad.mp4#00000010", "bad.mp4"]
    ingest(watching, quiet)
    with read(watching.project.engine) as session:
        assert reject_counts(session) == {}


def test_a_new_process_knows_them_too(watching: FakeParts) -> None:
    ingest(watching, quiet)
    later = FakeParts(watching.project)
    later.watching = True
    assert offered(later) == []


def test_what_is_known_is_loaded_once_by_who_watches_and_never_by_others(watching: FakeParts) -> None:
    with patch.object(known_files, "all_seen", wraps=known_files.all_seen) as loaded:
        for _ in range(3):
            ingest(watching, quiet)
        assert loaded.call_count == 1
        assert ingest(FakeParts(watching.project), quiet).known == 42
        assert loaded.call_count == 1


def test_new_changed_and_unreadable_files_are_offered(watching: FakeParts, folder: Path) -> None:
    ingest(watching, quiet)
    changed = sorted((folder / "incoming").rglob("*.jpg"))[0]
    changed.write_bytes(picture(120, seed=900))
    os.utime(changed, ns=(1, 1))
    new = changed.with_name("120000-777.jpg")
    new.write_bytes(picture(120, seed=777))
    assert sorted(offered(watching)) == sorted(
        path.relative_to(folder / "incoming").as_posix() for path in (changed, new)
    )
    assert ingest(watching, quiet).stored == 2
    assert offered(watching) == []


def test_what_was_too_large_is_offered_once_the_limit_is_raised(watching: FakeParts, folder: Path) -> None:
    ingest(watching, quiet)
    rules = rules_of(watching.project.settings)
    tight = IngestRules(rules.max_pixels, 10, rules.evaluation_share)
    big = folder / "incoming" / "cam0" / "2026-03-02" / "235959-5.jpg"
    big.write_bytes(picture(130, seed=5))
    stat = big.stat()
    key = big.relative_to(folder / "incoming").as_posix()
    engine = watching.project.engine
    report = one_pass(engine, watching.project.store, watching.source(), tight, quiet)
    assert report.rejected == {"oversized": 1}
    assert KnownFiles(engine, tight)(key, stat.st_size, stat.st_mtime_ns)
    assert not KnownFiles(engine, rules)(key, stat.st_size, stat.st_mtime_ns)
