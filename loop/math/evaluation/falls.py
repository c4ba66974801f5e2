"""Whether something fell: every slice at once, so that many of them raise no more false alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from loop.math.boxes.matching import COCO_IOUS
from loop.math.evaluation import chance
from loop.math.evaluation.chance import Chance
from loop.math.evaluation.compare import Difference, Slice
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
    """All held-out frames and the targets together, by AP50 and by mAP50-95, and every slice by
    AP50. Half of alpha is for the whole, half for the parts, Holm's among each.

    judged: by name, AP50 of overall and of every slice.
    """
    whole = [_Fall("overall", judged["overall"]), *_strict(pair, overall, aims)]
    parts = [_Fall(name, judged[name]) for name in slices]
    learned = _learned(pair, {"overall": overall, **slices}, judged)
    return [check for family in (whole, parts) for check in _family(pair, family, learned)]


def _strict(pair: Pair, overall: Slice, aims: Sequence[Slice]) -> list[_Fall]:
    if not np.array_equal(pair.deployed.ious, COCO_IOUS):
        return []
    wanted = {"overall": [overall], **({"the targeted gaps": list(aims)} if aims else {})}
    ious = COCO_IOUS.tolist()
    return [_Fall(name, pair.compare(every, ious), "mAP50-95") for name, every in wanted.items()]


def _learned(pair: Pair, every: Mapping[str, Slice], judged: Mapping[str, Difference]) -> Chance | None:
    told = [name for name, one in judged.items() if one.groups >= chance.ENOUGH_GROUPS]
    return chance.fitted([judged[name] for name in told], [pair.exchanged(every[name]) for name in told])


def _family(pair: Pair, family: Sequence[_Fall], learned: Chance | None) -> list[Check]:
    freedom = max(int(pair.groups.max(initial=0)), 1)
    if learned is None:
        return [_fall(fall, None, np.nan, pair.settings) for fall in family]
    tested = [fall for fall in family if _enough(fall.one, pair.settings)]
    adjusted = holm([learned.p_fall(fall.one, freedom) for fall in tested])
    p = dict(zip([fall.label for fall in tested], adjusted.tolist(), strict=True))
    wide = float(stats.t.ppf(1 - pair.settings.alpha, freedom))
    return [
        _fall(
            fall,
            p.get(fall.label),
            wide * learned.deviation(fall.one) if fall.label in p else np.nan,
            pair.settings,
        )
        for fall in family
    ]


def _enough(one: Difference, settings: GateSettings) -> bool:
    floors = settings.fall_frames, settings.fall_objects, settings.fall_groups
    return all(has >= floor for has, floor in zip((one.frames, one.objects, one.groups), floors, strict=True))


def _fall(fall: _Fall, p: float | None, reach: float, settings: GateSettings) -> Check:
    """p: adjusted, None where too little shows the slice. reach: how far above what was measured
    the one-sided bound lies.
    """
    one, label, name = fall.one, fall.label, fall.name
    if not one.objects:
        return check_of(label, "unverifiable", None, None, one, f"{name}: no object of it was labeled")
    lost, moved = -one.estimate, told(one, fall.measure)
    seen = f"{name} may have fallen" if lost > 0 else name
    if p is None:
        text = f"{seen}: {moved}; {_needed(one, settings)}"
        return check_of(label, "unverifiable", lost, settings.margin, one, text)
    if lost > settings.margin and p <= settings.alpha / FAMILIES:
        text = f"{name} fell: {moved}; chance does not explain it, at most {settings.margin:g} is allowed"
        return check_of(label, "fail", lost, settings.margin, one, text)
    upper = lost + reach
    if upper <= settings.margin:
        text = f"{name} did not fall: {moved}; at most {max(upper, 0):.3f} lost"
        return check_of(label, "pass", upper, settings.margin, one, text)
    return check_of(
        label, "unverifiable", upper, settings.margin, one, f"{seen}: {moved}; up to {upper:.2f} may be lost"
    )


def _needed(one: Difference, settings: GateSettings) -> str:
    if _enough(one, settings):
        return f"no slice is shown by {chance.ENOUGH_GROUPS} groups, so nobody can tell what chance does"
    return (
        f"to tell, {settings.fall_frames} frames, {settings.fall_objects} objects and"
        f" {settings.fall_groups} groups are needed"
    )
