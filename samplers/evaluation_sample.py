"""Drawing frames that measure a model: by chance, never by a model's opinion,
with known inclusion probabilities.
"""

from __future__ import annotations

import numpy as np

from samplers.pool import Bools, Ints, Reals


def draw_evaluation(
    strata: Ints,
    group: Ints,
    eligible: Bools,
    budget: int,
    rng: np.random.Generator,
    minimum: float = 2.0,
) -> tuple[Ints, Reals]:
    """Rows (k,) in random order and the probability (k,) with which each could be drawn, 0 < p <=
    1.

    strata, group: (N,) int, any labels.
    eligible: (N,) bool.
    The budget is shared in proportion to the square root of the strata's sizes (power allocation,
    Bankier 1988), so that small ones can be judged too, with at least `minimum` expected frames
    each, as far as budget and frames allow. Within a stratum every frame is equally likely, and the
    frames are spread over its groups: systematic sampling (Madow 1949) along groups in random
    order. It meets shares that are no whole numbers in expectation, so no stratum has probability 0
    and sum(y / p) is an unbiased total.
    Raises ValueError for a negative budget.
    """
    if budget < 0:
        raise ValueError(f"budget: expected 0 or more frames, got {budget}")
    rows = rng.permutation(np.flatnonzero(eligible))
    count = min(budget, len(rows))
    if not count:
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    _, code, sizes = np.unique(strata[rows], return_inverse=True, return_counts=True)
    probability = (allocate(sizes, count, minimum) / sizes)[code]
    by_stratum = np.lexsort((_shuffled(group[rows], rng), code))
    drawn = by_stratum[_systematic(probability[by_stratum], count, rng)]
    drawn = rng.permutation(drawn)
    return rows[drawn], probability[drawn]


def allocate(sizes: Ints, budget: int, minimum: float) -> Reals:
    """(S,) expected frames per stratum: they add up to budget <= sum(sizes), none above its size."""
    floor = np.minimum(sizes, min(minimum, budget / len(sizes))).astype(np.float64)
    share = floor.copy()
    while (rest := budget - share.sum()) > 1e-9:
        room = sizes - share
        weight = np.where(room > 1e-12, np.sqrt(sizes), 0)
        share += np.minimum(room, rest * weight / weight.sum())
    return share


def _shuffled(labels: Ints, rng: np.random.Generator) -> Ints:
    """A number for each label, in random order."""
    _, code = np.unique(labels, return_inverse=True)
    numbers: Ints = rng.permutation(int(code.max()) + 1)[code]
    return numbers


def _systematic(probability: Reals, count: int, rng: np.random.Generator) -> Ints:
    """`count` positions, each with its probability; the probabilities add up to count."""
    edges = np.cumsum(probability)
    edges *= count / edges[-1]
    marks = np.arange(count) + rng.random()
    return np.searchsorted(edges, marks, side="right").astype(np.int64)
