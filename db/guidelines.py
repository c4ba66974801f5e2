"""The wordings of the guideline that labelers were shown, and how many answers were given by each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from db.sql import insert_one, table_of
from db.tables import Annotation, Guideline, Label


@dataclass(frozen=True, slots=True)
class GuidelineRow:
    """One showing of one wording. shown_at: since then, until the next one's."""

    id: int
    sha256: str
    text: str
    shown_at: datetime


def guidelines(session: Session) -> list[GuidelineRow]:
    """All that labelers were shown, in the order of time; a wording that came back is there twice."""
    rows = session.execute(select(*table_of(Guideline).columns).order_by(Guideline.shown_at, Guideline.id))
    return [GuidelineRow(**row._mapping) for row in rows]


def note_shown(session: Session, sha256: str, text: str, shown_at: datetime) -> bool:
    """Labelers see this wording from then on; False where they did already."""
    newest = guideline_at(session, None)
    if newest is not None and newest.sha256 == sha256:
        return False
    since = shown_at if newest is None else max(shown_at, newest.shown_at)
    insert_one(session, Guideline, sha256=sha256, text=text, shown_at=since)
    return True


def guideline_at(session: Session, moment: datetime | None) -> GuidelineRow | None:
    """What labelers were shown at that time (now for None); None before they were shown any."""
    statement = select(*table_of(Guideline).columns)
    if moment is not None:
        statement = statement.where(Guideline.shown_at <= moment)
    row = session.execute(statement.order_by(Guideline.shown_at.desc(), Guideline.id.desc()).limit(1)).first()
    return None if row is None else GuidelineRow(**row._mapping)


def answers_by_guideline(session: Session) -> dict[int | None, int]:
    """How many answers were given by each showing; None: before any, or before that was noted."""
    given = select(Annotation.guideline, func.count(func.distinct(Annotation.external_id)))
    rows = session.execute(given.where(Annotation.cancelled.is_(False)).group_by(Annotation.guideline))
    return {number: int(count) for number, count in rows}


def outdated_frames(session: Session) -> list[int]:
    """Frames, ascending, whose label comes from an answer by another wording than the one shown now."""
    newest = guideline_at(session, None)
    if newest is None:
        return []
    same = select(Guideline.id).where(Guideline.sha256 == newest.sha256)
    statement = select(Label.frame).join(Annotation, Annotation.id == Label.annotation_id)
    other = or_(Annotation.guideline.is_(None), Annotation.guideline.not_in(same))
    return list(session.execute(statement.where(other).order_by(Label.frame)).scalars())
