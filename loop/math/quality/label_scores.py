"""How suspect each label is, and each place without one, by the boxes of a model that never saw it.

Four scores in 0..1, one per kind of error. They begin with ObjectLab (Tkachenko, Thyagarajan and
Mueller 2023) and differ in that confidences are calibrated per class, in that what is usual for a label
of its size counts, and in that a label that nothing speaks of is neither right nor wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from loop.base.arrays import Ints, Reals
from loop.math.boxes.matching import iou_matrix
from loop.math.quality.judged_frames import JudgedFrame, Kind, Suspected, classes_of
from loop.math.quality.usual_labels import (
    Seen,
    UsualLabels,
    class_shares,
    seen_by,
    sizes_of,
    usual_labels,
    without_own,
)

SAME_PLACE = 0.4
"""IoU from which a box speaks of a label's class."""
ONE_PLACE = 0.5
"""IoU from which two boxes are of one object."""
ONE_OBJECT = 0.8
"""IoU from which two labels of a class are of one object."""
LEAST = 1e-4
"""A place that scores less is no suspect."""
UNSEEN = 0.03
"""Chance of a class of which no box speaks, support that a label always has, and least usual gap."""
FAINT = 0.05
"""Chance of a box that moves the score of a place half way."""


def score_labels(frames: Sequence[JudgedFrame], usual: UsualLabels | None = None) -> list[Suspected]:
    """Three suspicions of every label and one of every place where boxes but no label are.

    usual: what was learned from such labels before, None learns it from these.
    The probability of each is nan: `calibrate` learns it.
    """
    learned = usual or usual_labels(frames)
    classes = classes_of(frames)
    shares = class_shares(frames, classes)
    return [
        each for i, frame in enumerate(frames) for each in _of_frame(i, frame, learned, shares[frame.group])
    ]


def _of_frame(index: int, frame: JudgedFrame, usual: UsualLabels, shares: Reals) -> Iterator[Suspected]:
    seen = seen_by(frame, usual.chances)
    for k, score in _overlooked(frame, seen):
        place = _corners(frame.xyxy[k])
        yield Suspected(index, "overlooked", -1, int(frame.class_id[k]), place, score, np.nan)
    if not len(frame.labels_class):
        return
    sizes = sizes_of(frame.labels_xyxy)
    spurious = np.maximum(_spurious(seen, usual.support_of(sizes)), _duplicates(frame, seen))
    other, swapped = _classes(frame, seen, usual.chances.by_class(frame, len(shares)), shares)
    moved = _location(seen, usual.gap_of(sizes))
    for i in range(len(sizes)):
        fix = None if np.isnan(seen.gap[i]) else _corners(seen.consensus[i])
        yield _suspected(index, "spurious", i, None, None, spurious[i])
        yield _suspected(index, "class", i, int(other[i]), None, swapped[i])
        yield _suspected(index, "location", i, None, fix, moved[i])


def _overlooked(frame: JudgedFrame, seen: Seen) -> Iterator[tuple[int, float]]:
    """The best box of every place, and how sure it is of an object that no label has."""
    free = 1 - 2 * seen.overlap.max(axis=0, initial=0.0)
    score = seen.chance * np.maximum(free, 0.0)
    left = score >= LEAST
    same = iou_matrix(frame.xyxy, frame.xyxy) >= ONE_PLACE
    for k in np.argsort(-score, kind="stable").tolist():
        if left[k]:
            left &= ~same[k]
            yield k, float(score[k])


def _spurious(seen: Seen, usual: Reals) -> Reals:
    """(L,) how little speaks for any object in a label's place, beside what is usual there."""
    expected = usual + UNSEEN
    return np.asarray(expected / (expected + seen.support))


def _duplicates(frame: JudgedFrame, seen: Seen) -> Reals:
    """(L,) IoU with a label of the same class that the boxes fit better, where both are one object."""
    class_id, overlap = frame.labels_class, iou_matrix(frame.labels_xyxy, frame.labels_xyxy)
    rank = np.lexsort((np.arange(len(class_id)), -seen.support)).argsort()
    better = (rank[None, :] < rank[:, None]) & (class_id[None, :] == class_id[:, None])
    twice = np.where(better & (overlap >= ONE_OBJECT), overlap, 0.0)
    return np.asarray(twice.max(axis=1, initial=0.0))


def _classes(frame: JudgedFrame, seen: Seen, chance: Reals, shares: Reals) -> tuple[Ints, Reals]:
    """(L,) the class other than its own that is most probable for a label, and how improbable its
    own is.

    The classes of a label's camera-day weigh by their square root, as boxes know them in part.
    """
    near = np.where(seen.overlap >= SAME_PLACE, seen.overlap, 0.0)
    evidence = (near[:, :, None] * chance[None]).max(axis=1, initial=0.0) + UNSEEN
    told = evidence * np.sqrt(without_own(shares, frame.labels_class))
    told /= told.sum(axis=1, keepdims=True)
    rows = np.arange(len(near))
    own = told[rows, frame.labels_class].copy()
    told[rows, frame.labels_class] = -1.0
    return told.argmax(axis=1), 1 - own


def _location(seen: Seen, usual: Reals) -> Reals:
    """(L,) how far a label is off the consensus of boxes, beside what is usual; .5 where none is."""
    ratio = np.where(np.isnan(seen.gap), 1.0, seen.gap / np.maximum(usual, UNSEEN))
    sure = seen.trust / (seen.trust + FAINT)
    ratio = sure * ratio + 1 - sure
    return np.asarray(ratio / (1 + ratio))


def _suspected(
    frame: int,
    kind: Kind,
    label: int,
    fix_class: int | None,
    fix: tuple[float, float, float, float] | None,
    score: float,
) -> Suspected:
    return Suspected(frame, kind, label, fix_class, fix, float(score), np.nan)


def _corners(xyxy: Reals) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (float(value) for value in xyxy)
    return x1, y1, x2, y2
