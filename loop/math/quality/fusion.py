"""One answer from those of several persons: what most of them drew, where most of them drew it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from connectors.ports import Box
from loop.math.quality.agreement import MISSING, Object, names, objects


@dataclass(frozen=True, slots=True)
class Fused:
    """boxes: of the objects that most persons drew.

    undecided: the names that persons gave to each object of which most say nothing in common.
    """

    boxes: tuple[Box, ...]
    undecided: tuple[tuple[str, ...], ...] = ()


def fuse(answers: Sequence[Sequence[Box]]) -> Fused:
    """What more than half of two or more persons say of each object, its box fused of those with its
    class.

    An object that most did not draw is dropped. Of an object on which no more than half say the same
    nothing is decided.
    """
    found = objects(answers)
    kept: list[Box] = []
    undecided: list[tuple[str, ...]] = []
    for one, called in zip(found, names(answers, found), strict=True):
        name, voices = Counter(called).most_common(1)[0]
        if 2 * voices <= len(answers):
            undecided.append(tuple(called))
        elif name != MISSING:
            kept.append(fused_box([box for box in _boxes(answers, one) if box.class_name == name]))
    return Fused(tuple(kept), tuple(undecided))


def fused_box(boxes: Sequence[Box], weights: Sequence[float] | None = None) -> Box:
    """One box of several of one object and class: each corner is the mean, by weight (weighted boxes
    fusion, Solovyev et al. 2021; the boxes that belong together come from the matching of persons).

    weights: of each, all 1 when not given. Occluded or truncated where more than half say so.
    """
    weight = np.ones(len(boxes)) if weights is None else np.asarray(weights, np.float64)
    corners = weight @ np.array([box.xyxy for box in boxes], np.float64) / weight.sum()
    x1, y1, x2, y2 = (float(side) for side in corners)
    most = len(boxes) / 2
    return Box(
        boxes[0].class_name,
        (x1, y1, x2, y2),
        "manual",
        occluded=sum(box.occluded for box in boxes) > most,
        truncated=sum(box.truncated for box in boxes) > most,
    )


def _boxes(answers: Sequence[Sequence[Box]], one: Object) -> list[Box]:
    return [answers[person][index] for person, index in enumerate(one) if index is not None]
