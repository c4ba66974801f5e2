"""Choosing without a model's opinion: by chance, or to cover the embedding space."""

from __future__ import annotations

import numpy as np

from samplers.arms import Farthest, Queue, take_turns
from samplers.pool import Pool, Selection


def random(pool: Pool, k: int, rng: np.random.Generator) -> Selection:
    """Every admissible frame is as likely as any other to come next."""
    return take_turns(pool, k, [Queue("random", rng.permutation(len(pool)), np.ones(len(pool)))], {})


def k_center(pool: Pool, k: int, rng: np.random.Generator) -> Selection:
    """The frame farthest from everything labeled and chosen so far, again and again;
    gains are those distances.
    """
    arm = Farthest("k_center", pool.embeddings, pool.labeled, np.arange(len(pool)), rng)
    return take_turns(pool, k, [arm], {"novelty": pool.novelty})
