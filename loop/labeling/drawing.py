"""Which boxes a task is sent with.

Tasks that judge models, and those by which people are compared, are sent without any: what a model
drew would be judged by itself. A share of the tasks that train is sent without boxes too, by chance, so
that it is known what drawn boxes do. Tasks that look at a label again are drawn as they say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from connectors.ports import Box, Purpose
from db.analysis import load_detections, producer
from db.tasks import TaskRow
from loop.labeling.asking import boxes_to_draw
from loop.labeling.effort import thresholds, work_of
from loop.math.boxes.drawn import predicted_boxes
from loop.project.project import Project

UNDRAWN = (Purpose.EVALUATION, Purpose.CONSENSUS)


@dataclass(frozen=True, slots=True)
class Drawing:
    """The boxes of one task. bare: it has none by chance. model: whose boxes they are, "" for nobody's."""

    boxes: tuple[Box, ...] = ()
    bare: bool = False
    model: str = ""


def drawings(
    session: Session, project: Project, rows: Sequence[TaskRow], above: Mapping[str, float] | None = None
) -> dict[int, Drawing]:
    """What each of these tasks is sent with, by its id.

    above: by class, from which confidence on boxes are drawn; as `thresholds` says where it is not given.
    """
    found: dict[int, Drawing] = {}
    for detector in {row.detector for row in rows}:
        own = [row for row in rows if row.detector == detector]
        predicted = {} if detector is None else _predicted(session, project, detector, own, above)
        model = "" if detector is None else producer(session, detector).name
        for row in own:
            bare = is_bare(project, row)
            boxes = () if bare or row.purpose in UNDRAWN else predicted.get(row.frame, ())
            found[row.id] = Drawing(tuple(boxes_to_draw(row.about)) or boxes, bare, model)
    return found


def is_bare(project: Project, row: TaskRow) -> bool:
    """Whether chance sends the task without boxes: by the project's seed and the frame, so that the same
    frame always has the same fate.
    """
    if row.purpose is not Purpose.TRAIN:
        return False
    named = f"bare {project.settings.seed} {row.frame}".encode()
    chance = int.from_bytes(hashlib.sha256(named).digest()[:8]) / 2**64
    return chance < project.settings.labels.bare_share


def _predicted(
    session: Session,
    project: Project,
    detector: int,
    rows: Sequence[TaskRow],
    above: Mapping[str, float] | None,
) -> Mapping[int, tuple[Box, ...]]:
    seqs = [row.frame for row in rows if row.purpose is Purpose.TRAIN]
    if not seqs:
        return {}
    if above is None:
        learned = thresholds(session, project, detector, work_of(session))
        above = {name: one.above for name, one in learned.items()}
    classes = producer(session, detector).details["classes"]
    return {
        frame: tuple(predicted_boxes(found, classes, above))
        for frame, found in load_detections(session, detector, seqs).items()
    }
