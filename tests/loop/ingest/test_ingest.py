"""From files to frames: nothing twice, nothing lost, and what cannot be used is set aside with its
reason.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import pytest
from PIL import Image as Pil
from sqlalchemy import delete, event

from connectors import files
from connectors.files import move_durably
from connectors.ports import Capture, Refused, SourceItem, Unsettled
from connectors.sources.folder import FolderSource
from db.engine import read, write
from db.frames import FrameRow, frames, reject_counts, rejects
from db.states import Origin, Role
from db.tables import Fact
from loop.ingest import ingest as ingestion
from loop.ingest.camera_days import BLOCK, FIRST, evaluation_role, next_undated
from loop.ingest.ingest import IngestReport, ingest, one_pass
from loop.project.project import Project
from loop.settings.settings import IngestRules
from tests.fakes import SECRET, FakeParts, picture, quiet, write_frames

RULES = IngestRules(50_000_000, 50_000_000, 0.25)


class Given:
    """A FrameSource that says what it is given."""

    def __init__(self, *items: SourceItem) -> None:
        self._items = items

    def captures(self, after: str | None = None) -> tuple[SourceItem, ...]:
        return self._items


def take_in(parts: FakeParts, rules: IngestRules = RULES, *items: SourceItem) -> IngestReport:
    project = parts.project
    source = Given(*items) if items else parts.source()
    return one_pass(project.engine, project.store, source, rules, quiet)


def produced(project: Project) -> list[FrameRow]:
    with read(project.engine) as session:
        return frames(session, origin=Origin.PRODUCTION)


def reasons(project: Project) -> dict[str, tuple[str, str]]:
    with read(project.engine) as session:
        return {row.source_key: (row.code, row.reason) for row in rejects(session)}


def aside(project: Project) -> dict[str, int]:
    with read(project.engine) as session:
        return reject_counts(session)


def test_every_file_becomes_a_frame_with_what_its_path_says(parts: FakeParts, folder: Path) -> None:
    assert take_in(parts) == IngestReport(stored=42)
    rows = produced(parts.project)
    assert len(rows) == 42
    for row in rows:
        stored = (parts.project.store / row.path).read_bytes()
        assert stored == (folder / "incoming" / row.source_key).read_bytes()
        assert row.camera == row.source_key.split("/")[0]
        assert row.group_key == f"{row.camera}|{row.captured_at:%Y-%m-%d}"
        assert (row.width, row.height, row.bytes) == (32, 24, len(stored))


def test_the_same_content_twice_changes_nothing(parts: FakeParts, folder: Path) -> None:
    take_in(parts)
    assert take_in(parts) == IngestReport(known=42)
    first = produced(parts.project)[0]
    copy = folder / "incoming" / "cam1" / "2026-04-01" / "080000-9.jpg"
    copy.parent.mkdir(parents=True)
    shutil.copyfile(parts.project.store / first.path, copy)
    assert take_in(parts) == IngestReport(known=43)
    assert len(produced(parts.project)) == 42


def test_the_same_content_twice_in_one_batch_is_stored_once(parts: FakeParts) -> None:
    data = picture(seed=77)
    report = take_in(parts, RULES, Capture("a", data=data), Capture("b", data=data))
    assert report == IngestReport(stored=1, known=1)
    assert [row.source_key for row in produced(parts.project)] == ["a"]


def test_what_cannot_be_used_is_set_aside_with_its_reason_and_stops_nothing(
    parts: FakeParts, folder: Path
) -> None:
    incoming = folder / "incoming" / "cam0"
    whole = picture(seed=500)
    big = io.BytesIO()
    Pil.fromarray(np.zeros((300, 300, 3), np.uint8)).save(big, "PNG")
    damaged = {
        "a-truncated.jpg": (whole[: len(whole) // 2], "truncated", "expected a whole JPEG"),
        "b-corrupt.jpg": (b"\xff\xd8\xff" + bytes(200), "corrupt", "expected a sound JPEG"),
        "c-oversized.png": (big.getvalue(), "oversized", "expected at most 80,000 pixels, got 300x300"),
        "d-heavy.jpg": (whole + bytes(20_000), "oversized", "at most 20000 bytes, got"),
        "e-text.jpg": (b"hello", "not_an_image", "expected an image, got a file that begins with b'hello'"),
        "f-empty.jpg": (b"", "empty", "got a file of 0 bytes"),
        "g-moving.gif": (b"GIF89a" + bytes(50), "unsupported", "got a GIF; convert it"),
    }
    for name, (data, _, _) in damaged.items():
        (incoming / name).write_bytes(data)
    rules = IngestRules(80_000, 20_000, 0.25)
    report = take_in(parts, rules)
    assert report.stored == 42
    assert report.rejected == {
        "truncated": 1,
        "corrupt": 1,
        "oversized": 2,
        "not_an_image": 1,
        "empty": 1,
        "unsupported": 1,
    }
    told = reasons(parts.project)
    for name, (_, code, said) in damaged.items():
        assert told[f"cam0/{name}"][0] == code
        assert said in told[f"cam0/{name}"][1]
    with read(parts.project.engine) as session:
        assert sum(reject_counts(session).values()) == 7
    again = take_in(parts, rules)
    assert (again.stored, again.rejected.total()) == (0, 0)


def test_a_picture_of_16_bits_is_stored_with_8_and_told(parts: FakeParts, folder: Path) -> None:
    deep = np.linspace(0, 4095, 32 * 24).astype(np.uint16).reshape(24, 32)
    (folder / "incoming" / "deep.png").write_bytes(cv2.imencode(".png", deep)[1].tobytes())
    report = take_in(parts)
    assert (report.stored, report.stretched) == (43, 1)
    assert "1 of them had 16 bits and was stretched to 8, darkest to brightest" in report.lines()
    (row,) = (row for row in produced(parts.project) if row.source_key == "deep.png")
    pixels = cv2.imread(str(parts.project.store / row.path))
    assert (int(pixels.min()), int(pixels.max())) == (0, 255)
    assert take_in(parts) == IngestReport(known=43)


def test_a_time_that_cannot_be_counts_as_unknown_and_is_told_by_camera(parts: FakeParts) -> None:
    now = datetime.now(UTC)
    times = (datetime(1970, 1, 1, tzinfo=UTC), now + timedelta(days=30), now - timedelta(hours=1), None)
    items = [
        Capture(f"{n}.jpg", data=picture(seed=600 + n), camera="gate", captured_at=time)
        for n, time in enumerate(times)
    ]
    report = take_in(parts, RULES, *items)
    assert report.wrong_times == {"gate": 2}
    assert any(line.startswith("camera gate: 2 frames show a time before 2002") for line in report.lines())
    rows = {row.source_key: row for row in produced(parts.project)}
    assert [rows[f"{n}.jpg"].captured_at is None for n in range(4)] == [True, True, False, True]
    assert rows["0.jpg"].group_key == "gate|undated-1"
    assert take_in(parts, RULES, *items).wrong_times == {}


def test_a_file_that_was_mended_is_taken(parts: FakeParts, folder: Path) -> None:
    path, whole = folder / "incoming" / "late.jpg", picture(seed=501)
    path.write_bytes(whole[:300])
    assert take_in(parts).rejected == {"truncated": 1}
    path.write_bytes(whole[:400])
    assert take_in(parts).rejected == {"truncated": 1}
    assert aside(parts.project) == {"truncated": 1}
    path.write_bytes(whole)
    assert take_in(parts).stored == 1
    assert aside(parts.project) == {}


def test_a_mended_file_whose_content_is_known_counts_no_longer(parts: FakeParts, folder: Path) -> None:
    whole = picture(seed=503)
    for name, data in (("first.jpg", whole), ("second.jpg", whole[:300])):
        (folder / "incoming" / name).write_bytes(data)
    assert take_in(parts).rejected == {"truncated": 1}
    (folder / "incoming" / "second.jpg").write_bytes(whole)
    assert take_in(parts).stored == 0
    assert aside(parts.project) == {}


def test_refused_links_and_bad_sidecars_are_set_aside_with_their_reason(
    parts: FakeParts, folder: Path
) -> None:
    incoming = folder / "incoming"
    (folder / "nas").mkdir()
    (folder / "nas" / "far.jpg").write_bytes(picture(seed=504))
    (incoming / "linked.jpg").symlink_to(folder / "nas" / "far.jpg")
    (incoming / "zz.jpg").write_bytes(picture(seed=505))
    (incoming / "zz.json").write_text("{")
    assert take_in(parts).rejected == {"refused_link": 1, "bad_sidecar": 1}
    assert aside(parts.project) == {"refused_link": 1, "bad_sidecar": 1}
    told = reasons(parts.project)
    assert told["linked.jpg"][1].startswith("expected a link to a file below ")
    assert told["zz.jpg"][1].startswith("its JSON sidecar is left out: expected a JSON sidecar, got: ")
    assert take_in(parts).rejected == {}
    (incoming / "linked.jpg").unlink()
    (incoming / "linked.jpg").write_bytes(picture(seed=506))
    assert take_in(parts).stored == 1
    assert aside(parts.project) == {"bad_sidecar": 1}


def test_a_folder_of_nothing_but_links_says_so(parts: FakeParts, folder: Path) -> None:
    nas, links = folder / "nas", folder / "links"
    links.mkdir()
    for path in write_frames(nas, bright=3, dark=0):
        (links / path.name).symlink_to(path)
    project = parts.project
    source = FolderSource(links, settle_s=0)
    report = one_pass(project.engine, project.store, source, RULES, quiet)
    assert report.lines() == ["0 new frames, 0 known already, set aside: 3 refused_link"]
    assert one_pass(project.engine, project.store, source, RULES, quiet) == IngestReport()


@pytest.mark.parametrize("chunk", [1, 2, 64])
def test_what_was_refused_beside_a_frame_stays_on_record_when_the_frame_is_stored(
    parts: FakeParts, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(ingestion, "CHUNK", chunk)
    items = (
        Capture("a", data=picture(seed=1)),
        Refused("a", "bad_sidecar", "no JSON"),
        Refused("a", "bad_sidecar", "no CSV"),
        Unsettled("b"),
        Capture("c", data=picture(seed=2)),
    )
    report = take_in(parts, RULES, *items)
    assert report == IngestReport(stored=2, rejected=Counter(bad_sidecar=2), unsettled=1)
    assert aside(parts.project) == {"bad_sidecar": 2}


def test_what_is_refused_at_every_scan_is_written_once(parts: FakeParts) -> None:
    refused = [Refused(f"{n}.jpg", "refused_link", "it leaves the folder") for n in range(3)]
    assert take_in(parts, RULES, *refused[:2]).rejected == {"refused_link": 2}
    commits: list[object] = []
    event.listen(parts.project.engine, "commit", commits.append)
    assert take_in(parts, RULES, *refused[:2]) == IngestReport()
    assert not commits
    assert take_in(parts, RULES, *refused).rejected == {"refused_link": 1}
    assert aside(parts.project) == {"refused_link": 3}


def test_raised_limits_take_what_was_too_large(parts: FakeParts, folder: Path) -> None:
    tight, small = IngestRules(700, 50_000_000, 0.25), IngestRules(50_000_000, 500, 0.25)
    for rules in (tight, small):
        assert take_in(parts, rules).rejected["oversized"] > 0
        assert take_in(parts, rules).rejected.total() == 0
    assert take_in(parts).stored == 42


def test_what_was_too_large_is_not_read_again_at_every_scan(parts: FakeParts) -> None:
    tight = IngestRules(700, 50_000_000, 0.25)
    assert take_in(parts, tight).rejected["oversized"] > 0
    with patch.object(ingestion, "examined", side_effect=AssertionError("read again")):
        take_in(parts, tight)


@pytest.mark.parametrize("reason", [errno.EACCES, errno.EIO])
def test_a_file_that_cannot_be_read_now_is_tried_again(parts: FakeParts, reason: int) -> None:
    broken = OSError(reason, os.strerror(reason))
    with patch.object(Capture, "read", side_effect=broken):
        report = take_in(parts)
    assert report.rejected["unreadable"] == 42
    assert reasons(parts.project)["cam0/2026-03-02/080000-0.jpg"] == (
        "unreadable",
        f"expected a readable file, got {os.strerror(reason)}; check its permissions",
    )
    assert take_in(parts).stored == 42


def test_a_file_still_being_written_is_left_until_it_is_whole(parts: FakeParts, folder: Path) -> None:
    path, whole = folder / "incoming" / "growing.jpg", picture(seed=502)
    for settled in (folder / "incoming").rglob("*.jpg"):
        os.utime(settled, (1, 1))
    path.write_bytes(whole[:400])
    written = path.stat().st_mtime
    now = [written + 0.5]
    source = FolderSource(folder / "incoming", settle_s=2, clock=lambda: now[0])
    project = parts.project
    report = one_pass(project.engine, project.store, source, RULES, quiet)
    assert report.unsettled == 1
    assert report.lines()[1] == (
        "1 file is still being written and left for later; run `fieldloop ingest` again"
    )
    assert "growing.jpg" not in {row.source_key for row in produced(project)} | reasons(project).keys()
    path.write_bytes(whole)
    now[0] = path.stat().st_mtime + 3
    assert one_pass(project.engine, project.store, source, RULES, quiet).unsettled == 0
    assert "growing.jpg" in {row.source_key for row in produced(project)}
    assert not reasons(project)


def test_a_file_that_vanishes_between_scan_and_reading_is_no_failure(parts: FakeParts, folder: Path) -> None:
    gone = Capture("gone.jpg", folder / "gone.jpg")
    assert take_in(parts, RULES, gone, Capture("here", data=picture(seed=5))) == IngestReport(stored=1)
    assert not reasons(parts.project)
    (folder / "gone.jpg").write_bytes(picture(seed=6))
    assert take_in(parts, RULES, gone).stored == 1


def test_a_full_disk_loses_nothing_and_the_next_run_goes_on(
    parts: FakeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingestion, "CHUNK", 8)
    room = [20]

    def until_full(source: Path, target: Path) -> None:
        room[0] -= 1
        if room[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        move_durably(source, target)

    monkeypatch.setattr(files, "move_durably", until_full)
    with pytest.raises(OSError, match="No space left on device"):
        take_in(parts)
    rows = produced(parts.project)
    assert len(rows) == 16
    assert all((parts.project.store / row.path).is_file() for row in rows)
    assert not reasons(parts.project)
    room[0] = 1000
    report = take_in(parts)
    assert (report.stored, report.known) == (26, 16)
    stored = [path for path in (parts.project.store / "frames").rglob("*") if path.is_file()]
    assert len(stored) == 42 + 32
    assert not [path for path in stored if path.suffix == ".part"]


def test_a_camera_day_keeps_its_role_whatever_comes_later(parts: FakeParts, folder: Path) -> None:
    take_in(parts)
    before = {row.group_key: row.role for row in produced(parts.project)}
    assert set(before.values()) == {Role.POOL, Role.EVALUATION}
    write_frames(folder / "incoming", bright=8, dark=0, first=100)
    take_in(parts, IngestRules(50_000_000, 50_000_000, 1.0))
    after = {row.group_key: row.role for row in produced(parts.project)}
    assert after == before
    assert all(evaluation_role(key, SECRET, 0.25) == role for key, role in before.items())


def test_roles_follow_the_key_alone() -> None:
    keys = [f"cam{n % 7}|2026-03-{n % 28 + 1:02}" for n in range(1000)]
    share = np.mean([evaluation_role(key, SECRET, 0.25) == Role.EVALUATION for key in keys])
    assert 0.15 < share < 0.35
    assert {evaluation_role(key, SECRET, 0.0) for key in keys} == {Role.POOL}
    assert {evaluation_role(key, SECRET, 1.0) for key in keys} == {Role.EVALUATION}
    assert any(evaluation_role(k, SECRET, 0.25) != evaluation_role(k, "another", 0.25) for k in keys)


def test_an_undated_frame_belongs_to_its_sequence_or_to_those_that_came_with_it(parts: FakeParts) -> None:
    named = Capture("a", data=picture(seed=1), camera="gate", sequence="walk 3")
    bare = Capture("b", data=picture(seed=2), camera="gate")
    take_in(parts, RULES, named, bare)
    assert [row.group_key for row in produced(parts.project)] == ["gate|walk 3", "gate|undated-1"]


def test_undated_frames_are_grouped_in_blocks_by_order_of_arrival(parts: FakeParts) -> None:
    captures = [
        Capture(f"{n:03}", data=picture(seed=n), camera="gate" if n % 3 else "door") for n in range(3 * BLOCK)
    ]
    half = len(captures) // 2 + 1
    take_in(parts, RULES, *captures[:half])
    before = {row.seq: row.group_key for row in produced(parts.project)}
    take_in(parts, RULES, *captures)
    rows = produced(parts.project)
    assert all(row.group_key == before.get(row.seq, row.group_key) for row in rows)
    sizes = Counter(row.group_key for row in rows)
    assert sizes == {"gate|undated-1": BLOCK, "gate|undated-2": BLOCK, "door|undated-1": BLOCK}
    gate = [row.group_key for row in rows if row.camera == "gate"]
    assert gate == sorted(gate)


def test_frames_that_were_grouped_before_there_were_blocks_stay_where_they_are() -> None:
    assert next_undated("gate", ("gate|undated", 7)) == "gate|undated-1"
    assert next_undated("gate", ("gate|undated-9", BLOCK - 1)) == "gate|undated-9"
    assert next_undated("gate", ("gate|undated-9", BLOCK)) == "gate|undated-10"


def test_two_processes_do_not_fill_a_block_twice(parts: FakeParts) -> None:
    project = parts.project
    captures = [Capture(f"{n:03}", data=picture(seed=n)) for n in range(3 * BLOCK)]

    def half(first: int) -> None:
        one_pass(project.engine, project.store, Given(*captures[first::2]), RULES, quiet)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(half, (0, 1)))
    sizes = Counter(row.group_key for row in produced(project))
    assert sizes == {f"unknown|undated-{n}": BLOCK for n in (1, 2, 3)}


def test_the_first_group_may_train_whatever_the_draw(parts: FakeParts) -> None:
    everything = IngestRules(50_000_000, 50_000_000, 1.0)
    captures = [Capture(f"{n:03}", data=picture(seed=n)) for n in range(2 * BLOCK)]
    take_in(parts, everything, *captures[:3])
    take_in(parts, everything, *captures)
    roles = {row.group_key: row.role for row in produced(parts.project)}
    assert roles == {"unknown|undated-1": Role.POOL, "unknown|undated-2": Role.EVALUATION}


def test_of_a_project_that_has_frames_already_the_oldest_group_counts_as_the_first(parts: FakeParts) -> None:
    take_in(parts)
    with write(parts.project.engine) as session:
        session.execute(delete(Fact).where(Fact.key == FIRST))
    later = Capture("z", data=picture(seed=800), camera="gate", sequence="walk")
    take_in(parts, IngestRules(50_000_000, 50_000_000, 1.0), later)
    assert produced(parts.project)[-1].role == Role.EVALUATION


def test_waiting_for_whole_files_counts_each_once(parts: FakeParts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingestion.time, "sleep", lambda seconds: None)
    files = [item for item in parts.source().captures() if isinstance(item, Capture)]
    waiting = iter([3, 1, 0])

    def scan(after: str | None = None) -> list[SourceItem]:
        left = next(waiting)
        return [*files[left:], *(Unsettled(each.key) for each in files[:left])]

    monkeypatch.setattr(parts.source(), "captures", scan)
    assert ingest(parts, quiet, until_whole=True) == IngestReport(stored=42)
    files += [Capture("zz1", data=b""), Capture("zz2", data=b"")]
    files.sort(key=lambda each: each.key, reverse=True)
    waiting = iter([2] * 10)
    report = ingest(parts, quiet, until_whole=True)
    assert (report.known, report.unsettled) == (42, 2)
    assert report.lines()[1].startswith("2 files are still being written and left for later; run")
