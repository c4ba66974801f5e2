"""Drawing frames that measure a model: by chance, never by a model's opinion,
with known inclusion probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from samplers.pool import Bools, Ints, Reals

RARER = 0.25
"""In a stratum that lacks groups, a frame of a group that judges already is drawn so many times as
often as one of another group. Weights of frames then differ by four times at most.
"""


@dataclass(frozen=True, slots=True)
class Need:
    """What a stratum is to be given before others get more.

    least: expected frames, as far as it has them.
    groups: how many more of its groups should judge.
    """

    least: float = 1.0
    groups: int = 0


@dataclass(frozen=True, eq=False)
class Draw:
    """rows: (k,) in random order.
    probability: (k,) with which each of them could be drawn, 0 < p <= 1.
    mean: by stratum, the mean probability of its frames; of one without frames, what one would have
    at least.
    """

    rows: Ints
    probability: Reals
    mean: dict[int, float]


def draw_evaluation(
    strata: Ints,
    group: Ints,
    eligible: Bools,
    budget: int,
    rng: np.random.Generator,
    *,
    needs: Mapping[int, Need] | None = None,
    judging: Bools | None = None,
) -> Draw:
    """At most `budget` frames by chance.

    strata, group: (N,) int, any labels.
    eligible: (N,) bool.
    needs: by stratum, Need() for others.
    judging: (N,) bool, frames whose group judges already by their stratum; none by default.
    The budget is shared as `allocate` says. Within a stratum every frame is equally likely, but for
    RARER. The frames are spread over its groups: systematic sampling (Madow 1949) along groups in
    random order. It meets shares that are no whole numbers in expectation, so no frame has
    probability 0 and sum(y / p) is an unbiased total.
    Raises ValueError for a negative budget.
    """
    if budget < 0:
        raise ValueError(f"budget: expected 0 or more frames, got {budget}")
    rows = rng.permutation(np.flatnonzero(eligible))
    count = min(budget, len(rows))
    if not count:
        return Draw(np.zeros(0, dtype=np.int64), np.zeros(0), {})
    wanted = needs or {}
    labels = np.union1d(strata[rows], np.array(list(wanted), dtype=strata.dtype))
    need = [wanted.get(label, Need()) for label in labels.tolist()]
    code = np.searchsorted(labels, strata[rows])
    number = np.unique(group[rows], return_inverse=True)[1]
    late = np.zeros(len(rows), dtype=np.bool_) if judging is None else judging[rows]
    sizes, least = np.bincount(code, minlength=len(labels)), np.array([each.least for each in need])
    lacking = np.minimum([each.groups for each in need], _groups(code[~late], number[~late], len(labels)))
    share = allocate(sizes, count, least, lacking)
    probability = _probability(share, code, late, lacking > 0)
    order = np.lexsort((rng.permutation(number.max() + 1)[number], late, code))
    drawn = rng.permutation(order[_systematic(probability[order], count, rng)])
    one = np.minimum(least, 1) * min(1.0, budget / (np.minimum(sizes, least).sum() + 1))
    mean = np.where(sizes, share / np.maximum(sizes, 1), one)
    return Draw(rows[drawn], probability[drawn], dict(zip(labels.tolist(), mean.tolist(), strict=True)))


def allocate(sizes: Ints, budget: int, least: Reals, lacking: Ints) -> Reals:
    """(S,) expected frames per stratum: they add up to budget <= sum(sizes), none above its size.

    least: (S,) that each gets first, all scaled down where the budget does not suffice.
    lacking: (S,) up to how many frames each gets then, in proportion to it.
    What is left is shared in proportion to the square root of sizes (power allocation, Bankier
    1988), so that small strata can be judged too.
    """
    first = np.minimum(sizes, least).astype(np.float64)
    first *= min(1.0, budget / first.sum())
    filled = _filled(first, np.minimum(sizes, np.maximum(first, lacking)), lacking, budget)
    return _filled(filled, sizes, np.sqrt(sizes), budget)


def _filled(share: Reals, limit: Reals | Ints, weight: Reals | Ints, budget: int) -> Reals:
    """(S,) each with more in proportion to its weight and up to its limit, until the budget is
    spent.
    """
    while (rest := budget - share.sum()) > 1e-9:
        room = limit - share
        takes = np.where(room > 1e-12, weight, 0.0)
        if not takes.any():
            break
        share = share + np.minimum(room, rest * takes / takes.sum())
    return share


def _probability(share: Reals, code: Ints, late: Bools, lacks: Bools) -> Reals:
    """(n,) of each frame; those of a stratum add up to its share.

    code, late: (n,) its stratum, and whether its group judges already.
    lacks: (S,) strata where those whose group judges are drawn less often.
    """
    of_late = np.bincount(code[late], minlength=len(share))
    others = np.bincount(code[~late], minlength=len(share))
    rate = np.where(lacks, RARER, 1.0)
    often = np.minimum(share / np.maximum(others + rate * of_late, rate), 1.0)
    rare = np.minimum((share - often * others) / np.maximum(of_late, 1), 1.0)
    probability: Reals = np.where(late, rare[code], often[code])
    return probability


def _groups(code: Ints, number: Ints, strata: int) -> Ints:
    """(S,) how many groups show each stratum. code, number: (n,) of stratum and group."""
    many = int(number.max(initial=0)) + 1
    return np.bincount(np.unique(code * many + number) // many, minlength=strata)


def _systematic(probability: Reals, count: int, rng: np.random.Generator) -> Ints:
    """`count` positions, each with its probability; the probabilities add up to count."""
    edges = np.cumsum(probability)
    edges *= count / edges[-1]
    marks = np.arange(count) + rng.random()
    return np.searchsorted(edges, marks, side="right").astype(np.int64)
