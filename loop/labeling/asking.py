"""Tasks that look at a label again: a second person's, a suspect's, an inspection's, a report's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from connectors.ports import Box, Purpose
from db.frames import frames
from db.tasks import NewTask, add_tasks, create_batch, queue_batch, tasks

DRAW = "draw"
"""In `label_tasks.about`: the boxes that are drawn, [class name, x1, y1, x2, y2] in px; behind them
occluded and truncated, where one of them holds.
"""


@dataclass(frozen=True, slots=True)
class Ask:
    """One frame to be looked at again.

    priority: 0..1. reason: one line that a labeler understands.
    draw: boxes to draw, None for none.
    about: what else the task is about, as JSON.
    """

    frame: int
    reason: str
    priority: float
    draw: Sequence[Box] | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    slot: int = 0


def ask(
    session: Session, purpose: Purpose, strategy: str, asks: Sequence[Ask], settings: Mapping[str, Any]
) -> dict[int, int]:
    """A batch of such tasks, sent by the next push; their ids by frame. A frame that has an open task of
    the purpose is left out.

    strategy: what the batch is called. settings: kept with it.
    """
    if not asks:
        return {}
    batch = create_batch(session, strategy, 0, len(asks), settings)
    rows = {row.seq: row for row in frames(session, seqs=[one.frame for one in asks])}
    new = [
        NewTask(
            frame=one.frame,
            purpose=purpose,
            key=f"{rows[one.frame].content_hash[:20]}-b{batch}-{purpose}",
            rank=rank,
            priority=one.priority,
            reason=one.reason,
            component=strategy[:24],
            slot=one.slot,
            about=_about(one),
        )
        for rank, one in enumerate(asks)
    ]
    add_tasks(session, batch, new)
    queue_batch(session, batch)
    return {task.frame: task.id for task in tasks(session, batch=batch)}


def boxes_to_draw(about: Mapping[str, Any]) -> list[Box]:
    """The boxes that such a task is drawn with."""
    return [_drawn(*stored) for stored in about.get(DRAW) or ()]


def _about(one: Ask) -> dict[str, Any]:
    if one.draw is None:
        return dict(one.about)
    return {**one.about, DRAW: [_kept(box) for box in one.draw]}


def _kept(box: Box) -> list[Any]:
    seen = [box.occluded, box.truncated] if box.occluded or box.truncated else []
    return [box.class_name, *map(float, box.xyxy), *seen]


def _drawn(
    name: str, x1: float, y1: float, x2: float, y2: float, occluded: bool = False, truncated: bool = False
) -> Box:
    return Box(name, (x1, y1, x2, y2), "prediction", occluded=occluded, truncated=truncated)
