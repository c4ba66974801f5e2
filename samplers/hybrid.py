"""The default strategy: what is known to be missing, what nobody named, what the model doubts, and chance."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from samplers.arms import Arm, Queue, take_turns
from samplers.coverage import CoverageSettings, deficit_of_rows, stratum_arms, utility
from samplers.farthest import Farthest
from samplers.pool import Pool, Selection
from samplers.uncertainty import UncertaintySettings, frame_uncertainty, relative_cost


@dataclass(frozen=True)
class HybridSettings:
    """Shares of the budget; what an arm cannot use goes to the others in proportion."""

    coverage: float = 0.70
    discovery: float = 0.15
    uncertainty: float = 0.075
    random: float = 0.075
    within: CoverageSettings = field(default_factory=CoverageSettings)
    unsure: UncertaintySettings = field(default_factory=UncertaintySettings)

    def __post_init__(self) -> None:
        shares = {name: getattr(self, name) for name in ("coverage", "discovery", "uncertainty", "random")}
        negative = next((name for name, share in shares.items() if share < 0), None)
        if negative is not None:
            raise ValueError(f"{negative}: expected a share >= 0, got {shares[negative]}")


def hybrid(pool: Pool, k: int, rng: np.random.Generator, settings: HybridSettings | None = None) -> Selection:
    """Four arms take turns by their shares, so that every prefix is the same mix.

    coverage: strata by deficit. discovery: k-center over novel frames of no stratum with a deficit, away
    from all that was chosen.
    uncertainty: the frames the model doubts most. random: any frame.
    """
    shares = settings or HybridSettings()
    unsure = frame_uncertainty(pool.scores, shares.unsure)
    value = utility(pool, unsure, shares.within)
    deficit = deficit_of_rows(pool)
    unnamed = np.flatnonzero((pool.novelty > pool.novel_above) & (deficit == 0) & ~pool.excluded)
    doubts = np.lexsort((rng.permutation(len(pool)), -unsure / relative_cost(pool)))
    arms: list[Arm] = [
        *stratum_arms(pool, value, shares.within, shares.coverage),
        Farthest("discovery", pool.embeddings, pool.labeled, unnamed, rng, shares.discovery),
        Queue("uncertainty", doubts[unsure[doubts] > 0], value, shares.uncertainty),
        Queue("random", rng.permutation(len(pool)), value, shares.random),
    ]
    return take_turns(pool, k, arms, {"novelty": pool.novelty, "uncertainty": unsure, "deficit": deficit})
