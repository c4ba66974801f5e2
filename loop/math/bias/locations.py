"""How unequally a detector finds objects from place to place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from loop.base.arrays import Ints, Reals

ENOUGH_DAYS = 5
DRAWS = 4000


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
    Bounds are simultaneous by the largest of all studentized differences under random signs of the
    groups (wild cluster bootstrap, Cameron, Gelbach and Miller 2008; max-t, Romano and Wolf 2005),
    widened as Student's t is for the groups of the smaller side.
    """
    kept = objects > 0
    hits, sizes, place = found[kept].astype(np.float64), objects[kept].astype(np.float64), location[kept]
    names = np.unique(place)
    parts = [_differing(hits, sizes, place == name) for name in names.tolist()]
    told = [index for index, part in enumerate(parts) if part.groups >= ENOUGH_DAYS and part.error > 0]
    reach = np.zeros(len(parts))
    if told:
        signs = np.random.default_rng(seed).choice([-1.0, 1.0], (DRAWS, len(hits)))
        scaled = np.stack([parts[index].influence / parts[index].error for index in told])
        largest = np.abs(signs @ scaled.T).max(axis=1)
        limit = float(np.quantile(largest, level))
        tail = float(stats.norm.sf(limit))
        for index in told:
            reach[index] = float(stats.t.isf(tail, parts[index].groups - 1)) * parts[index].error
    rows = [
        LocationRecall(
            int(name),
            int(sizes[place == name].sum()),
            int(hits[place == name].sum()),
            int((place == name).sum()),
            part.here,
            part.elsewhere,
            (part.here - part.elsewhere - reach[index], part.here - part.elsewhere + reach[index])
            if index in told
            else None,
        )
        for index, (name, part) in enumerate(zip(names.tolist(), parts, strict=True))
    ]
    return sorted(rows, key=lambda row: (not row.shown, row.difference, row.location))


@dataclass(frozen=True, eq=False)
class _Differing:
    """influence: (G,) of each group on the difference. groups: of the smaller side."""

    here: float
    elsewhere: float
    influence: Reals
    error: float
    groups: int


def _differing(hits: Reals, sizes: Reals, here: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> _Differing:
    influence, recalls, counts = np.zeros(len(hits)), [], []
    for side, sign in ((here, 1.0), (~here, -1.0)):
        total, count = sizes[side].sum(), int(side.sum())
        recall = float(hits[side].sum() / total) if total else float("nan")
        recalls.append(recall)
        counts.append(count)
        if total:
            spread = (count / (count - 1)) ** 0.5 if count > 1 else 1.0
            influence[side] = sign * spread * (hits[side] - recall * sizes[side]) / total
    error = float(np.sqrt((influence**2).sum()))
    return _Differing(recalls[0], recalls[1], influence, error, min(counts))
