"""Errors planted into copies of labels: what a wrong label would score, learned where it is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from loop.base.arrays import Ints, Reals
from loop.math.quality.judged_frames import JudgedFrame, Kind, classes_of

NEAREST, FARTHEST = 0.4, 0.75
"""IoU with the label that a badly placed copy keeps."""
ATTEMPTS = 20


@dataclass(frozen=True, eq=False)
class Planted:
    """frame: with errors in its labels.
    kinds: by index of a label, what was done to it.
    overlooked: (M, 4) boxes of the labels that were taken out, px.
    """

    frame: JudgedFrame
    kinds: dict[int, Kind]
    overlooked: Reals


def plant(frames: Sequence[JudgedFrame], rate: float, seed: int) -> list[Planted]:
    """Copies in which a share `rate` of the labels is wrong in each of the four ways.

    No label is wrong in two ways. Spurious labels have the size and class of another label and lie
    where nothing is.
    """
    dice = np.random.default_rng(seed)
    labels = [np.asarray(each.labels_xyxy, np.float64) for each in frames]
    sizes = np.concatenate([each[:, 2:] - each[:, :2] for each in labels] or [np.zeros((0, 2))])
    ids = np.concatenate([each.labels_class for each in frames] or [np.zeros(0, np.int64)])
    used = np.unique(ids)
    shares = np.bincount(ids, minlength=classes_of(frames)) / max(len(ids), 1)
    reach = _reach(frames)
    pools = {group: _Pool(sizes, ids, used, shares, far) for group, far in reach.items()}
    return [_planted(each, rate, pools[each.group], dice) for each in frames]


def moved(box: Reals, dice: np.random.Generator) -> Reals:
    """(4,) a copy of a box (4,) px, shifted and resized until its IoU with it is .4 to .75."""
    size = np.tile(box[2:] - box[:2], 2)
    for _ in range(ATTEMPTS):
        other: Reals = box + dice.normal(0, 0.2, 4) * size
        if (other[2:] > other[:2]).all() and NEAREST <= _iou(box, other) <= FARTHEST:
            return other
    side = int(dice.integers(4))
    other = box.copy()
    other[side] += (0.4 if side < 2 else -0.4) * size[side]
    return other


@dataclass(frozen=True, eq=False)
class _Pool:
    """sizes: (N, 2) px and class_id: (N,) of all labels.
    used: classes that labels have, shares: (C,) of labels of each class.
    reach: (2,) px, how far right and down boxes go in a group.
    """

    sizes: Reals
    class_id: Ints
    used: Ints
    shares: Reals
    reach: Reals


def _reach(frames: Sequence[JudgedFrame]) -> dict[str, Reals]:
    reach: dict[str, Reals] = {}
    for each in frames:
        corners = np.concatenate([each.labels_xyxy[:, 2:], each.xyxy[:, 2:]])
        reach[each.group] = np.maximum(reach.get(each.group, np.zeros(2)), corners.max(axis=0, initial=0.0))
    return reach


def _planted(frame: JudgedFrame, rate: float, pool: _Pool, dice: np.random.Generator) -> Planted:
    xyxy, class_id = np.array(frame.labels_xyxy, np.float64), np.array(frame.labels_class, np.int64)
    draw = dice.random(len(class_id))
    gone, swapped, shifted = draw < rate, (draw >= rate) & (draw < 2 * rate), draw >= 1 - rate
    for i in np.flatnonzero(swapped):
        class_id[i] = _other(int(class_id[i]), pool, dice)
    for i in np.flatnonzero(shifted):
        xyxy[i] = moved(xyxy[i], dice)
    added = _added(xyxy, int(dice.binomial(len(class_id), rate)), pool, dice)
    kept = np.flatnonzero(~gone)
    wrong: dict[int, Kind] = {
        place: "class" if swapped[i] else "location"
        for place, i in enumerate(kept.tolist())
        if (swapped[i] and class_id[i] != frame.labels_class[i]) or shifted[i]
    }
    wrong |= {len(kept) + i: "spurious" for i in range(len(added[1]))}
    labels = np.concatenate([xyxy[kept], added[0]]), np.concatenate([class_id[kept], added[1]])
    return Planted(replace(frame, labels_xyxy=labels[0], labels_class=labels[1]), wrong, xyxy[gone])


def _other(own: int, pool: _Pool, dice: np.random.Generator) -> int:
    """Half by how frequent classes are, half evenly."""
    left = pool.used[pool.used != own]
    if not len(left):
        return own
    weight = pool.shares[left] / pool.shares[left].sum() + 1 / len(left)
    return int(dice.choice(left, p=weight / weight.sum()))


def _added(xyxy: Reals, count: int, pool: _Pool, dice: np.random.Generator) -> tuple[Reals, Ints]:
    """Boxes of sizes and classes of other labels, where boxes of the group reach, over no label."""
    boxes: list[Reals] = []
    classes: list[int] = []
    for _ in range(count * ATTEMPTS):
        if len(boxes) == count:
            break
        pick = int(dice.integers(len(pool.class_id)))
        corner = dice.random(2) * np.maximum(pool.reach - pool.sizes[pick], 0)
        box: Reals = np.concatenate([corner, corner + pool.sizes[pick]])
        if max((_iou(box, other) for other in [*xyxy, *boxes]), default=0.0) < 0.1:
            boxes.append(box)
            classes.append(int(pool.class_id[pick]))
    return np.array(boxes).reshape(-1, 4), np.array(classes, np.int64)


def _iou(a: Reals, b: Reals) -> float:
    size = (np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])).clip(min=0)
    inter = float(size.prod())
    return inter / max(float((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod()) - inter, 1e-12)
