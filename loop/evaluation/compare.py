"""Paired comparison of two models over groups: camera-days or sequences, never single frames.

The statistic is a difference of mean AP, which is no sum over groups; leaving one group out at a time (delete-one
jackknife: Efron and Stein, 1981) gives each group's share in it, its standard error, and what a sign-flip test
(Fisher, 1935) permutes.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import stats

from loop.evaluation.ap import Bools, Floats, Ints, Matches, average_precisions

_EXACT = 12
_MEANT = 2


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of the held-out frames. weights: (N,), 0 outside it. classes: those that count, all when None."""

    name: str
    weights: Floats
    classes: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """AP of the candidate less AP of the deployed model.

    before, after: AP of the deployed model and the candidate, NaN without objects. groups: that show such objects.
    shares: (groups,) jackknife pseudo-values of after - before, empty with fewer than two groups.
    """

    before: float
    after: float
    groups: int
    shares: Floats

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
        """One-sided 1 - alpha bound on how far the candidate may have fallen; NaN with fewer than two groups."""
        if len(self.shares) < _MEANT:
            return float("nan")
        quantile = float(stats.t.ppf(1 - alpha, len(self.shares) - 1))
        return -self.estimate + quantile * self.standard_error

    def p_fall(self) -> float:
        """One-sided p-value of "it did not fall", by Student's t over the groups; NaN with fewer than two."""
        if len(self.shares) < _MEANT:
            return float("nan")
        if self.standard_error == 0:
            return 0.0 if self.estimate < 0 else 1.0
        return float(stats.t.sf(-self.estimate / self.standard_error, len(self.shares) - 1))

    def p_gain(self, draws: int, seed: int) -> float:
        """One-sided p-value of "it did not gain", by sign flips over the groups."""
        return sign_flip(self.shares, draws, seed)


def compare(
    deployed: Matches, candidate: Matches, slices: Sequence[Slice], groups: Ints, iou: float = 0.5
) -> Difference:
    """The difference of AP at one IoU threshold, averaged over classes and then over the slices.

    groups: (N,) group of each image as a number. A class that a slice shows in one group only is left out of that
    slice's mean, unless there is no other. Raises ValueError when the models were matched on different truth.
    """
    _check_paired(deployed, candidate, groups)
    code, count = _blocks(groups, _with_objects(deployed, slices))
    before = _leave_one_out(deployed, slices, code, count, iou)
    after = _leave_one_out(candidate, slices, code, count, iou)
    kept = ~np.isnan(before[1:]).any(axis=0) if count >= _MEANT else np.zeros(len(slices), dtype=bool)
    if not kept.any():
        return Difference(_mean(before[0]), _mean(after[0]), count, np.zeros(0))
    before, after = before[:, kept].mean(axis=1), after[:, kept].mean(axis=1)
    delta = after - before
    return Difference(float(before[0]), float(after[0]), count, count * delta[0] - (count - 1) * delta[1:])


def sign_flip(shares: Floats, draws: int = 9999, seed: int = 0) -> float:
    """P(mean of randomly signed shares >= the one seen); exact up to 12 groups. 1 without a group."""
    if not len(shares):
        return 1.0
    seen = shares.sum()
    slack = 1e-12 * np.abs(shares).sum()
    if len(shares) <= _EXACT:
        signs = np.array(list(product((1.0, -1.0), repeat=len(shares))))
        return float((signs @ shares >= seen - slack).mean())
    flips = np.random.default_rng(seed).integers(0, 2, (draws, len(shares)), dtype=np.int8) * 2 - 1
    return float((1 + (flips @ shares >= seen - slack).sum()) / (1 + draws))


def group_numbers(groups: Sequence[Hashable]) -> Ints:
    """(N,) a number for each distinct group, in the order met."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(group, len(numbers)) for group in groups], dtype=np.int64)


def holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Which hypotheses fall at family-wise level alpha (Holm, 1979)."""
    out = [False] * len(p_values)
    for rank, place in enumerate(np.argsort(p_values, kind="stable")):
        if p_values[place] > alpha / (len(p_values) - rank):
            break
        out[place] = True
    return out


def _leave_one_out(matches: Matches, slices: Sequence[Slice], code: Ints, count: int, iou: float) -> Floats:
    """(1 + count, slices): first over all blocks, then without each."""
    keep = np.concatenate([np.ones((1, len(code))), code[None] != np.arange(count)[:, None]])
    out = np.full((1 + count, len(slices)), np.nan)
    for place, one in enumerate(slices):
        table = average_precisions(matches, keep * one.weights, [iou], one.classes)[:, 0]
        lasting = ~np.isnan(table).any(axis=0)
        if not lasting.any():
            lasting = ~np.isnan(table[0])
        if lasting.any():
            out[:, place] = table[:, lasting].mean(axis=1)
    return out


def _with_objects(matches: Matches, slices: Sequence[Slice]) -> Bools:
    """(N,) images that show an object which some slice counts."""
    shown = np.zeros(matches.images, dtype=np.bool_)
    for one in slices:
        counted = matches.truths if one.classes is None else matches.truths[:, list(one.classes)]
        shown |= (one.weights > 0) & counted.any(axis=1)
    return shown


def _blocks(groups: Ints, shown: Bools) -> tuple[Ints, int]:
    """Blocks to leave out: each group that shows an object, with its part of the groups that show none.

    A group without objects carries no share of its own: counted as one it would only feign evidence.
    """
    numbers = group_numbers(groups.tolist())
    telling = np.unique(numbers[shown])
    code = np.full(int(numbers.max(initial=-1)) + 1, -1, dtype=np.int64)
    code[telling] = np.arange(len(telling))
    silent = np.flatnonzero(code < 0)
    if len(telling):
        code[silent] = np.arange(len(silent)) % len(telling)
    return code[numbers], len(telling)


def _check_paired(deployed: Matches, candidate: Matches, groups: Ints) -> None:
    if not np.array_equal(deployed.truths, candidate.truths):
        raise ValueError(
            f"expected both models matched on the same frames and labels, got truths of shape "
            f"{deployed.truths.shape} and {candidate.truths.shape}; run both on one held-out set"
        )
    if len(groups) != deployed.images:
        raise ValueError(
            f"expected a group for each of {deployed.images} images, got {len(groups)}; name them all"
        )


def _mean(values: Floats) -> float:
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else float("nan")
