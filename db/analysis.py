"""Derived facts of frames: who made them, what is still missing, and how they are stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, SupportsFloat

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, literal, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from connectors.ports import Array, Detections
from db.errors import StateError
from db.frames import FrameRow, frame_row, frame_select
from db.sql import DIRECT, changed_rows, in_chunks, in_parts, insert_new, insert_selected
from db.tables import Base, Detection, Embedding, Frame, Measurement, NearDuplicate, Producer, Unclustered

Ids = NDArray[np.int64]
CHUNK = 4096


@dataclass(frozen=True, slots=True)
class ProducerRow:
    """Whoever made derived facts. details: what a reader of them needs, such as dim or classes."""

    id: int
    kind: str
    name: str
    details: dict[str, Any]


MARKERS: dict[str, InstrumentedAttribute[int]] = {
    "embedder": Frame.embedded_by,
    "detector": Frame.detected_by,
    "measure": Frame.measured_by,
}
FACTS: dict[str, type[Embedding] | type[Detection] | type[Measurement]] = {
    "embedder": Embedding,
    "detector": Detection,
    "measure": Measurement,
}


def producer_id(session: Session, kind: str, name: str, details: Mapping[str, Any] | None = None) -> int:
    """The producer of this kind (embedder, detector, measure) and name, made on first use."""
    _marker(kind)
    insert_new(session, Producer, [{"kind": kind, "name": name, "details": dict(details or {})}])
    return session.execute(
        select(Producer.id).where(Producer.kind == kind, Producer.name == name)
    ).scalar_one()


def add_details(session: Session, producer_id: int, details: Mapping[str, Any]) -> None:
    """Remembers what is not known of a producer yet; what is stays as it is."""
    known = producer(session, producer_id).details
    if lacking := {key: value for key, value in details.items() if key not in known}:
        changed = update(Producer).where(Producer.id == producer_id).values(details=known | lacking)
        session.execute(changed, execution_options=DIRECT)


def producer(session: Session, producer_id: int) -> ProducerRow:
    """Raises StateError when there is none of that id."""
    found = session.get(Producer, producer_id)
    if found is None:
        raise StateError(f"expected a producer, got the unknown id {producer_id}")
    return ProducerRow(found.id, found.kind, found.name, dict(found.details))


def work_list(session: Session, kind: str, producer_id: int, limit: int) -> list[FrameRow]:
    """Up to `limit` frames this producer has yet to see, never-seen ones first; by ascending seq."""
    marker = _marker(kind)
    found: list[FrameRow] = []
    for stale in (marker < producer_id, marker > producer_id):  # two ranges of the index; `!=` would scan it
        if len(found) < limit:
            statement = frame_select().where(stale).order_by(marker, Frame.seq).limit(limit - len(found))
            found += map(frame_row, session.execute(statement))
    return sorted(found, key=lambda frame: frame.seq)


def work_count(session: Session, kind: str, producer_id: int) -> int:
    """How many frames this producer has yet to see."""
    marker = _marker(kind)
    stale = or_(marker < producer_id, marker > producer_id)
    return session.execute(select(func.count()).select_from(Frame).where(stale)).scalar_one()


def reuse_facts(session: Session, kind: str, producer_id: int) -> int:
    """Marks the frames whose facts by this producer are stored already, and says how many.

    Call it once when a producer becomes the current one, so that going back to a former one
    computes nothing again.
    """
    marker, table = _marker(kind), FACTS[kind]
    known = select(table.frame).where(table.frame == Frame.seq, table.producer == producer_id).exists()
    changed = 0
    for stale in (marker.between(1, producer_id - 1), marker > producer_id):
        marked = update(Frame).where(stale, known).values({marker.key: producer_id})
        changed += changed_rows(session.execute(marked, execution_options=DIRECT))
    return changed


def record_embeddings(session: Session, producer: int, seqs: Sequence[int], vectors: Array) -> None:
    """Stores unit vectors (B, D) as float16 and marks the frames. ValueError on another shape or
    NaN.
    """
    vectors = np.asarray(vectors)
    if vectors.ndim != 2 or len(vectors) != len(seqs):
        raise ValueError(f"expected finite vectors ({len(seqs)}, D), got {vectors.shape}")
    if not np.isfinite(vectors).all():
        raise ValueError(
            f"expected finite vectors ({len(seqs)}, D), got {vectors.shape} with NaN or infinity"
        )
    _check_length(session, producer, vectors.shape[1])
    _record(session, "embedder", producer, seqs, [{"vector": _bytes(vector, "<f2")} for vector in vectors])
    await_clusters(session, producer, seqs)


def await_clusters(session: Session, producer: int, seqs: Iterable[int]) -> None:
    """Notes which of these frames, that have a vector by this producer, are in no cluster of
    near-duplicates yet.
    """
    same = (NearDuplicate.frame == Frame.seq, NearDuplicate.producer == producer)
    lacking = select(literal(producer), Frame.camera, Frame.seq).where(
        ~select(NearDuplicate.frame).where(*same).exists()
    )
    for chunk in in_chunks(map(int, seqs)):
        found = lacking.where(Frame.seq.in_(chunk))
        insert_selected(session, Unclustered, ("producer", "camera", "frame"), found)


def record_detections(
    session: Session, producer: int, seqs: Sequence[int], found: Sequence[Detections]
) -> None:
    """Stores one Detections per frame and marks the frames; class_scores keep float16 precision.

    Raises ValueError when the arrays of a frame do not fit together.
    """
    _record(session, "detector", producer, seqs, [packed(each) for each in found])


def keep_detections(
    session: Session, producer: int, seqs: Sequence[int], found: Sequence[Detections]
) -> None:
    """Stores what a detector that is not the current one saw in some frames; they are not marked."""
    keyed = [
        {"frame": int(seq), "producer": producer, **packed(each)}
        for seq, each in zip(seqs, found, strict=True)
    ]
    insert_new(session, Detection, keyed)


def record_measurements(
    session: Session, producer: int, seqs: Sequence[int], values: Sequence[Mapping[str, SupportsFloat]]
) -> None:
    """Stores named numbers per frame, one mapping each, and marks the frames; what is not finite is
    left out.
    """
    rows = [
        {"values": {name: float(value) for name, value in row.items() if isfinite(value)}} for row in values
    ]
    _record(session, "measure", producer, seqs, rows)


def load_embeddings(
    session: Session, producer: int, seqs: Iterable[int] | None = None, chunk: int = CHUNK
) -> tuple[Ids, Array]:
    """Frame ids (N,) int64, ascending, and vectors (N, D) float32; frames without one are left out."""
    wanted = None if seqs is None else np.unique(np.fromiter(seqs, np.int64))
    total = count_embeddings(session, producer) if wanted is None else len(wanted)
    ids, vectors, filled = np.empty(total, np.int64), np.empty((0, 0), np.float32), 0
    for part_ids, part in embedding_chunks(session, producer, wanted, chunk):
        if not filled:
            vectors = np.empty((total, part.shape[1]), np.float32)
        room = slice(filled, filled + len(part_ids))
        ids[room], vectors[room] = part_ids, part
        filled += len(part_ids)
    return ids[:filled], vectors[:filled]


def embedding_chunks(
    session: Session, producer: int, seqs: Ids | None = None, chunk: int = CHUNK
) -> Iterator[tuple[Ids, Array]]:
    """Stored vectors in order of frame, at most `chunk` at a time: ids (B,) int64, vectors (B, D)
    float32.
    """
    columns = (
        select(Embedding.frame, Embedding.vector)
        .where(Embedding.producer == producer)
        .order_by(Embedding.frame)
    )
    if seqs is not None:
        for part in in_chunks(seqs.tolist(), chunk):
            rows = session.execute(columns.where(Embedding.frame.in_(part))).all()
            if rows:
                yield _matrix(rows)
        return
    last = -1
    while rows := session.execute(columns.where(Embedding.frame > last).limit(chunk)).all():
        yield _matrix(rows)
        last = rows[-1].frame


def embedded_ids(session: Session, producer: int, subset: Iterable[int] | None = None) -> Ids:
    """Ids (N,) int64, ascending, of the frames (among `subset`, or all) that this producer has a
    vector for.
    """
    statement = select(Embedding.frame).where(Embedding.producer == producer).order_by(Embedding.frame)
    wanted = None if subset is None else map(int, subset)
    parts = in_parts(statement, Embedding.frame, wanted)
    return np.array([seq for part in parts for seq in session.execute(part).scalars()], np.int64)


def count_embeddings(session: Session, producer: int) -> int:
    return session.execute(select(func.count()).where(Embedding.producer == producer)).scalar_one()


def load_detections(
    session: Session, producer: int, seqs: Iterable[int] | None = None
) -> dict[int, Detections]:
    """By frame; a frame this producer has not seen is absent. Raises StateError for a torn row."""
    table = Detection
    columns = (
        table.frame,
        table.count.label("count_"),
        table.xyxy,
        table.confidence,
        table.class_id,
        table.class_scores,
        table.forward_ms,
    )
    return {row.frame: unpacked(row) for row in _facts(session, table, columns, producer, seqs)}


def load_measurements(
    session: Session, producer: int, seqs: Iterable[int] | None = None
) -> dict[int, dict[str, float]]:
    """By frame; a frame this producer has not seen is absent."""
    columns = (Measurement.frame, Measurement.values.label("measured"))
    return {row.frame: dict(row.measured) for row in _facts(session, Measurement, columns, producer, seqs)}


def packed(found: Detections) -> dict[str, Any]:
    """The columns of a `detections` row. Raises ValueError when the arrays do not fit together."""
    count, scores = len(found), found.class_scores
    shapes = found.xyxy.shape, found.class_id.shape
    if shapes != ((count, 4), (count,)):
        raise ValueError(f"expected xyxy and class_id of shapes {(count, 4), (count,)}, got {shapes}")
    if scores is not None and (scores.ndim != 2 or len(scores) != count):
        raise ValueError(f"expected class_scores ({count}, C), got {scores.shape}")
    return {
        "count": count,
        "xyxy": _bytes(found.xyxy, "<f4"),
        "confidence": _bytes(found.confidence, "<f4"),
        "class_id": _bytes(found.class_id, "<i2"),
        "class_scores": None if scores is None else _bytes(scores, "<f2"),
        "forward_ms": float(found.forward_ms),
    }


def unpacked(row: Any) -> Detections:
    """From a row with the columns that `packed` gives. Raises StateError when they do not fit
    together.
    """
    count = row.count_
    xyxy, confidence = _array(row.xyxy, "<f4"), _array(row.confidence, "<f4")
    class_id = _array(row.class_id, "<i2")
    if len(confidence) != count or len(class_id) != count or len(xyxy) != 4 * count:
        raise StateError(f"frame {row.frame}: expected {count} boxes, got {len(confidence)}; detect it again")
    scores = None if row.class_scores is None else _array(row.class_scores, "<f2").astype(np.float32)
    return Detections(
        xyxy.reshape(count, 4).astype(np.float32),
        confidence.astype(np.float32),
        class_id.astype(np.int64),
        None if scores is None else scores.reshape(count, -1 if count else 0),
        row.forward_ms,
    )


def _record(
    session: Session, kind: str, producer: int, seqs: Sequence[int], rows: Sequence[dict[str, Any]]
) -> None:
    if len(rows) != len(seqs):
        raise ValueError(f"expected one row for each of {len(seqs)} frames, got {len(rows)}")
    keyed = [{"frame": int(seq), "producer": producer, **row} for seq, row in zip(seqs, rows, strict=True)]
    insert_new(session, FACTS[kind], keyed)
    for chunk in in_chunks(map(int, seqs)):
        session.execute(
            update(Frame).where(Frame.seq.in_(chunk)).values({_marker(kind).key: producer}),
            execution_options=DIRECT,
        )


def _check_length(session: Session, made_by: int, length: int) -> None:
    maker = producer(session, made_by)
    if (expected := maker.details.get("dim", length)) != length:
        raise ValueError(f"expected vectors of length {expected} from {maker.name}, got {length}")


def _marker(kind: str) -> InstrumentedAttribute[int]:
    if kind not in MARKERS:
        raise ValueError(f"expected a kind of producer among {', '.join(MARKERS)}, got {kind!r}")
    return MARKERS[kind]


def _facts(
    session: Session, table: type[Base], columns: Sequence[Any], producer: int, seqs: Iterable[int] | None
) -> Iterator[Any]:
    frame, made_by = columns[0], table.__table__.c.producer
    statement = select(*columns).where(made_by == producer).order_by(frame)
    if seqs is None:
        yield from session.execute(statement.execution_options(yield_per=CHUNK))
        return
    for chunk in in_chunks(map(int, seqs)):
        yield from session.execute(statement.where(frame.in_(chunk)))


def _matrix(rows: Sequence[Any]) -> tuple[Ids, Array]:
    ids = np.fromiter((row.frame for row in rows), np.int64, len(rows))
    if len({len(row.vector) for row in rows}) != 1:
        raise StateError(
            f"frames {ids[0]} to {ids[-1]}: vectors of one producer differ in length; embed again"
        )
    vectors = _array(b"".join(row.vector for row in rows), "<f2").astype(np.float32)
    return ids, vectors.reshape(len(rows), -1)


def _bytes(values: NDArray[Any], dtype: str) -> bytes:
    return np.ascontiguousarray(values, dtype=np.dtype(dtype)).tobytes()


def _array(blob: bytes, dtype: str) -> NDArray[Any]:
    return np.frombuffer(blob, np.dtype(dtype))
