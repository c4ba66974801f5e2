"""Ingest: from a source's captures to stored, de-duplicated frames; what cannot be used is set
aside with its reason.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from connectors.errors import ImageRejected
from connectors.images import content_hash, decode, inspect, stretched
from connectors.ports import Capture, Finished, FrameSource, Progress, Refused, SourceItem, Unsettled
from connectors.times import EARLIEST, plausible
from db.engine import read, write
from db.frames import (
    UNKNOWN,
    NewFrame,
    Seen,
    add_frame,
    add_reject,
    forget_rejects,
    known_hashes,
    known_rejects,
    record_seen,
)
from db.states import Origin
from loop.base.files import BATCH_BYTES, chunked_by_size, store_image
from loop.base.wording import counted, either
from loop.datasets.imported import SMALLEST_SIDE
from loop.ingest.camera_days import Groups
from loop.ingest.clocks import Clocks
from loop.ingest.known_files import KnownFiles, key_within, unchanged
from loop.project.wiring import NOTHING_GIVEN, Given, Parts
from loop.project.zones import note_zones
from loop.settings.settings import IngestRules, rules_of

CHUNK = 64
SETTLING_PASSES = 5


@dataclass
class IngestReport:
    """stored: new frames.
    known: content that was there already.
    rejected: files set aside, by code.

    unsettled: files that were left because they are still being written.
    stretched: of the new frames, those that had 16 bits and are stored with 8.
    wrong_times: new frames whose time cannot be, by camera.
    notes: what is in doubt, and what is to be done about frames without camera or time.
    """

    stored: int = 0
    known: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    unsettled: int = 0
    stretched: int = 0
    wrong_times: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The report for people."""
        aside = ", ".join(f"{count} {code}" for code, count in sorted(self.rejected.items())) or "none"
        head = f"{counted(self.stored, 'new frame')}, {self.known} known already, set aside: {aside}"
        are = either(self.unsettled, "is", "are")
        left = f"{counted(self.unsettled, 'file')} {are} still being written and left for later"
        were = either(self.stretched, "was", "were")
        deep = f"{self.stretched} of them had 16 bits and {were} stretched to 8, darkest to brightest"
        wrong = [
            f"camera {camera}: {counted(count, 'frame')} {either(count, 'shows', 'show')} a time before"
            f" {EARLIEST:%Y} or in the future, which counts as unknown; set its clock, and give their times"
            " with `fieldloop metadata import`"
            for camera, count in sorted(self.wrong_times.items())
        ]
        return [
            head,
            *([deep] if self.stretched else []),
            *wrong,
            *([f"{left}; run `fieldloop ingest` again"] if self.unsettled else []),
            *self.notes,
        ]

    def add(self, later: IngestReport) -> None:
        """Counts what a later pass over the same source brought; what it knew already was counted
        before.
        """
        self.stored += later.stored
        self.stretched += later.stretched
        self.wrong_times += later.wrong_times
        self.notes += later.notes
        self.rejected += later.rejected
        self.unsettled = later.unsettled


@dataclass(frozen=True)
class Accepted:
    """One whole image, ready to be stored."""

    capture: Capture
    sha256: str
    data: bytes
    suffix: str
    width: int
    height: int
    stretched: bool = False


@dataclass(frozen=True)
class Rejected:
    """What was offered as an image and cannot be used."""

    capture: Capture
    sha256: str
    code: str
    reason: str


def ingest(
    parts: Parts,
    progress: Progress,
    path: str | None = None,
    until_whole: bool = False,
    given: Given = NOTHING_GIVEN,
) -> IngestReport:
    """Takes in everything new from the source.

    until_whole: wait a little for files that are still being written.
    Raises SourceError, ConfigError.
    """
    project, rules = parts.project, rules_of(parts.project.settings)
    known = KnownFiles(project.engine, rules) if parts.watching else None
    source = parts.source(path, given, known)
    report = one_pass(project.engine, project.store, source, rules, progress)
    for _ in range(SETTLING_PASSES if until_whole else 0):
        if not report.unsettled:
            break
        progress(0, 0, f"waiting for {counted(report.unsettled, 'file')} still being written")
        time.sleep(project.settings.frames.settle_s)
        report.add(one_pass(project.engine, project.store, source, rules, progress))
    return report


def one_pass(
    engine: Engine, store: Path, source: FrameSource, rules: IngestRules, progress: Progress
) -> IngestReport:
    """Everything of `source` that is not in the database yet. Can be stopped and run again at any
    point.

    Files are written before their rows, so a stop in between leaves a file that the next run
    overwrites with the same bytes. Raises SourceError when the source itself cannot be read.
    """
    report, clocks = IngestReport(), Clocks(rules.timezone)
    for chunk in chunked_by_size(source.captures(), CHUNK, _bytes_of, BATCH_BYTES):
        if captures := [item for item in chunk if isinstance(item, Capture)]:
            _ingest_chunk(engine, store, captures, rules, report, clocks)
        if refused := [item for item in chunk if isinstance(item, Refused)]:
            _record_refused(engine, refused, report)
        report.unsettled += sum(isinstance(item, Unsettled) for item in chunk)
        if finished := [item for item in chunk if isinstance(item, Finished)]:
            _record_finished(engine, finished)
        progress(report.stored + report.known + report.rejected.total(), 0, "frames")
    report.notes = clocks.lines()
    return report


def _ingest_chunk(
    engine: Engine,
    store: Path,
    chunk: Sequence[Capture],
    rules: IngestRules,
    report: IngestReport,
    clocks: Clocks,
) -> None:
    sightings = {capture.key: seen for capture in chunk if (seen := _sighting(capture))}
    same = unchanged(engine, sightings.values(), rules)
    report.known += len(same)
    results = [result for capture in chunk if capture.key not in same if (result := examined(capture, rules))]
    with read(engine) as session:
        known = known_hashes(session, [result.sha256 for result in results])
    paths = {
        result.sha256: store_image(store, result.sha256, result.suffix, result.data)
        for result in results
        if isinstance(result, Accepted) and result.sha256 not in known
    }
    results = [_with_time_that_can_be(result, report, paths) for result in results]
    with write(engine) as session:
        groups = Groups(session, rules.evaluation_share)
        for result in results:
            _record(session, result, paths, groups, report)
        accepted = [one.capture for one in results if isinstance(one, Accepted) and one.sha256 in paths]
        for capture in accepted:
            clocks.see(capture)
        note_zones(session, Origin.PRODUCTION, accepted, rules.timezone)
        record_seen(session, [seen for result in results if (seen := _to_remember(result, sightings, rules))])


def _with_time_that_can_be(
    result: Accepted | Rejected, report: IngestReport, stored: Mapping[str, str]
) -> Accepted | Rejected:
    """A time that no camera can have shown counts as unknown, and is told by camera."""
    capture = result.capture
    if capture.captured_at is None or plausible(capture.captured_at, datetime.now(UTC)):
        return result
    if isinstance(result, Accepted) and result.sha256 in stored:
        report.wrong_times[capture.camera or UNKNOWN] += 1
    return replace(result, capture=replace(capture, captured_at=None))


def _to_remember(
    result: Accepted | Rejected, sightings: Mapping[str, Seen], rules: IngestRules
) -> Seen | None:
    """None for what the file's time and size will not tell: permissions may be mended without
    changing either.
    """
    seen = sightings.get(result.capture.key)
    code = result.code if isinstance(result, Rejected) else ""
    if seen is None or code == "unreadable":
        return None
    key = key_within(rules, seen.source_key) if code == "oversized" else seen.source_key
    return replace(seen, source_key=key, content_hash=result.sha256)


def _record(
    session: Session,
    result: Accepted | Rejected,
    paths: Mapping[str, str],
    groups: Groups,
    report: IngestReport,
) -> None:
    capture = result.capture
    forget_rejects(session, capture.key, result.sha256 if isinstance(result, Rejected) else None)
    if isinstance(result, Rejected):
        if add_reject(session, capture.key, result.sha256, result.code, result.reason):
            report.rejected[result.code] += 1
        return
    stored = None
    if result.sha256 in paths:
        camera = capture.camera or UNKNOWN
        frame = NewFrame(
            content_hash=result.sha256,
            path=paths[result.sha256],
            origin=Origin.PRODUCTION,
            group_id=groups.of(camera, capture),
            camera=camera,
            site=capture.site or UNKNOWN,
            sequence=capture.sequence,
            captured_at=capture.captured_at,
            width=result.width,
            height=result.height,
            bytes=len(result.data),
            source_key=capture.key,
        )
        stored = add_frame(session, frame)
    report.stored += stored is not None
    report.stretched += stored is not None and result.stretched
    report.known += stored is None


def _record_refused(engine: Engine, refused: Sequence[Refused], report: IngestReport) -> None:
    """What is on record already costs a look, so that a watched folder's refusals block nobody."""
    by_row = {(item.key, content_hash(item.reason.encode())): item for item in refused}
    with read(engine) as session:
        new = by_row.keys() - known_rejects(session, by_row)
    if not new:
        return
    with write(engine) as session:
        for (key, sha256), item in by_row.items():
            if (key, sha256) in new and add_reject(session, key, sha256, item.code, item.reason):
                report.rejected[item.code] += 1


def _record_finished(engine: Engine, finished: Sequence[Finished]) -> None:
    """Last, so that a video whose frames could not all be stored is read again."""
    with write(engine) as session:
        for item in finished:
            if item.whole:
                forget_rejects(session, item.key)
        record_seen(session, [Seen(item.key, item.size, item.mtime_ns) for item in finished])


def _bytes_of(item: SourceItem) -> int:
    if not isinstance(item, Capture):
        return 0
    if item.data is not None:
        return len(item.data)
    sighting = _sighting(item)
    return sighting.size if sighting else 0


def _sighting(capture: Capture) -> Seen | None:
    if capture.path is None:
        return None
    try:
        stat = capture.path.stat()
    except OSError:
        return None
    return Seen(capture.key, stat.st_size, stat.st_mtime_ns)


def examined(capture: Capture, rules: IngestRules) -> Accepted | Rejected | None:
    """A capture, read and decoded as a whole.

    None when its file went away between the scan and now: it is no frame, and no failure either.
    """
    sha256 = ""
    try:
        _check_size(capture, rules.max_bytes)
        data = capture.read()
        sha256 = content_hash(data)
        info = inspect(data, max_pixels=rules.max_pixels, max_bytes=rules.max_bytes)
        _check_side(info.width, info.height)
        if deep := info.bits > 8:
            data = stretched(data)
            sha256, info = content_hash(data), inspect(data, rules.max_pixels, rules.max_bytes)
        decode(data, info)
    except FileNotFoundError:
        return None
    except OSError as error:
        why = f"expected a readable file, got {error.strerror}; check its permissions"
        return Rejected(capture, sha256, "unreadable", why)
    except ImageRejected as rejection:
        return Rejected(capture, sha256, rejection.code, str(rejection))
    return Accepted(capture, sha256, data, info.suffix, info.width, info.height, deep)


def _check_side(width: int, height: int) -> None:
    if min(width, height) < SMALLEST_SIDE:
        raise ImageRejected(
            "unsupported", f"expected at least {SMALLEST_SIDE} px a side, got {width}x{height}; leave it out"
        )


def _check_size(capture: Capture, max_bytes: int) -> None:
    size = capture.path.stat().st_size if capture.path else 0
    if size > max_bytes:
        raise ImageRejected(
            "oversized",
            f"expected at most {max_bytes} bytes, got {size}; raise frames.max_bytes to accept it",
        )
