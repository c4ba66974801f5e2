"""Choosing by what production shows and the training set lacks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from samplers.engine.components import Component, Queue, take_turns
from samplers.pool import NOBODY, Ints, Pool, Reals, Selection
from samplers.reason import ChosenFrame, Reason
from samplers.strategies.diversity import RANDOM
from samplers.strategies.uncertainty import rank_within, relative_cost


def _why(frame: ChosenFrame) -> str:
    return f"Too rare in training: {frame.gap}" if frame.gap else ""


COVERAGE = Reason("coverage", _why)


@dataclass(frozen=True)
class CoverageSettings:
    """deficit_cap: a larger deficit gets no larger quota.

    expected_loss_weight: of expected loss beside novelty within a slice, both as ranks.
    burst_floor: a sequence whose mean novelty is below this part of its slice's median was
    probably put there by mistake.
    """

    deficit_cap: float = 0.02
    expected_loss_weight: float = 0.3
    burst_floor: float = 0.5


def coverage_deficit(
    pool: Pool, k: int, rng: np.random.Generator, settings: CoverageSettings | None = None
) -> Selection:
    """Slices take turns in proportion to their deficit (this project's); what they cannot fill is
    drawn at random.

    Within a slice sequences take turns, the best frame of each first: novelty and some expected
    loss, both as ranks, times how far it is known to belong there, per second. Between slices, and
    of what is drawn at random, seconds play no part. Cost: (N + k) S for S slices, and N log N; no
    distances. It knows only what has a name, and goes wrong where a slice is mistaken. The most
    novel frame may be a broken one, frames of two sequences may be alike, and a sequence of little
    novelty is left to chance. A slice goes on beyond what is wanted of it, unless that is 0.
    """
    value = utility(pool, settings or CoverageSettings())
    components: list[Component] = [
        component
        for _, component in slice_components(pool, value, settings or CoverageSettings(), weight=1.0)
    ]
    components.append(Queue(RANDOM, rng.permutation(len(pool)), np.zeros(len(pool)), weight=0.0))
    values = {"novelty": pool.novelty, "expected_loss": pool.expected_loss, "deficit": deficit_of_rows(pool)}
    return take_turns(pool, k, components, values)


def slice_components(
    pool: Pool, value: Reals, settings: CoverageSettings, weight: float
) -> list[tuple[int, Queue]]:
    """Every slice that lacks something and has frames, with a component; their weights add up to
    `weight`.
    """
    capped = np.minimum(pool.deficit, settings.deficit_cap)
    present = np.bincount(pool.slices[(pool.slices != NOBODY) & ~pool.excluded], minlength=len(capped)) > 0
    share = np.where(present & (pool.wanted != 0), capped, 0.0)
    return [
        (
            int(code),
            Queue(
                COVERAGE,
                slice_order(pool, int(code), value, settings),
                value,
                weight * share[code] / share.sum(),
            ),
        )
        for code in np.flatnonzero(share > 0)
    ]


def slice_order(pool: Pool, code: int, value: Reals, settings: CoverageSettings) -> Ints:
    """Rows of one slice: each sequence's best, then each one's second best, ...; better sequences
    first.

    A row's value counts as far as the row is known to belong here. Sequences of little novelty are
    left out.
    """
    rows = np.flatnonzero((pool.slices == code) & ~pool.excluded)
    sequence = own_sequences(pool.sequence[rows])
    novelty = pool.novelty[rows]
    mean_novelty = (np.bincount(sequence, weights=novelty) / np.bincount(sequence))[sequence]
    kept = mean_novelty >= settings.burst_floor * np.median(novelty)
    rows, sequence = rows[kept], sequence[kept]
    worth = value[rows] * pool.membership[rows]
    best = np.full(sequence.max(initial=0) + 1, -np.inf)
    np.maximum.at(best, sequence, worth)
    order = np.lexsort((rows, -best[sequence], rank_within(sequence, worth)))
    ordered: Ints = rows[order]
    return ordered


def own_sequences(sequence: Ints) -> Ints:
    """(M,) int codes from 0; a frame of no sequence is a sequence of its own."""
    alone = sequence == NOBODY
    unique = np.where(alone, sequence.max(initial=0) + 1 + np.arange(len(sequence)), sequence)
    codes: Ints = np.unique(unique, return_inverse=True)[1].astype(np.int64)
    return codes


def utility(pool: Pool, settings: CoverageSettings) -> Reals:
    """(N,) rank of novelty plus weighted rank of expected loss, per second of labeling."""
    worth = rank01(pool.novelty) + settings.expected_loss_weight * rank01(pool.expected_loss)
    value: Reals = worth / relative_cost(pool)
    return value


def rank01(value: Reals) -> Reals:
    """(N,) average ranks in 0..1."""
    _, code, counts = np.unique(value, return_inverse=True, return_counts=True)
    rank: Reals = (np.cumsum(counts) - (counts - 1) / 2)[code] / max(len(value), 1)
    return rank


def deficit_of_rows(pool: Pool) -> Reals:
    """(N,) the deficit of each frame's slice; 0 for a frame of none."""
    deficit: Reals = np.append(pool.deficit, 0.0)[pool.slices]
    return deficit
