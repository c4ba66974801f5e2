"""Choosing without a model's opinion: by chance, or to cover the embedding space."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from samplers.arms import Queue, take_turns
from samplers.distances import Floats
from samplers.farthest import Farthest
from samplers.pool import Ints, Pool, Reals, Selection


def random(pool: Pool, k: int, rng: np.random.Generator) -> Selection:
    """Every admissible frame is as likely as any other to come next."""
    return take_turns(pool, k, [Queue("random", rng.permutation(len(pool)), np.ones(len(pool)))], {})


def k_center(pool: Pool, k: int, rng: np.random.Generator) -> Selection:
    """The frame farthest from everything labeled and chosen so far, again and again;
    gains are those distances.
    """
    arm = Farthest.of("k_center", pool, None, rng, 1.0)
    return take_turns(pool, k, [arm], {"novelty": pool.novelty})


def k_center_rows(
    points: NDArray[Any],
    k: int,
    rng: np.random.Generator,
    labeled: Floats | None = None,
    buffer_rows: int | None = None,
) -> tuple[Ints, Reals]:
    """The same without a pool: rows (k,), farthest first, and their distances (k,).

    points: (N, D) unit rows, float32, or a float16 memory map that does not fit into memory: no more than
    `buffer_rows` of it are held at a time. labeled: (L, D) float32. Raises PoolError naming a row that is not
    finite, ValueError for a negative budget.
    """
    if k < 0:
        raise ValueError(f"budget: expected 0 or more frames, got {k}")
    known = np.zeros((0, points.shape[1]), dtype=np.float32) if labeled is None else labeled
    arm = Farthest("k_center", points, known, None, rng, buffer_rows=buffer_rows)
    still_open = np.ones(len(points), dtype=bool)
    picks: list[tuple[int, float]] = []
    while len(picks) < k and (best := arm.propose(still_open)) is not None:
        picks.append(best)
        still_open[best[0]] = False
        arm.observe(best[0])
    return np.array([row for row, _ in picks], dtype=np.int64), np.array([far for _, far in picks])
