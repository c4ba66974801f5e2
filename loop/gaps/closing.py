"""Gaps that frames were chosen for: how far each is closed, whether it is still a gap or not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

import numpy as np

from connectors.ports import Purpose
from db.engine import read
from db.frame_sets import label_classes
from db.labels import labeled_ids
from db.slice_members import members_among
from db.slices import SliceTotal, slice_totals, slices
from db.states import SliceKind, TaskStatus
from db.tasks import tasks
from loop.analysis.producers import Producers
from loop.base.arrays import Ints
from loop.base.wording import counted
from loop.gaps.shown import CLASS, producer_of
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

    judged: labeled frames of it that no model trains on, whatever they were chosen for.
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


@dataclass(frozen=True, eq=False)
class Counting:
    """Ids of labeled frames that count for closing a slice: to train on, and to judge."""

    trained: Ints
    judged: Ints

    @property
    def frames(self) -> Ints:
        """Both, ascending."""
        return np.union1d(self.trained, self.judged)


NO_LABELS = Counting(np.zeros(0, np.int64), np.zeros(0, np.int64))


def closing(project: Project, found: Comparison, counting: Mapping[int, Counting]) -> list[Closing]:
    """One for each slice that frames were chosen for and that is not retired, the least closed first.

    counting: by slice, the labels that count for it.
    """
    with read(project.engine) as session:
        asked = [task for task in tasks(session) if task.status not in NEVER]
        rows = {row.id: row for row in slices(session) if row.retired_at is None}
        totals = slice_totals(session)
    numbers = {number for task in asked for number in (*task.shows, task.slice_id) if number in rows}
    sizes = _known_of(found)
    told = []
    for number in numbers:
        total, own = totals.get(number, NOBODY), counting.get(number, NO_LABELS)
        share = total.inside / total.known if total.known else 0.0
        told.append(
            Closing(
                slice_id=number,
                name=rows[number].name,
                labeled=len(own.trained),
                wanted=math.ceil(enough_frames(share, sizes.get(rows[number].key, 0))),
                judged=len(own.judged),
            )
        )
    return sorted(told, key=lambda one: (one.labeled / one.wanted, one.judged, one.name))


def labels_that_count(project: Project, found: Comparison, made: Producers) -> dict[int, Counting]:
    """By slice, the labeled frames that show it: those to train on by the comparison, those to judge by
    what is stored, and those of either that showed it when they were chosen. Of a class, those in which
    people found it.
    """
    with read(project.engine) as session:
        asked = [task for task in tasks(session) if task.status not in NEVER]
        rows = slices(session)
        by_class = label_classes(session)[1]
        trained, judged = (
            np.array(labeled_ids(session, purpose), np.int64)
            for purpose in (Purpose.TRAIN, Purpose.EVALUATION)
        )
        both = np.union1d(trained, judged)
        members = {
            row.id: members_among(session, made_by, row.id, both)
            for row in rows
            if row.kind not in (SliceKind.CLASS, SliceKind.FACET)
            for made_by in (producer_of(row.kind, made),)
        }
    chosen: dict[int, list[int]] = {}
    for task in asked:
        for number in task.shows:
            chosen.setdefault(number, []).append(task.frame)
    compared = _training_of(found)
    counting = {}
    for row in rows:
        if row.kind is SliceKind.CLASS:
            shown = by_class.get(unquote(row.key.partition("/")[2]), np.zeros(0, np.int64))
        else:
            of_tasks = np.array(chosen.get(row.id, ()), np.int64)
            stored = members.get(row.id, of_tasks)
            now = compared.get(row.key, stored if row.kind is SliceKind.COLLECTION else of_tasks)
            shown = np.concatenate([of_tasks, np.setdiff1d(stored, trained), now])
        own = Counting(np.intersect1d(shown, trained), np.intersect1d(shown, judged))
        if len(own.trained) or len(own.judged):
            counting[row.id] = own
    return counting


def _training_of(found: Comparison) -> dict[str, Ints]:
    """By key, training frames that show a condition or a region."""
    seqs = found.training.seq
    conditions = {
        key: seqs[facet.training == index] for facet in found.facets for index, key in enumerate(facet.keys)
    }
    return conditions | {region.key: seqs[region.training] for region in found.regions}


def _known_of(found: Comparison) -> dict[str, int]:
    """By key, of how many training frames it is known whether they show a slice."""
    conditions = {key: int((facet.training != UNKNOWN).sum()) for facet in found.facets for key in facet.keys}
    every = [slice_key(CLASS, name) for name in found.classes] + [region.key for region in found.regions]
    return conditions | dict.fromkeys(every, len(found.training))
