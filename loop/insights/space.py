"""The map of the embedding space for pages: its points, its regions, and the frames in a part of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from weakref import WeakKeyDictionary

import numpy as np
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from connectors.ports import Array, Purpose
from db.engine import read
from db.frame_columns import ORIGINS, boxes_view, frames_view, open_as_left, vectors_view
from db.frame_sets import task_frames
from db.frames import frames
from db.labels import labeled_ids
from db.slices import SliceRow, slices
from db.states import OPEN_TASKS, Origin, SliceKind
from loop.base.arrays import Bytes, Ints
from loop.base.errors import ConfigError
from loop.gaps.kept_map import SpaceMap, kept_map
from loop.insights.frame_facts import Known, known_producers
from loop.insights.frame_query import FrameQuery
from loop.insights.frames import frame_sets
from loop.insights.map_area import area_of, stamp_of
from loop.math.coverage.projection import sample_rows
from loop.project.project import Project
from loop.project.wiring import Parts

PRODUCTION, TRAINING, JUDGING, QUEUED, ERRORS = 1, 2, 4, 8, 16
LAYERS = {
    "production": (PRODUCTION, "origin=production"),
    "training": (TRAINING, "labeled=yes&role=pool"),
    "judging": (JUDGING, "labeled=yes&role=evaluation"),
    "queued": (QUEUED, "task=queued"),
    "errors": (ERRORS, "model_error=missed&model_error=false&model_error=class"),
}
"""The bit of each layer, and the set of frames that it shows; those on top come last."""
NO_CLASS = 255
STEPS = 65_535
DRAWN = 2000
CELLS = 8
MOST_REGIONS = 40
KEPT_S = 5.0
"""So long the points that were read last are taken as those of now."""
_keeping = threading.Lock()


@dataclass(frozen=True, eq=False)
class Points:
    """K frames on the map, ascending.

    frames: (K,) ids. plane: (K, 2) in 0..1.
    layer: (K,) uint8, bits of LAYERS. class_id: (K,) uint8 of the surest box, 255 for none.
    """

    frames: Ints
    plane: Array
    layer: Bytes
    class_id: Bytes

    def __len__(self) -> int:
        return len(self.frames)

    def body(self) -> bytes:
        """Four columns, 10 bytes a point, little-endian: uint32 id, uint16 x, uint16 y, uint8 layer, uint8
        class.
        """
        steps = np.clip(np.rint(self.plane * STEPS), 0, STEPS).astype("<u2")
        columns = (self.frames.astype("<u4"), steps[:, 0], steps[:, 1], self.layer, self.class_id)
        return b"".join(np.ascontiguousarray(column).tobytes() for column in columns)


_lately: WeakKeyDictionary[Engine, tuple[datetime, float, Points]] = WeakKeyDictionary()


@dataclass(frozen=True)
class RegionPlace:
    """A region on the map. x, y: the middle of its frames, in 0..1.

    known: whether any of its frames is on the map; x and y mean nothing where none is.
    """

    slice_id: int
    name: str
    frames: int
    known: bool
    x: float
    y: float


@dataclass(frozen=True)
class Cell:
    """A square of the map. area: as it stands in an address. x, y, size: in 0..1."""

    area: str
    frames: int
    x: float
    y: float
    size: float


@dataclass(frozen=True)
class MapView:
    """What stands beside the points.

    stamp: of the map, as it stands in an address.
    frames: all that the embedder has seen; points: those on the map; added: those placed since it was made.
    drawn: by layer, at most DRAWN points in all, in 0..1000.
    """

    made: datetime
    stamp: str
    frames: int
    points: int
    added: int
    counts: dict[str, int]
    classes: tuple[str, ...]
    regions: tuple[RegionPlace, ...]
    cells: tuple[Cell, ...]
    drawn: dict[str, tuple[tuple[int, int], ...]]


@dataclass(frozen=True)
class PointFrame:
    """What a point stands for."""

    seq: int
    content_hash: str
    file: str
    camera: str
    captured_at: datetime | None


def map_points(parts: Parts) -> Points | None:
    """Every point of the map; None where there is none yet."""
    known, found = _kept(parts)
    return None if found is None else _points(parts, known, found)


def map_view(parts: Parts) -> MapView | None:
    """None where there is no map yet."""
    project, (known, found) = parts.project, _kept(parts)
    if found is None:
        return None
    points, embedder = _points(parts, known, found), known.embedder
    with read(project.engine) as session:
        rows = slices(session, [SliceKind.REGION])
    stored = None if embedder is None else open_as_left(project.indexes, vectors_view(embedder))
    own = [row for row in rows if row.retired_at is None and row.definition.get("embedder") == embedder]
    return MapView(
        made=found.made,
        stamp=stamp_of(found.made),
        frames=len(points) if stored is None else len(stored),
        points=len(points),
        added=found.added,
        counts={name: int(((points.layer & bit) > 0).sum()) for name, (bit, _) in LAYERS.items()},
        classes=project.classes,
        regions=tuple(_regions(parts, own, found)),
        cells=tuple(_cells(found.plane, found.made)),
        drawn=_drawn(points),
    )


def _kept(parts: Parts) -> tuple[Known, SpaceMap | None]:
    with read(parts.project.engine) as session:
        known = known_producers(session, parts.project)
    return known, None if known.embedder is None else kept_map(parts.project, known.embedder)


def _points(parts: Parts, known: Known, found: SpaceMap) -> Points:
    """A page and the points that it asks for right after are told the same."""
    now = time.monotonic()
    with _keeping:
        kept = _lately.get(parts.project.engine)
    if kept is not None and kept[0] == found.made and now - kept[1] < KEPT_S and len(kept[2]) == len(found):
        return kept[2]
    points = _read_points(parts, known, found)
    with _keeping:
        _lately[parts.project.engine] = found.made, now, points
    return points


def _read_points(parts: Parts, known: Known, found: SpaceMap) -> Points:
    with read(parts.project.engine) as session:
        layer = _layers(parts.project, session, found)
    _mark(layer, found, _errors(parts), ERRORS)
    return Points(found.frames, found.plane, layer, _classes(parts.project, known.detector, found.frames))


def point_frame(project: Project, seq: int) -> PointFrame | None:
    """None for a frame that there is not."""
    with read(project.engine) as session:
        found = frames(session, seqs=[seq])
    if not found:
        return None
    [row] = found
    return PointFrame(row.seq, row.content_hash, row.source_key, row.camera, row.captured_at)


def _layers(project: Project, session: Session, found: SpaceMap) -> Bytes:
    layer = np.zeros(len(found), np.uint8)
    stored = open_as_left(project.indexes, frames_view())
    if stored is not None:
        production = stored["frame"][stored["origin"] == ORIGINS.index(Origin.PRODUCTION)]
        _mark(layer, found, production, PRODUCTION)
    _mark(layer, found, np.array(labeled_ids(session, Purpose.TRAIN), np.int64), TRAINING)
    _mark(layer, found, np.array(labeled_ids(session, Purpose.EVALUATION), np.int64), JUDGING)
    _mark(layer, found, task_frames(session, set(OPEN_TASKS)), QUEUED)
    return layer


def _errors(parts: Parts) -> Ints:
    """Labeled frames on which the deployed model errs; none before the first labels or model."""
    sets = frame_sets(parts)
    try:
        found = sets.find(FrameQuery.parse(LAYERS["errors"][1]))
    except ConfigError:
        return np.zeros(0, np.int64)
    return found.table.seq[found.mask]


def _mark(layer: Bytes, found: SpaceMap, seqs: Ints, bit: int) -> None:
    rows, known = found.rows(seqs)
    layer[rows[known]] |= bit


def _classes(project: Project, detector: int | None, seqs: Ints) -> Bytes:
    """(K,) the class of the surest box of each frame, which stands first."""
    stored = None if detector is None else open_as_left(project.indexes, boxes_view(detector))
    classes = np.full(len(seqs), NO_CLASS, np.uint8)
    if stored is None:
        return classes
    count = np.asarray(stored["count"], np.int64)
    boxed = np.flatnonzero(count)
    own = np.full(len(count), NO_CLASS, np.uint8)
    if len(boxed):
        first = (np.cumsum(count) - count)[boxed]
        own[boxed] = np.minimum(stored["class_id"][first], NO_CLASS - 1).astype(np.uint8)
    ids = stored.ids
    ordered = np.argsort(ids, kind="stable")
    place = np.minimum(np.searchsorted(ids, seqs, sorter=ordered), len(ids) - 1)
    rows = ordered[place]
    return np.where(ids[rows] == seqs, own[rows], NO_CLASS).astype(np.uint8)


def _regions(parts: Parts, rows: Sequence[SliceRow], found: SpaceMap) -> list[RegionPlace]:
    """The largest first; a region lies where the median of its frames does."""
    sets, places = frame_sets(parts), []
    for row in rows:
        shown = sets.find(FrameQuery(slice=(row.id,)))
        seqs = shown.table.seq[shown.mask]
        on_map, known = found.rows(seqs)
        if not len(seqs):
            continue
        middle = np.median(found.plane[on_map[known]], axis=0) if known.any() else np.zeros(2)
        x, y = (float(value) for value in middle)
        places.append(RegionPlace(row.id, row.name, len(seqs), bool(known.any()), x, y))
    return sorted(places, key=lambda place: (-place.frames, place.slice_id))[:MOST_REGIONS]


def _cells(plane: Array, made: datetime) -> list[Cell]:
    """Squares of the map with at least one frame."""
    place = np.minimum((plane * CELLS).astype(np.int64), CELLS - 1)
    counts = np.bincount(place[:, 1] * CELLS + place[:, 0], minlength=CELLS * CELLS)
    size = 1 / CELLS
    cells = []
    for number in np.flatnonzero(counts).tolist():
        y, x = divmod(number, CELLS)
        corners = np.array([[x, y], [x + 1, y], [x + 1, y + 1], [x, y + 1]]) * size
        cells.append(Cell(area_of(corners, made), int(counts[number]), x * size, y * size, size))
    return cells


def _drawn(points: Points) -> dict[str, tuple[tuple[int, int], ...]]:
    """Layers on top come last; a point that is in several is drawn in the last of them alone."""
    top = np.full(len(points), -1, np.int64)
    for number, (bit, _) in enumerate(LAYERS.values()):
        top[(points.layer & bit) > 0] = number
    parts = [np.flatnonzero(top == number) for number in range(len(LAYERS))]
    chosen: Sequence[Ints] = sample_rows(parts, [points.frames[rows] for rows in parts], DRAWN)
    steps = np.rint(points.plane * 1000).astype(int)
    return {
        name: tuple((x, y) for x, y in steps[rows].tolist())
        for name, rows in zip(LAYERS, chosen, strict=True)
    }
