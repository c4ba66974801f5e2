"""Which of the scenes found now were found before: a scene keeps its name, whatever is added to it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

SAME_SCENE = 0.4
"""Of the camera-days that both know, the part which two scenes share of what they hold together (Jaccard
1912), from which on they are one. Of a scene that falls into two halves, one keeps the name.
"""


def names_of_scenes(
    groups: Sequence[Collection[int]], like: Sequence[str], before: Mapping[str, Collection[int]]
) -> tuple[str, ...]:
    """A name for each of K scenes: that of the earlier scene it is, or a new one.

    groups: the camera-days of each. like: how each would be called. before: camera-days by name.
    Each earlier scene is at most one of them; the pairs are those that share most in sum (Kuhn 1955).
    A new name that is taken gets a number.
    """
    names: list[str] = [""] * len(groups)
    earlier = list(before)
    if groups and earlier:
        alike = _alike([set(own) for own in groups], [set(before[name]) for name in earlier])
        for now, was in zip(*linear_sum_assignment(alike, maximize=True), strict=True):
            if alike[now, was] >= SAME_SCENE:
                names[now] = earlier[was]
    taken = {*before, *names}
    for place, wanted in enumerate(like):
        if not names[place]:
            names[place] = _free(wanted, taken)
            taken.add(names[place])
    return tuple(names)


def _alike(
    groups: Sequence[set[int]], before: Sequence[set[int]]
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """(K, B) see SAME_SCENE."""
    both = set().union(*groups) & set().union(*before)
    table = np.zeros((len(groups), len(before)))
    for row, own in enumerate(groups):
        for column, other in enumerate(before):
            together = len((own | other) & both)
            table[row, column] = len(own & other) / together if together else 0.0
    return table


def _free(wanted: str, taken: Collection[str]) -> str:
    if wanted not in taken:
        return wanted
    number = 2
    while f"{wanted} ({number})" in taken:
        number += 1
    return f"{wanted} ({number})"
