"""Evaluation frames aim at judging each gap, whatever the detector believes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from db.engine import read, write
from db.states import TaskStatus
from db.tasks import batches, move, tasks
from loop.gaps.coverage_view import CoverageView
from loop.math.coverage.frame_slices import NO_SLICE, frame_slices_of
from loop.selection import evaluation_draw
from loop.selection.evaluation_draw import (
    LEAST_ORDINARY,
    EvaluationDraw,
    SliceChance,
    as_setting,
    chances_of,
    draw_judging,
)
from loop.selection.exclusions import Rules
from loop.selection.select import Request, select_from
from tests.fakes import FakeParts

NOBODY = np.zeros(0, dtype=np.int64)


def all_judge(view: CoverageView, engaged: np.ndarray = NOBODY) -> Rules:
    """Rules by which every frame is held out. engaged: rows."""
    rows = np.arange(len(view.production))
    nobody = np.zeros(len(rows), dtype=bool)
    return Rules("random", nobody, np.isin(rows, engaged), rows, view.production.sequence, 3)


def drawn(view: CoverageView, budget: int, asked: np.ndarray = NOBODY, seed: int = 0) -> EvaluationDraw:
    return draw_judging(view, all_judge(view, asked), asked, budget, seed)


def of_first_gap(view: CoverageView) -> np.ndarray:
    return view.gaps[0].frames


@pytest.fixture
def one_gap(view: CoverageView) -> CoverageView:
    """Eight camera-days of six frames; a gap that one frame of each of six of them shows."""
    group = np.arange(len(view.production)) // 6
    rows = np.arange(6) * 6
    production = replace(view.production, group=group)
    gap = next(gap for gap in view.gaps if gap.kind != "class")
    alone = replace(gap, frames=rows, production_share=0.1)
    slices = frame_slices_of([alone], len(group))
    return replace(view, production=production, gaps=[alone], frame_slices=slices)


def expected_frames(found: EvaluationDraw, asked: np.ndarray = NOBODY) -> float:
    """Of the gap. asked: rows that judge already."""
    inside = np.flatnonzero(found.slices.code == 0)
    return found.draw.mean[0] * len(np.setdiff1d(inside, asked))


def test_what_lacks_camera_days_comes_before_more_ordinary_frames(one_gap: CoverageView) -> None:
    found = drawn(one_gap, 5)
    ordinary = found.draw.mean[NO_SLICE] * int((found.slices.code == NO_SLICE).sum())
    assert ordinary == pytest.approx(max(LEAST_ORDINARY * 5, 1))
    assert expected_frames(found) == pytest.approx(4)


def test_camera_days_that_judge_a_gap_are_no_longer_wanted(one_gap: CoverageView) -> None:
    gap = of_first_gap(one_gap)
    asked = gap[:5]
    assert expected_frames(drawn(one_gap, 5, asked), asked) == 1, "one frame is left"
    others = gap[:5] + 1
    assert expected_frames(drawn(one_gap, 5, others), others) == pytest.approx(4), "these do not show it"


def test_no_more_are_wanted_than_are_enough(one_gap: CoverageView, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation_draw, "ENOUGH_GROUPS", 2)
    sizes = np.sqrt([6, len(one_gap.production) - 6])
    expected = 2 + (8 - 2 - LEAST_ORDINARY * 8) * sizes[0] / sizes.sum()
    assert expected_frames(drawn(one_gap, 8)) == pytest.approx(expected)


def test_camera_days_that_do_not_judge_a_gap_yet_come_first(one_gap: CoverageView) -> None:
    """Two frames of each of six days show it; three of the days judge already."""
    rows = np.concatenate([np.arange(6) * 6, np.arange(6) * 6 + 1])
    gap = replace(one_gap.gaps[0], frames=rows)
    view, asked = replace(one_gap, gaps=[gap]), np.arange(3) * 6
    found = [drawn(view, 4, asked, seed) for seed in range(60)]
    chosen = np.concatenate([each.draw.rows[each.slices.code[each.draw.rows] == 0] for each in found])
    assert (view.production.group[chosen] >= 3).mean() > 0.85
    assert (view.production.group[chosen] < 3).any(), "no frame is out of reach"


def test_chances_are_kept_the_rarest_slice_first_and_read_again(parts: FakeParts, view: CoverageView) -> None:
    gaps = [gap for gap in view.gaps if gap.kind != "class"]
    assert gaps
    select_from(parts.project, view, Request(12, "random"))
    with read(parts.project.engine) as session:
        (batch,) = batches(session)
        answered = tasks(session)
    strata = chances_of(batch)
    assert strata is not None
    assert strata[-1].slice_id is None
    shares = {view.slice_ids[gap.key]: gap.production_share for gap in gaps}
    kept = [each.slice_id for each in strata[:-1]]
    assert sorted(kept) == sorted(shares)
    assert [shares[number] for number in kept if number] == sorted(shares.values())
    chance = {each.slice_id: each.probability for each in strata}
    own = [(task.slice_id, task.inclusion_probability) for task in answered if task.purpose == "evaluation"]
    assert own
    assert all(chance[number] == probability for number, probability in own)


def test_of_a_batch_that_kept_none_it_is_said(parts: FakeParts, view: CoverageView) -> None:
    select_from(parts.project, view, Request(12, "random"))
    with read(parts.project.engine) as session:
        (batch,) = batches(session)
    assert chances_of(replace(batch, settings={})) is None
    strata = [SliceChance(3, 0.25), SliceChance(None, 0.125)]
    assert chances_of(replace(batch, settings=as_setting(strata))) == strata


def test_what_a_labeler_skipped_judges_nothing(parts: FakeParts, one_gap: CoverageView) -> None:
    view = replace(one_gap, in_pool=np.zeros(len(one_gap.production), dtype=bool))
    first = select_from(parts.project, view, Request(24, "random"))
    asked = np.searchsorted(view.production.seq, [item.frame for item in first.chosen])
    assert np.isin(asked, of_first_gap(view)).any()
    with write(parts.project.engine) as session:
        ids = [task.id for task in tasks(session)]
        move(session, ids, TaskStatus.PENDING, TaskStatus.SKIPPED)
    again = select_from(parts.project, view, Request(8, "random", 5, dry_run=True))
    expected = draw_judging(view, all_judge(view, asked), NOBODY, len(again.chosen), 5).draw
    assert {item.frame: item.probability for item in again.chosen} == dict(
        zip(view.production.seq[expected.rows].tolist(), expected.probability.tolist(), strict=True)
    )
