"""How like some examples frames are, in the embedding space: a direction that tells them from other
frames, and a limit that examples left aside have tested.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from connectors.ports import Array
from loop.base.arrays import Ints, Reals
from loop.math.coverage.frame_arrays import Vectors, blocks

FOLDS = 5
FEW_FALSE = 0.005
"""Share of other frames beyond the lower end, which is taken for the upper one as well: there the
frames lie that are looked for.
"""
FOUND = 0.2
"""Quantile of the examples that were left aside, towards which the limit goes."""
ALONE = 0.6
"""The limit of one example or burst alone, which nothing tests: 0 is what others are, 1 the example."""
NOTHING = 1e-9


@dataclass(frozen=True, eq=False)
class Likeness:
    """toward: (D,), 0 for what others are and 1 for what the examples are once `offset` is taken off.
    limit: from which on a frame is like the examples.
    found: share of the examples that the others alone would have found; None where nothing tested it.
    """

    toward: Reals
    offset: float
    limit: float
    found: float | None

    def of(self, vectors: Vectors) -> Reals:
        """(N,) how like the examples each vector (N, D) is."""
        values = np.empty(len(vectors))
        for rows, part in blocks(vectors):
            values[rows] = part @ self.toward.astype(np.float32) - self.offset
        return values


def likeness(examples: Array, group: Ints, others: Array) -> Likeness:
    """Fisher's linear discriminant (1936) of the examples against all others, whose covariance is
    shrunk as Ledoit and Wolf (2004) do.

    The limit lies midway between what hardly any other frame reaches and what four in five examples
    do that were left aside, in FOLDS parts; a group is left aside as a whole. Where the examples
    hardly find one another it is the former.
    examples: (E, D), one or more. group: (E,) bursts. others: (M, D) of frames drawn at random.
    Raises ValueError without examples or others.
    """
    if not len(examples) or len(others) < 2:
        raise ValueError(
            f"expected examples and other frames, got {len(examples)} and {len(others)}; analyze more frames"
        )
    from sklearn.covariance import ledoit_wolf

    known = others.astype(np.float64)
    middle = known.mean(axis=0)
    covariance, _ = ledoit_wolf(known - middle, assume_centered=True)
    inverse = np.linalg.pinv(covariance, hermitian=True)
    toward, offset = _direction(examples, inverse, middle)
    around = known @ toward - offset
    usual, least = np.quantile(around, [0.5, FEW_FALSE]).tolist()
    floor = 2 * usual - least
    folds = _folds(group)
    if folds.max() == 0:
        return Likeness(toward, offset, max(floor, ALONE), None)
    held = np.empty(len(examples))
    for fold in np.unique(folds).tolist():
        left = folds == fold
        held[left] = examples[left] @ (part := _direction(examples[~left], inverse, middle))[0] - part[1]
    reached = float(np.quantile(held, FOUND))
    limit = (floor + reached) / 2 if reached - usual >= (floor - usual) / 2 else floor
    return Likeness(toward, offset, limit, float((held > limit).mean()))


def _direction(examples: Array, inverse: Reals, middle: Reals) -> tuple[Reals, float]:
    """(D,) and its offset, so that others are 0 in the mean and examples 1."""
    apart = examples.mean(axis=0) - middle
    toward = inverse @ apart
    length = float(apart @ toward)
    toward = toward / max(length, NOTHING)
    return toward, float(middle @ toward)


def _folds(group: Ints) -> Ints:
    """(E,) the part that each example is left aside with: whole groups, spread evenly."""
    _, number = np.unique(group, return_inverse=True)
    return (number % FOLDS).astype(np.int64)
