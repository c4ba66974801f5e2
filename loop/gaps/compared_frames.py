"""Which frames the last comparison looked at, what it took each for, and which labels count for what
is to be closed: the sets behind its numbers.

A view, kept in columns beside the database: without them the numbers stay, and the next comparison
writes them again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from db.columns import Column, Columns, locked
from loop.base.arrays import Bools, Ints
from loop.math.coverage.facets import NONE, UNKNOWN
from loop.project.project import Project

PRODUCTION, TRAINING = SIDES = ("production", "training")
KNOWN = "known"
ANSWERS = {"none": NONE, "unknown": UNKNOWN}
"""What may stand for an option; KNOWN is any but unknown."""


@dataclass(frozen=True, eq=False)
class Answers:
    """How a facet divides both sides.

    facet, options: ids of slices.
    codes: by side, (N,) index of `options`, NONE or UNKNOWN.
    """

    facet: int
    options: tuple[int, ...]
    codes: Mapping[str, NDArray[np.int32]]


class ComparedFrames:
    """frames: by side, (N,) ids."""

    def __init__(self, columns: Columns) -> None:
        self.frames: dict[str, Ints] = {side: columns[side] for side in SIDES}
        self._columns = columns
        self._axes = {int(axis["facet"]): (place, axis) for place, axis in enumerate(columns.notes["axes"])}
        self._counting = {int(number): slice(*place) for number, *place in columns.notes["counting"]}

    def answered(self, side: str, facet: int, answer: str) -> Ints:
        """Frames of a side that got this answer: the id of an option, none, unknown or known; nobody
        where nothing was asked. A labeled production frame is on both sides, and may differ there.
        """
        if facet not in self._axes:
            return np.zeros(0, np.int64)
        place, axis = self._axes[facet]
        return self.frames[side][_met(self._columns[f"{side} {place}"], axis["options"], answer)]

    def counting(self, slice_id: int) -> Ints:
        """Labeled frames that count for closing a slice, to train on or to judge."""
        place = self._counting.get(slice_id)
        return self._columns["counting"][place] if place else np.zeros(0, np.int64)


def _met(codes: NDArray[Any], options: Sequence[int], answer: str) -> Bools:
    met: Bools
    if answer == KNOWN:
        met = codes != UNKNOWN
    elif answer in ANSWERS:
        met = codes == ANSWERS[answer]
    else:
        number = int(answer)
        met = codes == options.index(number) if number in options else np.zeros(len(codes), np.bool_)
    return met


def folder_of(project: Project) -> Path:
    """Where it is kept."""
    return project.indexes / "compared"


def open_compared(project: Project, comparison: int) -> ComparedFrames | None:
    """Of this comparison, by its id; None where that is not what is kept."""
    with locked(folder_of(project)):
        found = Columns(folder_of(project), str(comparison))
    return ComparedFrames(found) if found.columns else None


def save_compared(
    project: Project,
    comparison: int,
    frames: Mapping[str, Ints],
    axes: Sequence[Answers],
    counting: Mapping[int, Ints],
) -> None:
    """Of this comparison, in place of the one before. frames: by side. Raises OSError."""
    parts: dict[str, NDArray[Any] | list[NDArray[Any]]] = {side: frames[side] for side in SIDES}
    columns = {side: Column("<i8", axis=side) for side in SIDES} | {
        "counting": Column("<i8", axis="counting")
    }
    for place, axis in enumerate(axes):
        for side in SIDES:
            parts[f"{side} {place}"] = axis.codes[side]
            columns[f"{side} {place}"] = Column("<i2", axis=side)
    lists = list(counting.values())
    parts["counting"] = np.concatenate([np.zeros(0, np.int64), *lists])
    ends = np.cumsum([0, *map(len, lists)]).tolist()
    notes = {
        "axes": [{"facet": axis.facet, "options": list(axis.options)} for axis in axes],
        "counting": [[number, *place] for number, *place in zip(counting, ends[:-1], ends[1:], strict=True)],
    }
    with locked(folder_of(project)):
        kept = Columns(folder_of(project), str(comparison))
        kept.clear()
        kept.append(parts, columns, notes)
