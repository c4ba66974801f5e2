"""Covering what production shows: greedy maximization of sum_i w_i max_s k(x_i, x_s) over the
chosen and labeled s.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from samplers.engine.components import Component, Queue, Reserve, take_turns
from samplers.engine.covering import Cells, Covering, Kernel, cosine, gaussian
from samplers.engine.lazy_greedy import Greedy
from samplers.geometry.distances import Floats, reference_rows, rows_of, squared_norms
from samplers.pool import NO_LIMIT, NOBODY, Bools, Ints, Pool, Reals, Selection, views_of
from samplers.reason import ChosenFrame, Reason
from samplers.strategies.uncertainty import relative_cost

SAMPLE = 256
TOGETHER = 8192
COPY = 1e-6
"""Squared distance below which float32 does not tell unit vectors apart."""


def _why(frame: ChosenFrame) -> str:
    why = "Stands for the most images that look like nothing labeled yet"
    percent = int(100 * frame.surer)
    return f"{why}; the model likely does better on {percent}% of images" if percent >= 50 else why


HERDING = Reason("herding", _why)
LEFT_OVER = Reason("left_over", "Chosen at random: of the images that were compared none could be taken")
"""Of rows that nobody compared, where sequences, floors or quotas close all that were."""


@dataclass(frozen=True)
class HerdingSettings:
    """lam: how far uncertainty weighs the mass that is covered; only as far as it is known to
    predict loss.

    scale: s of the kernel exp(-d^2 / s^2), estimated when left out.
    cells: where the objective is not exact.
    """

    lam: float = 0.0
    scale: float | None = None
    cells: Cells = field(default_factory=Cells)

    def __post_init__(self) -> None:
        if not 0 <= self.lam <= 1:
            raise ValueError(f"lam: expected 0..1, got {self.lam}")
        if self.scale is not None and not self.scale > 0:
            raise ValueError(f"scale: expected a number > 0, got {self.scale}")


def herding(
    pool: Pool, k: int, rng: np.random.Generator, settings: HerdingSettings | None = None
) -> Selection:
    """MaxHerding (Bae et al. 2024): the frame that covers the most of what nothing covers yet, per
    second.

    One row speaks for each near-duplicate cluster of m frames, with mass sqrt(m). Exact for up to
    4,096 of them, at N^2 D multiplications; beyond, inside cells that depend on the budget, so that
    a smaller one is no prefix of a larger (see `Cells`). There it costs M cell_rows homes D to look
    at every candidate once, M at most 196,608 or 64k, some hundred N D to find them, and 64
    cell_rows homes D for every pick; and up to twice the pool's memory for what is looked at again.
    It finds modes only once k exceeds their number, the largest first, and outliers last: rare
    things need a quota or k-center. Seconds divide the gain: a frame twice as dear must cover more
    than twice as much. What is labeled costs what it costs k-center.
    """
    return _herd(pool, k, rng, settings or HerdingSettings())


def uncertainty_herding(
    pool: Pool, k: int, rng: np.random.Generator, settings: HerdingSettings | None = None
) -> Selection:
    """UHerding (Bae et al. 2025): covered mass weighs 1 - lam + lam u, u a frame's expected loss
    over its mean.

    Random u costs it little of its coverage, where choosing by uncertainty x distance would be no
    better than chance. lam is .5 when left out. Cost, failures and what seconds do are herding's; u
    that follows crowding or noise pulls it there.
    """
    return _herd(pool, k, rng, settings or HerdingSettings(lam=0.5))


def facility_location(
    pool: Pool, k: int, rng: np.random.Generator, settings: HerdingSettings | None = None
) -> Selection:
    """Herding with similarity max(0, 1 - d^2 / 2), the cosine of unit vectors (Mirchandani and
    Francis 1990; Wei et al. 2015).

    Its reach is wide: it prefers the middle of everything, and beyond dense_rows what lies outside
    a cell's homes is not seen. Cost and what seconds do are herding's.
    """
    return _herd(pool, k, rng, settings or HerdingSettings(), lambda points: cosine)


def herding_component(
    pool: Pool,
    k: int,
    rng: np.random.Generator,
    settings: HerdingSettings,
    reason: Reason = HERDING,
    weight: float = 1.0,
    kernel: Callable[[Floats], Kernel] | None = None,
) -> Component:
    """The component behind all of them.

    k: picks that are asked for.
    kernel: of what is to be covered, a row (V, D) for each view.
    """
    rows, mass = spokesmen(pool)
    loss = pool.expected_loss[rows]
    weights = mass * (1 - settings.lam + settings.lam * loss / (loss.mean() if loss.any() else 1.0))
    made = kernel or (lambda views: gaussian(settings.scale or estimate_scale(views, pool.labeled, rng)))
    # a view that comes back in many sequences has many rows here, which would make everything seem near to
    # its next
    similar = made(rows_of(pool.embeddings, rows[views_of(pool.cluster[rows])]))
    objective = Covering(pool, rows, weights, similar, rng, settings.cells, k)
    cost = relative_cost(pool)
    greedy: Component = Greedy(reason, objective, cost, weight)
    if objective.thinned:
        greedy = Settled(greedy, objective, cost)
    rest = np.setdiff1d(rows, np.concatenate([rows[:0], *objective.cells]), assume_unique=True)
    if not len(rest):
        return greedy
    return Reserve(greedy, Queue(LEFT_OVER, rng.permutation(rest), np.zeros(len(pool)), weight))


class Settled:
    """A component whose proposals give way to the row beside them that covers the most per second."""

    def __init__(self, component: Component, objective: Covering, cost: Reals) -> None:
        self.reason, self.weight = component.reason, component.weight
        self.observe, self.reopen = component.observe, component.reopen
        self._component, self._objective, self._cost = component, objective, cost

    def propose(self, open_rows: Bools) -> tuple[int, float] | None:
        proposal = self._component.propose(open_rows)
        if proposal is None:
            return None
        rows, gains = self._objective.beside(proposal[0], open_rows)
        gains = gains / self._cost[rows]
        best = int(gains.argmax())
        return int(rows[best]), float(gains[best])


def spokesmen(pool: Pool) -> tuple[Ints, Reals]:
    """Rows (M,), rising, one per near-duplicate cluster that may be chosen from, and their masses
    (M,), sqrt(m).

    The row nearest to the cluster's mean speaks for it. Where sequences, floors or quotas could
    close it to the cluster's other rows, each sequence and slice has its own, and they share the
    mass.
    """
    used = pool.cluster[pool.excluded & (pool.cluster != NOBODY)]
    rows = np.flatnonzero(~pool.excluded & ~np.isin(pool.cluster, used))
    alone = pool.cluster[rows] == NOBODY
    cluster = np.where(alone, pool.cluster.max(initial=0) + 1 + np.arange(len(rows)), pool.cluster[rows])
    if alone.all():
        return rows, np.ones(len(rows))
    cluster = np.unique(cluster, return_inverse=True)[1]
    part = cluster
    for divider in _dividers(pool, rows):
        codes = np.unique(divider, return_inverse=True)[1]
        part = np.unique(part * (codes.max(initial=0) + 1) + codes, return_inverse=True)[1]
    order = np.lexsort((rows, _distance_to_mean(pool.embeddings, rows, part), part))
    first = order[np.flatnonzero(np.diff(part[order], prepend=-1))]
    first = np.sort(first)
    size, shares = np.bincount(cluster), np.bincount(cluster[first], minlength=1)
    mass: Reals = np.sqrt(size[cluster[first]]) / shares[cluster[first]]
    return rows[first], mass


def estimate_scale(points: Floats, labeled: Floats, rng: np.random.Generator) -> float:
    """How far apart labeled frames lie, as a rule, within half and twice of what pool frames do.

    UHerding takes the least distance between labeled frames, which one burst makes useless. Medians
    are of 256 rows to their next among at most 20,000 that is no copy of them.
    points: (N, D), near-duplicates once.
    """
    near = _usual_step(points, rng, 0.0)
    apart = _usual_step(labeled, rng, near)
    return float(np.clip(apart, near / 2, near * 2)) or 1.0


def _herd(
    pool: Pool,
    k: int,
    rng: np.random.Generator,
    settings: HerdingSettings,
    kernel: Callable[[Floats], Kernel] | None = None,
) -> Selection:
    component = herding_component(pool, k, rng, settings, kernel=kernel)
    return take_turns(pool, k, [component], {"novelty": pool.novelty, "expected_loss": pool.expected_loss})


def _squared(left: Floats, right: Floats) -> Floats:
    squared: Floats = (-2 * left) @ right.T
    squared += squared_norms(left).astype(np.float32)[:, None]
    squared += squared_norms(right).astype(np.float32)
    return np.maximum(squared, 0, out=squared)


def _dividers(pool: Pool, rows: Ints) -> list[Ints]:
    dividers = [pool.sequence[rows]] if pool.max_per_sequence else []
    limited: Bools = (pool.floors > 0) | (pool.quotas != NO_LIMIT)
    return [*dividers, pool.slices[rows]] if limited.any() else dividers


def _distance_to_mean(points: Floats, rows: Ints, group: Ints) -> Reals:
    """(M,) squared, of rows in groups of more than two, and rounded so that rounding alone does not
    decide.

    Groups are read together up to some thousand rows: memory is theirs, or that of the largest
    group.
    """
    squared = np.zeros(len(rows))
    crowded = np.flatnonzero(np.bincount(group, minlength=1)[group] > 2)
    ordered = crowded[np.argsort(group[crowded], kind="stable")]
    starts = np.flatnonzero(np.diff(group[ordered], prepend=-1))
    part = starts // TOGETHER
    for first, end in pairwise([*starts[np.flatnonzero(np.diff(part, prepend=-1))], len(ordered)]):
        some = ordered[first:end]
        begins = np.flatnonzero(np.diff(group[some], prepend=-1))
        sizes = np.diff(begins, append=len(some))
        near = points[rows[some]]
        mean = np.add.reduceat(near, begins, axis=0) / sizes[:, None]
        squared[some] = squared_norms(near - np.repeat(mean.astype(np.float32), sizes, axis=0))
    return np.round(squared, 6)


def _usual_step(points: Floats, rng: np.random.Generator, otherwise: float) -> float:
    """Median distance of up to 256 rows to the nearest other row that is not the same."""
    if len(points) < 2:
        return otherwise
    among = reference_rows(len(points), rng)
    asked = rng.choice(len(among), min(len(among), SAMPLE), replace=False)
    squared = _squared(points[among[asked]], points[among])
    squared[np.arange(len(asked)), asked] = np.inf
    squared[squared < COPY] = np.inf
    nearest = squared.min(axis=1).astype(np.float64)
    known = nearest[np.isfinite(nearest)]
    return float(np.median(np.sqrt(known))) if len(known) else otherwise
