"""Is a class tied to a place? Its presence against where frames were taken and what they show.

Frames of one camera-day resemble one another, so whole camera-days are exchanged, and not frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, stats

from loop.base.arrays import Bools, Ints, Reals
from loop.math.bias.day_shares import DayShares, lie_in_one_level

UNKNOWN = -1
ENOUGH_DAYS = 5
"""So many groups that show a class, and as many with frames that do not, are needed to test it."""
MOST_GROUPS = 1000
MOST_FRAMES = 8_000
"""So many tell a tie well enough."""
LIKE_SIZE = 8
"""Groups of like size are exchanged, at least so many of them with one another."""
CLEARLY_NOT = 20
"""Exchanges that say as much, after which no more are made (Besag and Clifford 1991)."""
LEAST_DRAWS = 199
ALIKE = 0.1
"""How far frames of one group are taken to be alike, for what they weigh together."""


@dataclass(frozen=True, eq=False)
class Factor:
    """One way of telling frames apart by where they were taken or what they show.

    kind: camera, site, scene or slice.
    levels: (K,) names. keys: (K,) what stays when they are called otherwise.
    code: (N,) int64 index of `levels`, -1 for unknown.
    """

    kind: str
    name: str
    levels: tuple[str, ...]
    keys: tuple[str, ...]
    code: Ints


@dataclass(frozen=True, eq=False)
class Assessed:
    """Of C classes by one factor, (C,) each.

    p: NaN where there is too little to test.
    phi2: mean square contingency, frames weighing the less the more their group has.
    by_chance: what exchanged groups give in the mean.
    """

    p: Reals
    phi2: Reals
    by_chance: Reals

    def v(self, index: int, levels: int, size: int) -> float:
        """Bias-corrected Cramer's V of one class, of so many levels and frames."""
        return corrected_v(float(self.phi2[index]), float(self.by_chance[index]), levels, size)


def cramers_v(hits: Ints, totals: Ints) -> float:
    """0..1, bias-corrected Cramer's V of presence and K levels, of independent frames (Bergsma 2013).

    hits, totals: (K,) frames of each level that show the class, and all of them. 0 where fewer than
    two levels have frames.
    """
    kept = totals > 0
    levels, size = int(kept.sum()), int(totals.sum())
    if levels < 2 or size < 3:
        return 0.0
    phi2 = float(_phi2(hits[kept][:, None].astype(np.float64), totals[kept].astype(np.float64))[0])
    return corrected_v(phi2, (levels - 1) / (size - 1), levels, size)


def corrected_v(phi2: float, by_chance: float, levels: int, size: int) -> float:
    """The same of a mean square contingency, less what chance alone gives: (K - 1) / (n - 1) of
    independent frames; of frames in groups what exchanged groups give in the mean.
    """
    most = min(levels - (levels - 1) ** 2 / (size - 1), 2 - 1 / (size - 1)) - 1
    return float(min(np.sqrt(max(phi2 - by_chance, 0.0) / most), 1.0))


def assessed(presence: Bools, factor: Factor, group: Ints, unit: Ints, *, seed: int, draws: int) -> Assessed:
    """Whether each class is tied to the factor, by exchanging what whole units show.

    presence: (N, C). group: (N,) camera-days. unit: (N,) of groups that are exchanged together, see
    `exchanged_units`. Of many frames give those that `thinned` leaves.
    Each unit gets what another of like size shows, and each group of it what a group of that one
    shows, from anywhere in it on, and over again where it is smaller, so that runs within a day stay
    together (Pitman 1937). p is the share of exchanges that give as large a statistic: see `DayShares`
    where each group lies in one level as a whole, else the mean square contingency. It is told early
    of what is clearly not tied. At most `draws` exchanges, so p is 1 / (draws + 1) at least.
    """
    classes = presence.shape[1]
    found = Assessed(np.full(classes, np.nan), np.full(classes, np.nan), np.full(classes, np.nan))
    rows = np.flatnonzero(factor.code != UNKNOWN)
    rng = np.random.default_rng(seed)
    together = np.stack([unit[rows], group[rows]])
    groups, code = np.unique(together, axis=1, return_inverse=True)
    code, own = code.ravel(), factor.code[rows]
    levels = np.unique(own, return_inverse=True)[1]
    if len(np.unique(levels)) < 2:
        return found
    shown = presence[rows].astype(np.float32)
    of_group = np.unique(groups[0], return_inverse=True)[1]
    open_ = np.flatnonzero(_enough(shown, of_group[code]))
    if not len(open_):
        return found
    return _exchanged(shown, levels, Exchanges(code, of_group), open_, draws, rng, found)


def wanted_draws(tests: int, level: float) -> int:
    """So many exchanges that one finding among so many tests can pass Benjamini and Hochberg's
    level.
    """
    return max(999, int(np.ceil(2 * tests / level)))


@dataclass(frozen=True)
class LogOdds:
    """How much more frequent a class is inside than elsewhere, with its 95 % interval; None where
    too few groups are known.
    """

    value: float
    interval: tuple[float, float] | None


def log_odds(inside: Ints, outside: Ints) -> LogOdds:
    """inside, outside: (G, 2) of each group, frames with and without the class within the level and
    elsewhere.

    Half a frame is added to each cell (Haldane 1956, Anscombe 1956). The variance is the jackknife's
    over groups, but no less than independent frames have (Gart 1966), and the interval Student's
    with the groups of the smaller side.
    """
    cells = np.concatenate([inside, outside], axis=1).astype(np.float64)
    total = cells.sum(axis=0)
    value = float(_log_ratio(total))
    known = cells[cells.sum(axis=1) > 0]
    sides = [int(np.count_nonzero(side.sum(axis=1))) for side in (inside, outside)]
    if min(sides) < 2:
        return LogOdds(value, None)
    left = _log_ratio(total - known)
    size = len(known)
    variance = max(
        (size - 1) / size * float(((left - left.mean()) ** 2).sum()), float((1 / (total + 0.5)).sum())
    )
    half = float(stats.t.isf(0.025, min(sides) - 1)) * variance**0.5
    return LogOdds(value, (value - half, value + half))


def _log_ratio(cells: Reals) -> Reals:
    """cells: (..., 4)."""
    each = np.log(cells + 0.5)
    ratio: Reals = each[..., 0] - each[..., 1] - each[..., 2] + each[..., 3]
    return ratio


def _phi2(hits: Reals, totals: Reals) -> Reals:
    """(C,) chi-square over n of hits (K, C) among totals (K,); 0 for a class that all or none
    show.
    """
    size, all_hits = totals.sum(), hits.sum(axis=0)
    share = all_hits / size
    spread = (hits**2 / totals[:, None]).sum(axis=0) / size - share**2
    variance = share * (1 - share)
    out: Reals = np.divide(spread, variance, out=np.zeros_like(share), where=variance > 0)
    return out


def exchanged_units(kind: str, site: Ints, day: Reals, group: Ints) -> Ints:
    """(N,) int64 a number for each unit that may be exchanged as a whole, for a factor of this kind.

    site: (N,) index, -1 for unknown. day: (N,) number of the day, NaN for unknown. group: (N,)
    camera-days.
    The cameras of a site see the same things come and go, so cameras, sites and scenes are asked for
    by days of a site where two sites are known. Of one site, what all cameras share on a day cannot tie
    a class to one of them, and camera-days are exchanged. Rain falls on all sites, and umbrellas come
    with it whether or not a frame shows it: slices are asked for by whole days. Frames of no known day
    are in their group.
    """
    by_site = kind != "slice"
    dated = np.isfinite(day) & (not by_site or len(np.unique(site[site != UNKNOWN])) > 1)
    keys = np.stack([dated, np.where(dated & by_site, site, 0), np.where(dated, day, group)])
    units: Ints = np.unique(keys, axis=1, return_inverse=True)[1].ravel().astype(np.int64)
    return units


def thinned(group: Ints, seed: int) -> Ints:
    """(R,) rows that tell a tie as well as all: of 1,000 groups and 8,000 frames at most, evenly spread
    over each group, group after group. group: (N,).
    """
    rng = np.random.default_rng(seed)
    groups, code, size = np.unique(group, return_inverse=True, return_counts=True)
    if len(groups) > MOST_GROUPS:
        kept = np.zeros(len(groups), dtype=np.bool_)
        kept[rng.choice(len(groups), MOST_GROUPS, replace=False)] = True
    else:
        kept = np.ones(len(groups), dtype=np.bool_)
    most = max(MOST_FRAMES // max(int(kept.sum()), 1), 1)
    order = np.argsort(code, kind="stable")
    first = np.cumsum(size) - size
    within = np.arange(len(group)) - first[code[order]]
    own = size[code[order]]
    # of n frames, `most` evenly spread: those where the rounded-down place moves on
    taken = np.minimum(most, own)
    even = (within * taken) // own != ((within - 1) * taken) // own
    found: Ints = order[even & kept[code[order]]]
    return found


def _enough(shown: NDArray[np.float32], code: Ints) -> Bools:
    """(C,) see ENOUGH_DAYS."""
    groups = int(code.max()) + 1
    size = np.bincount(code, minlength=groups)
    hits = np.stack([np.bincount(code, column, groups) for column in shown.T])
    enough: Bools = ((hits > 0).sum(axis=1) >= ENOUGH_DAYS) & ((hits < size).sum(axis=1) >= ENOUGH_DAYS)
    return enough


def _exchanged(
    shown: NDArray[np.float32],
    levels: Ints,
    blocks: Exchanges,
    open_: Ints,
    draws: int,
    rng: np.random.Generator,
    found: Assessed,
) -> Assessed:
    weight = 1 / (1 + ALIKE * (np.bincount(blocks.code) - 1.0)[blocks.code])
    totals: Reals = np.bincount(levels, weight).astype(np.float64)
    inside = sparse.csr_matrix(
        (weight.astype(np.float32), (levels, np.arange(len(levels)))), shape=(len(totals), len(levels))
    )

    def phi2(values: NDArray[np.float32]) -> Reals:
        return _phi2((inside @ values).astype(np.float64), totals)

    whole = lie_in_one_level(levels, blocks.code)
    statistic = DayShares(levels, blocks.code, ALIKE).apart if whole else phi2
    known = open_
    found.phi2[known] = phi2(shown[:, known])
    observed, as_much, made, sums = np.zeros((4, len(found.p)))
    observed[known] = statistic(shown[:, known])
    for draw in range(draws):
        values = shown[np.ix_(blocks.drawn(rng), open_)]
        as_much[open_] += statistic(values) >= observed[open_] - 1e-9
        made[open_] += 1
        if draw < LEAST_DRAWS:
            sums[open_] += phi2(values)
        done = (as_much[open_] >= CLEARLY_NOT) & (made[open_] >= LEAST_DRAWS)
        open_ = open_[~done]
        if not len(open_):
            break
    found.by_chance[known] = sums[known] / np.minimum(made[known], LEAST_DRAWS)
    found.p[known] = (as_much[known] + 1) / (made[known] + 1)
    return found


class Exchanges:
    """Units that take one another's places, those of like size, and groups within them.

    code: (N,) group from 0. unit: (G,) of each group, from 0.
    """

    def __init__(self, code: Ints, unit: Ints) -> None:
        self.code = code
        self._order = np.argsort(code, kind="stable")
        self._size = np.bincount(code)
        self._first = np.cumsum(self._size) - self._size
        self._place = np.empty(len(code), dtype=np.int64)
        self._place[self._order] = np.arange(len(code)) - self._first[code[self._order]]
        self._unit = unit
        self._groups = np.bincount(unit)
        self._first_group = np.cumsum(self._groups) - self._groups
        self._alike = like_sizes(np.bincount(unit, self._size).astype(np.int64))
        self._octave = np.floor(np.log2(self._size))

    def drawn(self, rng: np.random.Generator) -> Ints:
        """(N,) the row whose value each row gets."""
        other = self._source(rng)
        start = rng.integers(0, self._size[other])
        source = other[self.code]
        rows: Ints = self._order[self._first[source] + (start[self.code] + self._place) % self._size[source]]
        return rows

    def _source(self, rng: np.random.Generator) -> Ints:
        """(G,) the group that each group gets its frames of: of the unit's counterpart, one that has as
        many frames as far as there is any.
        """
        before = np.lexsort((rng.random(len(self._groups)), self._alike))
        counterpart = np.empty(len(before), dtype=np.int64)
        counterpart[np.argsort(self._alike, kind="stable")] = before
        shuffled = np.lexsort((rng.random(len(self._unit)), self._octave, self._unit))
        place = np.empty(len(shuffled), dtype=np.int64)
        place[shuffled] = np.arange(len(shuffled)) - self._first_group[self._unit[shuffled]]
        source = counterpart[self._unit]
        other: Ints = shuffled[self._first_group[source] + place % self._groups[source]]
        return other


def like_sizes(size: Ints) -> Ints:
    """(G,) a number for each group; those that share one are within a factor of two of one another
    in size, or are LIKE_SIZE together where fewer are.
    """
    octave = np.floor(np.log2(np.maximum(size, 1))).astype(np.int64)
    classes, counts = np.unique(octave, return_counts=True)
    number, held, numbers = 0, 0, {}
    for place, (one, count) in enumerate(zip(classes.tolist(), counts.tolist(), strict=True)):
        rest = int(counts[place:].sum())
        if held >= LIKE_SIZE and rest >= LIKE_SIZE:
            number, held = number + 1, 0
        numbers[one] = number
        held += count
    return np.array([numbers[one] for one in octave.tolist()], dtype=np.int64)


def telling_level(hits: Ints, totals: Ints, named: Sequence[bool]) -> int | None:
    """The level that tells most of the tie, by what it adds to chi-square; None where none is named.

    hits, totals: (K,). named: (K,) whether a level can stand for a place. One that shows more of the
    class than others is preferred, unless another adds twice as much: of two places, that one shows
    more says the same as that the other shows less.
    """
    share = hits.sum() / max(totals.sum(), 1)
    above = hits / np.maximum(totals, 1) - share
    added = totals * above**2 * np.where(above > 0, 2, 1)
    order = [place for place in np.argsort(-added, kind="stable").tolist() if named[place] and totals[place]]
    return order[0] if order else None
