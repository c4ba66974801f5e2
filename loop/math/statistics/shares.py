"""Shares of frames in groups, because frames of one camera-day are no independent evidence: how well a
share is known, and whether one side shows more than the other.
"""

from __future__ import annotations

import numpy as np
from scipy import stats
from scipy.special import gammaln

from loop.base.arrays import Ints, Reals

ENOUGH_DAYS = 5
"""So many groups that show a condition, and as many that show something else, tell how common it is: of
fewer, in simulation, intervals hold the share in .75 to 1.00 of cases.
"""
DRAWS = 2000
MOST_GROUPS = 500
SMALL = 0.25
"""Groups below this part of the usual size are joined."""
_ROUNDING = 1e-9


def interval(hits: Ints, totals: Ints, level: float = 0.95) -> tuple[float, float] | None:
    """Of the share hits / totals; None where too few groups are known to tell it.

    Clopper and Pearson's limits at the effective number of frames, by the variance between groups
    and its degrees of freedom (Korn and Graubard 1998). Where few groups show a condition, twice as
    many stand for all of them.
    hits, totals: (G,) frames of each group that are inside, and of which it is known.
    """
    known = totals > 0
    inside, frames = hits[known].astype(np.float64), totals[known].astype(np.float64)
    telling = min(np.count_nonzero(inside), np.count_nonzero(inside < frames))
    if telling < ENOUGH_DAYS:
        return None
    groups, size = len(frames), frames.sum()
    share = inside.sum() / size
    variance = ((inside - share * frames) ** 2).sum() / size**2 * groups / (groups - 1)
    tail = (1 - level) / 2
    freedom = min(groups, 2 * telling) - 1
    effective = min(share * (1 - share) / variance, size) if variance > 0 else size
    effective *= (stats.norm.isf(tail) / stats.t.isf(tail, freedom)) ** 2
    low = stats.beta.ppf(tail, share * effective, (1 - share) * effective + 1)
    high = stats.beta.isf(tail, share * effective + 1, (1 - share) * effective)
    return float(low), float(high)


def blocks(frames: Ints, size: float, seed: int) -> Ints:
    """(G,) int64 from 0, the block of each group: groups of less than a quarter of `size` frames are
    joined at random into blocks of about `size`; there are no more than 500 in all.

    Images that came one by one are groups of one frame. What is exchanged for camera-days has to
    vary as little.
    frames: (G,) of each group.
    """
    rng = np.random.default_rng(seed)
    block = np.arange(len(frames))
    small = rng.permutation(np.flatnonzero(frames < SMALL * size))
    wanted = max(int(np.ceil(frames[small].sum() / max(size, 1.0))), 1)
    block[small] = len(frames) + np.arange(len(small)) % wanted
    different, found = np.unique(block, return_inverse=True)
    if len(different) > MOST_GROUPS:
        found = rng.permutation(np.arange(len(different)) % MOST_GROUPS)[found]
    joined: Ints = found.astype(np.int64)
    return joined


def block_shares(hits: Ints, totals: Ints, block: Ints) -> Reals:
    """(S, B) share of each of S conditions in each block, NaN where nothing is known of it.

    hits, totals: (S, G) frames of each group that are inside, and of which it is known.
    block: (G,) see `blocks`.
    """
    size = int(block.max(initial=-1)) + 1
    member = np.zeros((len(block), size))
    member[np.arange(len(block)), block] = 1
    inside, known = hits @ member, totals @ member
    shares: Reals = np.divide(inside, known, out=np.full(inside.shape, np.nan), where=known > 0)
    return shares


def p_more(here: Reals, there: Reals, seed: int) -> Reals:
    """(S,) one-sided p-values of "this side shows no more of a condition than the other", by
    exchanging groups between the sides.

    The difference of the means over groups is divided by its standard error, so that the sides may
    vary differently (Janssen 1997). Exchanges that say the same are ordered by lot, a number drawn
    for each group, so that the test is exact where the groups of both sides come from one
    distribution, and rare conditions are not missed.
    here: (S, A), there: (S, B) the share of each condition in each group, NaN where it is unknown.
    1 where a side knows nothing.
    """
    values = np.concatenate([here, there], axis=1)
    known = np.isfinite(values)
    lot = np.random.default_rng(seed).random(values.shape[1])
    found = np.ones(len(values))
    patterns, pattern = np.unique(known, axis=0, return_inverse=True)
    for number, each in enumerate(patterns):
        rows, first = np.flatnonzero(pattern == number), int(each[: here.shape[1]].sum())
        if 0 < first < each.sum():
            found[rows] = _exchanged(values[rows][:, each], lot[each], first, seed)
    return found


def least_p(here: Reals, there: Reals) -> Reals:
    """(S,) what the exchanges could say at best of each condition, were all groups that show it on
    this side (Tarone 1990).

    here, there: as in `p_more`.
    """
    every = np.concatenate([here, there], axis=1)
    groups, own = np.isfinite(every).sum(axis=1), np.isfinite(here).sum(axis=1)
    shown = np.minimum((np.nan_to_num(every) > 0).sum(axis=1), own)
    least: Reals = np.exp(_log_choose(groups - shown, own - shown) - _log_choose(groups, own))
    return least


def _exchanged(values: Reals, lot: Reals, first: int, seed: int) -> Reals:
    """values: (S, G), the first of them on this side. lot: (G,)."""
    side = np.zeros((DRAWS, values.shape[1]))
    side[:, :first] = 1
    side[1:] = np.random.default_rng([seed, first]).permuted(side[1:], axis=1)
    told, drawn = _differences(side, values), (side @ lot)[:, None]
    more = told > told[0] + _ROUNDING
    same = np.abs(told - told[0]) <= _ROUNDING
    p: Reals = (more | (same & (drawn >= drawn[0]))).mean(axis=0)
    return p


def _differences(side: Reals, values: Reals) -> Reals:
    """(R, S) mean of this side less that of the other, over its standard error.

    side: (R, G) 1 for groups on this side, 0 for others.
    """
    here = side[0].sum()
    there = side.shape[1] - here
    total, squares = values.sum(axis=1), (values**2).sum(axis=1)
    own, own_squares = side @ values.T, side @ (values**2).T
    mean, other = own / here, (total - own) / there
    spread = (own_squares / here - mean**2) / max(here - 1, 1)
    spread += ((squares - own_squares) / there - other**2) / max(there - 1, 1)
    found: Reals = (mean - other) / np.sqrt(np.maximum(spread, 0) + _ROUNDING)
    return found


def _log_choose(n: Ints, k: Ints) -> Reals:
    found: Reals = gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)
    return found
