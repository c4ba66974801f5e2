"""What labelers do with drawn boxes, and how long each edit takes them.

Times of people have a heavy tail: a lunch break is no work on a frame. What is longer than LONGEST_S is
left out, and `fitted_seconds` cuts what lies far from the rest (Huber 1964).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import linear_sum_assignment, nnls

from connectors.ports import Box
from loop.base.arrays import Bools, Reals
from loop.math.boxes.matching import iou_matrix

Fate = Literal["accepted", "moved", "deleted", "added"]
FATES: tuple[Fate, ...] = ("accepted", "moved", "deleted", "added")
FEW = 30
"""Fewer timed tasks, or edits of a class, teach nothing."""
LONGEST_S = 600.0
"""Longer than this nobody looks at one frame; the browser was left open."""
SAME = 0.95
"""IoU from which an answered box is the drawn one, untouched."""
MOVED = 0.5
"""IoU from which it is the drawn one, moved, where Label Studio does not say."""
LEAST_S = 0.5
"""Nobody opens a task, or moves, deletes or draws a box, in less."""
RULE_TASKS = 3.0
"""The rule of thumb counts as so many tasks with one of each edit."""
_FAR = 2.5 * 1.4826
_ROUNDS = 50


@dataclass(frozen=True, slots=True)
class Edit:
    """What became of one drawn box, or a box that a person added.

    class_name: as drawn, or as added. confidence: of the detector, None where it was added.
    """

    class_name: str
    fate: Fate
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class EditSeconds:
    """Seconds of a labeler for a task as such and for each edit; the defaults are a rule of thumb.

    tasks: timed ones that it was learned from, 0 for the rule.
    """

    task: float = 10.0
    accepted: float = 1.0
    moved: float = 4.0
    deleted: float = 2.0
    added: float = 7.0
    tasks: int = 0

    @property
    def known(self) -> bool:
        return self.tasks > 0

    def seconds_for(
        self,
        tasks: float = 1.0,
        *,
        accepted: float = 0.0,
        moved: float = 0.0,
        deleted: float = 0.0,
        added: float = 0.0,
    ) -> float:
        """Expected of so many tasks that hold so many edits in all."""
        edits = self.accepted * accepted + self.moved * moved + self.deleted * deleted + self.added * added
        return self.task * tasks + edits


RULE = EditSeconds()


def edits_of(drawn: Sequence[Box], answered: Sequence[Box], told: bool) -> list[Edit]:
    """What became of each drawn box, in their order, then the boxes that were added.

    told: the origins of answered boxes are Label Studio's: one that it calls manual was added, the
    others belong to the drawn box that they overlap most. Where it says nothing, boxes that overlap by
    MOVED or more belong together, each drawn one to one answered one.
    """
    pairs = _pairs(drawn, answered, told)
    kept = [
        Edit(box.class_name, _fate(box, answered[pairs[place]], told), box.confidence)
        if place in pairs
        else Edit(box.class_name, "deleted", box.confidence)
        for place, box in enumerate(drawn)
    ]
    own = set(range(len(answered))) - set(pairs.values())
    return [*kept, *(Edit(answered[place].class_name, "added") for place in sorted(own))]


def counts_of(edits: Sequence[Edit]) -> list[int]:
    """How many of each of FATES."""
    return [sum(edit.fate == fate for edit in edits) for fate in FATES]


def edit_seconds(counts: Reals, seconds: Reals) -> EditSeconds:
    """counts: (N, 4) of FATES in N tasks. seconds: (N,), NaN where nobody knows.

    The rule of thumb below FEW timed tasks; it steadies what few tasks tell, too.
    """
    timed = timed_tasks(seconds)
    if timed.sum() < FEW:
        return RULE
    assumed = np.array([RULE.task, RULE.accepted, RULE.moved, RULE.deleted, RULE.added])
    design = np.column_stack([np.ones(timed.sum()), counts[timed]])
    found = fitted_seconds(design, seconds[timed], assumed, RULE_TASKS)
    task, accepted, moved, deleted, added = map(float, found)
    task, moved, deleted, added = (max(value, LEAST_S) for value in (task, moved, deleted, added))
    return EditSeconds(task, accepted, moved, deleted, added, int(timed.sum()))


def fitted_seconds(design: Reals, seconds: Reals, assumed: Reals, weight: float = 0.0) -> Reals:
    """(K,) seconds of each count, none below 0, for what (N, K) counts and (N,) seconds tell.

    Least squares of seconds whose distance from the fit is cut (pseudo-values of Huber 1981) at 2.5
    standard deviations, which the median distance tells.
    assumed: (K,), what counts as `weight` tasks with one of each.
    """
    steady = np.sqrt(weight)
    table = np.vstack([design, steady * np.eye(design.shape[1])])
    aim: Reals = seconds
    found: Reals = np.zeros(design.shape[1])
    for _ in range(_ROUNDS):
        before = found
        found = np.asarray(nnls(table, np.concatenate([aim, steady * assumed]))[0], dtype=np.float64)
        off = seconds - design @ found
        reach = _FAR * float(np.median(np.abs(off - np.median(off))))
        aim = design @ found + np.clip(off, -reach, reach)
        if np.allclose(found, before, atol=1e-4):
            break
    return found


def timed_tasks(seconds: Reals) -> Bools:
    """(N,) whether a task's seconds tell how long a person worked."""
    known: Bools = np.isfinite(seconds) & (seconds > 0) & (seconds <= LONGEST_S)
    return known


def _pairs(drawn: Sequence[Box], answered: Sequence[Box], told: bool) -> dict[int, int]:
    """The answered box of each drawn one, by their places."""
    if not drawn or not answered:
        return {}
    overlap = iou_matrix([box.xyxy for box in drawn], [box.xyxy for box in answered])
    alike = np.array([[a.class_name == b.class_name for b in answered] for a in drawn])
    ours = np.array([not told or box.origin != "manual" for box in answered])
    fits = ours[None, :] & (overlap > 0 if told else overlap >= MOVED)
    worth = np.where(fits, 1 + overlap + (overlap >= SAME) + 0.1 * alike, 0.0)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    return {int(d): int(a) for d, a in zip(rows, columns, strict=True) if fits[d, a]}


def _fate(drawn: Box, answered: Box, told: bool) -> Fate:
    same = drawn.class_name == answered.class_name and not (told and answered.origin == "prediction-changed")
    return "accepted" if same and float(iou_matrix([drawn.xyxy], [answered.xyxy])[0, 0]) >= SAME else "moved"
