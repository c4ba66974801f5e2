"""How unequally the detector finds objects from place to place, by held-out labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlencode

import numpy as np

from connectors.ports import Detections, Purpose
from db.analysis import load_detections
from db.engine import read
from db.frames import UNKNOWN, FrameRow, frames
from db.labels import LabelRow, labels
from db.states import Origin
from loop.analysis.held_out_groups import held_out_groups
from loop.base.arrays import Ints
from loop.base.wording import counted
from loop.gaps.bias_report import PlaceRecall
from loop.gaps.coverage_view import CoverageView
from loop.math.bias.locations import ENOUGH_DAYS, recall_by_location
from loop.math.boxes.matching import iou_matrix, truth_of, with_class_ids
from loop.project.project import Project

SURE = 0.25
"""Confidence from which on an object counts as found."""
IOU = 0.5


def recalls(project: Project, view: CoverageView) -> tuple[tuple[PlaceRecall, ...], list[str]]:
    """By site and by camera, of the held-out frames that are labeled and were seen by the detector."""
    with read(project.engine) as session:
        known = labels(session, purpose=Purpose.EVALUATION)
        seen = load_detections(session, view.detector, sorted(known))
        rows = [row for row in frames(session, seqs=sorted(seen)) if row.origin == Origin.PRODUCTION]
    if not rows:
        return (), ["recall by place: no labeled production frame is held out"]
    _, group = np.unique(held_out_groups(project.engine, view.embedder, rows), return_inverse=True)
    counts = np.array([_found(known[row.seq], seen[row.seq], view.classes) for row in rows], dtype=np.int64)
    found: list[PlaceRecall] = []
    for kind in ("site", "camera"):
        found += _recall_by(kind, rows, counts, group)
    untold = sum(row.bounds is None for row in found if row.kind == "camera")
    few = (
        [f"recall at {counted(untold, 'camera')}: fewer than {ENOUGH_DAYS} held-out camera-days with objects"]
        if untold
        else []
    )
    return tuple(found), few


def _found(label: LabelRow, seen: Detections, classes: Sequence[str]) -> tuple[int, int]:
    """Objects that are found by a box of their class, and all."""
    truth = truth_of(with_class_ids(label.boxes, classes))
    kept = np.asarray(seen.confidence) >= SURE
    overlap = iou_matrix(np.asarray(seen.xyxy)[kept], truth.xyxy)
    right = np.asarray(seen.class_id)[kept][:, None] == truth.class_id[None, :]
    return int(((overlap >= IOU) & right).any(axis=0).sum()), len(truth.class_id)


def _recall_by(kind: str, rows: Sequence[FrameRow], counts: Ints, group: Ints) -> Iterator[PlaceRecall]:
    names = [row.site if kind == "site" else row.camera for row in rows]
    levels = sorted({name for name in names if name != UNKNOWN})
    if len(levels) < 2:
        return
    index = {name: place for place, name in enumerate(levels)}
    kept = np.array([name in index for name in names], dtype=np.bool_)
    place = np.array([index.get(name, 0) for name in names], dtype=np.int64)
    size = int(group.max()) + 1
    hits, objects = (np.bincount(group[kept], counts[kept, column], size) for column in (0, 1))
    where = np.zeros(size, dtype=np.int64)
    where[group[kept]] = place[kept]
    told = recall_by_location(hits.astype(np.int64), objects.astype(np.int64), where, seed=0)
    for row in told:
        elsewhere = None if np.isnan(row.elsewhere) else row.elsewhere
        name = levels[row.location]
        yield PlaceRecall(
            kind,
            name,
            urlencode({kind: name}),
            row.objects,
            row.found,
            row.groups,
            row.recall,
            elsewhere,
            row.bounds,
            row.shown,
        )
