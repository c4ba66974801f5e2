"""Whether persons who labeled the same image agree: which of their boxes are one object, and how far
their answers are alike beyond chance.

K-alpha is Krippendorff's alpha for names with "missing" as a name of its own, after boxes were matched
(KaLOS, Tschirschwitz and Rodehorst, CVPR 2026, arXiv 2603.27197). It is told of each task, and of many
tasks as their mean, as its authors found to be valid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from connectors.ports import Box
from loop.base.arrays import Reals
from loop.math.boxes.matching import iou_matrix

SAME = 0.5
"""IoU from which boxes of two persons are of one object."""
MISSING = ""
"""The name that a person gave to an object without drawing it."""
_NEVER = 100.0

Object = tuple[int | None, ...]
"""By person, which of their boxes shows the object; None where they drew none."""


@dataclass(frozen=True, slots=True)
class Compared:
    """Two answers to one task, or the objects among them that somebody gave one class.

    alpha: K-alpha of the task.
    boxes: of both. missed: objects that one of them alone drew.
    matched: objects that both drew. conflicts: of them, those with two classes.
    hidden: of them, those that one alone marked as occluded, or as truncated.
    iou: summed over matched objects.
    spread: summed over matched objects, how far sides stray in parts of the object's size, squared.
    """

    alpha: float
    boxes: int
    missed: int
    matched: int
    conflicts: int
    hidden: int
    iou: float
    spread: float


def objects(answers: Sequence[Sequence[Box]], least: float = SAME) -> list[Object]:
    """The objects that any of these answers to one image shows.

    Person by person, each is assigned to the boxes of those before so that as many as possible meet, and
    their IoU and equal classes are most in sum (sequential Hungarian matching, Tschirschwitz et al.
    2022). Boxes meet from an IoU of `least` on, whatever their classes.
    """
    found: list[list[int | None]] = [[index] for index in range(len(answers[0]))] if answers else []
    for person in range(1, len(answers)):
        free = [*range(len(answers[person]))]
        for one in found:
            one.append(None)
        for earlier in range(person):
            known = [(one, one[earlier]) for one in found if one[person] is None]
            drawn = [(one, index) for one, index in known if index is not None]
            theirs = [answers[earlier][index] for _, index in drawn]
            pairs = _pairs(theirs, [answers[person][index] for index in free], least)
            for row, column in pairs:
                drawn[row][0][person] = free[column]
            free = [index for column, index in enumerate(free) if column not in {taken for _, taken in pairs}]
        found += [[None] * person + [index] for index in free]
    return [tuple(one) for one in found]


def names(answers: Sequence[Sequence[Box]], found: Sequence[Object]) -> list[list[str]]:
    """By object and person, the class given to it, MISSING where it was not drawn."""
    return [
        [MISSING if index is None else answers[person][index].class_name for person, index in enumerate(each)]
        for each in found
    ]


def alpha(units: Sequence[Sequence[str]]) -> float:
    """Krippendorff's alpha of names (2004), -1..1. units: what each person called each object.

    1 where nothing could differ: without units, or where all names are one.
    """
    table = [unit for unit in units if len(unit) > 1]
    kinds = {name: index for index, name in enumerate(sorted({name for unit in table for name in unit}))}
    if len(kinds) < 2:
        return 1.0
    counts = np.array([np.bincount([kinds[name] for name in unit], minlength=len(kinds)) for unit in table])
    persons = counts.sum(axis=1)
    same = float((counts * (counts - 1) / (persons[:, None] - 1)).sum())
    by_name = counts.sum(axis=0)
    total, by_chance = float(persons.sum()), float((by_name * (by_name - 1)).sum())
    return ((total - 1) * same - by_chance) / (total * (total - 1) - by_chance)


def task_alpha(answers: Sequence[Sequence[Box]], only: str | None = None) -> float:
    """K-alpha of one task, -1..1. only: of the objects that somebody gave this class."""
    units = names(answers, objects(answers))
    return alpha([unit for unit in units if only is None or only in unit])


def compare(one: Sequence[Box], other: Sequence[Box], only: str | None = None) -> Compared:
    """Two answers to one task. only: the objects alone that either gave this class."""
    units = [
        pair
        for pair in _drawn(one, other, objects((one, other)))
        if only is None or any(box is not None and box.class_name == only for box in pair)
    ]
    called = [[MISSING if box is None else box.class_name for box in pair] for pair in units]
    both = [(a, b) for a, b in units if a is not None and b is not None]
    apart = np.array([a.xyxy for a, _ in both]).reshape(-1, 4), np.array([b.xyxy for _, b in both])
    return Compared(
        alpha=alpha(called),
        boxes=2 * len(both) + len(units) - len(both),
        missed=len(units) - len(both),
        matched=len(both),
        conflicts=sum(a.class_name != b.class_name for a, b in both),
        hidden=sum((a.occluded, a.truncated) != (b.occluded, b.truncated) for a, b in both),
        iou=float(sum(iou_matrix([a.xyxy], [b.xyxy])[0, 0] for a, b in both)),
        spread=float(_strayed(apart[0], apart[1].reshape(-1, 4)).sum()),
    )


def agree(one: Sequence[Box], other: Sequence[Box]) -> bool:
    """Whether both show the same objects with the same classes."""
    units = names((one, other), objects((one, other)))
    return all(first == second for first, second in units)


def _drawn(
    one: Sequence[Box], other: Sequence[Box], found: Sequence[Object]
) -> list[tuple[Box | None, Box | None]]:
    return [(None if i is None else one[i], None if j is None else other[j]) for i, j in found]


def _pairs(one: Sequence[Box], other: Sequence[Box], least: float) -> list[tuple[int, int]]:
    from scipy.optimize import linear_sum_assignment  # only where persons are compared

    if not one or not other:
        return []
    overlap = iou_matrix([box.xyxy for box in one], [box.xyxy for box in other])
    alike = np.array([[a.class_name == b.class_name for b in other] for a in one])
    cost = np.where(overlap >= least, -overlap - alike, _NEVER)
    rows, columns = linear_sum_assignment(cost)
    return [
        (row, column)
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        if cost[row, column] < _NEVER
    ]


def _strayed(one: Reals, other: Reals) -> Reals:
    """(M,) how far sides stray from where they are meant, squared, in parts of the object's size: half of
    the squared difference of two persons, who stray both.
    """
    middle = (one + other) / 2
    area = (middle[:, 2] - middle[:, 0]) * (middle[:, 3] - middle[:, 1])
    return np.asarray(((one - other) ** 2).mean(axis=1) / 2 / np.maximum(area, 1e-9))
