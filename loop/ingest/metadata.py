"""What is known of frames, told after the fact: for production and for the training set."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy.orm import Session

from connectors.data_yaml import SUFFIXES
from connectors.errors import SourceError
from connectors.ports import Capture
from connectors.times import EARLIEST, plausible
from db.duplicates import forget_clusters
from db.engine import read, write
from db.frame_columns import forget, frames_view
from db.frames import FrameFacts, FrameRow, frames, group_exists, group_id, set_facts
from db.labels import labels
from db.states import Origin, Role
from loop.base.errors import ConfigError
from loop.base.wording import counted, either
from loop.ingest.camera_days import Groups
from loop.project.project import Project
from loop.project.wiring import Told, seconds_in_video, told_paths, told_rows
from loop.project.zones import note_zones
from loop.settings.settings import rules_of

SHOWN = 3


@dataclass(frozen=True)
class MetadataReport:
    """changed: frames of which more or something else is known now, by origin.
    same: frames of which the rows said nothing new.
    unread: rows that could not be used, with the reason.
    unmatched: files that the rows name and no frame came from.
    ambiguous: files whose name several frames end with.
    contradicted: files of which several rows say different things; none of them is taken.
    without_row: frames that no row names.
    """

    changed: dict[str, int]
    same: int
    unread: list[str]
    unmatched: list[str]
    ambiguous: list[str]
    without_row: int
    contradicted: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The report for people."""
        counts = ", ".join(f"{count} {origin}" for origin, count in sorted(self.changed.items())) or "no"
        said = [
            f"{counts} {either(sum(self.changed.values()), 'frame', 'frames')} changed, {self.same}"
            f" {either(self.same, 'was', 'were')} known so already, {self.without_row}"
            f" {either(self.without_row, 'has', 'have')} no row"
        ]
        for one, more, named in (
            ("row could not be read", "rows could not be read", self.unread),
            ("file is none of the frames", "files are none of the frames", self.unmatched),
            (
                "file may be several frames; give more of its path",
                "files may be several frames; give more of their path",
                self.ambiguous,
            ),
            (
                "file has rows that contradict each other; keep one of them",
                "files have rows that contradict each other; keep one of them",
                self.contradicted,
            ),
        ):
            if named:
                rest = ", ..." if len(named) > SHOWN else ""
                said.append(f"{counted(len(named), one, more)}: {', '.join(named[:SHOWN])}{rest}")
        if self.changed:
            said.append("next: fieldloop analyze, then gaps: what follows from these facts is made anew")
        return said


def import_metadata(project: Project, file: Path) -> MetadataReport:
    """Takes camera, site, sequence and time of frames from a table; what a row leaves empty stays.

    A frame is meant by its path, or the end of it. Rows of a video hold for all its frames; their time
    is that of the first frame, and holds for frames without one while the video is there. Frames move to
    the camera-day that they now belong to. A new one gets the side of the labeled frames in it; one
    that holds something to judge with is kept for that.
    Raises SourceError, ConfigError; nothing is changed then.
    """
    return _taken(project, list(told_rows(file, project.settings.frames)))


def import_paths(project: Project) -> MetadataReport:
    """Takes what frames.pattern reads from the paths of production frames that are in.

    Raises SourceError, ConfigError where there is no pattern, or one that fits no path; nothing is
    changed then.
    """
    settings = project.settings.frames
    if not settings.pattern:
        raise ConfigError("expected frames.pattern, got none; set it in the settings, then do this again")
    with read(project.engine) as session:
        keys = sorted({_path(row) for row in frames(session, origin=Origin.PRODUCTION)})
    rows = list(told_paths(keys, settings))
    if keys and not rows:
        raise ConfigError(
            f"frames.pattern: expected a pattern of paths such as {keys[0]!r}, got {settings.pattern!r},"
            f" which fits none of {len(keys)}; write it after these paths, * is any text in one name"
        )
    return _taken(project, rows)


def _taken(project: Project, rows: Sequence[Told]) -> MetadataReport:
    unread = [f"row {row.number}: {row.problem}" for row in rows if row.problem]
    now = datetime.now(UTC)
    seconds = _seconds_in_videos(project, rows, unread)
    with write(project.engine) as session:
        known = frames(session)
        found, unmatched, ambiguous, contradicted = _matched([row for row in rows if not row.problem], known)
        told = {
            row.seq: _merged(row, found[row.seq], now, unread, seconds) for row in known if row.seq in found
        }
        changes = [
            (row, told[row.seq])
            for row in known
            if row.seq in told and _facts(row) != _capture_facts(told[row.seq])
        ]
        set_facts(session, _regrouped(session, changes, project))
        cameras = {row.camera for row, _ in changes} | {str(new.camera) for _, new in changes}
        forget_clusters(session, cameras)
        for origin in Origin:
            dated = [
                new for row, new in changes if row.origin == origin and new.captured_at != row.captured_at
            ]
            note_zones(session, origin, dated, project.settings.frames.timezone)
    forget(project.indexes, frames_view())
    changed: dict[str, int] = defaultdict(int)
    for row, _ in changes:
        changed[row.origin] += 1
    return MetadataReport(
        dict(changed),
        len(told) - len(changes),
        unread,
        unmatched,
        ambiguous,
        len(known) - len(told) - len(contradicted),
        list(dict.fromkeys(contradicted.values())),
    )


def _matched(
    rows: Sequence[Told], known: Sequence[FrameRow]
) -> tuple[dict[int, Told], list[str], list[str], dict[int, str]]:
    """The row of each frame, files of no frame, files of several, and the file of each frame of which
    rows differ.
    """
    by_name: dict[str, list[tuple[FrameRow, str]]] = defaultdict(list)
    for frame in known:
        path = _path(frame)
        by_name[path.rsplit("/", 1)[-1]].append((frame, path))
    found: dict[int, Told] = {}
    contradicted: dict[int, str] = {}
    unmatched, ambiguous = [], []
    for row in rows:
        file = row.file.removeprefix("./")
        likely = by_name.get(file.rsplit("/", 1)[-1], [])
        same = [(frame, path) for frame, path in likely if path == file]
        meant = same or [(frame, path) for frame, path in likely if _ends_alike(path, file)]
        if not meant:
            unmatched.append(row.file)
        elif len({path for _, path in meant}) > 1:
            ambiguous.append(row.file)
        elif any(_said(found.get(frame.seq, row)) != _said(row) for frame, _ in meant):
            contradicted |= {frame.seq: row.file for frame, _ in meant}
        else:
            found |= {frame.seq: row for frame, _ in meant}
    kept = {seq: row for seq, row in found.items() if seq not in contradicted}
    return kept, unmatched, ambiguous, contradicted


def _said(row: Told) -> tuple[object, ...]:
    return row.camera, row.site, row.sequence, row.captured_at


def _path(frame: FrameRow) -> str:
    """The file of a frame: that of a video for its frames."""
    return _video_of(frame) or frame.source_key


def _ends_alike(path: str, file: str) -> bool:
    """Whether one of the two is the end of the other, by whole names."""
    return f"/{path}".endswith(f"/{file.lstrip('/')}") or f"/{file}".endswith(f"/{path.lstrip('/')}")


def _seconds_in_videos(project: Project, rows: Sequence[Told], unread: list[str]) -> dict[str, float]:
    """By the key of each frame of a video that has no time while a row tells when the video begins.

    unread: hears of rows whose time cannot be used.
    """
    dated = [row for row in rows if row.captured_at and not row.problem]
    of_videos = [row for row in dated if Path(row.file).suffix.lower() not in SUFFIXES]
    if not of_videos:
        return {}
    with read(project.engine) as session:
        known = [frame for frame in frames(session, origin=Origin.PRODUCTION) if _video_of(frame)]
    found, *_ = _matched(of_videos, known)
    timed = [frame for frame in known if frame.seq in found and frame.captured_at]
    timeless = [frame for frame in known if frame.seq in found and not frame.captured_at]
    for number in sorted({found[frame.seq].number for frame in timed}):
        unread.append(f"row {number}: the frames of this video have a time and keep it")
    seconds: dict[str, float] = {}
    for video in sorted({_video_of(frame) for frame in timeless}):
        row = next(found[frame.seq] for frame in timeless if _video_of(frame) == video)
        folder = Path(project.settings.frames.path or ".")
        try:
            within = seconds_in_video(folder / video)
        except SourceError as error:
            unread.append(f"row {row.number}: the times within the video are not known: {error}")
            continue
        seconds |= {f"{video}#{number:08d}": passed for number, passed in within.items()}
    return seconds


def _video_of(frame: FrameRow) -> str:
    """The key of the video that a frame is of, "" where it is of none."""
    found = re.fullmatch(r"(.*)#\d{8}", frame.source_key)
    return found[1] if found else ""


def _merged(
    frame: FrameRow, row: Told, now: datetime, unread: list[str], seconds: Mapping[str, float]
) -> Capture:
    """What is known of a frame once a row was heard. seconds: within videos, by key."""
    taken = row.captured_at
    if taken and _video_of(frame):
        passed = None if frame.captured_at else seconds.get(frame.source_key)
        taken = None if passed is None else taken + timedelta(seconds=passed)
    if taken is not None and not plausible(taken, now):
        unread.append(f"row {row.number}: a time before {EARLIEST:%Y} or in the future, {taken.isoformat()}")
        taken = None
    return Capture(
        frame.source_key,
        camera=row.camera or frame.camera,
        site=row.site or frame.site,
        sequence=row.sequence or frame.sequence,
        captured_at=taken or frame.captured_at,
        zone_assumed=row.zone_assumed and taken is not None,
    )


def _facts(row: FrameRow) -> tuple[object, ...]:
    return row.camera, row.site, row.sequence, row.captured_at


def _capture_facts(one: Capture) -> tuple[object, ...]:
    return one.camera, one.site, one.sequence, one.captured_at


def _regrouped(
    session: Session, changes: Sequence[tuple[FrameRow, Capture]], project: Project
) -> list[FrameFacts]:
    labeled = labels(session, (row.seq for row, _ in changes)).keys()
    groups = Groups(session, rules_of(project.settings).evaluation_share)
    production = [(row, new) for row, new in changes if row.origin == Origin.PRODUCTION and new.captured_at]
    _give_sides(session, groups, [(row, new) for row, new in production if row.seq in labeled])
    return [
        FrameFacts(
            row.seq,
            _group(session, groups, row, new),
            str(new.camera),
            str(new.site),
            new.sequence,
            new.captured_at,
        )
        for row, new in changes
    ]


def _give_sides(session: Session, groups: Groups, labeled: Iterable[tuple[FrameRow, Capture]]) -> None:
    """New camera-days get the side that labeled frames of them have: to judge, where any has that."""
    sides: dict[str, set[Role]] = defaultdict(set)
    for row, new in labeled:
        sides[groups.key(str(new.camera), new)].add(row.role)
    for key, roles in sides.items():
        if not group_exists(session, key):
            group_id(session, key, Role.EVALUATION if Role.EVALUATION in roles else Role.POOL)


def _group(session: Session, groups: Groups, row: FrameRow, new: Capture) -> int:
    if row.origin == Origin.IMPORTED:
        if new.sequence in (None, row.sequence):
            return row.group_id
        return group_id(session, f"imported:{row.split}:{new.sequence}", row.role)
    if new.captured_at is None and new.sequence is None and new.camera == row.camera:
        return row.group_id
    return groups.of(str(new.camera), new)
