"""The rows of an amplified project, chunk by chunk, straight into the tables."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from benchmarks.scale import verbs
from benchmarks.scale.models import FORWARD_MS, FRAME, Boxes, measurements, plain_picture
from benchmarks.scale.world import SITES, Bursts, Ints, vectors
from db.analysis import await_clusters
from db.sql import table_of
from db.states import Origin, Role
from db.tables import Base, Detection, Embedding, Frame, Group, Measurement, Sighting

FIRST_DAY = datetime(2025, 11, 1, tzinfo=UTC)
PICTURES = 16
"""So many pictures stand for all frames that nobody labels."""
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Makers:
    """Ids of the producers."""

    embedder: int
    detector: int
    measure: int


@dataclass(frozen=True, eq=False)
class Part:
    """Bursts whose frames are written together. first: seq of the first frame. seed: of vectors and
    boxes.
    """

    bursts: Bursts
    first: int
    seed: int

    def __len__(self) -> int:
        return int(self.bursts.length.sum())

    @property
    def seqs(self) -> range:
        return range(self.first, self.first + len(self))


def parts_of(bursts: Bursts, first: int, seed: int, most: int) -> Iterator[Part]:
    """At most about `most` frames at a time, whole bursts."""
    ends = np.cumsum(bursts.length)
    start = 0
    while start < len(bursts):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + most, side="right")))
        yield Part(bursts.part(slice(start, stop)), first + before, seed * 1_000_000 + start)
        start = stop


class Groups:
    """The groups of production frames: camera-days with the role that the product's keyed hash
    gives.
    """

    def __init__(self, session: Session, secret: str, share: float) -> None:
        self._secret, self._share = secret, share
        found = session.execute(select(Group.key, Group.id, Group.role)).all()
        self._ids = {row.key: row.id for row in found}
        self.roles = {row.id: Role(row.role) for row in found}

    def of(self, session: Session, keys: Sequence[str]) -> list[int]:
        """The id of each key's group; new ones are written, and the first of all may train."""
        for key in dict.fromkeys(keys):
            if key not in self._ids:
                role = verbs.role_of(key, self._secret, self._share) if self._ids else Role.POOL
                self._ids[key] = group_row(session, key, role)
                self.roles[self._ids[key]] = role
        return [self._ids[key] for key in keys]


def group_row(session: Session, key: str, role: Role) -> int:
    """The id of a new group."""
    made = insert(table_of(Group)).values(key=key, role=role, first_seen=FIRST_DAY)
    return session.execute(made.returning(Group.id)).scalar_one()


def write_frames(session: Session, frames: Rows, makers: Makers | None) -> None:
    """Frames, and that these files were read; without makers they are yet to be analyzed."""
    marks = (makers.embedder, makers.detector, makers.measure) if makers else (0, 0, 0)
    names = ("embedded_by", "detected_by", "measured_by")
    put(session, Frame, [row | dict(zip(names, marks, strict=True)) for row in frames])
    put(session, Sighting, [_sighting(row) for row in frames])


def write_facts(session: Session, part: Part, boxes: Boxes, makers: Makers) -> None:
    """What the producers say of the frames. boxes: theirs."""
    seqs = list(part.seqs)
    put(session, Embedding, list(_embeddings(part, seqs, makers.embedder)))
    await_clusters(session, makers.embedder, seqs)
    put(session, Detection, list(_detections(boxes, seqs, makers.detector)))
    put(session, Measurement, list(_measurements(part, seqs, makers.measure)))


def put(session: Session, entity: type[Base], rows: Rows) -> None:
    """Inserts the rows."""
    if rows:
        session.execute(insert(table_of(entity)), rows)


def frame_rows(part: Part, origin: Origin, group_ids: Sequence[int], placed: Sequence[bool]) -> Rows:
    """Rows of `frames` without the markers. placed: (N,) whether camera and time of the frame are
    known.
    """
    own = part.bursts.frames()
    cameras = part.bursts.camera[own]
    when = times(part.bursts)
    return [
        {
            "seq": seq,
            "content_hash": fake_hash(origin, seq),
            "path": shared_picture(seq),
            "origin": origin,
            "split": None,
            "group_id": group_ids[place],
            "camera": camera_name(int(cameras[place])) if placed[place] else "unknown",
            "site": f"site-{cameras[place] % SITES}" if placed[place] else "unknown",
            "sequence": None,
            "captured_at": when[place] if placed[place] else None,
            "width": FRAME[0],
            "height": FRAME[1],
            "bytes": 250_000,
            "source_key": f"{origin}/{camera_name(int(cameras[place]))}/{seq}.jpg",
            "ingested_at": when[place],
        }
        for place, seq in enumerate(part.seqs)
    ]


def times(bursts: Bursts) -> list[datetime]:
    """When each frame was captured."""
    return [FIRST_DAY + timedelta(seconds=second) for second in bursts.seconds().tolist()]


def production_keys(part: Part) -> list[str]:
    """The key of each frame's camera-day."""
    cameras = part.bursts.camera[part.bursts.frames()].tolist()
    pairs = zip(cameras, times(part.bursts), strict=True)
    return [verbs.group_of(camera_name(camera), when) for camera, when in pairs]


def camera_name(number: int) -> str:
    return f"camera-{number:02}"


def fake_hash(origin: Origin, seq: int) -> str:
    """The content hash of a frame that has no file of its own."""
    return hashlib.sha256(f"{origin} {seq}".encode()).hexdigest()


def shared_picture(seq: int) -> str:
    """The path of the picture that stands for a frame."""
    return f"frames/shared/{seq % PICTURES}.jpg"


def write_pictures(store: Path) -> None:
    """The pictures that stand for frames without a file of their own."""
    for number in range(PICTURES):
        target = store / shared_picture(number)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(plain_picture(number))


def own_picture(store: Path, data: bytes) -> dict[str, Any]:
    """Stores a frame's own file; the columns that change with it."""
    sha256 = hashlib.sha256(data).hexdigest()
    path = f"frames/{sha256[:2]}/{sha256}.jpg"
    (store / path).parent.mkdir(parents=True, exist_ok=True)
    (store / path).write_bytes(data)
    return {"content_hash": sha256, "path": path, "bytes": len(data)}


def _sighting(row: dict[str, Any]) -> dict[str, Any]:
    found = {"size": row["bytes"], "mtime_ns": 1_000_000_000 * row["seq"]}
    return {"source_key": row["source_key"], "content_hash": row["content_hash"], **found}


def _embeddings(part: Part, seqs: Sequence[int], producer: int) -> Iterator[dict[str, Any]]:
    packed = vectors(part.bursts, part.seed).astype("<f2")
    for place, seq in enumerate(seqs):
        yield {"frame": seq, "producer": producer, "vector": packed[place].tobytes()}


def _detections(boxes: Boxes, seqs: Sequence[int], producer: int) -> Iterator[dict[str, Any]]:
    packed = {
        "xyxy": boxes.xyxy.astype("<f4"),
        "confidence": boxes.confidence.astype("<f4"),
        "class_id": boxes.class_id.astype("<i2"),
        "class_scores": boxes.scores.astype("<f2"),
    }
    offset = boxes.offset.tolist()
    for place, seq in enumerate(seqs):
        rows = slice(offset[place], offset[place + 1])
        yield {
            "frame": seq,
            "producer": producer,
            "count": rows.stop - rows.start,
            **{name: array[rows].tobytes() for name, array in packed.items()},
            "forward_ms": FORWARD_MS,
        }


def _measurements(part: Part, seqs: Sequence[int], producer: int) -> Iterator[dict[str, Any]]:
    found = measurements(part.bursts, part.seed)
    columns: list[Ints] = [np.round(values, 6).tolist() for values in found.values()]
    for seq, values in zip(seqs, zip(*columns, strict=True), strict=True):
        yield {"frame": seq, "producer": producer, "values": dict(zip(found, values, strict=True))}
