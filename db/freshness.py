"""How far each stage has come, by a few looks into indexes: nothing is counted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.states import Origin
from db.tables import Annotation, Frame


@dataclass(frozen=True, slots=True)
class LastFrame:
    """The production frame that came last, of all or of some."""

    seq: int
    captured_at: datetime | None
    ingested_at: datetime


def last_frame(session: Session, before: int | None = None) -> LastFrame | None:
    """The production frame that came last, or last before the one of this number."""
    columns = select(Frame.seq, Frame.captured_at, Frame.ingested_at).where(Frame.origin == Origin.PRODUCTION)
    if before is not None:
        columns = columns.where(Frame.seq < before)
    row = session.execute(columns.order_by(Frame.seq.desc()).limit(1)).one_or_none()
    return None if row is None else LastFrame(*row)


def first_waiting(session: Session) -> int | None:
    """The first frame that no embedder or no detector has seen yet."""
    waits = [
        session.execute(select(func.min(Frame.seq)).where(column == 0)).scalar_one()
        for column in (Frame.embedded_by, Frame.detected_by)
    ]
    return min((seq for seq in waits if seq is not None), default=None)


def last_answer_at(session: Session) -> datetime | None:
    """When the answer that was read last was given."""
    statement = select(Annotation.updated_at).order_by(Annotation.id.desc()).limit(1)
    return session.execute(statement).scalar_one_or_none()
