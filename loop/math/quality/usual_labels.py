"""What is usual among the labels at hand: how often boxes are right, how well a label of some size is
seen, and which classes a camera-day shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loop.base.arrays import Ints, Reals
from loop.math.boxes.matching import iou_matrix
from loop.math.quality.box_chances import BoxChances, box_chances
from loop.math.quality.isotonic import Line, isotonic
from loop.math.quality.judged_frames import JudgedFrame

SEEN_FROM = 0.3
"""IoU from which a box speaks of a label's place."""
EVERYWHERE = 10.0
"""How many labels of its camera-day the classes of all days are worth."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What boxes say of L labels. overlap: (L, K) IoU. chance: (K,) of each box to be right.

    support: (L,) that an object is there. trust: (L,) the chance of the surest box in the place.
    consensus: (L, 4) px, the boxes' mean, nan without any. gap: (L,) 1 - IoU with it, nan likewise.
    """

    overlap: Reals
    chance: Reals
    support: Reals
    trust: Reals
    consensus: Reals
    gap: Reals


@dataclass(frozen=True, eq=False)
class UsualLabels:
    """chances: of boxes. support, gap: what labels of a size have, None without labels to learn from."""

    chances: BoxChances
    support: Line | None
    gap: Line | None

    def support_of(self, sizes: Reals) -> Reals:
        """(L,) usual support of labels of these sizes, px."""
        return np.ones(len(sizes)) if self.support is None else self.support.at(sizes)

    def gap_of(self, sizes: Reals) -> Reals:
        """(L,) usual 1 - IoU with the consensus of labels of these sizes, px."""
        return np.ones(len(sizes)) if self.gap is None else self.gap.at(sizes)


def usual_labels(frames: Sequence[JudgedFrame]) -> UsualLabels:
    """Learned from the labels as they are, most of which are presumed right.

    Larger objects are seen better: two isotonic regressions on the size.
    """
    chances = box_chances(frames)
    seen = [seen_by(each, chances) for each in frames]
    sizes = np.concatenate([sizes_of(each.labels_xyxy) for each in frames] or [np.zeros(0)])
    support = np.concatenate([each.support for each in seen] or [np.zeros(0)])
    gap = np.concatenate([each.gap for each in seen] or [np.zeros(0)])
    known = ~np.isnan(gap)
    return UsualLabels(
        chances, isotonic(sizes, support), isotonic(sizes[known], gap[known], increasing=False)
    )


def seen_by(frame: JudgedFrame, chances: BoxChances) -> Seen:
    """A box supports a label by its chance and IoU. The consensus weighs boxes by the square of that
    product, as weighted boxes fusion weighs by confidence (Solovyev et al. 2021).
    """
    overlap = iou_matrix(frame.labels_xyxy, frame.xyxy)
    chance = chances.of(frame.class_id, frame.confidence)
    near = np.where(overlap >= SEEN_FROM, overlap, 0.0)
    weight = (near * chance) ** 2
    total = weight.sum(axis=1, keepdims=True)
    mean = np.divide(weight @ frame.xyxy, total, out=np.full((len(near), 4), np.nan), where=total > 0)
    gap = 1 - pairwise_iou(frame.labels_xyxy, mean)
    support = (overlap * chance).max(axis=1, initial=0.0)
    return Seen(overlap, chance, support, np.where(near > 0, chance, 0.0).max(axis=1, initial=0.0), mean, gap)


def class_shares(frames: Sequence[JudgedFrame], classes: int) -> dict[str, Reals]:
    """(C,) labels of each class by camera-day, with those of all days worth EVERYWHERE labels."""
    counts: dict[str, Reals] = {}
    for each in frames:
        own = np.bincount(each.labels_class, minlength=classes).astype(np.float64)
        counts[each.group] = counts.get(each.group, np.zeros(classes)) + own
    total = sum(counts.values(), np.full(classes, 1e-9))
    return {group: own + EVERYWHERE * total / total.sum() for group, own in counts.items()}


def sizes_of(xyxy: Reals) -> Reals:
    """(L,) square root of the area of boxes (L, 4), px."""
    return np.asarray(np.sqrt((xyxy[:, 2:] - xyxy[:, :2]).clip(min=0).prod(axis=1)))


def pairwise_iou(a: Reals, b: Reals) -> Reals:
    """(L,) IoU of each box of (L, 4) with the one of (L, 4) beside it, nan where that is nan."""
    inter = (np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])).clip(min=0).prod(axis=1)
    union = sizes_of(a) ** 2 + sizes_of(b) ** 2 - inter
    return np.asarray(inter / np.maximum(union, 1e-9))


def without_own(shares: Reals, class_id: Ints) -> Reals:
    """(L, C) shares of the classes for each of L labels, which does not count itself."""
    table = np.tile(shares, (len(class_id), 1))
    rows = np.arange(len(class_id))
    table[rows, class_id] = np.maximum(table[rows, class_id] - 1, 1e-9)
    return np.asarray(table / table.sum(axis=1, keepdims=True))
