"""How far a number that should predict a detector's loss has done so."""

from __future__ import annotations

import numpy as np

from loop.base.arrays import Ints, Reals, same

DRAWS = 399
ALPHA = 0.04
"""Less than the .05 that is promised: permuted groups of uneven sizes are not quite as those that
were drawn.
"""
MOST = 0.95
FEW_GROUPS = 8
ROUNDING = 1e-15


def trust_of(
    expected_loss: Reals,
    loss: Reals,
    group: Ints,
    seed: int = 0,
    weight: Reals | None = None,
    stratum: Ints | None = None,
) -> float:
    """0..0.95: lower 95 % bound of Spearman's rank correlation of expected loss with real loss.

    expected_loss, loss, group: (N,), of frames drawn without regard to either. 0 with fewer than 8
    groups, and where nothing varies.
    weight, stratum: (N,), see `spearman`.
    What chance gives is what permuted groups give (Pitman 1937): each gets the expected loss of
    another, as a whole, so frames of one group are no independent evidence, however uneven groups
    and weights are. The bound lies as far below the correlation as chance reaches above 0, both by
    Fisher's z (1921). Where expected loss means nothing, it is above 0 at most once in twenty times.
    """
    code = np.unique(group, return_inverse=True)[1]
    groups = int(code.max(initial=-1)) + 1
    if groups < FEW_GROUPS:
        return 0.0
    mass, part = _told(len(code), weight, stratum)
    order, b = _order(expected_loss), _ranks(_order(loss), mass, part)
    found = _correlation(_ranks(order, mass, part), b, mass)
    if found <= 0:
        return 0.0
    rng, blocks = np.random.default_rng(seed), _Blocks(code)
    by_chance = [_correlation(_ranks(order[blocks.permuted(rng)], mass, part), b, mass) for _ in range(DRAWS)]
    place = DRAWS - round(ALPHA * (DRAWS + 1))
    reach = max(float(np.partition(by_chance, place)[place]), 0.0)
    return float(np.clip(np.tanh(_fisher_z(found) - _fisher_z(reach)), 0.0, MOST))


def spearman(left: Reals, right: Reals, weight: Reals | None = None, stratum: Ints | None = None) -> float:
    """Rank correlation with average ranks; 0 where one of them does not vary.

    weight: (N,) > 0, of how many frames each is one; the same for all where left out.
    stratum: (N,), frames are ranked within theirs: what tells one from another counts nothing.
    """
    mass, part = _told(len(left), weight, stratum)
    a, b = (_ranks(_order(value), mass, part) for value in (left, right))
    return _correlation(a, b, mass)


class _Blocks:
    """Frames by group, so that groups can take one another's places. code: (N,) from 0."""

    def __init__(self, code: Ints) -> None:
        self._order = np.argsort(code, kind="stable")
        self._size = np.bincount(code)
        self._first = np.cumsum(self._size) - self._size
        self._code = code
        self._place = np.empty(len(code), dtype=np.int64)
        self._place[self._order] = np.arange(len(code)) - self._first[code[self._order]]

    def permuted(self, rng: np.random.Generator) -> Ints:
        """(N,) the row whose value each row gets: of one other group, from anywhere in it on, and
        over again where it is smaller.
        """
        other = rng.permutation(len(self._size))
        start = rng.integers(0, self._size[other])
        source = other[self._code]
        rows: Ints = self._order[self._first[source] + (start[self._code] + self._place) % self._size[source]]
        return rows


def _told(size: int, weight: Reals | None, stratum: Ints | None) -> tuple[Reals, Ints]:
    mass = same(1.0, size) if weight is None else weight
    part = np.zeros(size, dtype=np.int64) if stratum is None else np.unique(stratum, return_inverse=True)[1]
    return mass, part


def _correlation(a: Reals, b: Reals, weight: Reals) -> float:
    return float((weight * a * b).sum())


def _fisher_z(correlation: float) -> float:
    return float(np.arctanh(min(correlation, 1 - 1e-9)))


def _order(value: Reals) -> Ints:
    """(N,) from 0, equal ones the same."""
    order: Ints = np.unique(value, return_inverse=True)[1]
    return order


def _ranks(order: Ints, weight: Reals, stratum: Ints) -> Reals:
    """Average ranks within strata, as shares of their weight, about their mean there and scaled so
    that weighted squares add up to 1; 0 where nothing varies.
    """
    code = stratum * (order.max(initial=0) + 1) + order
    own, total = np.bincount(code, weight), np.bincount(stratum, weight)
    rank = (np.cumsum(own) - own / 2)[code] / total[stratum]
    mean = np.bincount(stratum, weight * rank) / total
    centered = rank - mean[stratum]
    squares = float((weight * centered * centered).sum())
    varies = squares > ROUNDING * float((weight * rank * rank).sum())
    return centered / np.sqrt(squares) if varies else np.zeros(len(rank))
