"""How far producers have come: with all frames, and with production."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from db.analysis import FACTS, MARKERS
from db.sql import in_parts
from db.states import Origin
from db.tables import Frame, Producer, Reject


@dataclass(frozen=True, slots=True)
class Backlog:
    """production: frames that can be decoded. analyzed: those of them that embedder and detector
    have seen.
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


def count_seen(session: Session, kind: str, producer: int) -> int:
    """How many frames have facts by this producer, though a later one may have seen them since."""
    marker = MARKERS[kind]
    newest = session.execute(select(func.count()).where(marker == producer)).scalar_one()
    elsewhere = and_(marker > 0, marker != producer, _has(kind, producer))
    return newest + session.execute(select(func.count()).select_from(Frame).where(elsewhere)).scalar_one()


def backlog(session: Session, embedder: int, detector: int, until: datetime | None = None) -> Backlog:
    """What of production, or of what came in by then, these two have seen; files that cannot be
    decoded are left out.
    """
    wanted = [Frame.origin == Origin.PRODUCTION]
    if until is not None:
        wanted.append(Frame.ingested_at <= until)
    both = and_(_has("embedder", embedder), _has("detector", detector))
    count = select(func.count()).select_from(Frame)
    analyzed = session.execute(count.where(*wanted, both)).scalar_one()
    waiting = session.execute(count.where(*wanted, ~both, ~_damaged())).scalar_one()
    return Backlog(analyzed + waiting, analyzed)


def count_damaged(session: Session, seqs: Iterable[int]) -> int:
    """How many of these frames cannot be decoded."""
    count = select(func.count()).select_from(Frame).where(_damaged())
    return sum(session.execute(part).scalar_one() for part in in_parts(count, Frame.seq, seqs))


def _damaged() -> ColumnElement[bool]:
    own = (Reject.source_key == Frame.source_key, Reject.content_hash == Frame.content_hash)
    return select(Reject.id).where(*own, Reject.code == "unreadable").exists()


def _has(kind: str, producer: int) -> ColumnElement[bool]:
    table = FACTS[kind]
    return select(table.frame).where(table.frame == Frame.seq, table.producer == producer).exists()
