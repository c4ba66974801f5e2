"""Lots of labels, of which a random sample is inspected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from connectors.ports import Box
from db.labels import as_drawn, stored_box, stored_boxes
from db.sql import changed_rows, in_parts, insert_one, table_of, upsert
from db.states import LotStatus
from db.tables import Annotation, Label, Lot, LotDraw, LotMember, utcnow

IN_FORCE = (LotStatus.DRAWN, LotStatus.ACCEPTED, LotStatus.REJECTED)


@dataclass(frozen=True, slots=True)
class LotRow:
    """One lot. plan: as it was published when the lot was drawn."""

    id: int
    name: str
    status: LotStatus
    plan: dict[str, Any]
    seed: int
    who: str
    drawn_at: datetime
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class MemberRow:
    """One frame of a lot. boxes: of its label when the lot was drawn."""

    lot_id: int
    frame: int
    boxes: tuple[Box, ...]
    annotation_id: int | None
    author: str


@dataclass(frozen=True, slots=True)
class DrawRow:
    """One frame that is inspected in one stage.

    places: those that count, see `loop.math.quality.lot_sampling`. inspected, wrong: of them; None before.
    """

    lot_id: int
    frame: int
    stage: int
    places: list[int]
    task_id: int | None
    inspected: int | None
    wrong: int | None


def add_lot(
    session: Session, name: str, plan: Mapping[str, Any], seed: int, who: str, members: Sequence[MemberRow]
) -> int:
    """A lot whose sample is not asked for yet; its id. The lot of the members is not looked at."""
    row = {"name": name[:200], "status": LotStatus.DRAWN, "plan": dict(plan), "seed": seed, "who": who[:120]}
    number = insert_one(session, Lot, **row, drawn_at=utcnow())
    assert number is not None
    rows = [
        {
            "lot_id": number,
            "frame": one.frame,
            "boxes": [stored_box(box) for box in one.boxes],
            "annotation_id": one.annotation_id,
            "author": one.author[:200],
        }
        for one in members
    ]
    upsert(session, LotMember, rows)
    return number


def set_draws(session: Session, rows: Iterable[DrawRow]) -> None:
    """What is inspected, and what came of it."""
    found = [{name: getattr(row, name) for name in DrawRow.__slots__} for row in rows]
    if found:
        upsert(session, LotDraw, found)


def move_lot(session: Session, number: int, frm: LotStatus, to: LotStatus) -> bool:
    """Compare-and-set; whether it moved."""
    decided = None if to is LotStatus.DRAWN else utcnow()
    statement = update(Lot).where(Lot.id == number, Lot.status == frm).values(status=to, decided_at=decided)
    return changed_rows(session.execute(statement)) > 0


def lots(
    session: Session, status: Sequence[LotStatus] | None = None, ids: Iterable[int] | None = None
) -> list[LotRow]:
    """The newest first."""
    statement = select(*table_of(Lot).columns)
    if status is not None:
        statement = statement.where(Lot.status.in_([str(one) for one in status]))
    parts = in_parts(statement, Lot.id, ids)
    rows = [
        LotRow(**{**row._mapping, "status": LotStatus(row.status)})
        for part in parts
        for row in session.execute(part)
    ]
    return sorted(rows, key=lambda row: -row.id)


def lot_members(session: Session, number: int) -> list[MemberRow]:
    """By frame."""
    statement = select(*table_of(LotMember).columns).where(LotMember.lot_id == number)
    rows = session.execute(statement.order_by(LotMember.frame))
    return [MemberRow(**{**row._mapping, "boxes": stored_boxes(row.boxes)}) for row in rows]


def lot_draws(session: Session, number: int) -> list[DrawRow]:
    """By stage and frame."""
    statement = select(*table_of(LotDraw).columns).where(LotDraw.lot_id == number)
    rows = session.execute(statement.order_by(LotDraw.stage, LotDraw.frame))
    return [DrawRow(**row._mapping) for row in rows]


def lots_of_labels(
    session: Session, status: Sequence[LotStatus], seqs: Iterable[int] | None = None
) -> dict[int, int]:
    """By frame, the newest lot in one of these states that holds its label as it is: the one that the lot
    was drawn with, or what an inspector of the lot made of it.

    A label whose boxes other persons' answers changed since is another one, though its answer is the same.
    """
    of_state = Lot.status.in_([str(one) for one in status])
    drawn = select(LotMember.frame, LotMember.lot_id).join(Lot, Lot.id == LotMember.lot_id)
    drawn = drawn.join(Label, as_drawn()).where(of_state, Label.updated_at <= Lot.drawn_at)
    mended = select(LotDraw.frame, LotDraw.lot_id).join(Lot, Lot.id == LotDraw.lot_id)
    mended = mended.join(Annotation, Annotation.task_id == LotDraw.task_id)
    mended = mended.join(Label, Label.annotation_id == Annotation.id).where(of_state)
    found: dict[int, int] = {}
    for statement, column in ((drawn, LotMember.frame), (mended, LotDraw.frame)):
        for part in in_parts(statement, column, seqs):
            for row in session.execute(part):
                found[row.frame] = max(row.lot_id, found.get(row.frame, 0))
    return found


def held_back(session: Session, number: int | None = None) -> list[int]:
    """Frames, ascending, whose label is as it was when a lot held it that was rejected.

    number: of one lot.
    """
    statement = select(LotMember.frame).join(Lot, Lot.id == LotMember.lot_id).join(Label, as_drawn())
    statement = statement.where(Lot.status == LotStatus.REJECTED).distinct().order_by(LotMember.frame)
    if number is not None:
        statement = statement.where(Lot.id == number)
    return list(session.execute(statement).scalars())


def member_counts(session: Session) -> dict[int, int]:
    """Frames by lot."""
    statement = select(LotMember.lot_id, func.count()).group_by(LotMember.lot_id)
    return {int(number): int(count) for number, count in session.execute(statement)}
