"""What nobody named: k-center over what is unlike the training set, but not what is unlike everything."""

from __future__ import annotations

import numpy as np

from samplers.coverage import deficit_of_rows
from samplers.distances import Floats, nearest_distance
from samplers.farthest import Farthest
from samplers.pool import Bools, Pool

REFERENCE = 20_000
ASKED = 1_000
LONELY = 0.995


def discovery_arm(pool: Pool, rng: np.random.Generator, weight: float) -> Discovery:
    """Novel frames of no stratum that lacks anything, the farthest from all that is labeled or chosen first."""
    unnamed = np.flatnonzero(
        (pool.novelty > pool.novel_above) & (deficit_of_rows(pool) == 0) & ~pool.excluded
    )
    return Discovery(pool, Farthest("discovery", pool.embeddings, pool.labeled, unnamed, rng, weight), rng)


class Discovery:
    """A farthest-first arm that passes over singletons: k-center goes for a broken picture before any new place.

    A row is lonely when the nearest of up to 20,000 rows drawn from the pool is farther from it than from 99.5 % of
    1,000 rows asked likewise; each row proposed is asked, so the cost is REFERENCE x D for every proposal.
    """

    def __init__(self, pool: Pool, inner: Farthest, rng: np.random.Generator) -> None:
        self.name, self.weight = inner.name, inner.weight
        self._inner, self._points = inner, pool.embeddings
        self._lonely: Bools = np.zeros(len(pool), dtype=bool)
        self._among = np.sort(rng.choice(len(pool), min(len(pool), REFERENCE), replace=False))
        self._reference: Floats = pool.embeddings[self._among]
        asked = rng.choice(self._among, min(len(self._among), ASKED), replace=False)
        near = sorted(self._to_nearest(int(row)) for row in asked)
        self._limit = near[int(LONELY * (len(near) - 1))] if near else np.inf

    def propose(self, open_rows: Bools) -> tuple[int, float] | None:
        while (found := self._inner.propose(open_rows & ~self._lonely)) is not None:
            if self._to_nearest(found[0]) <= self._limit:
                return found
            self._lonely[found[0]] = True
        return None

    def observe(self, row: int) -> None:
        self._inner.observe(row)

    def reopen(self) -> None:
        self._inner.reopen()

    def _to_nearest(self, row: int) -> float:
        """To the nearest row of the reference that is not the row itself; infinite where there is none."""
        others = self._reference[self._among != row]
        return float(nearest_distance(self._points[row : row + 1], others)[0])
