"""Choosing without a model's opinion: by chance, or to cover the embedding space."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from samplers.engine.components import Queue, take_turns
from samplers.engine.farthest import Farthest
from samplers.geometry.distances import Floats
from samplers.pool import Ints, Pool, PoolError, Reals, Selection
from samplers.reason import ChosenFrame, Reason


def _why(frame: ChosenFrame) -> str:
    return f"Looks least like anything labeled or chosen so far: {frame.how_far}"


RANDOM = Reason("random", "Chosen at random, to find what nobody expects")
K_CENTER = Reason("k_center", _why)


def random(pool: Pool, k: int, rng: np.random.Generator) -> Selection:
    """Chance, everybody's baseline: every admissible frame is as likely as any other to come next.

    Cost: N log N, no distances. Rare things come as rarely as they are. It is an unbiased sample of
    the pool where no near-duplicates, full sequences, floors or quotas close frames or call for
    them. Seconds play no part.
    """
    return take_turns(pool, k, [Queue(RANDOM, rng.permutation(len(pool)), np.ones(len(pool)))], {})


def k_center(pool: Pool, k: int, rng: np.random.Generator) -> Selection:
    """k-center-greedy (Gonzalez 1985; Sener and Savarese 2018): the frame farthest from everything
    labeled and chosen so far, again and again; gains are those distances.

    Exact. Cost: about 3N rows read and .2 N k D multiplications (see `Farthest`), and N L D for
    what is labeled, some hundred N D where that is more than 4,096 frames or 268 million pairs. Its
    radius is at most twice the least possible one. It finds what is rare once and chases outliers;
    it covers worse than chance where density matters. Seconds play no part.
    """
    component = Farthest.of(K_CENTER, pool, None, rng, 1.0)
    return take_turns(pool, k, [component], {"novelty": pool.novelty})


def k_center_rows(
    points: NDArray[Any],
    k: int,
    rng: np.random.Generator,
    labeled: Floats | None = None,
    buffer_rows: int | None = None,
) -> tuple[Ints, Reals]:
    """The same without a pool: rows (k,), farthest first, and their distances (k,).

    points: (N, D) unit rows, float32, or a float16 memory map that does not fit into memory: no
    more than `buffer_rows` of it are held at a time.
    labeled: (L, D) float32.
    Raises PoolError naming a row that is not finite, ValueError for a negative budget.
    """
    if k < 0:
        raise ValueError(f"budget: expected 0 or more frames, got {k}")
    known = np.zeros((0, points.shape[1]), dtype=np.float32) if labeled is None else labeled
    if len(wrong := np.flatnonzero(~np.isfinite(known).all(axis=1))):
        raise PoolError(
            f"labeled: expected finite numbers, got others in row {wrong[0]}; leave that frame out"
        )
    component = Farthest(K_CENTER, points, known, None, rng, buffer_rows=buffer_rows)
    still_open = np.ones(len(points), dtype=bool)
    picks: list[tuple[int, float]] = []
    while len(picks) < k and (best := component.propose(still_open)) is not None:
        picks.append(best)
        still_open[best[0]] = False
        component.observe(best[0])
    return np.array([row for row, _ in picks], dtype=np.int64), np.array([far for _, far in picks])
