"""From the scores of suspect labels to the probability that they are wrong.

Labels are presumed mostly right. So errors of each kind are planted into copies of them, and what
planted errors score is compared with what the labels score as they are. How many errors there are is
told by what people decided of earlier suspects; before that it is a low rate that the scores allow.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loop.base.arrays import Reals
from loop.math.boxes.matching import iou_matrix
from loop.math.quality.isotonic import isotonic
from loop.math.quality.judged_frames import KINDS, JudgedFrame, Kind, Suspected
from loop.math.quality.label_scores import ONE_PLACE, score_labels
from loop.math.quality.planted_errors import Planted, plant
from loop.math.quality.usual_labels import usual_labels

Decision = tuple[str, float, bool]
"""Kind and score of a suspect that a person looked at, and whether it was an error."""
PLANTED_RATE = 0.05
COPIES = 4
USUAL_RATE = 0.03
"""Of labels that are wrong in one way, before anybody looked. Test sets of ten data sets held 3.3 %
of errors (Northcutt, Athalye and Mueller 2021)."""
PRIOR_LABELS = 100.0
"""How many labels looked at the usual rate is worth."""
SUREST = 0.99
RATES: Reals = np.geomspace(1e-4, 0.8, 200, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Curve:
    """scores: (S,) rising.
    ratio: (S,) not falling, how much more errors than labels score this, were all labels wrong.
    rate: of labels that are wrong in this way.
    """

    scores: Reals
    ratio: Reals
    rate: float

    def probability(self, scores: Reals) -> Reals:
        """(N,) that suspects of these scores are wrong."""
        return chance(self.rate, self.ratio_at(scores))

    def ratio_at(self, scores: Reals) -> Reals:
        if not len(self.scores):
            return np.zeros(len(scores))
        return np.asarray(np.interp(scores, self.scores, self.ratio))


@dataclass(frozen=True, eq=False)
class Calibration:
    """One curve per kind. `calibrate` makes it."""

    curves: Mapping[str, Curve]

    def probability(self, kind: Kind, scores: Reals) -> Reals:
        """(N,) that suspects of one kind with these scores are wrong, 0 where nothing was learned."""
        curve = self.curves.get(kind)
        return curve.probability(scores) if curve else np.zeros(len(scores))

    def to_json(self) -> dict[str, Any]:
        return {
            kind: {"scores": curve.scores.tolist(), "ratio": curve.ratio.tolist(), "rate": curve.rate}
            for kind, curve in self.curves.items()
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Calibration:
        """Raises ValueError for anything that `to_json` did not write."""
        try:
            return cls({kind: _curve_of(content[kind]) for kind in KINDS if kind in content})
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                "expected the calibration of suspect labels as to_json writes it, got something else"
                f" ({error!r}); calibrate again"
            ) from error


def chance(rate: float, ratio: Reals) -> Reals:
    """(N,) probability of an error where errors are `ratio` times as frequent as labels, were all
    labels wrong.
    """
    return np.minimum(rate * ratio, SUREST)


def calibrate(frames: Sequence[JudgedFrame], seed: int, decisions: Sequence[Decision] = ()) -> Calibration:
    """Learned from errors planted into copies of the frames, and from what people decided.

    decisions: of any kinds and runs.
    """
    usual = usual_labels(frames)
    labels = sum(len(each.labels_class) for each in frames)
    real = _by_kind(score_labels(frames, usual))
    wrong: dict[str, list[float]] = defaultdict(list)
    counts: dict[str, int] = defaultdict(int)
    for copy in range(COPIES):
        planted = plant(frames, PLANTED_RATE, seed + copy)
        found = score_labels([each.frame for each in planted], usual)
        for kind, values in _of_planted(planted, found).items():
            wrong[kind] += values
        for kind, count in _counted(planted).items():
            counts[kind] += count
    return Calibration(
        {
            kind: _learned(
                np.array(real.get(kind, [])),
                np.array(wrong[kind]),
                labels / max(counts[kind], 1),
                [(score, bool(confirmed)) for name, score, confirmed in decisions if name == kind],
            )
            for kind in KINDS
        }
    )


def _learned(real: Reals, wrong: Reals, weight: float, decisions: Sequence[tuple[float, bool]]) -> Curve:
    """weight: of labels that one planted error stands for."""
    if not len(wrong) or not len(real):
        return Curve(np.zeros(0), np.zeros(0), USUAL_RATE)
    scores, ratio = _ratio(real, wrong, weight)
    rate = min(USUAL_RATE, _most(real, wrong, weight))
    curve = Curve(scores, ratio, rate)
    return Curve(scores, ratio, _rate(curve, decisions)) if decisions else curve


def _ratio(real: Reals, wrong: Reals, weight: float) -> tuple[Reals, Reals]:
    """Isotonic regression of "is planted" on the score (Zadrozny and Elkan 2002), as odds."""
    scores = np.concatenate([real, wrong])
    is_wrong = np.repeat([0.0, 1.0], [len(real), len(wrong)])
    weights = np.where(is_wrong > 0, weight, 1.0)
    line = isotonic(scores, is_wrong, weights)
    if line is None:
        return scores, scores
    share = line.y.clip(0, 1 - 1e-4)
    return line.x, share / (1 - share)


def _most(real: Reals, wrong: Reals, weight: float) -> float:
    """The highest rate of errors that the scores as they are allow: no tail of them may hold fewer
    than errors alone would (mixture proportion, Scott 2015), but for two standard deviations.
    """
    cuts = np.quantile(wrong, np.linspace(0.05, 0.95, 19))
    there = (real[None, :] >= cuts[:, None]).sum(axis=1)
    errors = (wrong[None, :] >= cuts[:, None]).sum(axis=1) * weight
    return float(((there + 2 * np.sqrt(there) + 1) / errors).min())


def _rate(curve: Curve, decisions: Sequence[tuple[float, bool]]) -> float:
    """The mean rate after the decisions, from a Beta prior around the usual one."""
    ratio = curve.ratio_at(np.array([score for score, _ in decisions]))
    confirmed = np.array([each for _, each in decisions])
    likely = np.stack([chance(rate, ratio) for rate in RATES.tolist()]).clip(1e-4, SUREST)
    logs = np.where(confirmed, np.log(likely), np.log1p(-likely)).sum(axis=1)
    before = PRIOR_LABELS * curve.rate, PRIOR_LABELS * (1 - curve.rate)
    # one factor RATES more, as the grid is even in the logarithm
    logs += before[0] * np.log(RATES) + (before[1] - 1) * np.log1p(-RATES)
    weights = np.exp(logs - logs.max())
    return float((RATES * weights).sum() / weights.sum())


def _of_planted(planted: Sequence[Planted], found: Sequence[Suspected]) -> dict[str, list[float]]:
    """What planted errors score, by kind; an object that no box shows is not among them."""
    scores: dict[str, list[float]] = defaultdict(list)
    places: dict[int, list[Suspected]] = defaultdict(list)
    for each in found:
        if each.kind == "overlooked":
            places[each.frame].append(each)
        elif planted[each.frame].kinds.get(each.label) == each.kind:
            scores[each.kind].append(each.score)
    for index, listed in places.items():
        scores["overlooked"] += _touched(planted[index].overlooked, listed)
    return scores


def _touched(gone: Reals, places: Sequence[Suspected]) -> list[float]:
    boxes = np.array([each.fix_xyxy for each in places])
    values = np.array([each.score for each in places])
    overlap = iou_matrix(gone, boxes) >= ONE_PLACE
    return [float(values[row].max()) for row in overlap if row.any()]


def _counted(planted: Sequence[Planted]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for each in planted:
        counts["overlooked"] += len(each.overlooked)
        for kind in each.kinds.values():
            counts[kind] += 1
    return counts


def _by_kind(found: Sequence[Suspected]) -> dict[str, list[float]]:
    scores: dict[str, list[float]] = defaultdict(list)
    for each in found:
        scores[each.kind].append(each.score)
    return scores


def _curve_of(content: Mapping[str, Any]) -> Curve:
    scores, ratio = np.array(content["scores"], np.float64), np.array(content["ratio"], np.float64)
    if scores.shape != ratio.shape:
        raise ValueError(f"{len(scores)} scores for {len(ratio)} ratios")
    return Curve(scores, ratio, float(content["rate"]))
