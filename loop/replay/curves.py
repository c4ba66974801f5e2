"""Results laid out for statistics: by sampler, complete seeds only, one table for each axis and
each measure.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Literal

import numpy as np

from loop.base.arrays import Reals
from loop.replay.results import START, Result, Score, curve

Axis = Literal["frames", "boxes", "seconds"]
AXES: tuple[Axis, ...] = ("frames", "boxes", "seconds")
OVERALL, RARE = "overall", "rare slices"


@dataclass(frozen=True, eq=False)
class Curves:
    """samplers: the baseline first.
    seeds: those that every one of them has whole.
    missing: samplers and seeds that are not whole.

    results: by sampler, (seeds) lists of (rounds + 1) results.
    left_out: samplers and seeds that are whole and not among them.
    """

    samplers: tuple[str, ...]
    seeds: tuple[int, ...]
    rounds: int
    results: dict[str, list[list[Result]]]
    missing: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    def along(self, sampler: str, axis: Axis) -> Reals:
        """(seeds, rounds + 1) of frames, boxes or seconds labeled."""
        return np.array(
            [[getattr(each, axis) for each in row] for row in self.results[sampler]], dtype=np.float64
        )

    def points(self, sampler: str, measure: str, key: str = "ap") -> Reals:
        """(seeds, rounds + 1) AP in points of 100; NaN where nothing of the kind was there to
        judge.
        """
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
    """As many samplers times seeds as are whole together, over the rounds of the baseline.

    Raises ValueError without the baseline, or when no seed of it is whole.
    """
    samplers = sorted({each.sampler for each in results} - {START}, key=lambda name: (name != baseline, name))
    if baseline not in samplers:
        raise ValueError(
            f"expected results of {baseline}, with which all others are compared, got"
            f" {', '.join(samplers) or 'none'}; run `fieldloop bench replay --samplers {baseline}` for the"
            " same seeds"
        )
    rounds = max(each.round for each in results if each.sampler == baseline)
    seeds = sorted({each.seed for each in results})
    whole = {
        (sampler, seed): found[: rounds + 1]
        for sampler in samplers
        for seed in seeds
        if len(found := curve(results, sampler, seed)) > rounds
    }
    kept, common = _together(samplers, seeds, set(whole))
    missing = tuple(f"{name} seed {seed}" for name in samplers for seed in seeds if (name, seed) not in whole)
    if not common:
        raise ValueError(
            f"expected at least one seed with all rounds of {baseline}, got none of {len(seeds)} seeds;"
            f" finish the replay first (missing: {', '.join(missing[:6])})"
        )
    left_out = tuple(f"{name} seed {seed}" for name, seed in whole if name not in kept or seed not in common)
    table = {sampler: [whole[sampler, seed] for seed in common] for sampler in kept}
    return Curves(kept, common, rounds, table, missing, left_out)


def _together(
    samplers: Sequence[str], seeds: Sequence[int], whole: Set[tuple[str, int]]
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The baseline and others, and the seeds that all of them have whole: as many pairs as
    possible, samplers before seeds.
    """
    baseline = samplers[0]
    done = {name: {seed for seed in seeds if (name, seed) in whole} for name in samplers}
    best: tuple[tuple[str, ...], tuple[int, ...]] = ((baseline,), ())
    for fewest in sorted({len(each) for each in done.values()}):
        kept = tuple(name for name in samplers if name == baseline or len(done[name]) >= max(fewest, 1))
        common = tuple(sorted(set.intersection(*(done[name] for name in kept))))
        if len(kept) * len(common) > len(best[0]) * len(best[1]):
            best = kept, common
    return best


def score_of(result: Result, measure: str) -> Score:
    """By name: overall, rare slices, a slice, or a class."""
    if measure in (OVERALL, RARE):
        return result.overall if measure == OVERALL else result.rare
    found = result.slices.get(measure) or result.classes.get(measure)
    return found or Score(None, None)


def _points(score: Score, key: str) -> float:
    value = score.ap if key == "ap" else score.ap50
    return float("nan") if value is None else 100 * value
