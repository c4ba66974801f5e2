"""Covering as many frames as possible with balls of one radius."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from samplers.engine.components import take_turns
from samplers.engine.covering import Cells, Kernel, ball
from samplers.geometry.distances import Floats, reference_rows, squared_distances
from samplers.geometry.partition import k_means, nearest_cells
from samplers.pool import Pool, Selection
from samplers.reason import Reason
from samplers.strategies.herding import HerdingSettings, herding_component

ASKED = 1000
PROB_COVER = Reason(
    "prob_cover", "Has the most close look-alikes among images that resemble nothing labeled yet"
)


@dataclass(frozen=True)
class ProbCoverSettings:
    """delta: the radius, estimated when left out: the largest at which `purity` of the balls hold
    rows of one of `classes` k-means clusters only.
    """

    delta: float | None = None
    purity: float = 0.95
    classes: int = 20
    cells: Cells = field(default_factory=Cells)

    def __post_init__(self) -> None:
        if self.delta is not None and not self.delta > 0:
            raise ValueError(f"delta: expected a number > 0, got {self.delta}")
        if not 0 < self.purity < 1:
            raise ValueError(f"purity: expected a share between 0 and 1, got {self.purity}")


def prob_cover(
    pool: Pool, k: int, rng: np.random.Generator, settings: ProbCoverSettings | None = None
) -> Selection:
    """ProbCover (Yehuda et al. 2022): the frame whose ball of radius delta holds the most frames in
    no ball yet, per second.

    As herding with a kernel that is 1 inside the ball, so near-duplicates, cost, memory and what
    seconds do are herding's; up to 20 million D more where delta is estimated. It is very sensitive
    to delta, and once all is covered its picks mean nothing (their gain is 0).
    """
    chosen = settings or ProbCoverSettings()
    within = HerdingSettings(cells=chosen.cells)

    def kernel(points: Floats) -> Kernel:
        return ball(max(chosen.delta or estimate_delta(points, rng, chosen), 1e-3))

    component = herding_component(pool, k, rng, within, reason=PROB_COVER, kernel=kernel)
    return take_turns(pool, k, [component], {"novelty": pool.novelty})


def estimate_delta(points: Floats, rng: np.random.Generator, settings: ProbCoverSettings) -> float:
    """The distance that a share `purity` of the rows have, at least, to the nearest row of another
    cluster.

    From 1,000 rows among at most 20,000; 0 when all rows are alike.
    """
    if not len(points):
        return 0.0
    among = points[reference_rows(len(points), rng)]
    cell = nearest_cells(among, k_means(among, settings.classes, rng))[:, 0]
    asked = rng.choice(len(among), min(len(among), ASKED), replace=False)
    squared = squared_distances(among[asked], among)
    squared[cell[asked][:, None] == cell[None]] = np.inf
    apart = np.sqrt(squared.min(axis=1))
    pure = float(np.quantile(apart, 1 - settings.purity, method="lower"))
    return pure if np.isfinite(pure) else 0.0
