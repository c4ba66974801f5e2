"""How suspect each label is, and each place without one, by the boxes of a model that never saw it.

Four scores in 0..1, one per kind of error, after the ideas of ObjectLab (Tkachenko, Thyagarajan and
Mueller 2023), but on confidences that are calibrated per class and with one consensus box.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from loop.base.arrays import Ints, Reals
from loop.math.boxes.matching import iou_matrix
from loop.math.quality.box_chances import BoxChances, box_chances
from loop.math.quality.judged_frames import JudgedFrame, Kind, Suspected, classes_of

SAME_PLACE = 0.4
"""IoU from which a box speaks of a label's class and place."""
SUPPORT = 0.3
"""IoU from which a box says that there is an object."""
ONE_PLACE = 0.5
"""IoU from which two boxes are of one object."""
LEAST = 1e-4
"""A place that scores less is no suspect."""


def score_labels(frames: Sequence[JudgedFrame]) -> list[Suspected]:
    """Three suspicions of every label and one of every place where boxes but no label are.

    The probability of each is nan: `calibrate` learns it.
    """
    return scored(frames, box_chances(frames))


def scored(frames: Sequence[JudgedFrame], chances: BoxChances) -> list[Suspected]:
    """The same with confidences that were calibrated before."""
    classes = classes_of(frames)
    return [each for i, frame in enumerate(frames) for each in _of_frame(i, frame, chances, classes)]


@dataclass(frozen=True, eq=False)
class _Seen:
    """One frame's boxes against its labels.

    chance: (K,) of each box to be right. by_class: (K, C). overlap: (L, K) IoU.
    """

    frame: JudgedFrame
    chance: Reals
    by_class: Reals
    overlap: Reals


def _of_frame(index: int, frame: JudgedFrame, chances: BoxChances, classes: int) -> Iterator[Suspected]:
    seen = _Seen(
        frame,
        chances.of(frame.class_id, frame.confidence),
        chances.by_class(frame, classes),
        iou_matrix(frame.labels_xyxy, frame.xyxy),
    )
    for k, score in _overlooked(seen):
        fix = _corners(frame.xyxy[k])
        yield Suspected(index, "overlooked", -1, int(frame.class_id[k]), fix, score, np.nan)
    spurious, (other, swapped), (places, moved) = _spurious(seen), _classes(seen), _places(seen)
    for i in range(len(frame.labels_class)):
        yield _suspected(index, "spurious", i, None, None, spurious[i])
        yield _suspected(index, "class", i, int(other[i]), None, swapped[i])
        yield _suspected(index, "location", i, None, _corners(places[i]), moved[i])


def _overlooked(seen: _Seen) -> Iterator[tuple[int, float]]:
    """The best box of every place, and how sure it is of an object that no label has."""
    free = 1 - 2 * seen.overlap.max(axis=0, initial=0.0)
    score = seen.chance * np.maximum(free, 0.0)
    same = iou_matrix(seen.frame.xyxy, seen.frame.xyxy) >= ONE_PLACE
    left = score >= LEAST
    for k in np.argsort(-score, kind="stable").tolist():
        if left[k]:
            left &= ~same[k]
            yield k, float(score[k])


def _spurious(seen: _Seen) -> Reals:
    """(L,) how little speaks for any object in a label's place."""
    support = np.where(seen.overlap > SUPPORT, seen.chance, 0.0).max(axis=1, initial=0.0)
    doubled = _duplicates(seen)
    worst: Reals = np.maximum(1 - support, doubled)
    return worst


def _duplicates(seen: _Seen) -> Reals:
    """(L,) IoU with a label of the same class that the boxes fit better, where both are one object."""
    labels, class_id = seen.frame.labels_xyxy, seen.frame.labels_class
    fit = (seen.overlap * seen.chance).max(axis=1, initial=0.0)
    rank = np.lexsort((np.arange(len(fit)), -fit)).argsort()
    overlap = iou_matrix(labels, labels)
    better = (rank[None, :] < rank[:, None]) & (class_id[None, :] == class_id[:, None])
    twice = np.where(better & (overlap >= 0.8), overlap, 0.0)
    return np.asarray(twice.max(axis=1, initial=0.0))


def _classes(seen: _Seen) -> tuple[Ints, Reals]:
    """(L,) the class that the boxes in a label's place favor over its own, and by how much."""
    near = np.where(seen.overlap >= SAME_PLACE, seen.overlap, 0.0)
    evidence = (near[:, :, None] * seen.by_class[None]).max(axis=1, initial=0.0)
    rows = np.arange(len(near))
    given = evidence[rows, seen.frame.labels_class].copy()
    evidence[rows, seen.frame.labels_class] = -1.0
    if evidence.shape[1] < 2:
        return seen.frame.labels_class, np.zeros(len(near))
    other = evidence.argmax(axis=1)
    return other, evidence[rows, other].clip(min=0.0) * (1 - given)


def _places(seen: _Seen) -> tuple[Reals, Reals]:
    """(L, 4) where the boxes that overlap a label would have it, and how far that is off.

    The consensus box is their mean by chance and IoU.
    """
    labels = seen.frame.labels_xyxy
    weight = np.where(seen.overlap >= SUPPORT, seen.chance * seen.overlap, 0.0) ** 2
    total = weight.sum(axis=1, keepdims=True)
    mean = np.divide(weight @ seen.frame.xyxy, total, out=labels.astype(np.float64).copy(), where=total > 0)
    own = np.array([iou_matrix(a[None], b[None])[0, 0] for a, b in zip(labels, mean, strict=True)])
    trust = np.where(weight > 0, seen.chance, 0.0).max(axis=1, initial=0.0)
    return mean, trust * (1 - own.reshape(-1))


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
