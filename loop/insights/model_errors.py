"""On which labeled frames a model errs, kept from one question to the next.

Every label is compared once with what a detector is stored to have seen; what was found stays in
columns, so that only labels that changed are compared again.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from connectors.ports import Box, Detections
from db.analysis import load_detections
from db.columns import Column, Columns, locked
from db.frame_sets import LabelStamp, detected_among, label_stamp, label_times
from db.labels import labels
from loop.base.arrays import Bools, Ints, Reals
from loop.insights.frame_query import FALSE, MISSED, NO_ERROR, OTHER_CLASS
from loop.math.boxes.box_errors import BoxErrors, box_errors
from loop.math.boxes.drawn import DRAWN_ABOVE
from loop.math.boxes.matching import truth_of, with_class_ids
from loop.project.project import Project

CHUNK = 2000
COLUMNS = {
    "frame": Column("<i8"),
    "labeled_at": Column("<f8"),
    MISSED: Column("<i4"),
    FALSE: Column("<i4"),
    OTHER_CLASS: Column("<i4"),
}


@dataclass(frozen=True, eq=False)
class ModelErrors:
    """Of each of L labeled frames that a detector has seen: how many boxes are missed, false, and of
    another class, (L,).
    """

    frames: Ints
    missed: Ints
    false: Ints
    other_class: Ints

    def of(self, kinds: Sequence[str]) -> Ints:
        """The frames with any of these errors; `none`: with no error at all."""
        counts = {MISSED: self.missed, FALSE: self.false, OTHER_CLASS: self.other_class}
        inside: Bools = np.zeros(len(self.frames), np.bool_)
        for kind in kinds:
            inside |= sum(counts.values()) == 0 if kind == NO_ERROR else counts.get(kind, 0) > 0
        found: Ints = self.frames[inside]
        return found


class ErrorSets:
    """Of one project. Safe from several threads."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._lock = threading.Lock()
        self._kept: dict[int, tuple[tuple[LabelStamp, int], ModelErrors]] = {}

    def of(self, session: Session, detector: int) -> ModelErrors:
        """Of what this detector is stored to have seen. Raises OSError where nothing can be kept."""
        with self._lock:
            stamp = label_stamp(session), detected_among(session, detector)
            kept = self._kept.get(detector)
            if kept is None or kept[0] != stamp:
                kept = self._kept[detector] = stamp, self._read(session, detector)
            return kept[1]

    def _read(self, session: Session, detector: int) -> ModelErrors:
        folder = self._project.indexes / f"errors-{detector}"
        frames, labeled_at = label_times(session, detector)
        with locked(folder):
            known = Columns(folder, f"errors {DRAWN_ABOVE} {','.join(self._project.classes)}")
            held = _newest(known)
            new = [
                seq
                for seq, at in zip(frames.tolist(), labeled_at.tolist(), strict=True)
                if held.get(seq, (-1, np.nan))[1] != at
            ]
            times = dict(zip(frames.tolist(), labeled_at.tolist(), strict=True))
            for start in range(0, len(new), CHUNK):
                compared = self._compared(session, detector, new[start : start + CHUNK], times)
                known.append(compared, COLUMNS)
            held = _newest(known)
            rows = np.array([held[seq][0] for seq in frames.tolist() if seq in held], np.int64)
            if not len(rows):
                nobody = np.zeros(0, np.int64)
                return ModelErrors(nobody, nobody, nobody, nobody)
            taken = {
                name: np.asarray(known[name][rows], np.int64) for name in COLUMNS if name != "labeled_at"
            }
        return ModelErrors(taken["frame"], taken[MISSED], taken[FALSE], taken[OTHER_CLASS])

    def _compared(
        self, session: Session, detector: int, seqs: Sequence[int], times: dict[int, float]
    ) -> dict[str, NDArray[Any]]:
        seen, true = load_detections(session, detector, seqs), labels(session, seqs)
        both = [seq for seq in seqs if seq in seen and seq in true]
        counts = [errors_of(true[seq].boxes, seen[seq], self._project.classes).counts for seq in both]
        told = np.array(counts, np.int64).reshape(-1, 3)
        return {
            "frame": np.array(both, np.int64),
            "labeled_at": np.array([times[seq] for seq in both]),
            MISSED: told[:, 0],
            FALSE: told[:, 1],
            OTHER_CLASS: told[:, 2],
        }


def errors_of(
    true: Sequence[Box], seen: Detections, classes: Sequence[str], above: float = DRAWN_ABOVE
) -> BoxErrors:
    """Of the boxes that are drawn for people, against a label; boxes of unknown classes count for
    nothing.
    """
    kept = np.flatnonzero(seen.confidence >= above)
    xyxy: Reals = seen.xyxy[kept].astype(np.float64)
    truth = truth_of(with_class_ids(true, classes))
    return box_errors(truth, xyxy, seen.class_id[kept], seen.confidence[kept].astype(np.float64))


def _newest(known: Columns) -> dict[int, tuple[int, float]]:
    """The last row of each frame, and of when the label is that it compares."""
    if not len(known):
        return {}
    pairs = zip(known["frame"].tolist(), known["labeled_at"].tolist(), strict=True)
    return {seq: (row, at) for row, (seq, at) in enumerate(pairs)}
