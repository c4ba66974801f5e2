"""Frames that come in while a project is measured: as rows that are yet to be analyzed, or as files
for ingest.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import func, select

from benchmarks.scale import verbs
from benchmarks.scale.history import SECRET
from benchmarks.scale.models import SMALL, FreeDetector, FreeEmbedder, boxes_of, picture_of
from benchmarks.scale.rows import (
    Groups,
    Part,
    camera_name,
    frame_rows,
    own_picture,
    production_keys,
    times,
    write_frames,
)
from benchmarks.scale.world import DAYS, PRODUCTION, Bursts, bursts, vectors
from connectors.ports import Box, Purpose
from db.engine import write
from db.labels import set_label
from db.states import Origin, Role
from db.tables import Frame, Group
from loop.project.project import Project

SEED = 99
A_DAY = 1000


def opened(folder: Path, late: int = 0) -> verbs.GivenParts:
    """The project with its models. late: so many frames that come in are known to them."""
    coming = late_bursts(max(late, 1))
    return verbs.GivenParts(folder, FreeEmbedder(vectors(coming, SEED)), FreeDetector(boxes_of(coming, SEED)))


def late_bursts(frames: int) -> Bursts:
    """Frames of the days after the last one."""
    return bursts(frames, PRODUCTION, SEED, first_day=DAYS, days=max(1, frames // A_DAY))


def label(project: Project, newest: int, most: int) -> int:
    """At most so many of the newest frames enter the training set, with a box each; how many did."""
    with write(project.engine) as session:
        frames = select(Frame.seq, Group.role).join(Group).order_by(Frame.seq.desc()).limit(newest)
        pool = [seq for seq, role in session.execute(frames) if role == Role.POOL][:most]
        for seq in pool:
            set_label(session, seq, [Box(project.classes[0], (1, 1, 9, 9))], Purpose.TRAIN, "annotation")
    return len(pool)


def add_rows(project: Project, pictures: Sequence[bytes], size: tuple[int, int] = SMALL) -> None:
    """Frames that were taken in and are yet to be analyzed. size: width and height of their
    pictures, px.
    """
    with write(project.engine) as session:
        newest = session.execute(select(func.max(Frame.seq))).scalar_one() or 0
        part = Part(late_bursts(len(pictures)), newest + 1, SEED)
        groups = Groups(session, SECRET, project.settings.evaluation.group_share)
        ids = groups.of(session, production_keys(part))
        rows = frame_rows(part, Origin.PRODUCTION, ids, [True] * len(pictures))
        own = [own_picture(project.store, data) for data in pictures]
        sides = dict(zip(("width", "height"), size, strict=True))
        write_frames(session, [row | kept | sides for row, kept in zip(rows, own, strict=True)], None)


def pictures_of(frames: int) -> list[bytes]:
    """The pictures of the first late frames."""
    return [picture_of(number) for number in range(frames)]


def drop_files(project: Project, frames: int, numbers: range) -> None:
    """Files as cameras write them into the watched folder. numbers: those of the late frames that
    come now.
    """
    coming = late_bursts(frames)
    cameras, when = coming.camera[coming.frames()].tolist(), times(coming)
    incoming = Path(project.settings.frames.path)
    for number in numbers:
        name = f"{when[number]:%Y-%m-%d}/{when[number]:%H%M%S}-{number}.jpg"
        file = incoming / camera_name(cameras[number]) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(picture_of(number))
