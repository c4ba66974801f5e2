"""One gap by one name: what several conditions say of the same frames, and what is only a symptom
of another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from loop.base.arrays import Bools
from loop.math.coverage.facets import Kind
from loop.math.coverage.gaps import LIFT, Gap, worst_first

Id = tuple[str, str]
Masks = Mapping[Id, Bools]
"""(N,) which production frames each gap holds."""
KNOWN = 0.005
"""Share of the training set from which a condition counts as known there."""
NAMED: dict[Kind, int] = {"metadata": 0, "prompt": 0, "class": 0, "measured": 1, "region": 2}
"""Which name a gap keeps that goes by several: what was measured is a symptom, a condition or a
place the cause.
"""


def merge_overlapping(gaps: Sequence[Gap], size: int, overlap: float = 0.6) -> list[Gap]:
    """Each gap once, worst first.

    size: N production frames.

    Gaps that hold much the same frames become one (Jaccard above `overlap`, or a region mostly
    within a worse gap): the most telling name stays, and of equally telling ones the worst; the
    others stand in `also`, and it is shown where any of them is. A condition that training knows,
    and that without the frames of gaps that may be its cause is no more frequent than there, is
    explained by them and left out: blur, say, that is what fog and night look like.
    """
    masks = {_id(gap): _mask(gap, size) for gap in gaps}
    kept: list[Gap] = []
    for gap in sorted(gaps, key=lambda gap: (NAMED[gap.kind], worst_first(gap))):
        twin = next((i for i, other in enumerate(kept) if _same(gap, other, masks) > overlap), None)
        if twin is None:
            kept.append(gap)
        else:
            other = kept[twin]
            kept[twin] = replace(other, also=(*other.also, gap.name), shown=other.shown or gap.shown)
    ranked = sorted((_less_explained(gap, kept, masks) for gap in kept), key=worst_first)
    return [
        gap
        for gap in ranked
        if not _explained(gap, [each for each in ranked if _may_cause(each, gap)], masks)
    ]


def _less_explained(gap: Gap, others: Sequence[Gap], masks: Masks) -> Gap:
    """A measured gap weighs as much as the part of it that no narrower named gap holds."""
    causes = [other for other in others if gap.kind == "measured" and _narrower_cause(other, gap)]
    held = np.any([masks[_id(cause)][gap.frames] for cause in causes], axis=0) if causes else False
    left = float(np.mean(np.logical_not(held)))
    return replace(gap, score=gap.score * left, unexplained=left)


def _may_cause(other: Gap, gap: Gap) -> bool:
    """Of a named condition and a measured one the narrower is the cause, of others the worse. What is
    suspected explains nothing that is shown.
    """
    if other is gap or (gap.shown and not other.shown):
        return False
    if other.training_share < KNOWN and other.kind != "class":
        return True
    if "measured" in (other.kind, gap.kind) and other.kind != gap.kind:
        return _narrower_cause(other, gap)
    return worst_first(other) < worst_first(gap)


def _narrower_cause(other: Gap, gap: Gap) -> bool:
    return NAMED[other.kind] == 0 and other.production_share < gap.production_share


def _same(gap: Gap, other: Gap, masks: Masks) -> float:
    common = float(np.count_nonzero(masks[_id(other)][gap.frames]))
    within = gap.kind == "region" and worst_first(other) <= worst_first(gap)
    return common / (len(gap.frames) if within else len(gap.frames) + len(other.frames) - common)


def _explained(gap: Gap, worse: Sequence[Gap], masks: Masks) -> bool:
    if gap.kind == "class" or gap.training_share < KNOWN:
        return False
    left = np.ones_like(masks[_id(gap)])
    for other in worse:
        left[other.frames] = False
    own = np.count_nonzero(left[gap.frames])
    known = len(gap.frames) / gap.production_share * left.mean()  # of production, as far as it tells
    return bool(own < len(gap.frames) and own <= LIFT * gap.training_share * known)


def _id(gap: Gap) -> Id:
    """Whatever else changes of it."""
    return gap.key, gap.name


def _mask(gap: Gap, size: int) -> Bools:
    inside = np.zeros(size, dtype=bool)
    inside[gap.frames] = True
    return inside
