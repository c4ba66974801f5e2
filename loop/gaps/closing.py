"""Gaps that frames were chosen for: how far each is closed, whether it is still a gap or not."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from connectors.ports import Purpose
from db.engine import read
from db.labels import labels
from db.slices import SliceTotal, slice_totals, slices
from db.states import SliceKind, TaskStatus
from db.tasks import tasks
from loop.base.wording import counted
from loop.gaps.shown import CLASS
from loop.math.coverage.comparison import Comparison
from loop.math.coverage.facets import UNKNOWN, slice_key
from loop.math.coverage.gaps import enough_frames
from loop.project.project import Project

NOBODY = SliceTotal(0, 0, 0)
NEVER = (TaskStatus.CANCELLED, TaskStatus.SKIPPED)


@dataclass(frozen=True)
class Closing:
    """labeled, wanted: training frames that show it, and how many should; of a class, those in which
    people found it.

    judged: labeled frames of it that no model trains on.
    """

    slice_id: int
    name: str
    labeled: int
    wanted: int
    judged: int

    @property
    def line(self) -> str:
        """night: 10 of 30 frames labeled, judged on 0 frames."""
        have = f"{self.labeled} of {counted(self.wanted, 'frame')} labeled"
        return f"{self.name}: {have}, judged on {counted(self.judged, 'frame')}"


def closing(project: Project, found: Comparison) -> list[Closing]:
    """One for each slice that frames were chosen for and that is not retired, the least closed first."""
    with read(project.engine) as session:
        asked = [task for task in tasks(session) if task.status not in NEVER]
        known = labels(session, {task.frame for task in asked})
        rows = {row.id: row for row in slices(session) if row.retired_at is None}
        totals = slice_totals(session)
    numbers = {number for task in asked for number in (*task.shows, task.slice_id) if number in rows}
    pairs = {(task.frame, number) for task in asked for number in task.shows if task.frame in known}
    answered = {
        purpose: Counter(number for frame, number in pairs if known[frame].purpose == purpose)
        for purpose in (Purpose.TRAIN, Purpose.EVALUATION)
    }
    trained = _trained(found)
    told = []
    for number in numbers:
        total, (labeled, training) = totals.get(number, NOBODY), trained.get(rows[number].key, (0, 0))
        share = total.inside / total.known if total.known else 0.0
        trained_on = answered[Purpose.TRAIN][number]
        told.append(
            Closing(
                slice_id=number,
                name=rows[number].name,
                labeled=labeled if rows[number].kind is SliceKind.CLASS else max(labeled, trained_on),
                wanted=math.ceil(enough_frames(share, training)),
                judged=answered[Purpose.EVALUATION][number],
            )
        )
    return sorted(told, key=lambda one: (one.labeled / one.wanted, one.judged, one.name))


def _trained(found: Comparison) -> dict[str, tuple[int, int]]:
    """By key, training frames that show a slice, and of which it is known."""
    counts = {
        key: (int((facet.training == index).sum()), int((facet.training != UNKNOWN).sum()))
        for facet in found.facets
        for index, key in enumerate(facet.keys)
    }
    size = len(found.training)
    for name, frames in zip(found.classes, found.frames_per_class.tolist(), strict=True):
        counts[slice_key(CLASS, name)] = (frames, size)
    return counts | {region.key: (int(np.count_nonzero(region.training)), size) for region in found.regions}
