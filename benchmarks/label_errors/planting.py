"""Errors that the benchmark plants. Their recipe is not the one that the calibration plants by."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from benchmarks.label_errors.data import LabeledFrame, LabeledSet
from loop.base.arrays import Ints, Reals
from loop.math.boxes.matching import iou_matrix
from loop.math.quality.label_errors import Kind

CLOSEST, FARTHEST = 0.4, 0.7
"""IoU with the right box that a bad one keeps."""
ATTEMPTS = 200


@dataclass(frozen=True, eq=False)
class Wrong:
    """frame: its labels, some of them wrong.
    kinds: (L,) of each label, "" where it is right.
    right: (L, 4) px, where the object of each label is, nan where none is.
    overlooked: (M, 4) px, objects whose labels were taken out.
    """

    frame: LabeledFrame
    kinds: tuple[Kind | str, ...]
    right: Reals
    overlooked: Reals

    @property
    def objects(self) -> Reals:
        """(G, 4) px, all that is there."""
        return np.concatenate([self.right[~np.isnan(self.right[:, 0])], self.overlooked])


def planted(data: LabeledSet, share: float, seed: int) -> list[Wrong]:
    """Every label is taken out, given another class, or moved, each with the chance `share`; as many
    are added.

    Another class is drawn evenly. A label is moved half by a shift and half by being made too large
    or too small. An added one has the size and class of another label of the set and lies where
    nothing is.
    """
    dice = np.random.default_rng([seed, round(1000 * share)])
    sizes = np.concatenate([each.xyxy[:, 2:] - each.xyxy[:, :2] for each in data.frames])
    ids = np.concatenate([each.class_id for each in data.frames])
    return [_wrong(each, share, len(data.classes), (sizes, ids), dice) for each in data.frames]


def _wrong(
    frame: LabeledFrame, share: float, classes: int, pool: tuple[Reals, Ints], dice: np.random.Generator
) -> Wrong:
    fate = np.floor(dice.random(len(frame.class_id)) / share).astype(int)
    xyxy, ids = frame.xyxy.copy(), frame.class_id.copy()
    for i in np.flatnonzero(fate == 1):
        ids[i] = (ids[i] + dice.integers(1, classes)) % classes
    for i in np.flatnonzero(fate == 2):
        xyxy[i] = _moved(frame.xyxy[i], frame.size, dice)
    extra, extra_ids = _added(frame, int(dice.binomial(len(ids), share)), pool, dice)
    left = fate != 0
    kinds = [{1: "class", 2: "location"}.get(each, "") for each in fate[left].tolist()]
    labels = replace(
        frame,
        xyxy=np.concatenate([xyxy[left], extra]),
        class_id=np.concatenate([ids[left], extra_ids]),
    )
    right = np.concatenate([frame.xyxy[left], np.full((len(extra), 4), np.nan)])
    return Wrong(labels, (*kinds, *["spurious"] * len(extra)), right, frame.xyxy[~left])


def _moved(box: Reals, size: tuple[int, int], dice: np.random.Generator) -> Reals:
    """Until the IoU with the right box is in the range; a box at the border may need many tries."""
    own = np.tile(box[2:] - box[:2], 2)
    for _ in range(ATTEMPTS):
        if dice.random() < 0.5:
            other = box + np.tile(dice.uniform(-0.6, 0.6, 2), 2) * own
        else:
            larger = dice.uniform(-0.2, 0.45) * np.array([-1, -1, 1, 1])
            other = box + larger * dice.uniform(0.5, 1, 4) * own
        other = _inside(other, size)
        if CLOSEST <= iou_matrix(box[None], other[None])[0, 0] <= FARTHEST:
            return other
    half: Reals = box.copy()
    half[2] = (box[0] + box[2]) / 2
    return half


def _added(
    frame: LabeledFrame, count: int, pool: tuple[Reals, Ints], dice: np.random.Generator
) -> tuple[Reals, Ints]:
    boxes: list[Reals] = list(frame.xyxy)
    ids: list[int] = []
    for _ in range(count * ATTEMPTS):
        if len(ids) == count:
            break
        pick = int(dice.integers(len(pool[1])))
        room = np.array(frame.size) - pool[0][pick]
        corner = dice.random(2) * room.clip(min=0)
        box: Reals = np.concatenate([corner, corner + pool[0][pick]])
        if not boxes or iou_matrix(box[None], np.array(boxes)).max() < 0.1:
            boxes.append(box)
            ids.append(int(pool[1][pick]))
    return np.array(boxes[len(frame.xyxy) :]).reshape(-1, 4), np.array(ids, np.int64)


def _inside(box: Reals, size: tuple[int, int]) -> Reals:
    limits = np.tile(np.array(size, np.float64), 2)
    return np.asarray(box.clip(0, limits), np.float64)
