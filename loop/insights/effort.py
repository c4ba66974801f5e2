"""What labeling costs and what drawn boxes do to it, as pages, API and command read it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sqlalchemy.orm import Session

from connectors.ports import Purpose
from db.effort import answers_stamp
from db.engine import read
from db.slices import slices
from loop.base.arrays import Bools, Reals
from loop.labeling.effort import DrawnFrom, Work, seconds_of, thresholds, work_of
from loop.math.quality.effort import (
    FATES,
    FEW,
    Edit,
    EditSeconds,
    counts_of,
    timed_tasks,
)
from loop.math.quality.grouped_means import (
    Difference,
    Mean,
    difference,
    mean_seconds,
    winsorized,
    winsorized_beside,
)
from loop.project.project import Project

ANNOTATOR, CLASS, SLICE, MODEL = "annotator", "class", "slice", "model"
KINDS = (ANNOTATOR, CLASS, SLICE, MODEL)
HERE = "/labels/effort"
MOST = 20
"""Rows of each kind; those with most tasks."""


@dataclass(frozen=True, slots=True)
class EffortRow:
    """The answered tasks of one annotator, class, slice or model version.

    kind: annotator, class, slice, model, or all.
    tasks: answered. boxes: in their answers; of a class, its own.
    accepted, moved, deleted, added: boxes of tasks of which it is known what they were sent with; None
    where it is known of none.
    seconds_per_task: a mean of times of which the longest are cut, with its interval over camera-days.
    seconds_per_box: each task's shared evenly among its boxes. None where nothing was timed.
    """

    kind: str
    name: str
    tasks: int
    boxes: int
    accepted: int | None
    moved: int | None
    deleted: int | None
    added: int | None
    seconds_per_task: Mean | None
    seconds_per_box: float | None


@dataclass(frozen=True, slots=True)
class ClassCost:
    """What drawn boxes of a class cost so far, against drawing those of them that were right.

    drawn, drawing: seconds.
    """

    class_name: str
    drawn: float
    drawing: float


@dataclass(frozen=True, slots=True)
class Effort:
    """seconds: of a task and of each edit.
    objects, saved: objects and seconds per task to train on, bare ones less drawn ones; None before there
    are both.
    costly: classes whose drawn boxes cost more than drawing would have.
    """

    whole: EffortRow
    rows: tuple[EffortRow, ...]
    seconds: EditSeconds
    drawn_from: tuple[DrawnFrom, ...]
    objects: Difference | None
    saved: Difference | None
    costly: tuple[ClassCost, ...]

    def of(self, kind: str) -> tuple[EffortRow, ...]:
        """The rows of one kind."""
        return tuple(row for row in self.rows if row.kind == kind)


_kept: dict[Path, tuple[tuple[str, ...], Effort]] = {}


def effort(project: Project) -> Effort:
    """By the latest answers that stand; read anew only where an answer, a name or a setting changed."""
    with read(project.engine) as session:
        names = str([(row.id, row.name) for row in slices(session)])
        stamp = (*answers_stamp(session), names, str(project.settings.labels.drawn_above))
        kept = _kept.get(project.root)
        if kept is None or kept[0] != stamp:
            _kept[project.root] = kept = stamp, _effort(session, project)
    return kept[1]


def _effort(session: Session, project: Project) -> Effort:
    work = work_of(session)
    named = {row.id: row.name for row in slices(session, ids={n for one in work for n in one.given.slices})}
    detector = next((one.given.detector for one in reversed(work) if one.given.detector is not None), None)
    seconds = seconds_of(work)
    keys: dict[str, Callable[[Work], Iterable[str]]] = {
        ANNOTATOR: lambda one: [one.given.author],
        SLICE: lambda one: [named[number] for number in one.given.slices if number in named],
        MODEL: lambda one: [one.given.model] if one.given.model else [],
    }
    rows = [row for kind, key in keys.items() for row in _rows(kind, work, key)]
    rows += [_class_row(name, work) for name in project.classes]
    return Effort(
        _row("all", "", work),
        tuple(row for kind in KINDS for row in rows if row.kind == kind and row.tasks),
        seconds,
        tuple(thresholds(session, project, detector, work).values()),
        _objects(work),
        _saved(work),
        tuple(_costly(project, work, seconds)),
    )


def _rows(kind: str, work: Sequence[Work], key: Callable[[Work], Iterable[str]]) -> list[EffortRow]:
    apart: dict[str, list[Work]] = {}
    for one in work:
        for name in key(one):
            apart.setdefault(name, []).append(one)
    most = sorted(apart.items(), key=lambda each: (-len(each[1]), each[0]))[:MOST]
    return [_row(kind, name, own) for name, own in most]


def _row(kind: str, name: str, work: Sequence[Work]) -> EffortRow:
    edits = [edit for one in work for edit in one.edits or ()]
    known = any(one.edits is not None for one in work)
    return _made(kind, name, work, [len(one.given.boxes) for one in work], edits if known else None)


def _class_row(name: str, work: Sequence[Work]) -> EffortRow:
    """Of tasks whose answer, or whose drawn boxes, have the class."""

    def shows(one: Work) -> bool:
        return any(box.class_name == name for box in (*one.given.boxes, *(one.given.drawn or ())))

    own = [one for one in work if shows(one)]
    boxes = [sum(box.class_name == name for box in one.given.boxes) for one in own]
    edits = [edit for one in own for edit in one.edits or () if edit.class_name == name]
    known = any(one.edits is not None for one in own)
    return _made(CLASS, name, own, boxes, edits if known else None)


def _made(
    kind: str, name: str, work: Sequence[Work], boxes: Sequence[int], edits: Sequence[Edit] | None
) -> EffortRow:
    seconds = np.array([one.seconds for one in work], dtype=np.float64)
    timed = timed_tasks(seconds)
    group = np.array([one.given.group for one in work], dtype=np.int64)
    cut = winsorized(seconds[timed])
    own = np.array(boxes, dtype=np.float64)[timed]
    every = np.array([len(one.given.boxes) for one in work], dtype=np.float64)[timed]
    spent = float((cut * own / np.maximum(every, 1)).sum())
    accepted, moved, deleted, added = [None] * len(FATES) if edits is None else counts_of(edits)
    return EffortRow(
        kind=kind,
        name=name,
        tasks=len(work),
        boxes=sum(boxes),
        accepted=accepted,
        moved=moved,
        deleted=deleted,
        added=added,
        seconds_per_task=mean_seconds(seconds[timed], group[timed]),
        seconds_per_box=spent / float(own.sum()) if own.sum() else None,
    )


def _objects(work: Sequence[Work]) -> Difference | None:
    own = _by_chance(work)
    return _difference(own, np.array([len(one.given.boxes) for one in own], dtype=np.float64))


def _saved(work: Sequence[Work]) -> Difference | None:
    own = _by_chance(work)
    timed = timed_tasks(np.array([one.seconds for one in own], dtype=np.float64))
    own = [one for one, fits in zip(own, timed, strict=True) if fits]
    seconds = np.array([one.seconds for one in own], dtype=np.float64)
    return _difference(own, winsorized_beside(seconds, _bare(own)))


def _by_chance(work: Sequence[Work]) -> list[Work]:
    """Tasks that train: chance alone left the boxes of some out."""
    return [one for one in work if one.given.purpose is Purpose.TRAIN and one.edits is not None]


def _difference(work: Sequence[Work], values: Reals) -> Difference | None:
    return difference(values, _bare(work), np.array([one.given.group for one in work], dtype=np.int64))


def _bare(work: Sequence[Work]) -> Bools:
    return np.array([one.given.bare for one in work], dtype=np.bool_)


def _costly(project: Project, work: Sequence[Work], seconds: EditSeconds) -> list[ClassCost]:
    found = []
    for name in project.classes if seconds.known else ():
        edits = [edit for one in work for edit in one.edits or () if edit.class_name == name]
        accepted, moved, deleted, _ = counts_of(edits)
        drawn = seconds.seconds_for(0, accepted=accepted, moved=moved, deleted=deleted)
        drawing = seconds.seconds_for(0, added=accepted + moved)
        if accepted + moved + deleted >= FEW and drawn > drawing:
            found.append(ClassCost(name, drawn, drawing))
    return found


def longest(found: Effort) -> float:
    """Seconds at the end of the bars of all rows."""
    means = [row.seconds_per_task for row in (found.whole, *found.rows) if row.seconds_per_task]
    return max((mean.interval[1] if mean.interval else mean.value for mean in means), default=1.0)
