"""Frames like those that somebody asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from samplers.engine.components import take_turns
from samplers.engine.lazy_greedy import Greedy, blocks
from samplers.pool import Ints, Pool, Reals, Selection
from samplers.reason import ChosenFrame, Reason
from samplers.strategies.diversity import k_center
from samplers.strategies.uncertainty import relative_cost


def _why(frame: ChosenFrame) -> str:
    similarity = frame.values["similarity"]
    if similarity > 0:
        return f"Resembles what was searched for (similarity {similarity:.2f}; 1 is the same)"
    return "No image is left that resembles what was searched for"


TARGETED = Reason("targeted", _why)


@dataclass(frozen=True)
class TargetedSettings:
    """eta: how much closeness to any query counts beside covering all of them."""

    eta: float = 1.0

    def __post_init__(self) -> None:
        if not self.eta > 0:
            raise ValueError(f"eta: expected a number > 0, got {self.eta}")


def targeted(
    pool: Pool, k: int, rng: np.random.Generator, settings: TargetedSettings | None = None
) -> Selection:
    """TALISMAN (Kothawade et al. 2022) with facility-location mutual information between chosen and
    queries: sum_q max_s k_qs + eta sum_s max_q k_qs, k the cosine where positive; its gain per
    second.

    pool.queries: confirmed examples, or the one vector of a text. Cost: 2 N Q D multiplications,
    and a few per cent of them again. A text tells more from less, but not how much; queries that
    nothing resembles are answered all the
    same: look at `similarity`. Seconds divide the gain, but without queries it is k-center, where
    they play no part.
    """
    if not len(pool.queries):
        return k_center(pool, k, rng)
    objective = MutualInformation(pool, (settings or TargetedSettings()).eta)
    nearest = np.concatenate(
        [np.zeros(0), *(objective.similar(rows).max(axis=1) for rows in objective.cells)]
    )
    values = {"novelty": pool.novelty, "similarity": nearest}
    return take_turns(pool, k, [Greedy(TARGETED, objective, relative_cost(pool))], values)


class MutualInformation:
    """FLQMI, as a greedy choice sees it."""

    def __init__(self, pool: Pool, eta: float) -> None:
        self._pool, self._eta = pool, eta
        self.cells = blocks(np.arange(len(pool)))
        self._reached = np.zeros(len(pool.queries))

    def similar(self, rows: Ints) -> Reals:
        """(M, Q) float64 0..1."""
        cosine = (self._pool.embeddings[rows] @ self._pool.queries.T).astype(np.float64)
        return np.clip(cosine, 0.0, 1.0)

    def gains(self, cell: int, rows: Ints) -> Reals:
        similar = self.similar(rows)
        more: Reals = np.maximum(similar - self._reached, 0).sum(axis=1)
        return np.asarray(more + self._eta * similar.max(axis=1))

    def cover(self, row: int) -> list[int]:
        similar = self.similar(np.array([row]))[0]
        changed = bool((similar > self._reached).any())
        self._reached = np.maximum(self._reached, similar)
        return list(range(len(self.cells))) if changed else []
