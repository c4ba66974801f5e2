"""What labelers did with the boxes that their tasks were sent with, from the answers that stand.

The latest RECENT answers count; those that nobody looked at the image for do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from sqlalchemy.orm import Session

from db.analysis import load_detections, producer
from db.effort import GivenAnswer, given_answers, say_origins
from db.engine import read
from loop.base.arrays import Reals
from loop.labeling.ruling import UNSEEN
from loop.math.boxes.drawn import DRAWN_ABOVE
from loop.math.boxes.matching import match, truth_of, with_class_ids
from loop.math.quality.drawn_boxes import drawn_from, worth_drawing
from loop.math.quality.effort import FEW, Edit, EditSeconds, counts_of, edit_seconds, edits_of, timed_tasks
from loop.project.project import Project

RECENT = 5000
IOU = 0.5
Source = Literal["setting", "learned", "rule"]


@dataclass(frozen=True, slots=True)
class Work:
    """One answered task. edits: None where nobody knows what it was sent with."""

    given: GivenAnswer
    edits: tuple[Edit, ...] | None

    @property
    def seconds(self) -> float:
        """NaN where nobody knows."""
        return np.nan if self.given.seconds is None else self.given.seconds


@dataclass(frozen=True, slots=True)
class DrawnFrom:
    """From which confidence on boxes of a class are drawn.

    edits: timed ones of the class, by which it was learned where there are enough.
    """

    class_name: str
    above: float
    source: Source
    edits: int


def work_of(session: Session, limit: int = RECENT) -> list[Work]:
    """The latest answered tasks, oldest first."""
    given = [one for one in given_answers(session, limit) if one.rule != UNSEEN]
    unsure = [one.answer for one in given if one.drawn and all(box.origin == "manual" for box in one.boxes)]
    silent = set(unsure) - say_origins(session, unsure)
    return [
        Work(one, None)
        if one.drawn is None
        else Work(one, tuple(edits_of(one.drawn, one.boxes, one.answer not in silent)))
        for one in given
    ]


def seconds_of(work: Sequence[Work]) -> EditSeconds:
    """Of a task as such and of each edit, as these tell; a rule of thumb before they do."""
    known = [one for one in work if one.edits is not None]
    counts = np.array([counts_of(one.edits or ()) for one in known], dtype=np.float64).reshape(-1, 4)
    return edit_seconds(counts, np.array([one.seconds for one in known], dtype=np.float64))


def seconds_to_look(project: Project) -> EditSeconds:
    """What this project's labelers take; ask its `seconds_for` for what a task to come will cost."""
    with read(project.engine) as session:
        return seconds_of(work_of(session))


def thresholds(
    session: Session, project: Project, detector: int | None, work: Sequence[Work]
) -> dict[str, DrawnFrom]:
    """By class of the project, from which confidence its boxes are drawn.

    By the setting labels.drawn_above where it names the class; else learned from FEW timed edits of the
    class or more, those of the detector first and of any where it has too few; else DRAWN_ABOVE.
    """
    every = _timed(work)
    own = [one for one in every if one.given.detector == detector]
    seconds, settings = seconds_of(every), project.settings.labels.drawn_above
    rights = {len(some): _rights(session, some) for some in (own, every)} if seconds.known else {}
    found = {}
    for name in project.classes:
        by = own if len(_edits(own, name)) >= FEW else every
        edits = _edits(by, name)
        if name in settings:
            found[name] = DrawnFrom(name, settings[name], "setting", len(edits))
        elif not seconds.known or len(edits) < FEW:
            found[name] = DrawnFrom(name, DRAWN_ABOVE, "rule", len(edits))
        else:
            confidence, right = rights[len(by)].get(name, (np.zeros(0), np.zeros(0)))
            least = worth_drawing(seconds, _moved_share(edits))
            found[name] = DrawnFrom(name, drawn_from(confidence, right, least), "learned", len(edits))
    return found


def _timed(work: Iterable[Work]) -> list[Work]:
    known = [one for one in work if one.edits is not None]
    timed = timed_tasks(np.array([one.seconds for one in known], dtype=np.float64))
    return [one for one, fits in zip(known, timed, strict=True) if fits]


def _edits(work: Sequence[Work], name: str) -> list[Edit]:
    return [edit for one in work for edit in one.edits or () if edit.class_name == name]


def _moved_share(edits: Sequence[Edit]) -> float:
    kept = [edit for edit in edits if edit.fate in ("accepted", "moved")]
    return sum(edit.fate == "moved" for edit in kept) / len(kept) if kept else 0.0


def _rights(session: Session, work: Sequence[Work]) -> dict[str, tuple[Reals, Reals]]:
    """By class, confidence of each box that was found in these frames, drawn or not, and whether an
    answered box of the class lies there.
    """
    found: dict[str, list[tuple[float, bool]]] = {}
    for detector in {one.given.detector for one in work if one.given.detector is not None}:
        own = {one.given.frame: one.given for one in work if one.given.detector == detector}
        classes = producer(session, detector).details["classes"]
        for frame, seen in load_detections(session, detector, own).items():
            matched = match(truth_of(with_class_ids(own[frame].boxes, classes)), seen, [IOU])
            told = zip(matched.class_id, matched.confidence, matched.hit[0], strict=True)
            for number, confidence, hit in told:
                found.setdefault(classes[number], []).append((confidence, hit))
    tables = {name: np.array(pairs, dtype=np.float64) for name, pairs in found.items()}
    return {name: (table[:, 0], table[:, 1]) for name, table in tables.items()}
