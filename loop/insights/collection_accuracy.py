"""How well each model sees inside each collection, on frames that no model trains on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import numpy as np
from sqlalchemy.orm import Session

from connectors.ports import Detections, Progress, Purpose
from db.analysis import load_detections
from db.engine import read, write
from db.facts import get_fact
from db.frame_sets import label_stamp
from db.frames import FrameRow, frame_counts, frames
from db.gathered import members_among_all
from db.labels import LabelRow, labels
from db.models import ModelRow, models
from db.page_facts import add_page_fact, drop_page_facts, latest_page_fact, page_fact_dates
from db.progress import count_seen
from db.slice_members import CHANGED
from db.slices import slices
from db.states import Origin, SliceKind
from loop.analysis.producers import current_measure, known_detector
from loop.base.arrays import Ints
from loop.base.wording import counted
from loop.math.boxes.drawn import DRAWN_ABOVE
from loop.math.boxes.matching import match, truth_of, with_class_ids
from loop.math.statistics.shares import interval
from loop.project.project import Project
from loop.project.wiring import Parts

KIND = "collection accuracy"
LEAST_OBJECTS = 5
"""Of fewer nothing is said."""
IOU = (0.5,)
Range = tuple[float, float]


@dataclass(frozen=True)
class Accuracy:
    """One model inside one collection, on production frames that are labeled to judge; boxes count
    from confidence 0.25 on, and are right from IoU 0.5 on.

    frames, objects: labeled, that the model has seen.
    recall, precision: None where too few objects, or boxes, are known. Their 95 % intervals are over
    camera-days, None where too few are known to tell.
    """

    model: int
    name: str
    status: str
    frames: int
    objects: int
    recall: float | None
    recall_interval: Range | None
    precision: float | None
    precision_interval: Range | None


@dataclass(frozen=True)
class KeptAccuracy:
    """by_collection: a line for each model that has seen labeled frames of it, newest first."""

    made_at: datetime
    by_collection: dict[int, list[Accuracy]]


def kept_accuracy(project: Project) -> KeptAccuracy | None:
    """What was measured last, None before the first time."""
    with read(project.engine) as session:
        row = latest_page_fact(session, KIND)
    if row is None:
        return None
    found = {int(number): [_read(one) for one in rows] for number, rows in row.value["by"].items()}
    return KeptAccuracy(row.made_at, found)


def measure_accuracy(project: Project) -> dict[int, list[Accuracy]]:
    """Of every model that has seen labeled frames, inside every collection that is not retired."""
    with read(project.engine) as session:
        measure = current_measure(session)
        rows = [row.id for row in slices(session, [SliceKind.COLLECTION]) if row.retired_at is None]
        known = labels(session, purpose=Purpose.EVALUATION)
        held = [row for row in frames(session, seqs=known) if row.origin == Origin.PRODUCTION]
        seqs = np.array([row.seq for row in held], dtype=np.int64)
        inside = {} if measure is None else members_among_all(session, measure, rows, seqs)
        of_any = set(np.concatenate([np.zeros(0, np.int64), *inside.values()]).tolist())
        held = [row for row in held if row.seq in of_any]
        seen = {
            model: found
            for model in reversed(models(session))
            if (found := _detections(session, project, model, of_any))
        }
    counts = {model: _counts(held, known, found, project.classes) for model, found in seen.items()}
    return {
        number: [_accuracy(model, of.among(inside[number])) for model, of in counts.items()]
        for number in rows
        if number in inside
    }


def accuracy_lines(found: Sequence[Accuracy]) -> list[str]:
    """One line a model."""
    if not found:
        return ["    accuracy: not known, no model has seen a labeled evaluation frame of it"]
    return [
        f"    model {one.model} ({one.name}, {one.status}): recall {_said(one.recall, one.recall_interval)},"
        f" precision {_said(one.precision, one.precision_interval)},"
        f" on {counted(one.frames, 'frame')} with {counted(one.objects, 'object')}"
        for one in found
    ]


def _said(share: float | None, known: Range | None) -> str:
    if share is None:
        return "not known"
    return f"{share:.0%}" + (f" ({known[0]:.0%} to {known[1]:.0%})" if known else "")


def keep_accuracy(parts: Parts, progress: Progress) -> str:
    """Measures anew where labels, collections or models changed; what was done, "" for nothing."""
    project = parts.project
    with read(project.engine) as session:
        now, row = _stamp(session, project), latest_page_fact(session, KIND)
    if row is not None and row.value["stamp"] == now:
        return ""
    progress(0, 0, "accuracy inside collections")
    found = measure_accuracy(project)
    value = {"stamp": now, "by": {number: [asdict(one) for one in rows] for number, rows in found.items()}}
    with write(project.engine) as session:
        drop_page_facts(session, [number for number, _ in page_fact_dates(session, KIND)])
        add_page_fact(session, KIND, value)
    return f"accuracy inside {counted(len(found), 'collection')}"


@dataclass(frozen=True, eq=False)
class _Counts:
    """Of each frame that a model has seen: found objects, objects, and boxes shown. All (F,) int64."""

    seq: Ints
    group: Ints
    hits: Ints
    objects: Ints
    shown: Ints

    def among(self, seqs: Ints) -> _Counts:
        rows = np.isin(self.seq, seqs)
        return _Counts(*(getattr(self, name)[rows] for name in ("seq", "group", "hits", "objects", "shown")))


def _detections(session: Session, project: Project, model: ModelRow, seqs: set[int]) -> dict[int, Detections]:
    detector = known_detector(session, project.settings, model.sha256)
    return {} if detector is None or not seqs else load_detections(session, detector, sorted(seqs))


def _counts(
    held: Sequence[FrameRow],
    known: Mapping[int, LabelRow],
    found: Mapping[int, Detections],
    classes: Sequence[str],
) -> _Counts:
    rows = []
    for frame in held:
        if frame.seq in found:
            truth = truth_of(with_class_ids(known[frame.seq].boxes, classes))
            matched = match(truth, found[frame.seq], IOU)
            shown = matched.confidence >= DRAWN_ABOVE
            hits = int((matched.hit[0] & shown).sum())
            rows.append((frame.seq, frame.group_id, hits, len(truth.class_id), int(shown.sum())))
    table = np.array(rows, dtype=np.int64).reshape(-1, 5).T
    return _Counts(*table)


def _accuracy(model: ModelRow, of: _Counts) -> Accuracy:
    recall, recall_interval = _share(of.hits, of.objects, of.group)
    precision, precision_interval = _share(of.hits, of.shown, of.group)
    return Accuracy(
        model.id,
        model.sha256[:8],
        model.status,
        len(of.seq),
        int(of.objects.sum()),
        recall,
        recall_interval,
        precision,
        precision_interval,
    )


def _share(hits: Ints, totals: Ints, group: Ints) -> tuple[float | None, Range | None]:
    if totals.sum() < LEAST_OBJECTS:
        return None, None
    numbers = np.unique(group, return_inverse=True)[1]
    inside, known = (np.bincount(numbers, each).astype(np.int64) for each in (hits, totals))
    return float(hits.sum() / totals.sum()), interval(inside, known)


def _stamp(session: Session, project: Project) -> str:
    known, total = label_stamp(session), frame_counts(session)["total"]
    ids = [known_detector(session, project.settings, model.sha256) for model in models(session)]
    detectors = [(number, count_seen(session, "detector", number, total)) for number in ids if number]
    retired = [row.id for row in slices(session, [SliceKind.COLLECTION]) if row.retired_at is not None]
    return json.dumps([known.count, str(known.newest), get_fact(session, CHANGED), detectors, retired])


def _read(stored: Mapping[str, object]) -> Accuracy:
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}
    return Accuracy(**values)  # type: ignore[arg-type]
