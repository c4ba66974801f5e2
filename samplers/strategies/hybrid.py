"""The default strategy: chance, what is known to be missing, what nobody named, and what covers the
most of the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from samplers.engine.components import Component, Queue, Quota, take_turns
from samplers.engine.covering import Cells
from samplers.pool import NO_LIMIT, Ints, Pool, Reals, Selection
from samplers.strategies.coverage_deficit import (
    CoverageSettings,
    deficit_of_rows,
    slice_components,
    utility,
)
from samplers.strategies.discovery import discovery_component
from samplers.strategies.diversity import RANDOM
from samplers.strategies.herding import HerdingSettings, herding_component

CELLS = Cells(wide_cell_rows=512, homes=3, most_rows=1 << 16, neighbors=16)
"""Where the objective is not exact: up to about 5 % less is covered than exactly, in a quarter of
herding's own time.
"""


@dataclass(frozen=True)
class HybridSettings:
    """Shares of the budget. What the quotas do not need is herding's; what another component cannot
    use goes to all.
    """

    random: float = 0.10
    quotas: float = 0.45
    discovery: float = 0.10
    herding: float = 0.35
    within: CoverageSettings = field(default_factory=CoverageSettings)

    def __post_init__(self) -> None:
        shares = {name: getattr(self, name) for name in ("random", "quotas", "discovery", "herding")}
        negative = next((name for name, share in shares.items() if not share >= 0), None)
        if negative is not None:
            raise ValueError(f"{negative}: expected a share >= 0, got {shares[negative]}")
        if not sum(shares.values()) > 0:
            raise ValueError(
                "random, quotas, discovery, herding: expected shares of which one is above 0, got 0 of each"
            )


def hybrid(pool: Pool, k: int, rng: np.random.Generator, settings: HybridSettings | None = None) -> Selection:
    """Four components take turns by their shares, so that every prefix is the same mix.

    random: any frame; what it would have drawn counts as drawn when another component was faster,
    so these frames remain a random sample of what was never closed. coverage: slices that lack
    something, by deficit, each until as many are chosen as it wants. discovery: k-center over novel
    frames of no slice with a deficit, away from all that was chosen; where nothing is labeled and
    the pool was not told what is novel, all is as new, and it has no turns.
    herding: the frame that covers the most of what nothing covers, expected loss weighing the
    covered mass as far as the pool trusts it. Seconds divide what coverage and herding look for;
    chance and discovery do not ask for them.

    The mix is this project's; its parts are k-center-greedy, MaxHerding (Bae et al. 2024) and
    uncertainty herding (Bae et al. 2025). Cost: herding's in the cells of `CELLS`, k-center's over
    novel frames, up to 20 million D to tell what resembles nothing, and (N + k) S for S slices.

    With nothing rare it covers within 2 % of herding from about 1.5 frames per mode on, where the
    objective is exact: up to 4,096 frames, near-duplicates counted once. Beyond, in cells and where
    not every frame is a candidate (see `Cells`), it covers up to about 5 % less than that, most
    where an expected loss is trusted that means nothing. With fewer frames than modes it pays for
    chance and discovery besides (4 % at a third of the modes). A cluster of half a per cent is hit
    at 1.5 frames per mode, in bursts too where near-duplicates are known; but discovery goes to the
    farthest first, so with a dozen larger modes unlabeled, two bursts of it can be missed.

    contributions["probability"]: of a frame to be drawn by chance, 0 for one that only the other
    components chose; 0 for all where floors come first, which leave no random sample. It is that of
    a pool where nothing is ever closed: it does not know that the near-duplicates of what any
    component chose, and the rest of a sequence or quota that is full, could not be drawn any more.
    Of those the sample has too few.
    """
    shares = settings or HybridSettings()
    value = utility(pool, shares.within)
    drawn = rng.permutation(np.flatnonzero(~pool.excluded))
    components = _components(pool, k, value, drawn, rng, shares)
    values = {"novelty": pool.novelty, "expected_loss": pool.expected_loss, "deficit": deficit_of_rows(pool)}
    chosen = take_turns(pool, k, components, values)
    sampled = np.zeros(len(chosen)) if pool.floors.any() else _by_chance(chosen, drawn, len(pool))
    chosen.contributions["probability"] = sampled
    return chosen


def _components(
    pool: Pool, k: int, value: Reals, drawn: Ints, rng: np.random.Generator, shares: HybridSettings
) -> list[Component]:
    quotas = slice_components(pool, value, shares.within, shares.quotas)
    rest = shares.herding if quotas else shares.herding + shares.quotas
    herding = herding_component(pool, k, rng, HerdingSettings(lam=pool.trust, cells=CELLS), weight=rest)
    components: list[Component] = [
        Queue(RANDOM, drawn, value, shares.random),
        *(_quota(pool, code, component, herding) for code, component in quotas),
        discovery_component(pool, rng, shares.discovery),
        herding,
    ]
    return [component for component in components if component.weight > 0]


def _quota(pool: Pool, code: int, component: Queue, heir: Component) -> Component:
    wanted = int(pool.wanted[code])
    return Quota(component, pool.slices == code, len(pool) if wanted == NO_LIMIT else wanted, heir)


def _by_chance(chosen: Selection, drawn: Ints, size: int) -> Reals:
    """(k,) inclusion probability of the frames among the first that were drawn, up to the last that
    chance alone chose.
    """
    place = np.full(size, len(drawn))
    place[drawn] = np.arange(len(drawn))
    asked = place[chosen.indices]
    last = int(asked[chosen.component == "random"].max(initial=-1))
    return np.where(asked <= last, (last + 1) / max(len(drawn), 1), 0.0)
