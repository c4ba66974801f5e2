"""Whether something fell: every slice at once, so that many of them raise no more false alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

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
    """All held-out frames and the targets together, by AP50 and by mAP50-95, and every slice by
    AP50. Half of alpha is for the whole, half for the parts, Holm's among each.

    judged: by name, AP50 of overall and of every slice.
    """
    known = {
        name: _measured(pair, [one], judged[name]) for name, one in {"overall": overall, **slices}.items()
    }
    whole = [_Fall("overall", known["overall"]), *_strict(pair, overall, aims)]
    parts = [_Fall(name, known[name]) for name in slices]
    learned = chance.fitted([one for one in known.values() if one.groups >= chance.ENOUGH_GROUPS])
    return [check for family in (whole, parts) for check in _family(pair, family, learned)]


def _strict(pair: Pair, overall: Slice, aims: Sequence[Slice]) -> list[_Fall]:
    if not np.array_equal(pair.deployed.ious, COCO_IOUS):
        return []
    wanted = {"overall": [overall], **({"the targeted gaps": list(aims)} if aims else {})}
    ious = COCO_IOUS.tolist()
    return [
        _Fall(name, _measured(pair, every, pair.compare(every, ious), ious), "mAP50-95")
        for name, every in wanted.items()
    ]


def _measured(
    pair: Pair, slices: Sequence[Slice], one: Difference, ious: Sequence[float] = AP50
) -> Difference:
    if one.groups < chance.ENOUGH_GROUPS:
        return one
    return chance.measured(one, pair.exchanged(slices, ious))


def _family(pair: Pair, family: Sequence[_Fall], learned: Chance | None) -> list[Check]:
    """Those that enough shows are tested together; the others apart, to ask a person about."""
    if learned is None:
        return [_untold(fall, False, pair.settings) for fall in family]
    freedom = max(int(pair.groups.max(initial=0)), 1)
    tested = [fall for fall in family if _enough(fall.one, pair.settings)]
    small = [fall for fall in family if fall.one.objects and fall not in tested]
    p = {**_adjusted(tested, learned, freedom), **_adjusted(small, learned, freedom)}
    alpha = pair.settings.alpha / FAMILIES
    reach = float(stats.t.ppf(1 - pair.settings.alpha, freedom))
    return [
        _told(fall, p[fall.label] <= alpha, reach * learned.deviation(fall.one), pair.settings)
        if fall in tested
        else _untold(fall, p.get(fall.label, 1.0) <= alpha, pair.settings)
        for fall in family
    ]


def _adjusted(tested: Sequence[_Fall], learned: Chance, freedom: int) -> dict[str, float]:
    p = holm([learned.p_fall(fall.one, freedom) for fall in tested])
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
    needed = f"look at it, because {_needed(one, settings)}" if asks else _needed(one, settings)
    text = f"{seen}: {told(one, fall.measure)}; {needed}"
    return replace(check_of(fall.label, "unverifiable", lost, settings.margin, one, text), asks=asks)


def _needed(one: Difference, settings: GateSettings) -> str:
    if _enough(one, settings):
        return f"no slice is shown by {chance.ENOUGH_GROUPS} groups, so nobody can tell what chance does"
    return (
        f"to tell, {settings.fall_frames} frames, {settings.fall_objects} objects and"
        f" {settings.fall_groups} groups are needed"
    )
