"""Results laid out for statistics: by sampler, complete seeds only, one table for each axis and each measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from loop.replay.results import START, Result, Score, curve

Floats = NDArray[np.float64]
Axis = Literal["frames", "boxes", "seconds"]
AXES: tuple[Axis, ...] = ("frames", "boxes", "seconds")
OVERALL, RARE = "overall", "rare slices"


@dataclass(frozen=True, eq=False)
class Curves:
    """samplers: the baseline first. seeds: those that every sampler has whole. missing: samplers and seeds that are not whole.

    results: by sampler, (seeds) lists of (rounds + 1) results.
    """

    samplers: tuple[str, ...]
    seeds: tuple[int, ...]
    rounds: int
    results: dict[str, list[list[Result]]]
    missing: tuple[str, ...]

    def along(self, sampler: str, axis: Axis) -> Floats:
        """(seeds, rounds + 1) of frames, boxes or seconds labeled."""
        return np.array(
            [[getattr(each, axis) for each in row] for row in self.results[sampler]], dtype=np.float64
        )

    def points(self, sampler: str, measure: str, key: str = "ap") -> Floats:
        """(seeds, rounds + 1) AP in points of 100; NaN where nothing of the kind was there to judge."""
        return np.array(
            [[_points(score_of(each, measure), key) for each in row] for row in self.results[sampler]]
        )

    @property
    def measures(self) -> tuple[str, ...]:
        """overall, the rare slices where there are any."""
        return (OVERALL, *([RARE] if self._any().rare.ap is not None else []))

    @property
    def slices(self) -> tuple[str, ...]:
        return tuple(self._any().slices)

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(name for name, score in self._any().classes.items() if score.ap is not None)

    def _any(self) -> Result:
        return self.results[self.samplers[0]][0][0]


def curves_of(results: Sequence[Result], baseline: str = "random") -> Curves:
    """Raises ValueError when no seed is whole for all samplers."""
    named = sorted({each.sampler for each in results} - {START})
    samplers = tuple(sorted(named, key=lambda name: (name != baseline, name)))
    rounds = max((each.round for each in results), default=0)
    seeds = sorted({each.seed for each in results})
    whole = {
        (sampler, seed): found
        for sampler in samplers
        for seed in seeds
        if len(found := curve(results, sampler, seed)) == rounds + 1
    }
    kept = tuple(seed for seed in seeds if all((sampler, seed) in whole for sampler in samplers))
    missing = tuple(
        f"{sampler} seed {seed}" for sampler in samplers for seed in seeds if (sampler, seed) not in whole
    )
    if not kept or not rounds:
        raise ValueError(
            f"expected at least one seed with all rounds of every sampler, got none of {len(seeds)} seeds and {len(samplers)} "
            f"samplers; finish the replay first (missing: {', '.join(missing[:6]) or 'everything'})"
        )
    table = {sampler: [whole[sampler, seed] for seed in kept] for sampler in samplers}
    return Curves(samplers, kept, rounds, table, missing)


def score_of(result: Result, measure: str) -> Score:
    """By name: overall, rare slices, a slice, or a class."""
    if measure in (OVERALL, RARE):
        return result.overall if measure == OVERALL else result.rare
    found = result.slices.get(measure) or result.classes.get(measure)
    return found or Score(None, None)


def _points(score: Score, key: str) -> float:
    value = score.ap if key == "ap" else score.ap50
    return float("nan") if value is None else 100 * value
