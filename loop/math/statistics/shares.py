"""Shares of frames in groups, because frames of one camera-day are no independent evidence: how well a
share is known, and whether one side shows more than the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.special import gammaln

from loop.base.arrays import Ints, Reals

ENOUGH_DAYS = 5
"""So many groups that show a condition, and as many that show something else, tell how common it is: of
fewer, in simulation, intervals hold the share in .75 to 1.00 of cases.
"""
DRAWS = 4000
MOST_GROUPS = 500
EVEN_DAYS = 4.0
"""As many groups of equal size, and more: one that holds nearly all frames tells no more than itself."""
SMALL = 0.25
"""Groups below this part of the usual size are joined."""
ENOUGH_BLOCKS = 20
ALIKE = 0.05
"""How far frames of one block are taken to be alike, for what they weigh together."""
LIKE_SIZE = 1.5
"""Up to this factor, blocks of two sides are of like size in the mean."""
_ROUNDING = 1e-9


def interval(hits: Ints, totals: Ints, level: float = 0.95) -> tuple[float, float] | None:
    """Of the share hits / totals; None where too few groups are known to tell it.

    Clopper and Pearson's limits at the effective number of frames, by the variance between groups
    and its degrees of freedom (Korn and Graubard 1998). The variance is the jackknife's, groups
    count by their sizes (Kish 1965), and where few groups show a condition, twice as many stand for
    all of them.
    hits, totals: (G,) frames of each group that are inside, and of which it is known.
    """
    known = totals > 0
    inside, frames = hits[known].astype(np.float64), totals[known].astype(np.float64)
    telling = min(np.count_nonzero(inside), np.count_nonzero(inside < frames))
    size = frames.sum()
    groups = size**2 / (frames**2).sum() if size else 0.0
    if telling < ENOUGH_DAYS or groups < EVEN_DAYS:
        return None
    share = inside.sum() / size
    residual = (inside - share * frames) / (1 - frames / size)
    variance = (residual**2).sum() / size**2 * (len(frames) - 1) / len(frames)
    tail = (1 - level) / 2
    freedom = min(groups, 2 * telling) - 1
    effective = min(share * (1 - share) / variance, size) if variance > 0 else size
    effective *= (stats.norm.isf(tail) / stats.t.isf(tail, freedom)) ** 2
    low = stats.beta.ppf(tail, share * effective, (1 - share) * effective + 1)
    high = stats.beta.isf(tail, share * effective + 1, (1 - share) * effective)
    return float(low), float(high)


def blocks(frames: Ints, size: float, seed: int) -> Ints:
    """(G,) int64 from 0, the block of each group: groups of less than a quarter of `size` frames are
    joined at random into blocks of about `size`, or down to half of it to make 20 of them; there are
    no more than 500 in all.

    Images that came one by one are groups of one frame. What is exchanged for camera-days has to
    vary as little.
    frames: (G,) of each group.
    """
    rng = np.random.default_rng(seed)
    block = np.arange(len(frames))
    small = rng.permutation(np.flatnonzero(frames < SMALL * size))
    as_large = frames[small].sum() / max(size, 1.0)
    wanted = max(int(np.ceil(max(as_large, min(ENOUGH_BLOCKS, 2 * as_large)))), 1)
    block[small] = len(frames) + np.arange(len(small)) % wanted
    different, found = np.unique(block, return_inverse=True)
    if len(different) > MOST_GROUPS:
        found = rng.permutation(np.arange(len(different)) % MOST_GROUPS)[found]
    joined: Ints = found.astype(np.int64)
    return joined


@dataclass(frozen=True, eq=False)
class Counted:
    """Of S conditions in B blocks, (S, B): frames that show each, and frames of which it is known."""

    hits: Ints
    frames: Ints

    def joined(self, block: Ints) -> Counted:
        """block: (B,) of each, see `blocks`."""
        return Counted(_summed(self.hits, block), _summed(self.frames, block))


def _summed(counts: Ints, block: Ints) -> Ints:
    """(S, B) from (S, G) counts and the block of each group."""
    found = np.zeros((len(counts), int(block.max(initial=-1)) + 1), dtype=np.int64)
    np.add.at(found.T, block, counts.T)
    return found


def p_more(here: Counted, there: Counted, seed: int) -> Reals:
    """(S,) one-sided p-values of "this side shows no more of a condition than the other", by
    exchanging blocks between the sides.

    The difference of the shares is divided by its standard error, so that the sides may vary
    differently (Janssen 1997). Frames of a block count by what they tell together. Where the blocks
    of one side know more frames, as many of them are left out at random, for few frames vary more.
    Exchanges that say the same are ordered by lot, a number drawn for each block, so that the test
    is exact where the blocks of both sides come from one distribution, and rare conditions are not
    missed. 1 where a side knows nothing.
    """
    both, sizes = _both(here, there), (here.frames.shape[1], there.frames.shape[1])
    told, own = both.frames > 0, here.frames.shape[1]
    lot = np.concatenate([np.random.default_rng([seed, n]).random(each) for n, each in enumerate(sizes)])
    found = np.ones(len(told))
    patterns, pattern = np.unique(told, axis=0, return_inverse=True)
    for number, each in enumerate(patterns):
        rows, first = np.flatnonzero(pattern == number), int(each[:own].sum())
        if 0 < first < each.sum():
            known = _alike(Counted(both.hits[rows][:, each], both.frames[rows][:, each]), first, seed)
            found[rows] = _exchanged(known, lot[each], first, seed)
    return found


def least_p(here: Counted, there: Counted) -> Reals:
    """(S,) what the exchanges could say at best of each condition, were all blocks that show it on
    this side (Tarone 1990).
    """
    both = _both(here, there)
    groups, own = (both.frames > 0).sum(axis=1), (here.frames > 0).sum(axis=1)
    shown = np.minimum((both.hits > 0).sum(axis=1), own)
    least: Reals = np.exp(_log_choose(groups - shown, own - shown) - _log_choose(groups, own))
    return least


def _both(here: Counted, there: Counted) -> Counted:
    return Counted(
        np.concatenate([here.hits, there.hits], axis=1), np.concatenate([here.frames, there.frames], axis=1)
    )


def _alike(both: Counted, first: int, seed: int) -> Counted:
    """Of S conditions, (S, G) blocks of which all are known, the first of them on this side; each
    block of the side that knows more is thinned to the size of some block of the other.
    """
    here, there = both.frames[:, :first], both.frames[:, first:]
    ratio = here.mean(axis=1) / there.mean(axis=1)
    rng = np.random.default_rng([seed, first])
    wanted = both.frames.copy()
    for rows, own, size, others in (
        (ratio > LIKE_SIZE, slice(first), first, there),
        (ratio < 1 / LIKE_SIZE, slice(first, None), there.shape[1], here),
    ):
        drawn = others[:, rng.integers(0, others.shape[1], size)]
        wanted[rows, own] = np.minimum(wanted[:, own], drawn)[rows]
    hits = rng.hypergeometric(both.hits, both.frames - both.hits, wanted)
    return Counted(np.where(wanted == both.frames, both.hits, hits), wanted)


def _exchanged(known: Counted, lot: Reals, first: int, seed: int) -> Reals:
    """known: (S, G) blocks, the first of them on this side. lot: (G,)."""
    shares, weights = known.hits / known.frames, known.frames / (1 + ALIKE * (known.frames - 1))
    side = np.zeros((DRAWS, shares.shape[1]))
    side[:, :first] = 1
    side[1:] = np.random.default_rng([seed, first]).permuted(side[1:], axis=1)
    told, drawn = _differences(side, shares, weights), (side @ lot)[:, None]
    more = told > told[0] + _ROUNDING
    same = np.abs(told - told[0]) <= _ROUNDING
    p: Reals = (more | (same & (drawn >= drawn[0]))).mean(axis=0)
    return p


def _differences(side: Reals, shares: Reals, weights: Reals) -> Reals:
    """(R, S) share of this side less that of the other, over its standard error by linearization.

    side: (R, G) 1 for blocks on this side, 0 for others. shares, weights: (S, G).
    """
    sums = np.stack([weights, weights * shares, weights**2, weights**2 * shares, (weights * shares) ** 2])
    own = np.stack([side @ each.T for each in sums])
    here = side[0].sum()
    mean, spread = _mean_and_variance(own, here)
    other, other_spread = _mean_and_variance(sums.sum(axis=2)[:, None] - own, side.shape[1] - here)
    found: Reals = (mean - other) / np.sqrt(spread + other_spread + _ROUNDING)
    return found


def _mean_and_variance(sums: Reals, blocks: float) -> tuple[Reals, Reals]:
    """Of a weighted mean. sums: (5, R, S) over the blocks of a side, as in `_differences`."""
    weight, total, squared, crossed, both = sums
    mean = total / weight
    residual = both - 2 * mean * crossed + mean**2 * squared
    return mean, np.maximum(residual, 0) / weight**2 * blocks / max(blocks - 1, 1)


def _log_choose(n: Ints, k: Ints) -> Reals:
    found: Reals = gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)
    return found
