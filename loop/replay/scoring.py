"""How good a detector is on the frames that judge: overall, per slice, per class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from connectors.ports import Detections
from loop.base.arrays import Ints, Reals
from loop.math.boxes.matching import truth_of
from loop.math.evaluation.ap import Scores, average_precisions, match_all
from loop.replay.data import ReplayData
from loop.replay.results import Score
from loop.replay.settings import ReplaySettings
from loop.replay.split import POOL


def scored(
    data: ReplayData, settings: ReplaySettings, rows: Ints, found: Sequence[Detections]
) -> tuple[Score, Score, dict[str, Score], dict[str, Score]]:
    """(overall, mean of the rare slices, by slice, by class) of detections on the frames `rows`."""
    matches = match_all([truth_of(data.frames[row].boxes) for row in rows], found, len(data.classes))
    names = [name for name, mask in data.slices.items() if mask[rows].any()]
    weights = mixture_weights(data, settings, rows)
    table = [weights, *(data.slices[name][rows] for name in names)]
    overall, *tables = average_precisions(matches, np.array(table, dtype=np.float64))
    slices = {name: _score(each, matches.ious, data, name) for name, each in zip(names, tables, strict=True)}
    classes = {name: _mean(Scores(overall[:, [i]], matches.ious)) for i, name in enumerate(data.classes)}
    rare = [slices[name] for name in rare_slices(data, settings) if name in slices]
    return _mean(Scores(overall, matches.ious)), mean_score(rare), slices, classes


def rare_slices(data: ReplayData, settings: ReplaySettings) -> tuple[str, ...]:
    """Slices that are there in the pool, and in at most `rare_share` of it."""
    return tuple(name for name in data.slices if 0 < data.share(name) <= settings.rare_share)


def mixture_weights(data: ReplayData, settings: ReplaySettings, rows: Ints) -> Reals:
    """(len(rows),) weights under which the judging frames are composed as the pool is, in the
    column `weight_by`.
    """
    weights = np.ones(len(rows))
    if not settings.weight_by:
        return weights
    weights[:] = 0
    for name, mask in data.slices.items():
        if name.startswith(f"{settings.weight_by}=") and mask[rows].any():
            weights[mask[rows]] = data.share(name) / mask[rows].mean()
    return weights


def mean_score(scores: Sequence[Score]) -> Score:
    """Mean of those that are there."""
    return Score(
        *(
            _rounded(np.array([getattr(each, key) for each in scores], dtype=np.float64))
            for key in ("ap", "ap50")
        )
    )


def _score(table: Reals, ious: Reals, data: ReplayData, name: str) -> Score:
    """A slice that is named after a class is about that class."""
    value = name.partition("=")[2]
    if value in data.classes:
        table = table[:, [data.classes.index(value)]]
    return _mean(Scores(table, ious))


def _mean(scores: Scores) -> Score:
    return Score(_rounded(scores.per_class), _rounded(scores.at(0.5)))


def _rounded(values: Reals) -> float | None:
    there = values[~np.isnan(values)]
    return round(float(there.mean()), 6) if len(there) else None


def pool_shares(data: ReplayData) -> dict[str, float]:
    """Share of the pool by slice."""
    return {name: round(data.share(name), 4) for name in data.slices if len(data.rows(POOL))}
