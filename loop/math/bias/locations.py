"""How unequally a detector finds objects from place to place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from loop.base.arrays import Bools, Ints, Reals

ENOUGH_DAYS = 5
DRAWS = 2000
_CELLS = 2_000_000
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class LocationRecall:
    """Of one place: objects that were found, and recall less that of all other places.

    bounds: of the difference; those of all places hold together in .95 of cases. None where too few
    groups hold objects, here or elsewhere.
    """

    location: int
    objects: int
    found: int
    groups: int
    recall: float
    elsewhere: float
    bounds: tuple[float, float] | None

    @property
    def difference(self) -> float:
        return self.recall - self.elsewhere

    @property
    def shown(self) -> bool:
        """Whether fewer are found here than elsewhere, and chance does not explain it."""
        return self.bounds is not None and self.bounds[1] < 0


def recall_by_location(
    found: Ints, objects: Ints, location: Ints, *, seed: int, level: float = 0.95
) -> list[LocationRecall]:
    """Every location with objects, worst first.

    found, objects, location: (G,) of each group (camera-day): objects found, all, and its place.
    Bounds are simultaneous by the largest of all studentized differences where groups change places at
    random (max-t, Romano and Wolf 2005; studentized permutation, Janssen 1997): exact where all places
    are alike, however few groups there are, and so for groups enough where they differ.
    """
    kept = objects > 0
    hits, sizes = found[kept].astype(np.float64), objects[kept].astype(np.float64)
    names, place = np.unique(location[kept], return_inverse=True)
    counts = np.bincount(place, minlength=len(names))
    here, elsewhere, error = (each[0] for each in _differing(hits, sizes, place[None], len(names)))
    told = (np.minimum(counts, len(place) - counts) >= ENOUGH_DAYS) & (error > 0)
    reach = error * (_limit(hits, sizes, place, told, seed, level) if told.any() else 0.0)
    difference = here - elsewhere
    rows = [
        LocationRecall(
            int(name),
            int(sizes[place == index].sum()),
            int(hits[place == index].sum()),
            int(counts[index]),
            float(here[index]),
            float(elsewhere[index]),
            (float(difference[index] - reach[index]), float(difference[index] + reach[index]))
            if told[index]
            else None,
        )
        for index, name in enumerate(names.tolist())
    ]
    return sorted(rows, key=lambda row: (not row.shown, row.difference, row.location))


def _limit(hits: Reals, sizes: Reals, place: Ints, told: Bools, seed: int, level: float) -> float:
    """Quantile of the largest studentized difference among places that are told (K,)."""
    rng, step, largest = np.random.default_rng(seed), max(1, _CELLS // len(place)), []
    for start in range(0, DRAWS, step):
        many = min(step, DRAWS - start)
        drawn = rng.permuted(np.tile(place, (many, 1)), axis=1)
        here, elsewhere, error = _differing(hits, sizes, drawn, len(told))
        apart = np.abs(here - elsewhere) / np.maximum(error, _ROUNDING)
        largest.append(apart[:, told].max(axis=1))
    return float(np.quantile(np.concatenate(largest), level))


def _differing(hits: Reals, sizes: Reals, place: Ints, places: int) -> tuple[Reals, Reals, Reals]:
    """(R, K) each: recall here and elsewhere, and the standard error of their difference by the ratio
    estimator's linearization over groups. NaN elsewhere for a place that is alone.

    place: (R, G) of each group, from 0, in R arrangements.
    """
    index = (np.arange(len(place))[:, None] * places + place).ravel()
    values = np.stack([np.ones(len(hits)), sizes, hits, hits**2, hits * sizes, sizes**2])
    shape = len(place), places
    counts = [np.bincount(index, np.tile(each, len(place)), len(place) * places) for each in values]
    own = np.stack(counts).reshape(len(values), *shape).astype(np.float64)
    here, spread = _recall(own)
    elsewhere, others = _recall(values.sum(axis=1)[:, None, None] - own)
    error: Reals = np.sqrt(spread + others)
    return here, elsewhere, error


def _recall(sums: Reals) -> tuple[Reals, Reals]:
    """Recall of one side and its variance. sums: (6, R, K)."""
    groups, objects, found, squared, crossed, both = sums
    recall = np.divide(found, objects, out=np.full(found.shape, np.nan), where=objects > 0)
    residual = np.maximum(squared - 2 * recall * crossed + recall**2 * both, 0)
    variance = residual / np.maximum(objects, 1) ** 2 * groups / np.maximum(groups - 1, 1)
    return recall, np.nan_to_num(variance)
