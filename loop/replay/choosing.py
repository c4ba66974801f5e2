"""What a sampler is shown of the data, which is what `fieldloop select` would show it, and what it
answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC

import numpy as np

from connectors.ports import Array, Detections, Embedder
from db.frames import UNKNOWN
from loop.analysis.near_duplicates import clusters_of_side
from loop.base.arrays import Ints
from loop.base.errors import ConfigError
from loop.gaps.words import words_of
from loop.math.boxes.frame_boxes import FrameBoxes
from loop.math.boxes.matching import match, truth_of
from loop.math.coverage.comparison import Comparison, Evidence, compare
from loop.math.coverage.frame_arrays import Side, codes_of, side_of
from loop.math.coverage.frame_slices import NO_SLICE
from loop.math.coverage.gaps import LabeledScores
from loop.math.coverage.regions import TrainingSet, nearest_of
from loop.math.evaluation.calibration import calibrate
from loop.replay.data import ReplayData
from loop.replay.facts import Facts
from loop.replay.settings import ReplaySettings
from loop.replay.split import HELD_OUT, LABELED, POOL, TEST, TUNING
from loop.replay.tools import product_settings
from loop.selection.calibration import IOU, MatchedFrames, trust
from loop.selection.exclusions import Rules
from loop.selection.sampler_pool import Calibrated, Cost, pool_of
from loop.settings.conditions import load_conditions
from loop.settings.strategy_names import STRATEGY_NAMES, unknown_strategy
from samplers import STRATEGIES, Pool, Strategy
from samplers.pool import NO_LIMIT

PLAIN = ("random", "random2")
"""Any frame as likely as any other, near-duplicates among them: what a team without a tool would
do. The second is another draw.
"""
BY_CAMERA = "stratified"
BLIND = frozenset(
    {
        *PLAIN,
        BY_CAMERA,
        "random_thinned",
        "k_center",
        "typiclust",
        "prob_cover",
        "herding",
        "facility_location",
    }
)
"""They do not look at what a detector finds, so that nothing need be detected for them."""
SAMPLERS = (*PLAIN, "random_thinned", *(name for name in STRATEGY_NAMES if name != "random"))
BLOCK = 4096
NOBODY = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))


@dataclass(frozen=True)
class Choice:
    """rows: of the data, best first.
    components: how many each one of the strategy chose.
    trust: in expected loss, as it was chosen with.
    """

    rows: Ints
    components: dict[str, int]
    trust: float = 0.0


class Chooser:
    """Asks samplers for frames of the pool, given what is labeled so far.

    production: rows that are seen as production, the pool and the frames that are kept for
    evaluation.
    seen: rows that a detector has to look at, production first and then what was held out of the
    training set.
    """

    def __init__(self, data: ReplayData, facts: Facts, embedder: Embedder, settings: ReplaySettings) -> None:
        self._data = data
        self._facts = facts
        self._settings = settings
        self._product = product_settings()
        self._words = words_of(embedder, load_conditions(None), self._product)
        self._unlike = embedder.unlike(facts.vectors)
        self._groups = codes_of([frame.group for frame in data.frames])
        evaluation = data.rows(TUNING) if settings.judge == TEST else np.zeros(0, dtype=np.int64)
        self.production = np.sort(np.concatenate([data.rows(POOL), evaluation]))
        self.seen = np.concatenate([self.production, data.rows(HELD_OUT)])

    def choose(
        self,
        sampler: str,
        labeled: Ints,
        detections: Sequence[Detections] | None,
        seed: int,
        number: int,
    ) -> Choice:
        """The frames of round `number`.

        labeled: rows of the pool labeled before.
        detections: of every row of `seen` by the latest model.
        """
        if sampler in PLAIN:
            rng = np.random.default_rng([seed, number, PLAIN.index(sampler)])
            free = np.setdiff1d(self._data.rows(POOL), labeled)
            rows = rng.permutation(free)[: self._settings.budget]
            return Choice(rows, {"random": len(rows)})
        found = [NOBODY] * len(self.seen) if detections is None else detections
        compared = self._compared(labeled, found, seed)
        pool = self._pool(sampler, compared, labeled, self._calibrated(compared, detections, seed, number))
        if sampler == BY_CAMERA:
            pool = by_camera(pool, compared.production.camera[np.isin(self.production, pool.ids)])
        picked = strategy(sampler)(pool, self._settings.budget, np.random.default_rng([seed, number]))
        return Choice(pool.ids[picked.indices], dict(Counter(map(str, picked.component))), pool.trust)

    def _compared(self, labeled: Ints, found: Sequence[Detections], seed: int) -> Comparison:
        """found: of every row of `seen`."""
        known = np.concatenate([self._data.rows(LABELED), labeled])
        boxes = [np.array([box[0] for box in self._data.frames[row].boxes], dtype=np.int64) for row in known]
        sides = self._side(self.production), self._side(known)
        vectors, search = self._facts.vectors, searcher(known, self._facts.vectors[known])
        members = TrainingSet(known, vectors[known], sides[1].sequence)
        near = nearest_of(vectors[self.production], members, search, self._product.gaps.neighbors)
        evidence = Evidence(
            *sides,
            FrameBoxes.of(found[: len(self.production)]),
            boxes,
            np.isin(known, self._data.rows(LABELED)),
            self._labeled_scores(labeled, found),
            self._data.classes,
        )
        return compare(evidence, self._words, near, self._product.gaps, UTC, seed)

    def _labeled_scores(self, labeled: Ints, found: Sequence[Detections]) -> LabeledScores:
        """found: of every row of `seen`."""
        places = np.flatnonzero(np.isin(self.seen, np.concatenate([labeled, self._data.rows(HELD_OUT)])))
        rows, classes = self.seen[places], len(self._data.classes)
        has = np.zeros((len(rows), classes), dtype=np.bool_)
        for place, row in enumerate(rows):
            has[place, [box[0] for box in self._data.frames[row].boxes]] = True
        scores = FrameBoxes.of([found[place] for place in places]).class_maxima(classes)
        return LabeledScores(scores, has, self._groups[rows], places < len(self.production))

    def _side(self, rows: Ints) -> Side:
        frames = [self._data.frames[row] for row in rows]
        return side_of(
            rows,
            self._facts.vectors[rows],
            {name: values[rows] for name, values in self._facts.measures.items()},
            camera=[frame.camera for frame in frames],
            site=[frame.site for frame in frames],
            sequence=[frame.sequence for frame in frames],
            captured_at=np.array(
                [frame.captured_at.timestamp() if frame.captured_at else np.nan for frame in frames]
            ),
            group=self._groups[rows],
            unlike=self._unlike[rows],
            unknown=UNKNOWN,
        )

    def _pool(self, sampler: str, compared: Comparison, labeled: Ints, taught: Calibrated) -> Pool:
        in_pool = np.isin(self.production, self._data.rows(POOL))
        rules = Rules(
            sampler,
            in_pool,
            np.isin(self.production, labeled),
            clusters_of_side(compared.production),
            compared.production.sequence,
            self._product.select.max_per_sequence,
        )
        return pool_of(compared, np.flatnonzero(in_pool), rules, taught)

    def _calibrated(
        self, compared: Comparison, detections: Sequence[Detections] | None, seed: int, number: int
    ) -> Calibrated:
        """From what a product would have had by now: evaluation frames of earlier rounds, and what
        was held out from the start.
        """
        cost = Cost(self._settings.seconds_per_frame, self._settings.seconds_per_box)
        if detections is None:
            return Calibrated(cost=cost)
        evaluated = self._evaluated(seed, number)
        places = np.flatnonzero(np.isin(self.seen, np.concatenate([evaluated, self._data.rows(HELD_OUT)])))
        there = places < len(self.production)
        row = np.minimum(places, len(self.production) - 1)
        missed = np.where(there, compared.missed[row], 0.0)
        shown = np.where(there, compared.frame_slices.code[row], NO_SLICE)
        groups = codes_of([self._data.frames[row].group for row in self.seen[places]])
        matches = [
            match(truth_of(self._data.frames[self.seen[at]].boxes), detections[at], [IOU]) for at in places
        ]
        held = MatchedFrames(matches, groups, missed, there, shown, np.ones(len(places)))
        return Calibrated(calibrate(matches), trust(held, seed), cost)

    def _evaluated(self, seed: int, number: int) -> Ints:
        """Frames that select would have put before labelers to judge models by, in the rounds
        before this one.
        """
        share = self._product.select.evaluation_share
        count = round(share / (1 - share) * self._settings.budget * (number - 1))
        evaluation = np.setdiff1d(self.production, self._data.rows(POOL))
        return np.random.default_rng([seed, 1]).permutation(evaluation)[:count]


def strategy(sampler: str) -> Strategy:
    """Raises ConfigError for a name that is none."""
    check_sampler(sampler)
    return STRATEGIES["random" if sampler == "random_thinned" else sampler]


def check_sampler(name: str) -> None:
    """Raises ConfigError with the nearest name."""
    if name not in SAMPLERS:
        raise ConfigError(f"samplers: {unknown_strategy(name)}; random2 and random_thinned are there too")


def by_camera(pool: Pool, camera: Ints) -> Pool:
    """The same pool with its cameras as slices."""
    names = tuple(map(str, np.unique(camera)))
    return replace(
        pool,
        slices=codes_of([f"{code:06d}" for code in camera]),
        names=names,
        deficit=np.zeros(len(names)),
        floors=np.zeros(len(names), dtype=np.int64),
        quotas=np.full(len(names), NO_LIMIT),
        wanted=np.full(len(names), NO_LIMIT),
    )


def searcher(ids: Ints, vectors: Array) -> Callable[[Array, int], tuple[Array, Ints]]:
    """Exact nearest neighbors by cosine, as an index answers them."""

    def search(queries: Array, k: int) -> tuple[Array, Ints]:
        count = min(k, len(ids))
        near = np.full((len(queries), k), -1, dtype=np.int64)
        similar = np.zeros((len(queries), k), dtype=np.float32)
        for start in range(0, len(queries), BLOCK):
            rows = slice(start, start + BLOCK)
            product = queries[rows] @ vectors.T
            order = np.argsort(-product, axis=1, kind="stable")[:, :count]
            near[rows, :count] = ids[order]
            similar[rows, :count] = np.take_along_axis(product, order, axis=1)
        return similar, near

    return search
