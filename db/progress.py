"""How far producers have come: with all frames, and with production."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, func, select, union
from sqlalchemy.orm import Session

from db.analysis import FACTS, MARKERS
from db.frames import frame_counts
from db.sql import in_parts
from db.states import Origin
from db.tables import Frame, Producer, Reject


@dataclass(frozen=True, slots=True)
class Backlog:
    """production: frames that can be decoded, of production or of the other origin that was asked for.
    analyzed: those of them that embedder and detector have seen.
    """

    production: int
    analyzed: int

    @property
    def waiting(self) -> int:
        return self.production - self.analyzed


def find_producer(session: Session, kind: str, name: str) -> int | None:
    """The producer of this kind and name, None before its first use."""
    return session.execute(select(Producer.id).where(Producer.kind == kind, Producer.name == name)).scalar()


def has_producer(session: Session, kind: str) -> bool:
    """Whether any producer of this kind was ever used."""
    return session.execute(select(Producer.id).where(Producer.kind == kind).limit(1)).scalar() is not None


def last_producer(session: Session, kind: str) -> int | None:
    """The newest of a kind whose facts any frame has, None before the first."""
    newest: int | None = session.execute(select(func.max(MARKERS[kind]))).scalar()
    return newest or None


def count_seen(session: Session, kind: str, producer: int, frames: int) -> int:
    """How many frames have facts by this producer, though a later one may have seen them since.

    frames: how many there are. Facts are counted only where another producer has seen frames.
    """
    marker, table = MARKERS[kind], FACTS[kind]
    if _others(session, kind, producer):
        return session.execute(select(func.count()).where(table.producer == producer)).scalar_one()
    return frames - session.execute(select(func.count()).where(marker == 0)).scalar_one()


def seen_frames(session: Session, kind: str, producer: int) -> tuple[list[int], bool]:
    """Frames that have facts by this producer, and True; or, where nobody else made any and those are
    fewer, the frames that have none, and False.
    """
    marker, table = MARKERS[kind], FACTS[kind]
    if _others(session, kind, producer):
        return list(session.execute(select(table.frame).where(table.producer == producer)).scalars()), True
    return list(session.execute(select(Frame.seq).where(marker == 0)).scalars()), False


def _others(session: Session, kind: str, producer: int) -> bool:
    """Whether another producer of this kind has seen frames."""
    marker = MARKERS[kind]
    found = [
        select(Frame.seq).where(each).limit(1)
        for each in (marker.between(1, producer - 1), marker > producer)
    ]
    return any(session.execute(each).first() for each in found)


def backlog(
    session: Session,
    embedder: int,
    detector: int,
    until: datetime | None = None,
    origin: Origin = Origin.PRODUCTION,
) -> Backlog:
    """What of an origin, or of what came in by then, these two have seen; files that cannot be
    decoded are left out.
    """
    wanted = [Frame.origin == origin]
    if until is None:
        total = frame_counts(session)[origin]
    else:
        wanted.append(Frame.ingested_at <= until)
        total = session.execute(select(func.count()).select_from(Frame).where(*wanted)).scalar_one()
    unmarked = union(*_marked_otherwise("embedder", embedder), *_marked_otherwise("detector", detector))
    both = and_(_has("embedder", embedder), _has("detector", detector))
    counts = select(func.count(), func.count().filter(_damaged())).select_from(Frame)
    missing, left_out = session.execute(counts.where(*wanted, Frame.seq.in_(unmarked), ~both)).one()
    return Backlog(total - left_out, total - missing)


def count_damaged(session: Session, seqs: Iterable[int]) -> int:
    """How many of these frames cannot be decoded."""
    count = select(func.count()).select_from(Frame).where(_damaged())
    return sum(session.execute(part).scalar_one() for part in in_parts(count, Frame.seq, seqs))


def _marked_otherwise(kind: str, producer: int) -> list[Select[int]]:
    """Frames whose marker names another producer, in two ranges of its index: `!=` would scan it."""
    marker = MARKERS[kind]
    return [select(Frame.seq).where(each) for each in (marker < producer, marker > producer)]


def _damaged() -> ColumnElement[bool]:
    own = (Reject.source_key == Frame.source_key, Reject.content_hash == Frame.content_hash)
    return select(Reject.id).where(*own, Reject.code == "unreadable").exists()


def _has(kind: str, producer: int) -> ColumnElement[bool]:
    table = FACTS[kind]
    return select(table.frame).where(table.frame == Frame.seq, table.producer == producer).exists()
