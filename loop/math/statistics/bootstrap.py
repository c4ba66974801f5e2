"""Intervals of shares by resampling whole groups,
because frames of one camera-day are no independent evidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from loop.base.arrays import Bools, Ints, Reals

DRAWS = 1000
MOST_NUMBERS = 4_000_000


@dataclass(frozen=True, eq=False)
class Resampling:
    """code: (N,) int64 group of each frame from 0.

    times: (B, G) float64 whole numbers, how often each group is in each draw.
    """

    code: Ints
    times: Reals

    def counts(self, inside: Bools | Ints) -> Ints:
        """(G,) how many frames of each group are inside. inside: (N,), or the rows that are."""
        found: Ints = np.bincount(self.code[inside], minlength=self.times.shape[1])
        return found

    def intervals(self, hits: Ints, totals: Ints, level: float = 0.95) -> Reals:
        """(S, 2) percentile bootstrap intervals of S shares; 0 and 1 with a single group.

        hits, totals: (S, G) frames of each group that are inside, and of which it is known.
        """
        if self.times.shape[1] < 2:
            return np.tile([0.0, 1.0], (len(hits), 1))
        shares = (self.times @ hits.T) / np.maximum(self.times @ totals.T, 1)
        found: Reals = np.quantile(shares, [(1 - level) / 2, (1 + level) / 2], axis=0).T
        return found


def resampling(group: Ints, seed: int) -> Resampling:
    """1,000 draws with replacement of the groups (Davison and Hinkley 1997, section 3.8); fewer, at
    least 200, of many groups.

    group: (N,) int labels.
    """
    groups, code = np.unique(group, return_inverse=True)
    size = max(len(groups), 1)
    draws = int(np.clip(MOST_NUMBERS // size, 200, DRAWS))
    times = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), size=draws)
    return Resampling(code.astype(np.int64), times.astype(np.float64))
