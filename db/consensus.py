"""Frames that several persons labeled."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from connectors.ports import Purpose
from db.states import TaskStatus
from db.tables import Label, LabelTask

FIRST = (Purpose.TRAIN, Purpose.EVALUATION)


def contested_frames(session: Session, settled_rules: Sequence[str], unasked: bool = False) -> list[int]:
    """Frames, ascending, of which a second answer is in and whose label is the first answer itself.

    settled_rules: of labels that came of several answers.
    unasked: those alone for which no third person was asked.
    """
    third, first = aliased(LabelTask), aliased(LabelTask)
    statement = (
        select(LabelTask.frame)
        .join(Label, Label.frame == LabelTask.frame)
        .join(first, first.stands == Label.annotation_id)
        .where(LabelTask.purpose == Purpose.CONSENSUS, LabelTask.slot == 1)
        .where(LabelTask.status == TaskStatus.DONE, first.purpose.in_(FIRST))
        .where(Label.rule.not_in(settled_rules))
    )
    if unasked:
        of_frame = (third.frame == LabelTask.frame, third.purpose == Purpose.CONSENSUS, third.slot == 2)
        statement = statement.where(~select(third.id).where(*of_frame).exists())
    return sorted(set(session.execute(statement).scalars()))


def seconded_frames(session: Session) -> list[int]:
    """Frames, ascending, that a second person answered."""
    statement = select(LabelTask.frame).where(
        LabelTask.purpose == Purpose.CONSENSUS, LabelTask.slot == 1, LabelTask.status == TaskStatus.DONE
    )
    return sorted(set(session.execute(statement).scalars()))
