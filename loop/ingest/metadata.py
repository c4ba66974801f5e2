"""What is known of frames, told after the fact: for production and for the training set."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.orm import Session

from connectors.ports import Capture
from connectors.times import EARLIEST, plausible
from db.duplicates import forget_clusters
from db.engine import write
from db.frame_columns import forget, frames_view
from db.frames import FrameFacts, FrameRow, frames, group_exists, group_id, set_facts
from db.labels import labels
from db.states import Origin, Role
from loop.base.wording import counted, either
from loop.ingest.camera_days import Groups
from loop.project.project import Project
from loop.project.wiring import Told, told_rows
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
    without_row: frames that no row names.
    """

    changed: dict[str, int]
    same: int
    unread: list[str]
    unmatched: list[str]
    ambiguous: list[str]
    without_row: int

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
        ):
            if named:
                rest = ", ..." if len(named) > SHOWN else ""
                said.append(f"{counted(len(named), one, more)}: {', '.join(named[:SHOWN])}{rest}")
        if self.changed:
            said.append("next: fieldloop analyze, then gaps: what follows from these facts is made anew")
        return said


def import_metadata(project: Project, file: Path) -> MetadataReport:
    """Takes camera, site, sequence and time of frames from a table; what a row leaves empty stays.

    A frame is meant by the end of its path. Rows of a video hold for all its frames, but for their
    time. Frames move to the camera-day that they now belong to. A new one gets the side of the
    labeled frames in it; one that holds something to judge with is kept for that.
    Raises SourceError, ConfigError; nothing is changed then.
    """
    rows = list(told_rows(file, project.settings.frames))
    unread = [f"row {row.number}: {row.problem}" for row in rows if row.problem]
    now = datetime.now(UTC)
    with write(project.engine) as session:
        known = frames(session)
        found, unmatched, ambiguous = _matched([row for row in rows if not row.problem], known)
        told = {row.seq: _merged(row, found[row.seq], now, unread) for row in known if row.seq in found}
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
        dict(changed), len(told) - len(changes), unread, unmatched, ambiguous, len(known) - len(told)
    )


def _matched(rows: Sequence[Told], known: Sequence[FrameRow]) -> tuple[dict[int, Told], list[str], list[str]]:
    """The row of each frame, files of no frame, and files of several."""
    by_name: dict[str, list[tuple[FrameRow, str]]] = defaultdict(list)
    for frame in known:
        path = re.sub(r"#\d{8}$", "", frame.source_key)
        by_name[path.rsplit("/", 1)[-1]].append((frame, path))
    found: dict[int, Told] = {}
    unmatched, ambiguous = [], []
    for row in rows:
        file = row.file.removeprefix("./")
        likely = by_name.get(file.rsplit("/", 1)[-1], [])
        meant = [(frame, path) for frame, path in likely if _ends_alike(path, file)]
        if not meant:
            unmatched.append(row.file)
        elif len({path for _, path in meant}) > 1:
            ambiguous.append(row.file)
        else:
            found |= {frame.seq: row for frame, _ in meant}
    return found, unmatched, ambiguous


def _ends_alike(path: str, file: str) -> bool:
    """Whether one of the two is the end of the other, by whole names."""
    return f"/{path}".endswith(f"/{file.lstrip('/')}") or f"/{file}".endswith(f"/{path.lstrip('/')}")


def _merged(frame: FrameRow, row: Told, now: datetime, unread: list[str]) -> Capture:
    """What is known of a frame once a row was heard."""
    taken = row.captured_at if "#" not in frame.source_key else None
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
