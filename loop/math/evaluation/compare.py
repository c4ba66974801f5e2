"""Paired comparison of two models over groups: camera-days or sequences, never single frames.

The statistic is a difference of AP. Whether it is a gain is told by exchanging the two models'
answers within randomly chosen groups (Fisher's sign flips, 1935, with AP itself as the statistic).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from loop.base.arrays import Bools, Ints, Reals
from loop.math.evaluation.ap import Matches, average_precisions

DRAWS = 2048
"""Exchanges that a test is made by where there are more; else all of them."""
AP50 = (0.5,)
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
    frames, objects, groups: that show such objects, and the objects.
    even_groups, even_objects: as many of equal weight would tell as much (Kish 1965).
    variance: of the estimate by chance, 0 where nobody measured it.
    """

    before: float
    after: float
    frames: int
    objects: int
    groups: int
    even_groups: float
    even_objects: float
    variance: float = 0.0

    @property
    def estimate(self) -> float:
        return self.after - self.before


def compare(
    deployed: Matches,
    candidate: Matches,
    slices: Sequence[Slice],
    groups: Ints,
    ious: Sequence[float] = AP50,
) -> Difference:
    """The difference of AP, averaged over the IoU thresholds, and over slices and classes by the
    objects that they hold.

    So a class of two objects moves the mean of a slice by no more than two objects of another.
    groups: (N,) group of each image as a number.
    Raises ValueError when the models were matched on different truth.
    """
    _check_paired(deployed, candidate, groups)
    everything = np.ones((1, deployed.images))
    before, after = (_values(model, slices, everything, ious)[0] for model in (deployed, candidate))
    weights = np.array([one.weights for one in slices])
    shown = np.array([_objects(deployed, one) for one in slices])
    return difference_of(float(before), float(after), weights, shown, groups)


def difference_of(before: float, after: float, weights: Reals, shown: Ints, groups: Ints) -> Difference:
    """A difference with what it rests on.

    weights: (S, N) of each slice, 0 outside it.
    shown: (S, N) objects that each slice counts.
    """
    objects = np.where(weights > 0, shown, 0).sum(axis=0)
    weight = (weights * shown).sum(axis=0)
    by_group = np.bincount(group_numbers(groups.tolist()), weight)
    return Difference(
        before,
        after,
        int((objects > 0).sum()),
        int(objects.sum()),
        int((by_group > 0).sum()),
        _even(by_group.sum(), (by_group**2).sum()),
        _even(weight.sum(), (weights**2 * shown).sum()),
    )


def p_gain(
    deployed: Matches,
    candidate: Matches,
    slices: Sequence[Slice],
    groups: Ints,
    ious: Sequence[float] = AP50,
    draws: int = DRAWS,
    seed: int = 0,
) -> float:
    """One-sided p-value of "it did not gain": how often exchanging the models within groups gives
    as much.

    Exact where there are at most `draws` exchanges, otherwise over as many drawn ones; each counts
    with its mirror image. Of two trainings that differ by chance alone at most a share alpha is
    found better at level alpha. 1 without objects.
    """
    gains = exchanged(deployed, candidate, slices, groups, ious, draws // 2, seed)
    if np.isnan(gains).any():
        return 1.0
    return float((np.concatenate([gains, -gains]) >= gains[0] - 1e-12).mean())


def least_p(groups: int) -> float:
    """The smallest p-value that `p_gain` can give: every group gained."""
    return float(0.5**groups)


def exchanged(
    deployed: Matches,
    candidate: Matches,
    slices: Sequence[Slice],
    groups: Ints,
    ious: Sequence[float] = AP50,
    draws: int = DRAWS,
    seed: int = 0,
) -> Reals:
    """(R,) differences as `compare` gives them with the models exchanged in random groups; the
    first without an exchange, none with its mirror image.
    """
    _check_paired(deployed, candidate, groups)
    code, count = _blocks(groups, _with_objects(deployed, slices))
    if not count:
        return np.full(1, np.nan)
    twice = [replace(one, weights=np.tile(one.weights, 2)) for one in slices]
    both = _inside(_stacked(deployed, candidate), twice)
    exchanges, step = _exchanges(count, draws, seed), max(1, _CELLS // len(code))
    parts = (exchanges[start : start + step, code] for start in range(0, len(exchanges), step))
    return np.concatenate([_gains(both, twice, part, ious) for part in parts])


def group_numbers(groups: Sequence[Hashable]) -> Ints:
    """(N,) a number for each distinct group, in the order met."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(group, len(numbers)) for group in groups], dtype=np.int64)


def _gains(both: Matches, slices: Sequence[Slice], swapped: Ints, ious: Sequence[float]) -> Reals:
    first = _values(both, slices, np.concatenate([1 - swapped, swapped], axis=1), ious)
    second = _values(both, slices, np.concatenate([swapped, 1 - swapped], axis=1), ious)
    return second - first


def _values(matches: Matches, slices: Sequence[Slice], rows: Reals | Ints, ious: Sequence[float]) -> Reals:
    """(R,) AP by weighting of the images, averaged over slices and classes by their objects."""
    total, weight = np.zeros(len(rows)), 0.0
    for one in slices:
        held = one.weights @ matches.truths
        shown = [c for c in _classes(matches, one) if held[c] > 0]
        if shown:
            parts = average_precisions(matches, rows * one.weights, ious, shown)[:, :, shown].mean(axis=1)
            total += parts @ held[shown]
            weight += float(held[shown].sum())
    return total / weight if weight else np.full(len(rows), np.nan)


def _classes(matches: Matches, one: Slice) -> Sequence[int]:
    return range(matches.classes) if one.classes is None else one.classes


def _objects(matches: Matches, one: Slice) -> Ints:
    """(N,) objects that the slice counts."""
    return np.asarray(matches.truths[:, list(_classes(matches, one))].sum(axis=1))


def _even(total: float, squares: float) -> float:
    """How many equal parts tell as much as these, by the sum of their weights and of its squares."""
    return float(total**2 / squares) if squares > 0 else 0.0


def _exchanges(count: int, draws: int, seed: int) -> Ints:
    """(R, count) 0 or 1, the first row without an exchange. The mirror images are left to the
    caller.
    """
    if count <= np.log2(draws) + 1:
        return np.asarray((np.arange(2 ** max(count - 1, 0))[:, None] >> np.arange(count)) & 1)
    drawn = np.random.default_rng(seed).integers(0, 2, (draws, count))
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
    return np.asarray(np.any([(one.weights > 0) & (_objects(matches, one) > 0) for one in slices], axis=0))


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
