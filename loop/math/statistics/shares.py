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
DRAWS = 2000
MOST_GROUPS = 500
SMALL = 0.25
"""Groups below this part of the usual size are joined."""
ALIKE = 0.05
"""How far frames of one block are taken to be alike, for what they weigh together."""
LIKE_SIZE = 1.5
"""Up to this factor, blocks of two sides are of like size in the mean."""
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
    differently (Janssen 1997). Frames of a block count by what they tell together, where the blocks
    of both sides are of like size; else each block counts one. Exchanges that say the same are
    ordered by lot, a number drawn for each block, so that the test is exact where the blocks of both
    sides come from one distribution, and rare conditions are not missed. 1 where a side knows
    nothing.
    """
    both = _both(here, there)
    known, own = both.frames > 0, here.frames.shape[1]
    lot = np.random.default_rng(seed).random(known.shape[1])
    found = np.ones(len(known))
    patterns, pattern = np.unique(known, axis=0, return_inverse=True)
    for number, each in enumerate(patterns):
        rows, first = np.flatnonzero(pattern == number), int(each[:own].sum())
        if 0 < first < each.sum():
            frames = both.frames[rows][:, each]
            shares = both.hits[rows][:, each] / frames
            found[rows] = _exchanged(shares, _weights(frames, first), lot[each], first, seed)
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


def _weights(frames: Ints, first: int) -> Reals:
    """(S, G) of blocks: what so many frames that are alike by ALIKE tell, or 1 where the sides' blocks
    differ in size; what a side's blocks weigh would tell the sides apart.
    """
    ratio = frames[:, :first].mean(axis=1) / frames[:, first:].mean(axis=1)
    like = (ratio < LIKE_SIZE) & (ratio > 1 / LIKE_SIZE)
    return np.where(like[:, None], frames / (1 + ALIKE * (frames - 1)), 1.0)


def _exchanged(shares: Reals, weights: Reals, lot: Reals, first: int, seed: int) -> Reals:
    """shares, weights: (S, G), the first of them on this side. lot: (G,)."""
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
