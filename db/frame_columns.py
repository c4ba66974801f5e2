"""Views of the database as columns: frames, and what each producer found in them.

Each is brought up to date when it is opened. What came in since is added; a view that does not
agree with the database is made anew. The database stays the only truth.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from db.columns import Column, Columns, forget_others, locked
from db.engine import read
from db.errors import StateError
from db.sql import AnySelect, in_chunks
from db.states import Origin, Role
from db.tables import Detection, Embedding, Frame, Group, Measurement

Ids = NDArray[np.int64]
Progress = Callable[[int, int, str], None]
Packed = tuple[dict[str, NDArray[Any]], dict[str, Column], dict[str, Any]]
"""Arrays, what they are, and notes."""

CHUNK = 16_384
SAMPLE = 64
"""So many rows, and as many of the newest, are compared with the database at every opening. The
newest are those that a database restored from a backup lacks.
"""
LAYOUT = 1
"""Changes whenever the files of a view would."""
ORIGINS = tuple(Origin)
ROLES = tuple(Role)
FRAME = {"frame": Column("<i8")}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class View:
    """name: of its folder.
    rows: of the database, by `frame`.
    pack: arrays of some of them.
    """

    name: str
    rows: AnySelect
    frame: Any
    pack: Callable[[Sequence[Any], Mapping[str, Any]], Packed]


def frames_view() -> View:
    """Columns group, camera, site, sequence, captured_at, origin and role of every frame.

    camera, site, sequence: codes of the names in `notes`; -1 is no sequence.
    captured_at: seconds since 1970, NaN for unknown.
    origin, role: indexes of ORIGINS and ROLES.
    """
    columns = (Frame.seq, Frame.group_id, Frame.camera, Frame.site, Frame.sequence, Frame.captured_at)
    rows = select(*columns, Frame.origin, Group.role).join(Group, Group.id == Frame.group_id)
    return View("frames", rows, Frame.seq, _pack_frames())


def vectors_view(producer: int) -> View:
    """Column vector, (N, D) float16 of unit norm."""
    rows = select(Embedding.frame, Embedding.vector).where(Embedding.producer == producer)
    return View(f"vectors-{producer}", rows, Embedding.frame, _pack_vectors)


def boxes_view(producer: int) -> View:
    """Columns count by frame; confidence, class_id and, where they are known, class_scores by box.

    scored: whether the scores of a frame's boxes are known.
    """
    table = Detection
    columns = (table.frame, table.count.label("count_"), table.confidence, table.class_id, table.class_scores)
    return View(
        f"boxes-{producer}", select(*columns).where(table.producer == producer), table.frame, _pack_boxes
    )


def corners_view(producer: int) -> View:
    """Where the boxes of each frame lie: columns count, width and height (px) by frame; xyxy (4,) px,
    confidence and class_id by box.
    """
    table = Detection
    sides = (
        select(side).where(Frame.seq == table.frame).scalar_subquery().label(name)
        for name, side in (("width", Frame.width), ("height", Frame.height))
    )
    columns = (table.frame, table.count.label("count_"), table.xyxy, table.confidence, table.class_id, *sides)
    return View(
        f"corners-{producer}", select(*columns).where(table.producer == producer), table.frame, _pack_corners
    )


def measures_view(producer: int) -> View:
    """One column per measurement, NaN where it is not known; `notes["names"]` names them in order."""
    rows = select(Measurement.frame, Measurement.values.label("measured"))
    return View(
        f"measures-{producer}",
        rows.where(Measurement.producer == producer),
        Measurement.frame,
        _pack_measures,
    )


def synced(engine: Engine, folder: Path, view: View, progress: Progress | None = None) -> Columns:
    """The columns of a view as the database has them now.

    folder: that holds all views of a project.

    Raises OSError when there is no room to write.
    """
    place = folder / view.name
    with locked(place), read(engine) as session:
        found = Columns(place, f"{view.name} {LAYOUT}")
        total = _count(session, view)
        if len(found) > total or not _agrees(session, view, found):
            _forget(found)
        _follow(session, view, found, progress, total)
        if len(found) != total:  # it has rows that the database lost
            _forget(found)
            _follow(session, view, found, progress, total)
    forget_others(place)
    return found


def open_as_left(folder: Path, view: View) -> Columns | None:
    """The columns of a view as they were left, without a look at the database; None where there are
    none.
    """
    place = folder / view.name
    with locked(place):
        found = Columns(place, f"{view.name} {LAYOUT}")
    return found if len(found) else None


def forget(folder: Path, view: View) -> None:
    """The columns of a view are made anew when they are opened next, for rows of it were changed."""
    place = folder / view.name
    with locked(place):
        Columns(place, f"{view.name} {LAYOUT}").clear()


def _forget(found: Columns) -> None:
    log.warning("%s is made anew: it does not agree with the database", found.folder)
    found.clear()


def _follow(session: Session, view: View, found: Columns, progress: Progress | None, total: int) -> None:
    if len(found) < total:
        last = int(np.max(found["frame"], initial=-1)) if len(found) else -1
        _add(found, view, _after(session, view, last), progress, total)
    if len(found) < total:
        _add(found, view, _missing(session, view, found), progress, total)


def _count(session: Session, view: View) -> int:
    counted = view.rows.with_only_columns(func.count(), maintain_column_froms=True)
    return int(session.execute(counted).scalar_one())


def _agrees(session: Session, view: View, found: Columns) -> bool:
    """Whether some rows are what the database has."""
    if not len(found):
        return True
    newest = np.arange(max(len(found) - SAMPLE, 0), len(found))
    places = np.union1d(np.random.default_rng().integers(0, len(found), SAMPLE), newest)
    held = found["frame"][places]
    order = np.argsort(held)
    rows = session.execute(view.rows.where(view.frame.in_(held.tolist())).order_by(view.frame)).all()
    if [row[0] for row in rows] != held[order].tolist():
        return False
    try:
        parts, columns, _ = view.pack(rows, found.notes)
    except StateError:
        return False
    own = {"frame": places[order], "box": _boxes_of(found, places[order])}
    return all(
        name in found
        and np.array_equal(found[name][own[columns[name].axis]], part.astype(columns[name].dtype), True)
        for name, part in parts.items()
    )


def _boxes_of(found: Columns, places: Ids) -> Ids:
    """Rows of the boxes of these frames, one frame after another."""
    if "count" not in found:
        return np.zeros(0, np.int64)
    ends = np.cumsum(found["count"], dtype=np.int64)
    starts = ends - found["count"]
    return np.concatenate([np.arange(starts[place], ends[place]) for place in places.tolist()])


def _after(session: Session, view: View, last: int) -> Iterator[Sequence[Any]]:
    ordered = view.rows.order_by(view.frame).limit(CHUNK)
    while rows := session.execute(ordered.where(view.frame > last)).all():
        yield rows
        last = rows[-1][0]


def _missing(session: Session, view: View, found: Columns) -> Iterator[Sequence[Any]]:
    """Rows that came in late, with a lower id than others that are there."""
    ids = np.fromiter(session.execute(view.rows.with_only_columns(view.frame)).scalars(), np.int64)
    for chunk in in_chunks(np.setdiff1d(ids, found["frame"]).tolist()):
        yield session.execute(view.rows.where(view.frame.in_(chunk)).order_by(view.frame)).all()


def _add(
    found: Columns, view: View, chunks: Iterator[Sequence[Any]], progress: Progress | None, total: int
) -> None:
    for rows in chunks:
        parts, columns, notes = view.pack(rows, found.notes)
        found.append(parts, columns, notes)
        if progress is not None and total > CHUNK:
            progress(len(found), total, f"rows of {view.name.partition('-')[0]}")


def _ids(rows: Sequence[Any]) -> Ids:
    return np.array([row[0] for row in rows], np.int64)


def _pack_frames() -> Callable[[Sequence[Any], Mapping[str, Any]], Packed]:
    codes: dict[str, dict[str, int]] = {}

    def coded(kind: str, values: Sequence[str | None], notes: Mapping[str, Any]) -> Ids:
        known = codes.get(kind)
        if known is None or len(known) != len(notes.get(kind, ())):
            known = codes[kind] = {name: code for code, name in enumerate(notes.get(kind, ()))}
        return np.array([-1 if v is None else known.setdefault(v, len(known)) for v in values], np.int64)

    def pack(rows: Sequence[Any], notes: Mapping[str, Any]) -> Packed:
        seq, group, camera, site, sequence, captured, origin, role = zip(*rows, strict=True)
        names = {"camera": camera, "site": site, "sequence": sequence}
        parts = {kind: coded(kind, values, notes) for kind, values in names.items()}
        parts |= {"frame": np.array(seq), "group": np.array(group)}
        parts["origin"] = np.array([ORIGINS.index(Origin(each)) for each in origin], np.int64)
        parts["role"] = np.array([ROLES.index(Role(each)) for each in role], np.int64)
        seconds = np.array([when.timestamp() if when else np.nan for when in captured])
        return parts | {"captured_at": seconds}, FRAMES, {kind: list(codes[kind]) for kind in names}

    return pack


FRAMES = FRAME | {
    "group": Column("<i8"),
    "camera": Column("<i4"),
    "site": Column("<i4"),
    "sequence": Column("<i4"),
    "captured_at": Column("<f8"),
    "origin": Column("|i1"),
    "role": Column("|i1"),
}


def _pack_vectors(rows: Sequence[Any], notes: Mapping[str, Any]) -> Packed:
    ids = _ids(rows)
    length = notes.get("length", len(rows[0].vector))
    if {len(row.vector) for row in rows} != {length}:
        raise StateError(
            f"frames {ids[0]} to {ids[-1]}: vectors of one producer differ in length; embed again"
        )
    vectors = np.frombuffer(b"".join(row.vector for row in rows), "<f2").reshape(len(rows), -1)
    columns = FRAME | {"vector": Column("<f2", (vectors.shape[1],))}
    return {"frame": ids, "vector": vectors}, columns, {"length": length}


def _pack_boxes(rows: Sequence[Any], notes: Mapping[str, Any]) -> Packed:
    ids, counts = _ids(rows), np.array([row.count_ for row in rows], np.int64)
    for row in rows:
        if len(row.confidence) != 4 * row.count_ or len(row.class_id) != 2 * row.count_:
            got = len(row.confidence) // 4
            raise StateError(f"frame {row.frame}: expected {row.count_} boxes, got {got}; detect it again")
    scored = np.array([row.class_scores is not None for row in rows], np.int64)
    widths = {len(row.class_scores) // (2 * row.count_) for row in rows if row.count_ and row.class_scores}
    classes = max([notes.get("classes", 0), *widths])
    for row in rows:
        if row.class_scores and len(row.class_scores) != 2 * row.count_ * classes:
            raise StateError(
                f"frame {row.frame}: expected scores of {classes} classes for each of {row.count_} boxes;"
                " detect it again"
            )
    parts = {
        "frame": ids,
        "count": counts,
        "scored": scored,
        "confidence": np.frombuffer(b"".join(row.confidence for row in rows), "<f4"),
        "class_id": np.frombuffer(b"".join(row.class_id for row in rows), "<i2"),
    }
    if not classes:
        return parts, BOXES, {"classes": 0}
    none = bytes(2 * classes)
    scores = b"".join(row.class_scores or none * row.count_ for row in rows)
    parts["class_scores"] = np.frombuffer(scores, "<f2").reshape(-1, classes)
    return parts, BOXES | {"class_scores": Column("<f2", (classes,), "box")}, {"classes": classes}


BOXES = FRAME | {
    "count": Column("<i4"),
    "scored": Column("|i1"),
    "confidence": Column("<f4", axis="box"),
    "class_id": Column("<i2", axis="box"),
}


def _pack_corners(rows: Sequence[Any], notes: Mapping[str, Any]) -> Packed:
    counts = np.array([row.count_ for row in rows], np.int64)
    for row in rows:
        if len(row.xyxy) != 16 * row.count_:
            got = len(row.xyxy) // 16
            raise StateError(f"frame {row.frame}: expected {row.count_} boxes, got {got}; detect it again")
    parts = {
        "frame": _ids(rows),
        "count": counts,
        "width": np.array([row.width for row in rows], np.int64),
        "height": np.array([row.height for row in rows], np.int64),
        "xyxy": np.frombuffer(b"".join(row.xyxy for row in rows), "<f4").reshape(-1, 4),
        "confidence": np.frombuffer(b"".join(row.confidence for row in rows), "<f4"),
        "class_id": np.frombuffer(b"".join(row.class_id for row in rows), "<i2"),
    }
    return parts, CORNERS, {}


CORNERS = FRAME | {
    "count": Column("<i4"),
    "width": Column("<i4"),
    "height": Column("<i4"),
    "xyxy": Column("<f4", (4,), "box"),
    "confidence": Column("<f4", axis="box"),
    "class_id": Column("<i2", axis="box"),
}


def _pack_measures(rows: Sequence[Any], notes: Mapping[str, Any]) -> Packed:
    known = dict.fromkeys(notes.get("names", ()))
    known |= dict.fromkeys(sorted({name for row in rows for name in row.measured} - known.keys()))
    parts: dict[str, NDArray[Any]] = {
        f"measure-{place}": np.array([row.measured.get(name, np.nan) for row in rows], np.float64)
        for place, name in enumerate(known)
    }
    columns = FRAME | {name: Column("<f8", empty=float("nan")) for name in parts}
    return {"frame": _ids(rows)} | parts, columns, {"names": list(known)}
