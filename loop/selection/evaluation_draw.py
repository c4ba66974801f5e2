"""Which frames judge: drawn by chance, so that first of all each gap can be judged; and the
probabilities that a batch keeps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from db.tasks import BatchRow
from loop.base.arrays import Bools, Ints
from loop.gaps.coverage_view import CoverageView
from loop.math.coverage.frame_slices import NO_SLICE, FrameSlices, frame_slices_of, rarest_first
from loop.math.coverage.gaps import Gap
from loop.selection.exclusions import Rules
from samplers import Draw, Need, draw_evaluation

ENOUGH_GROUPS = 15
"""So many camera-days that show a gap should judge: with fewer, the gate rarely can tell a candidate
that is better there from one that is not.
"""
LEAST_ORDINARY = 0.2
"""Part of the budget that frames which show no gap get at least."""
CHANCES = "evaluation_chances"
"""Of a batch: how probable it was to draw frames that judge."""


@dataclass(frozen=True, slots=True)
class SliceChance:
    """slice_id: None for frames that show no gap.
    probability: that a frame is drawn, the mean of all of the slice.
    """

    slice_id: int | None
    probability: float


@dataclass(frozen=True, eq=False)
class EvaluationDraw:
    """draw: rows of production.
    slices: of conditions, one per frame.
    chances: a frame belongs to the first that it shows; ordinary frames come last.
    """

    draw: Draw
    slices: FrameSlices
    chances: list[SliceChance]


def draw_judging(
    view: CoverageView, rules: Rules, asked: Ints, budget: int, seed: int, judged: Sequence[Gap] = ()
) -> EvaluationDraw:
    """At random within strata, which are slices of conditions; what the detector believes plays no
    part.

    asked: rows of frames that judge already, labeled or before a person.
    judged: collections that rounds judge, as parts of production.
    """
    gaps = [*(gap for gap in view.gaps if gap.kind != "class"), *judged]
    group = view.production.group
    slices = frame_slices_of(gaps, len(group))
    held = [np.unique(group[asked[np.isin(asked, gap.frames)]]) for gap in gaps]
    needs = {code: Need(groups=_lacking(gap, rules, group, held[code])) for code, gap in enumerate(gaps)}
    draw = draw_evaluation(
        slices.code,
        group,
        ~rules.in_pool & ~rules.engaged,
        budget,
        np.random.default_rng([seed, 1]),
        needs=needs | {NO_SLICE: Need(max(LEAST_ORDINARY * budget, 1.0))},
        judging=_judging(slices.code, group, held),
    )
    order = [*rarest_first(gaps), NO_SLICE]
    ids = {code: view.slice_ids[gap.key] for code, gap in enumerate(gaps)}
    chances = [SliceChance(ids.get(code), draw.mean[code]) for code in order if code in draw.mean]
    return EvaluationDraw(draw, slices, chances)


def as_setting(chances: Sequence[SliceChance]) -> dict[str, Any]:
    """What a batch keeps of them."""
    return {CHANCES: [asdict(each) for each in chances]}


def chances_of(batch: BatchRow) -> list[SliceChance] | None:
    """What a batch kept; None of one that was made by a version before."""
    kept = batch.settings.get(CHANCES)
    return None if kept is None else [SliceChance(**each) for each in kept]


def _lacking(gap: Gap, rules: Rules, group: Ints, held: Ints) -> int:
    """How many more camera-days should judge the gap."""
    there = np.unique(group[gap.frames[~rules.in_pool[gap.frames]]])
    return max(min(ENOUGH_GROUPS, len(there)) - len(held), 0)


def _judging(code: Ints, group: Ints, held: Sequence[Ints]) -> Bools:
    """(N,) frames whose group judges their slice already. held: (S,) groups that judge each."""
    found = np.zeros(len(code), dtype=np.bool_)
    for place, groups in enumerate(held):
        rows = np.flatnonzero(code == place)
        found[rows] = np.isin(group[rows], groups)
    return found
