"""Chance within strata."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from samplers.engine.components import Queue, take_turns
from samplers.pool import Pool, Selection
from samplers.reason import Reason

STRATIFIED = Reason(
    "stratified", "Chosen at random among images of its kind, so that rarer kinds come up too"
)


@dataclass(frozen=True)
class StratifiedSettings:
    """power: of a stratum's size, its share of the turns. 1 follows the pool, 0 gives all the same,
    .5 lies between.
    """

    power: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.power <= 1:
            raise ValueError(f"power: expected 0..1, got {self.power}")


def stratified(
    pool: Pool, k: int, rng: np.random.Generator, settings: StratifiedSettings | None = None
) -> Selection:
    """The pool's slices are the strata: they take turns by a power of their size (Bankier 1988),
    random within; rows of none are a stratum too.

    What a stratum cannot fill goes to the others. With cameras as strata this is the baseline that
    random choice should be compared with. `coverage_deficit` shares by what production lacks
    instead. Cost: (N + k) S for S strata, and N log N. Within a stratum what is rare stays as rare;
    a small stratum of no use gets more than its part; and for the pool as a whole what was chosen
    is no unbiased sample. Seconds play no part.
    """
    power = (settings or StratifiedSettings()).power
    shuffled = rng.permutation(np.flatnonzero(~pool.excluded))
    even = np.zeros(len(pool))
    components = []
    for stratum in np.unique(pool.slices[shuffled]):
        rows = shuffled[pool.slices[shuffled] == stratum]
        components.append(Queue(STRATIFIED, rows, even, float(len(rows)) ** power))
    return take_turns(pool, k, components, {"novelty": pool.novelty})
