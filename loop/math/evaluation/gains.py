"""Whether a candidate is better: tests in a fixed order, each at the whole alpha that is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from loop.base.wording import counted
from loop.math.evaluation.ap import Matches
from loop.math.evaluation.compare import Slice, least_p
from loop.math.evaluation.pair import FIRST_SHARE, Pair
from loop.math.evaluation.verdict import Check, Status, check_of, moved, percent, told

GAPS, OVERALL = "better on the gaps", "better overall"


def gains(pair: Pair, overall: Slice, aims: Sequence[Slice]) -> list[Check]:
    """In their order; the first one decides, and what follows is tested only where it passed.

    Where too few groups show the targets, all frames decide, and a person is asked.
    """
    if _same(pair.deployed, pair.candidate):
        text = "no difference: both models gave the same detections"
        return [check_of(OVERALL, "fail", None, None, pair.compare([overall]), text)]
    everywhere = (OVERALL, "all held-out frames", [overall])
    if not aims or pair.compare(aims).groups < pair.settings.min_groups:
        few = [replace(_gain(pair, GAPS, "the targeted gaps", aims), asks=True)] if aims else []
        return [_gain(pair, *everywhere), *few]
    first = _gain(pair, GAPS, "the targeted gaps", aims)
    if first.status == "pass":
        return [first, _gain(pair, *everywhere)]
    one = pair.compare([overall])
    text = f"over all held-out frames: {moved(one)}; not tested, because the targeted gaps come first"
    return [first, check_of(OVERALL, "unverifiable", None, None, one, text)]


def _gain(pair: Pair, name: str, where: str, slices: Sequence[Slice]) -> Check:
    one, needed, alpha = pair.compare(slices), pair.settings.min_groups, pair.alpha(slices)
    if one.groups < needed:
        text = f"{name} cannot be told: {counted(one.groups, 'group')} show objects, {needed} are needed"
        return check_of(name, "unverifiable", None, alpha, one, text)
    if least_p(one.groups) > alpha:
        text = f"{name} cannot be told: these frames have judged too often; label new ones to judge with"
        return check_of(name, "unverifiable", None, alpha, one, text)
    p = pair.p_gain(slices, alpha)
    status: Status = "pass" if p <= alpha and one.estimate > 0 else "fail"
    verb = "is better" if status == "pass" else "is not shown to be better"
    chance_alone = f"two equally good models differ so in {percent(p)} of cases"
    allowed = f"at most {percent(alpha)} {'are' if status == 'pass' else 'would be'} allowed"
    again = (
        ""
        if alpha > 0.99 * FIRST_SHARE * pair.settings.alpha
        else ", because these frames have judged before"
    )
    text = f"the candidate {verb} over {where}: {told(one)}; {chance_alone}, {allowed}{again}"
    return check_of(name, status, p, alpha, one, text)


def _same(deployed: Matches, candidate: Matches) -> bool:
    return all(
        np.array_equal(getattr(deployed, name), getattr(candidate, name))
        for name in ("image", "class_id", "confidence", "hit")
    )
