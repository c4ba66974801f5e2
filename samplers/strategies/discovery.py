"""What nobody named: k-center over what is unlike the training set, but not what is unlike
everything.
"""

from __future__ import annotations

import numpy as np

from samplers.engine.farthest import Farthest
from samplers.geometry.distances import Floats, reference_rows, squared_norms
from samplers.pool import Bools, Ints, Pool, Reals
from samplers.reason import ChosenFrame, Reason
from samplers.strategies.coverage_deficit import deficit_of_rows

ASKED = 1_000
TOGETHER = 16
LONELY = 0.995
ROUNDING = 1e-3


def _why(frame: ChosenFrame) -> str:
    return f"Looks new, and no known condition explains it: {frame.how_far}"


DISCOVERY = Reason("discovery", _why)


def discovery_component(pool: Pool, rng: np.random.Generator, weight: float) -> Discovery:
    """Novel frames of no slice that lacks anything, the farthest from all that is labeled or
    chosen first.
    """
    unnamed = np.flatnonzero(
        (pool.novelty > pool.novel_above) & (deficit_of_rows(pool) == 0) & ~pool.excluded
    )
    return Discovery(pool, Farthest.of(DISCOVERY, pool, unnamed, rng, weight), rng)


class Discovery:
    """A farthest-first component that passes over singletons: k-center goes for a broken picture
    before any new place.

    A row is lonely when the nearest of up to 20,000 rows drawn from the pool is farther from it
    than from 99.5 % of 1,000 rows asked likewise. Rows likely to be proposed next are asked
    together, 20,000 D multiplications each.
    """

    def __init__(self, pool: Pool, inner: Farthest, rng: np.random.Generator) -> None:
        self.reason, self.weight = inner.reason, inner.weight
        self._inner, self._points = inner, pool.embeddings
        self._lonely: Bools = np.zeros(len(pool), dtype=bool)
        self._asked: Bools = np.zeros(len(pool), dtype=bool)
        self._among = reference_rows(len(pool), rng)
        self._reference: Floats = pool.embeddings[self._among]
        self._norms = np.einsum("nd,nd->n", self._reference, self._reference)
        asked = rng.choice(self._among, min(len(self._among), ASKED), replace=False)
        near = np.sort(self._to_nearest(asked))
        self._limit = near[int(LONELY * (len(near) - 1))] + ROUNDING if len(near) else np.inf

    def propose(self, open_rows: Bools) -> tuple[int, float] | None:
        while (found := self._inner.propose(open_rows & ~self._lonely)) is not None:
            if not self._asked[found[0]]:
                self._ask(found[0])
            if not self._lonely[found[0]]:
                return found
        return None

    def observe(self, row: int) -> None:
        self._inner.observe(row)

    def reopen(self) -> None:
        self._inner.reopen()

    def _ask(self, row: int) -> None:
        ahead = self._inner.ahead(TOGETHER, ~self._asked)
        rows = np.append(ahead[ahead != row], row)
        self._asked[rows] = True
        self._lonely[rows] = self._to_nearest(rows) > self._limit

    def _to_nearest(self, rows: Ints) -> Reals:
        """(R,) to the nearest row of the reference that is not the row itself; infinite where there
        is none.
        """
        nearest = np.full(len(rows), np.inf)
        for start in range(0, len(rows), TOGETHER):
            part = rows[start : start + TOGETHER]
            points = self._points[part]
            squared = (-2 * points) @ self._reference.T
            squared += self._norms
            squared[part[:, None] == self._among] = np.inf
            nearest[start : start + TOGETHER] = squared.min(axis=1, initial=np.inf) + squared_norms(points)
        distance: Reals = np.sqrt(np.maximum(nearest, 0))
        return distance
