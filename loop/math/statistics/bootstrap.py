"""Intervals of shares by resampling whole groups,
because frames of one camera-day are no independent evidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from loop.base.arrays import Bools, Ints

DRAWS = 1000
MOST_NUMBERS = 4_000_000


@dataclass(frozen=True, eq=False)
class Resampling:
    """code: (N,) int64 group of each frame from 0.

    times: (B, G) int64, how often each group is in each draw.
    """

    code: Ints
    times: Ints

    def interval(self, inside: Bools, known: Bools, level: float = 0.95) -> tuple[float, float]:
        """Percentile bootstrap interval of the share of known frames that are inside; (0,
        1) with a single group.
        """
        groups = self.times.shape[1]
        if groups < 2:
            return 0.0, 1.0
        hits = np.bincount(self.code, weights=inside & known, minlength=groups)
        totals = np.bincount(self.code, weights=known, minlength=groups)
        shares = (self.times @ hits) / np.maximum(self.times @ totals, 1)
        low, high = np.quantile(shares, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)


def resampling(group: Ints, seed: int) -> Resampling:
    """1,000 draws with replacement of the groups (Davison and Hinkley 1997, section 3.8); fewer, at
    least 200, of many groups.

    group: (N,) int labels.
    """
    groups, code = np.unique(group, return_inverse=True)
    size = max(len(groups), 1)
    draws = int(np.clip(MOST_NUMBERS // size, 200, DRAWS))
    times = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), size=draws)
    return Resampling(code.astype(np.int64), times.astype(np.int64))
