"""Where two answers differ, object by object, and which topics of a guideline that touches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from connectors.ports import Box
from loop.math.boxes.matching import iou_matrix
from loop.math.quality.agreement import objects

TIGHT = 0.75
"""IoU below which two boxes of one object say different things of where it ends: the strict limit of the
PASCAL and COCO evaluations."""
SMALL_AREA = 32.0**2
"""px² below which an object is small, as COCO counts (Lin et al. 2014)."""
COVERED = 0.2
"""Of the smaller of two boxes; from there on they overlap."""
NEAR_BORDER = 0.01
"""Of the image's sides; a box that comes so near is cut by the border."""


class Differs(StrEnum):
    """How two answers differ on one object."""

    NOT = "agreed"  # both say the same
    MISSED = "missed"  # one of them alone drew it
    CLASS = "class"  # two classes
    LOOSE = "box"  # boxes that end in different places
    HIDDEN = "occlusion"  # one of them alone says it is occluded, or truncated


class Topic(StrEnum):
    """What a guideline says something about, as far as boxes tell it."""

    SMALL = "small objects"
    OVERLAPPING = "overlapping"
    OCCLUSION = "occlusion"
    TRUNCATION = "truncation"


@dataclass(frozen=True, slots=True)
class Seen:
    """One object as two persons drew it; None for who did not."""

    differs: Differs
    boxes: tuple[Box | None, Box | None]
    topics: frozenset[Topic]

    @property
    def drawn(self) -> tuple[Box, ...]:
        return tuple(box for box in self.boxes if box is not None)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names given to it, each once, in order."""
        return tuple(sorted({box.class_name for box in self.drawn}))


def seen_objects(one: Sequence[Box], other: Sequence[Box], width: int, height: int) -> list[Seen]:
    """Each object that either of two answers shows. width, height: px of the image."""
    found = []
    for i, j in objects((one, other)):
        pair = (None if i is None else one[i], None if j is None else other[j])
        topics = [_topics(box, drawn, width, height) for box, drawn in zip(pair, (one, other), strict=True)]
        found.append(Seen(_differs(*pair), pair, frozenset().union(*topics)))
    return found


def _differs(one: Box | None, other: Box | None) -> Differs:
    if one is None or other is None:
        return Differs.MISSED
    if one.class_name != other.class_name:
        return Differs.CLASS
    if iou_matrix([one.xyxy], [other.xyxy])[0, 0] < TIGHT:
        return Differs.LOOSE
    flags = (one.occluded, one.truncated), (other.occluded, other.truncated)
    return Differs.HIDDEN if flags[0] != flags[1] else Differs.NOT


def _topics(box: Box | None, drawn: Sequence[Box], width: int, height: int) -> set[Topic]:
    if box is None:
        return set()
    x1, y1, x2, y2 = box.xyxy
    across, down = NEAR_BORDER * width, NEAR_BORDER * height
    at_border = x1 < across or y1 < down or x2 > width - across or y2 > height - down
    told = {
        Topic.SMALL: _area(box) < SMALL_AREA,
        Topic.OVERLAPPING: any(_covered(box, another) for another in drawn if another is not box),
        Topic.OCCLUSION: box.occluded,
        Topic.TRUNCATION: box.truncated or at_border,
    }
    return {topic for topic, holds in told.items() if holds}


def _covered(one: Box, other: Box) -> bool:
    size = np.minimum(one.xyxy[2:], other.xyxy[2:]) - np.maximum(one.xyxy[:2], other.xyxy[:2])
    return float(size.clip(min=0).prod()) >= COVERED * max(min(_area(one), _area(other)), 1e-9)


def _area(box: Box) -> float:
    x1, y1, x2, y2 = box.xyxy
    return (x2 - x1) * (y2 - y1)
