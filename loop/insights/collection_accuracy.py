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
from loop.analysis.held_out_groups import held_out_groups
from loop.analysis.producers import current_measure, known_detector, known_embedder
from loop.base.arrays import Bools, Ints
from loop.base.wording import counted
from loop.math.boxes.drawn import DRAWN_ABOVE
from loop.math.boxes.matching import match, truth_of, with_class_ids
from loop.math.evaluation.ap import Matches, collect
from loop.math.evaluation.compare import group_numbers
from loop.math.evaluation.one_model import of_one_model
from loop.math.statistics.shares import interval
from loop.project.project import Project
from loop.project.wiring import Parts

KIND = "collection accuracy/1"
"""The number grows whenever what is kept would be read otherwise: what was kept before counts no more."""
LEAST_OBJECTS, LEAST_OF_AP = 5, 20
"""Of fewer nothing is said, and no AP50."""
IOU = (0.5,)
Range = tuple[float, float]


@dataclass(frozen=True)
class Accuracy:
    """One model inside one collection, on frames that are labeled to judge; boxes count from
    confidence 0.25 on, and are right from IoU 0.5 on.

    frames, objects: labeled, that the model has seen. imported: frames of those that came with the
    training set, held out of it.
    groups: camera-days of them; of imported frames sequences or scenes.
    recall, precision, ap50: None where too few objects, or boxes, are known. Their 95 % intervals are
    over groups, None where too few are known to tell. ap50 is the mean over classes, each by its
    objects, of boxes of any confidence.
    """

    model: int
    name: str
    status: str
    frames: int
    imported: int
    groups: int
    objects: int
    recall: float | None
    recall_interval: Range | None
    precision: float | None
    precision_interval: Range | None
    ap50: float | None
    ap50_interval: Range | None


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
        held = frames(session, seqs=known)
        seqs = np.array([row.seq for row in held], dtype=np.int64)
        inside = {} if measure is None else members_among_all(session, measure, rows, seqs)
        of_any = set(np.concatenate([np.zeros(0, np.int64), *inside.values()]).tolist())
        embedder = known_embedder(session, project)
        held = [row for row in held if row.seq in of_any]
        seen = {
            model: found
            for model in reversed(models(session))
            if (found := _detections(session, project, model, of_any))
        }
    own = [row.group_key for row in held]
    groups = own if embedder is None else held_out_groups(project.engine, embedder, held)
    judged = [_judged(held, groups, known, found, project.classes) for found in seen.values()]
    return {
        number: [
            _accuracy(model, of, np.isin(of.seq, inside[number]))
            for model, of in zip(seen, judged, strict=True)
        ]
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
        f" AP50 {_said(one.ap50, one.ap50_interval)},"
        f" on {counted(one.frames, 'frame')} ({one.imported} imported) of"
        f" {counted(one.groups, 'camera-day')} with {counted(one.objects, 'object')}"
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
class _Judged:
    """One model on the F frames that it has seen.

    seq, group: (F,) int64. imported: (F,). hits, objects, shown: (F,) int64 found objects, objects,
    and boxes that people are shown.
    """

    seq: Ints
    group: Ints
    imported: Bools
    hits: Ints
    objects: Ints
    shown: Ints
    matches: Matches


def _detections(session: Session, project: Project, model: ModelRow, seqs: set[int]) -> dict[int, Detections]:
    detector = known_detector(session, project.settings, model.sha256)
    return {} if detector is None or not seqs else load_detections(session, detector, sorted(seqs))


def _judged(
    held: Sequence[FrameRow],
    groups: Sequence[str],
    known: Mapping[int, LabelRow],
    found: Mapping[int, Detections],
    classes: Sequence[str],
) -> _Judged:
    rows = [place for place, frame in enumerate(held) if frame.seq in found]
    seen = [held[place] for place in rows]
    truths = [truth_of(with_class_ids(known[frame.seq].boxes, classes)) for frame in seen]
    matched = [match(truth, found[frame.seq], IOU) for truth, frame in zip(truths, seen, strict=True)]
    shown = [one.confidence >= DRAWN_ABOVE for one in matched]
    return _Judged(
        np.array([frame.seq for frame in seen], dtype=np.int64),
        group_numbers([groups[place] for place in rows]),
        np.array([frame.origin == Origin.IMPORTED for frame in seen], dtype=np.bool_),
        np.array(
            [(one.hit[0] & drawn).sum() for one, drawn in zip(matched, shown, strict=True)], dtype=np.int64
        ),
        np.array([len(truth.class_id) for truth in truths], dtype=np.int64),
        np.array([drawn.sum() for drawn in shown], dtype=np.int64),
        collect(matched, len(classes), IOU),
    )


def _accuracy(model: ModelRow, of: _Judged, rows: Bools) -> Accuracy:
    """rows: (F,) of the frames that are inside."""
    group = of.group[rows]
    recall, recall_interval = _share(of.hits[rows], of.objects[rows], group)
    precision, precision_interval = _share(of.hits[rows], of.shown[rows], group)
    objects = int(of.objects[rows].sum())
    told = of_one_model(of.matches, rows, of.group) if objects >= LEAST_OF_AP else None
    return Accuracy(
        model.id,
        model.sha256[:8],
        model.status,
        int(rows.sum()),
        int(of.imported[rows].sum()),
        len(np.unique(group)),
        objects,
        recall,
        recall_interval,
        precision,
        precision_interval,
        None if told is None else told.ap50,
        None if told is None else told.interval,
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
