"""Paired comparison of two models over groups: camera-days or sequences, never single frames.

The statistic is a difference of mean AP, which is no sum over groups. Whether it is a gain is told
by exchanging the two models' answers within randomly chosen groups (Fisher's sign flips, 1935, with
AP itself as the statistic); how far it may be a fall by leaving out one group at a time (delete-one
jackknife, Efron and Stein, 1981).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from loop.base.arrays import Bools, Ints, Reals
from loop.math.evaluation.ap import Matches, average_precisions

DRAWS = 2000
"""Exchanges that a test is made by where there are too many to go through them all."""
_EXACT = 11
_MEANT = 2
_CELLS = 2_000_000


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of the held-out frames.

    weights: (N,), 0 outside it.
    classes: those that count, all when None.
    """

    name: str
    weights: Reals
    classes: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """AP of the candidate less AP of the deployed model.

    before, after: AP of the deployed model and the candidate, NaN without objects.
    groups: that show such objects.
    shares: (groups,) jackknife pseudo-values of after - before, empty with fewer than two groups.
    """

    before: float
    after: float
    groups: int
    shares: Reals

    @property
    def estimate(self) -> float:
        return self.after - self.before

    @property
    def standard_error(self) -> float:
        """NaN with fewer than two groups."""
        if len(self.shares) < _MEANT:
            return float("nan")
        return float(self.shares.std(ddof=1) / np.sqrt(len(self.shares)))

    @property
    def persistent(self) -> bool:
        """Whether a fall stays one whichever group is left out."""
        n = len(self.shares)
        if n < _MEANT:
            return self.estimate < 0
        without = (n * self.estimate - self.shares) / (n - 1)
        return bool((without < 0).all())

    def upper_fall(self, alpha: float) -> float:
        """One-sided 1 - alpha bound on how far the candidate may have fallen; NaN with fewer than
        two groups.
        """
        if len(self.shares) < _MEANT:
            return float("nan")
        quantile = float(stats.t.ppf(1 - alpha, len(self.shares) - 1))
        return -self.estimate + quantile * self.standard_error

    def p_fall(self) -> float:
        """One-sided p-value of "it did not fall", by Student's t over the groups; NaN with fewer
        than two.
        """
        if len(self.shares) < _MEANT:
            return float("nan")
        if self.standard_error == 0:
            return 0.0 if self.estimate < 0 else 1.0
        return float(stats.t.sf(-self.estimate / self.standard_error, len(self.shares) - 1))


def compare(
    deployed: Matches, candidate: Matches, slices: Sequence[Slice], groups: Ints, iou: float = 0.5
) -> Difference:
    """The difference of AP at one IoU threshold, averaged over classes and then over the slices.

    groups: (N,) group of each image as a number.
    A class that a slice shows in one group only is left out of that slice's mean, unless there is
    no other.
    Raises ValueError when the models were matched on different truth.
    """
    _check_paired(deployed, candidate, groups)
    code, count = _blocks(groups, _with_objects(deployed, slices))
    counted = _counted(deployed, slices, code)
    keep = np.concatenate([np.ones((1, len(code))), code[None] != np.arange(count)[:, None]])
    before, after = _values(deployed, counted, keep, iou), _values(candidate, counted, keep, iou)
    delta = after - before
    shares = count * delta[0] - (count - 1) * delta[1:]
    alone = count < _MEANT or np.isnan(shares).any()
    return Difference(float(before[0]), float(after[0]), count, np.zeros(0) if alone else shares)


def p_gain(
    deployed: Matches,
    candidate: Matches,
    slices: Sequence[Slice],
    groups: Ints,
    iou: float = 0.5,
    draws: int = DRAWS,
    seed: int = 0,
) -> float:
    """One-sided p-value of "it did not gain": how often exchanging the models within groups gives
    as much.

    Exact up to 11 groups, otherwise over `draws` exchanges; each exchange counts with its mirror
    image. Of two trainings that differ by chance alone at most a share alpha is found better at
    level alpha. 1 without objects.
    """
    _check_paired(deployed, candidate, groups)
    code, count = _blocks(groups, _with_objects(deployed, slices))
    counted = _counted(deployed, slices, code)
    if not counted:
        return 1.0
    twice = [replace(one, weights=np.tile(one.weights, 2)) for one in counted]
    both = _inside(_stacked(deployed, candidate), twice)
    exchanges, step = _exchanges(count, draws, seed), max(1, _CELLS // len(code))
    gains = np.concatenate(
        [
            _gains(both, twice, exchanges[start : start + step, code], iou)
            for start in range(0, len(exchanges), step)
        ]
    )
    return float((np.concatenate([gains, -gains]) >= gains[0] - 1e-12).mean())


def group_numbers(groups: Sequence[Hashable]) -> Ints:
    """(N,) a number for each distinct group, in the order met."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(group, len(numbers)) for group in groups], dtype=np.int64)


def _gains(both: Matches, slices: Sequence[Slice], swapped: Ints, iou: float) -> Reals:
    first = _values(both, slices, np.concatenate([1 - swapped, swapped], axis=1), iou)
    second = _values(both, slices, np.concatenate([swapped, 1 - swapped], axis=1), iou)
    return second - first


def _values(matches: Matches, slices: Sequence[Slice], rows: Reals | Ints, iou: float) -> Reals:
    """(R,) AP by weighting of the images, averaged over each slice's classes and then over the
    slices.
    """
    if not slices:
        return np.full(len(rows), np.nan)
    parts = [
        average_precisions(matches, rows * one.weights, [iou], one.classes)[:, 0, list(one.classes or ())]
        for one in slices
    ]
    return np.asarray(np.mean([part.mean(axis=1) for part in parts], axis=0))


def _counted(matches: Matches, slices: Sequence[Slice], code: Ints) -> list[Slice]:
    """The slices that show objects, each with the classes that count in it."""
    out = []
    for one in slices:
        wanted = range(matches.classes) if one.classes is None else one.classes
        inside = one.weights > 0
        seen = {c: len(np.unique(code[inside & (matches.truths[:, c] > 0)])) for c in wanted}
        often = tuple(c for c in wanted if seen[c] >= _MEANT) or tuple(c for c in wanted if seen[c])
        if often:
            out.append(replace(one, classes=often))
    return out


def _exchanges(count: int, draws: int, seed: int) -> Ints:
    """(R, count) 0 or 1, the first row without an exchange. The mirror images are left to the
    caller.
    """
    if count <= _EXACT:
        return np.asarray((np.arange(2 ** max(count - 1, 0))[:, None] >> np.arange(count)) & 1)
    drawn = np.random.default_rng(seed).integers(0, 2, (draws // 2, count))
    return np.concatenate([np.zeros((1, count), dtype=np.int64), drawn])


def _stacked(deployed: Matches, candidate: Matches) -> Matches:
    """Both models over 2N images: the candidate's follow the deployed model's."""
    image = np.concatenate([deployed.image, candidate.image + deployed.images])
    class_id = np.concatenate([deployed.class_id, candidate.class_id])
    confidence = np.concatenate([deployed.confidence, candidate.confidence])
    order = np.lexsort((-confidence, class_id))
    return Matches(
        image[order],
        class_id[order],
        confidence[order],
        np.concatenate([deployed.hit, candidate.hit], axis=1)[:, order],
        np.concatenate([deployed.truths, candidate.truths]),
        deployed.ious,
    )


def _with_objects(matches: Matches, slices: Sequence[Slice]) -> Bools:
    """(N,) images that show an object which some slice counts."""
    shown = np.zeros(matches.images, dtype=np.bool_)
    for one in slices:
        counted = matches.truths if one.classes is None else matches.truths[:, list(one.classes)]
        shown |= (one.weights > 0) & counted.any(axis=1)
    return shown


def _blocks(groups: Ints, shown: Bools) -> tuple[Ints, int]:
    """Blocks to leave out: each group that shows an object, with its part of the groups that show
    none.

    A group without objects carries no share of its own: counted as one it would only feign
    evidence.
    """
    numbers = group_numbers(groups.tolist())
    telling = np.unique(numbers[shown])
    code = np.full(int(numbers.max(initial=-1)) + 1, -1, dtype=np.int64)
    code[telling] = np.arange(len(telling))
    silent = np.flatnonzero(code < 0)
    if len(telling):
        code[silent] = np.arange(len(silent)) % len(telling)
    return code[numbers], len(telling)


def _inside(matches: Matches, slices: Sequence[Slice]) -> Matches:
    """Without the detections that no slice counts."""
    counts = np.any([one.weights > 0 for one in slices], axis=0)[matches.image]
    return replace(
        matches,
        image=matches.image[counts],
        class_id=matches.class_id[counts],
        confidence=matches.confidence[counts],
        hit=matches.hit[:, counts],
    )


def _check_paired(deployed: Matches, candidate: Matches, groups: Ints) -> None:
    if not np.array_equal(deployed.truths, candidate.truths):
        raise ValueError(
            "expected both models matched on the same frames and labels, got truths of shape "
            f"{deployed.truths.shape} and {candidate.truths.shape}; run both on one held-out set"
        )
    if len(groups) != deployed.images:
        raise ValueError(
            f"expected a group for each of {deployed.images} images, got {len(groups)}; name them all"
        )
