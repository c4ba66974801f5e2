"""How far a number that should predict a detector's loss has done so."""

from __future__ import annotations

import numpy as np

from loop.base.arrays import Ints, Reals

DRAWS = 200
LOWER = 0.1
MOST = 0.95
FEW_GROUPS = 8


def trust_of(expected_loss: Reals, loss: Reals, group: Ints, seed: int = 0) -> float:
    """0..0.95: lower 90 % bound of Spearman's rank correlation of expected loss with real loss, by
    bootstrap over groups.

    expected_loss, loss, group: (N,), of frames drawn without regard to either. 0 with fewer than 8
    groups, and where nothing varies.
    """
    _, code = np.unique(group, return_inverse=True)
    groups = int(code.max(initial=-1)) + 1
    if groups < FEW_GROUPS:
        return 0.0
    rows = np.split(np.argsort(code, kind="stable"), np.cumsum(np.bincount(code))[:-1])
    rng = np.random.default_rng(seed)
    drawn = [np.concatenate([rows[g] for g in rng.integers(0, groups, groups)]) for _ in range(DRAWS)]
    bound = float(np.quantile([spearman(expected_loss[each], loss[each]) for each in drawn], LOWER))
    return min(max(bound, 0.0), MOST)


def spearman(left: Reals, right: Reals) -> float:
    """Rank correlation with average ranks; 0 where one of them does not vary."""
    a, b = _ranks(left), _ranks(right)
    spread = float(a.std() * b.std())
    return float((a * b).mean()) / spread if spread > 0 else 0.0


def _ranks(value: Reals) -> Reals:
    """Average ranks about their mean."""
    _, code, counts = np.unique(value, return_inverse=True, return_counts=True)
    rank: Reals = (np.cumsum(counts) - (counts - 1) / 2)[code]
    rank -= rank.mean()
    return rank
