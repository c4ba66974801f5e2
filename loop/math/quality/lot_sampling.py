"""Where an error of a lot of labels can be, and which of these places are inspected.

Every box of a label is a place, and so is what it does not show. A frame has at least as many places as
frames of its lot have boxes in the mean, so that objects that were overlooked count one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from connectors.ports import Box
from loop.base.arrays import Ints
from loop.math.boxes.matching import iou_matrix
from loop.math.quality.acceptance import Plan

MOVED_BELOW = 0.8
"""A box that was moved counts as wrong where the old and the new one overlap less than this (IoU)."""
NEARLY_ALL = 0.95
"""Of the frames that show objects, this share has no more boxes than a frame without one has places."""
SAME_OBJECT = 0.1
"""Boxes that overlap by less are of different objects (IoU)."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What an inspector changed in a label.

    wrong: for each of its boxes, whether it was of another class, moved or deleted.
    overlooked: objects that were added.
    """

    wrong: tuple[bool, ...]
    overlooked: int

    @property
    def count(self) -> int:
        return sum(self.wrong) + self.overlooked


def changes_of(label: Sequence[Box], answer: Sequence[Box]) -> Changes:
    """Pairs the boxes that overlap most, first within a class; what is left of the answer was overlooked."""
    overlap = iou_matrix(_corners(label), _corners(answer))
    same = np.array([[a.class_name == b.class_name for b in answer] for a in label], dtype=np.bool_)
    same = same.reshape(overlap.shape)
    right = _paired(np.where(same & (overlap >= MOVED_BELOW), overlap, -1.0))
    left = overlap.copy()
    left[right >= 0, :] = -1.0
    left[:, right[right >= 0]] = -1.0
    mended = _paired(np.where(left >= SAME_OBJECT, left, -1.0))
    found = np.count_nonzero(right >= 0) + np.count_nonzero(mended >= 0)
    return Changes(tuple((right < 0).tolist()), len(answer) - int(found))


def places_of(boxes: Ints) -> Ints:
    """(F,) places of each frame: one more than it has boxes, and at least the mean of frames that show
    any. A frame sent in empty may hide a crowd: it has as many as nearly all frames of its lot show.

    boxes: (F,) of its label.
    """
    shown = boxes[boxes > 0]
    if not len(shown):
        return np.ones(len(boxes), dtype=np.int64)
    usual, most = ceil(float(shown.mean())), ceil(float(np.quantile(shown, NEARLY_ALL)))
    found: Ints = np.where(boxes > 0, np.maximum(boxes + 1, usual), most).astype(np.int64)
    return found


def errors_at(changes: Changes, places: int) -> tuple[int, ...]:
    """For each place of a frame, how many errors it stands for. Objects that were overlooked take the
    places behind the boxes, then those of right boxes. Where there are more errors than places, each place
    stands for as many, rounded up: a frame of which nearly all was overlooked is not let off.
    """
    if changes.count > places:
        return (ceil(changes.count / places),) * places
    wrong = [*map(int, changes.wrong), *[0] * (places - len(changes.wrong))]
    free = [*range(len(changes.wrong), places), *(n for n, bad in enumerate(changes.wrong) if not bad)]
    for place in free[: changes.overlooked]:
        wrong[place] = 1
    return tuple(wrong)


def drawn_places(
    plan: Plan, places: Ints, strata: Sequence[str], seed: int
) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """For the first stage and the second, the places that are inspected, by frame.

    Of a small lot they are drawn by simple chance without replacement. Else the lot is laid out by
    strata and cut into as many equal parts as places are wanted, and one is drawn in each: so every
    stratum has its share, and each draw is independent of the others. A place may come twice.
    places: (F,) of each frame. strata: (F,) such as its camera-day and annotator.
    """
    rng = np.random.default_rng(seed)
    order = _laid_out(places, strata, rng)
    frame_of = np.repeat(np.arange(len(places))[order], places[order])
    first_of = np.concatenate([[0], np.cumsum(places[order])[:-1]])
    place_of = np.arange(len(frame_of)) - np.repeat(first_of, places[order])
    if plan.risks == "hypergeometric":
        chosen = rng.permutation(len(frame_of))
        stages = (chosen[: plan.first], chosen[plan.first : plan.first + plan.second])
    else:
        stages = tuple(_one_of_each_part(rng, len(frame_of), n) for n in (plan.first, plan.second))  # type: ignore[assignment]
    first, second = (_by_frame(frame_of[each], place_of[each]) for each in stages)
    return first, second


def _laid_out(places: Ints, strata: Sequence[str], rng: np.random.Generator) -> Ints:
    """Frames by stratum, in an order of chance within each."""
    number = np.unique(np.asarray(strata, dtype=np.str_), return_inverse=True)[1]
    found: Ints = np.lexsort((rng.random(len(places)), number)).astype(np.int64)
    return found


def _one_of_each_part(rng: np.random.Generator, places: int, wanted: int) -> Ints:
    at = (np.arange(wanted) + rng.random(wanted)) * places / max(wanted, 1)
    found: Ints = np.minimum(at.astype(np.int64), places - 1)
    return found


def _by_frame(frames: Ints, places: Ints) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for frame, place in zip(frames.tolist(), places.tolist(), strict=True):
        found.setdefault(frame, []).append(place)
    return found


def _corners(boxes: Sequence[Box]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.array([box.xyxy for box in boxes], dtype=np.float64).reshape(-1, 4)


def _paired(overlap: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Ints:
    """(A,) the column that each row takes, the largest overlap first; -1 for none."""
    found = np.full(len(overlap), -1, np.int64)
    left = overlap.copy()
    while left.size and left.max() > 0:
        row, column = np.unravel_index(int(left.argmax()), left.shape)
        found[row] = column
        left[row, :] = left[:, column] = -1.0
    return found
