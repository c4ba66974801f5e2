"""Whether something fell: every slice at once, so that many of them raise no more false alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from loop.math.boxes.matching import COCO_IOUS
from loop.math.evaluation import chance
from loop.math.evaluation.chance import Chance
from loop.math.evaluation.compare import AP50, Difference, Slice
from loop.math.evaluation.pair import GateSettings, Pair
from loop.math.evaluation.verdict import NO_FALL, Check, check_of, told
from loop.math.statistics.multiple_testing import holm

FAMILIES = 2


@dataclass(frozen=True, slots=True)
class _Fall:
    """What is looked at for a fall. measure: AP50 or mAP50-95."""

    name: str
    one: Difference
    measure: str = "AP50"

    @property
    def label(self) -> str:
        return f"{NO_FALL}{self.name}" + ("" if self.measure == "AP50" else f", {self.measure}")


def falls(
    pair: Pair,
    overall: Slice,
    slices: Mapping[str, Slice],
    judged: Mapping[str, Difference],
    aims: Sequence[Slice],
) -> list[Check]:
    """All held-out frames and the targets together, by AP50 and by mAP50-95; every slice by AP50,
    every class by mAP50-95 too. Half of alpha is for the whole, half for the parts, Holm's among
    each.

    judged: by name, AP50 of overall and of every slice.
    """
    known = {
        name: _measured(pair, [one], judged[name]) for name, one in {"overall": overall, **slices}.items()
    }
    coco = COCO_IOUS.tolist() if np.array_equal(pair.deployed.ious, COCO_IOUS) else []
    classes = [one for one in slices.values() if one.classes is not None]
    whole = [_Fall("overall", known["overall"]), *(_strict(pair, "overall", [overall], coco))]
    whole += _strict(pair, "the targeted gaps", aims, coco)
    parts = [_Fall(name, known[name]) for name in slices]
    parts += [fall for one in classes for fall in _strict(pair, one.name, [one], coco)]
    learned = _learned(pair, {"overall": overall, **slices}, known, aims)
    return [check for family in (whole, parts) for check in _family(pair, family, learned)]


def _strict(pair: Pair, name: str, slices: Sequence[Slice], coco: Sequence[float]) -> list[_Fall]:
    if not coco or not slices:
        return []
    return [_Fall(name, _measured(pair, slices, pair.compare(slices, coco), coco), "mAP50-95")]


def _measured(
    pair: Pair, slices: Sequence[Slice], one: Difference, ious: Sequence[float] = AP50
) -> Difference:
    if one.groups < chance.ENOUGH_GROUPS:
        return one
    return chance.measured(one, pair.exchanged(slices, ious))


def _learned(
    pair: Pair, every: Mapping[str, Slice], known: Mapping[str, Difference], aims: Sequence[Slice]
) -> Chance:
    """From the frames outside the targets, where there are enough: a gap that gains while the rest
    stays is no chance.
    """
    aimed = [one.weights > 0 for one in aims if one.classes is None]
    outside = ~np.any(aimed, axis=0) if aimed else np.ones(len(pair.groups), dtype=np.bool_)
    found = []
    for name, one in every.items():
        if not (one.weights[~outside] > 0).any():
            found.append(known[name])
            continue
        rest = [replace(one, weights=np.where(outside, one.weights, 0.0))]
        found.append(_measured(pair, rest, pair.compare(rest)))
    told = [one for one in found if one.groups >= chance.ENOUGH_GROUPS]
    return chance.fitted(told or [one for one in known.values() if one.groups >= chance.ENOUGH_GROUPS])


def _family(pair: Pair, family: Sequence[_Fall], learned: Chance) -> list[Check]:
    """Those that enough shows are tested together; the others apart, to ask a person about."""
    tested = [fall for fall in family if _enough(fall.one, pair.settings)]
    small = [fall for fall in family if fall.one.objects and fall not in tested]
    p = {**_adjusted(tested, learned), **_adjusted(small, learned)}
    alpha = pair.settings.alpha / FAMILIES
    return [
        _told(fall, p[fall.label] <= alpha, learned.reach(fall.one, pair.settings.alpha), pair.settings)
        if fall in tested
        else _untold(fall, p.get(fall.label, 1.0) <= alpha, pair.settings)
        for fall in family
    ]


def _adjusted(tested: Sequence[_Fall], learned: Chance) -> dict[str, float]:
    p = holm([learned.p_fall(fall.one) for fall in tested])
    return dict(zip([fall.label for fall in tested], p.tolist(), strict=True))


def _enough(one: Difference, settings: GateSettings) -> bool:
    floors = settings.fall_frames, settings.fall_objects, settings.fall_groups
    return all(has >= floor for has, floor in zip((one.frames, one.objects, one.groups), floors, strict=True))


def _told(fall: _Fall, certain: bool, reach: float, settings: GateSettings) -> Check:
    """certain: chance does not explain a fall. reach: how far above what was measured the one-sided
    bound lies.
    """
    one, name, lost = fall.one, fall.name, -fall.one.estimate
    moved, upper = told(one, fall.measure), lost + reach
    if certain and lost > settings.margin:
        text = f"{name} fell: {moved}; chance does not explain it, at most {settings.margin:g} is allowed"
        return check_of(fall.label, "fail", lost, settings.margin, one, text)
    if upper <= settings.margin:
        text = f"{name} did not fall: {moved}; at most {max(upper, 0):.3f} lost"
        return check_of(fall.label, "pass", upper, settings.margin, one, text)
    seen = f"{name} may have fallen" if lost > 0 else name
    text = f"{seen}: {moved}; up to {upper:.2f} may be lost"
    return check_of(fall.label, "unverifiable", upper, settings.margin, one, text)


def _untold(fall: _Fall, steep: bool, settings: GateSettings) -> Check:
    """steep: were it of more groups, it would count as a fall."""
    one, name, lost = fall.one, fall.name, -fall.one.estimate
    if not one.objects:
        return check_of(fall.label, "unverifiable", None, None, one, f"{name}: no object of it was labeled")
    asks = steep and lost > settings.margin
    seen = f"{name} may have fallen" if lost > 0 else name
    needed = f"look at it, because {_needed(settings)}" if asks else _needed(settings)
    text = f"{seen}: {told(one, fall.measure)}; {needed}"
    return replace(check_of(fall.label, "unverifiable", lost, settings.margin, one, text), asks=asks)


def _needed(settings: GateSettings) -> str:
    return (
        f"to tell, {settings.fall_frames} frames, {settings.fall_objects} objects and"
        f" {settings.fall_groups} groups are needed"
    )
