"""What a person sees of a few frames of a set: picture, boxes, where and when, and why it is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from connectors.ports import Box
from db.analysis import load_detections
from db.engine import read
from db.frames import UNKNOWN, FrameRow, frames
from db.labels import labels
from db.states import Origin, Role, TaskStatus
from db.tasks import TaskRow, tasks
from loop.base.moments import SECOND, shown
from loop.insights.frame_facts import known_producers
from loop.insights.frame_query import ALIKE, CLEAREST, WORTH
from loop.insights.frames import Place
from loop.math.boxes.drawn import predicted_boxes
from loop.project.project import Project

LABEL, MODEL = "label", "model"
VALUES = {ALIKE: "similarity", CLEAREST: "strength", WORTH: "worth"}
"""What the value of an order is called."""


@dataclass(frozen=True)
class FrameTile:
    """One frame among others.

    camera, site: None where it is not known. captured_at: aware, None where it is not known.
    file: as its source names it.
    boxes: of its label, else of the deployed model; boxes_of: "label", "model", or "" for none seen.
    task: state of its newest task. reason: why it was chosen.
    value: what it was sorted by, None where that is its time.
    """

    seq: int
    content_hash: str
    width: int
    height: int
    camera: str | None
    site: str | None
    captured_at: datetime | None
    file: str
    origin: Origin
    role: Role
    boxes: tuple[Box, ...]
    boxes_of: str
    task: TaskStatus | None
    reason: str
    labeled: bool
    value: float | None


def tiles(project: Project, places: Sequence[Place]) -> list[FrameTile]:
    """Of these frames, in their order; one that is not there is left out."""
    seqs = [place.seq for place in places]
    with read(project.engine) as session:
        rows = {row.seq: row for row in frames(session, seqs=seqs)}
        labeled = labels(session, seqs)
        chosen = {task.frame: task for task in tasks(session, frames=seqs)}
        seen = _seen(session, project, [seq for seq in seqs if seq not in labeled])
    found = []
    for place in places:
        if (row := rows.get(place.seq)) is None:
            continue
        label = labeled.get(row.seq)
        boxes = label.boxes if label else seen.get(row.seq)
        source = LABEL if label else MODEL if boxes is not None else ""
        task = chosen.get(row.seq)
        found.append(_tile(row, place, tuple(boxes or ()), source, task))
    return found


def _seen(session: Session, project: Project, seqs: Sequence[int]) -> dict[int, list[Box]]:
    """What the deployed model sees in those of these frames that it was shown."""
    detector = known_producers(session, project).detector
    if detector is None:
        return {}
    found = load_detections(session, detector, seqs)
    return {seq: predicted_boxes(boxes, project.classes) for seq, boxes in found.items()}


def _tile(
    row: FrameRow, place: Place, boxes: tuple[Box, ...], boxes_of: str, task: TaskRow | None
) -> FrameTile:
    return FrameTile(
        row.seq,
        row.content_hash,
        row.width,
        row.height,
        None if row.camera == UNKNOWN else row.camera,
        None if row.site == UNKNOWN else row.site,
        row.captured_at,
        row.source_key,
        row.origin,
        row.role,
        boxes,
        boxes_of,
        task.status if task else None,
        task.reason if task else "",
        boxes_of == LABEL,
        place.value,
    )


def lines(found: Sequence[FrameTile], timezone: str, order: str) -> list[str]:
    """One line for each, for people."""
    return [_line(tile, timezone, order) for tile in found]


def _line(tile: FrameTile, timezone: str, order: str) -> str:
    when = shown(tile.captured_at, timezone, SECOND) if tile.captured_at else "time not known"
    state = "labeled" if tile.labeled else str(tile.task) if tile.task else ""
    value = "" if tile.value is None else f"  {VALUES.get(order, order)} {tile.value:.3f}"
    return f"{tile.seq:>8}  {tile.camera or 'camera not known':<18} {when:<24} {state:<9} {tile.file}{value}"


def as_json(tile: FrameTile) -> dict[str, Any]:
    """For programs; boxes with their corners in px."""
    boxes = [
        {"class": box.class_name, "xyxy": list(box.xyxy), "confidence": box.confidence, "of": tile.boxes_of}
        for box in tile.boxes
    ]
    return {name: getattr(tile, name) for name in tile.__dataclass_fields__ if name != "boxes"} | {
        "boxes": boxes
    }
