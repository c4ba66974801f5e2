"""Whether something fell: every slice at once, so that many of them raise no more false alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from loop.base.arrays import Bools
from loop.base.wording import counted
from loop.math.boxes.matching import COCO_IOUS
from loop.math.evaluation import chance
from loop.math.evaluation.chance import Chance
from loop.math.evaluation.compare import AP50, Difference, Slice
from loop.math.evaluation.pair import GateSettings, Pair
from loop.math.evaluation.verdict import (
    GONE,
    LOOK,
    NO_FALL,
    UNLABELED,
    Check,
    check_of,
    told,
    with_interval,
)
from loop.math.statistics.multiple_testing import benjamini_hochberg, holm

LIKELY = 0.2
"""False discovery rate of the falls that a person is asked about: of those that are likely and not certain,
one in five may be chance.
"""


@dataclass(frozen=True, slots=True)
class _Fall:
    """What is looked at for a fall. measure: AP50 or mAP50-95. of_class: it is a class everywhere."""

    name: str
    one: Difference
    measure: str = "AP50"
    of_class: bool = False

    @property
    def label(self) -> str:
        return f"{NO_FALL}{self.name}" + ("" if self.measure == "AP50" else f", {self.measure}")


def falls(
    pair: Pair,
    overall: Slice,
    slices: Mapping[str, Slice],
    judged: Mapping[str, Difference],
    aims: Sequence[Slice],
) -> tuple[list[Check], Chance]:
    """All held-out frames and every slice by AP50; all of them, the targets together, all but the
    targets, and every class by mAP50-95 too. Holm's over all these tests. With what chance does.

    judged: by name, AP50 of overall and of every slice.
    """
    known = {
        name: _measured(pair, [one], judged[name]) for name, one in {"overall": overall, **slices}.items()
    }
    coco = COCO_IOUS.tolist() if np.array_equal(pair.deployed.ious, COCO_IOUS) else []
    classes = [one for one in slices.values() if one.classes is not None]
    outside = _outside(aims, len(pair.groups))
    rest = [Slice("all but the targeted gaps", outside.astype(np.float64))] if not outside.all() else []
    strict = [("overall", [overall]), ("the targeted gaps", list(aims))]
    strict += [(one.name, [one]) for one in (*rest, *classes)]
    named = {one.name for one in classes}
    family = [_Fall(name, one, of_class=name in named) for name, one in known.items()]
    family += [fall for name, every in strict for fall in _strict(pair, name, every, coco)]
    learned = _learned(pair, {"overall": overall, **slices}, known, outside)
    return _family(pair, family, learned), learned


def interval_of(pair: Pair, slices: Sequence[Slice], learned: Chance) -> tuple[float, float]:
    """95 % interval of the difference of AP50 on these slices together; NaN without objects."""
    return learned.interval(_measured(pair, slices, pair.compare(slices)))


def _strict(pair: Pair, name: str, slices: Sequence[Slice], coco: Sequence[float]) -> list[_Fall]:
    if not coco or not slices:
        return []
    return [_Fall(name, _measured(pair, slices, pair.compare(slices, coco), coco), "mAP50-95")]


def _measured(
    pair: Pair, slices: Sequence[Slice], one: Difference, ious: Sequence[float] = AP50
) -> Difference:
    if not chance.measurable(one):
        return one
    return chance.measured(one, pair.exchanged(slices, ious))


def _outside(aims: Sequence[Slice], images: int) -> Bools:
    """(N,) images that show no condition which is a target."""
    aimed = [one.weights > 0 for one in aims if one.classes is None]
    return np.asarray(~np.any(aimed, axis=0)) if aimed else np.ones(images, dtype=np.bool_)


def _learned(
    pair: Pair, every: Mapping[str, Slice], known: Mapping[str, Difference], outside: Bools
) -> Chance:
    """From the frames outside the targets, where there are enough: a gap that gains while the rest
    stays is no chance.
    """
    found = []
    for name, one in every.items():
        if not (one.weights[~outside] > 0).any():
            found.append(known[name])
            continue
        rest = [replace(one, weights=np.where(outside, one.weights, 0.0))]
        found.append(_measured(pair, rest, pair.compare(rest)))
    told = [one for one in found if chance.measurable(one)]
    return chance.fitted(told or [one for one in known.values() if chance.measurable(one)])


def _family(pair: Pair, family: Sequence[_Fall], learned: Chance) -> list[Check]:
    """Those that enough shows are tested together; the others apart, to ask a person about."""
    tested = [fall for fall in family if _enough(fall.one, pair.settings)]
    small = [fall for fall in family if fall.one.objects and fall not in tested]
    margin, alpha = pair.settings.margin, pair.settings.alpha
    p, p_small = ([learned.p_fall(fall.one, margin) for fall in every] for every in (tested, small))
    certain, likely = _named(tested, holm(p) <= alpha), _named(tested, benjamini_hochberg(p) <= LIKELY)
    steep = _named(small, holm(p_small) <= alpha)
    checks = [
        _told(fall, certain[fall.label], likely[fall.label], learned.reach(fall.one, alpha), pair.settings)
        if fall in tested
        else _untold(fall, steep.get(fall.label, False), pair.settings)
        for fall in family
    ]
    return [
        with_interval(_gone(fall, check, margin), learned.interval(fall.one))
        for fall, check in zip(family, checks, strict=True)
    ]


def _gone(fall: _Fall, check: Check, margin: float) -> Check:
    """A class of which the deployed model found something, and the candidate nothing: a person is
    asked, for few objects never show that chance does not explain it.
    """
    one = fall.one
    gone = fall.of_class and fall.measure == "AP50" and one.before > margin and one.after == 0
    if not gone or check.status == "fail":
        return check
    text = f"{fall.name} {GONE}: {told(one)}; look at it, because it may be forgotten"
    return replace(check, text=text, asks=True)


def _named(every: Sequence[_Fall], said: Bools) -> dict[str, bool]:
    return dict(zip([fall.label for fall in every], said.tolist(), strict=True))


def _enough(one: Difference, settings: GateSettings) -> bool:
    floors = settings.fall_frames, settings.fall_objects, settings.fall_groups
    return all(has >= floor for has, floor in zip((one.frames, one.objects, one.groups), floors, strict=True))


def _told(fall: _Fall, certain: bool, likely: bool, reach: float, settings: GateSettings) -> Check:
    """certain: chance does not explain a fall beyond the margin. likely: it does so poorly, and a
    person is asked. reach: how far above what was measured the one-sided bound lies.
    """
    one, name, lost = fall.one, fall.name, -fall.one.estimate
    moved, upper = told(one, fall.measure), lost + reach
    if certain:
        text = f"{name} fell: {moved}; chance does not explain it, at most {settings.margin:g} is allowed"
        return check_of(fall.label, "fail", lost, settings.margin, one, text)
    if upper <= settings.margin:
        text = f"{name} did not fall: {moved}; at most {max(upper, 0):.3f} lost"
        return check_of(fall.label, "pass", upper, settings.margin, one, text)
    seen = f"{name} may have fallen" if lost > 0 else name
    text = f"{seen}: {moved}; up to {upper:.2f} may be lost{LOOK if likely else ''}"
    return replace(check_of(fall.label, "unverifiable", upper, settings.margin, one, text), asks=likely)


def _untold(fall: _Fall, steep: bool, settings: GateSettings) -> Check:
    """steep: were it of more groups, it would count as a fall. A class that no object shows may be
    lost altogether, so a person is asked.
    """
    one, name, lost = fall.one, fall.name, -fall.one.estimate
    if not one.objects:
        text = f"{name}: {UNLABELED}"
        return replace(check_of(fall.label, "unverifiable", None, None, one, text), asks=fall.of_class)
    seen = f"{name} may have fallen" if lost > 0 else name
    needed = f"look at it, because {_needed(settings)}" if steep else _needed(settings)
    text = f"{seen}: {told(one, fall.measure)}; {needed}"
    return replace(check_of(fall.label, "unverifiable", lost, settings.margin, one, text), asks=steep)


def _needed(settings: GateSettings) -> str:
    return (
        f"to tell, {counted(settings.fall_frames, 'frame')}, {counted(settings.fall_objects, 'object')} and"
        f" {counted(settings.fall_groups, 'group')} are needed"
    )
