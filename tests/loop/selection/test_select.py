"""Choosing: never twice, evaluation from evaluation groups alone, and every choice explained."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from db.engine import read, write
from db.frames import frames
from db.progress import Backlog
from db.states import BatchStatus, Origin, Role, TaskStatus
from db.tasks import batches, move, tasks
from loop.analysis import producers
from loop.analysis.analyze import analyze
from loop.base.errors import ConfigError, Waiting
from loop.base.lease import holder_id, take
from loop.gaps import coverage_view
from loop.gaps.coverage_view import CoverageView
from loop.ingest.ingest import ingest
from loop.insights.frame_list import within_of
from loop.insights.frame_query import FrameQuery
from loop.project.project import Project
from loop.rounds import deploy
from loop.selection import daily
from loop.selection import select as selecting
from loop.selection.select import Chosen, Request, SelectReport, select, select_from
from samplers import STRATEGIES
from samplers.reason import LONGEST
from tests.fakes import FakeParts, add_checkpoint, quiet, weights, write_frames


def with_select(parts: FakeParts, **changed: float) -> FakeParts:
    settings = parts.project.settings
    chosen = settings.model_copy(update={"select": settings.select.model_copy(update=changed)})
    return FakeParts(Project(parts.project.root, chosen, parts.project.engine), parts.server)


def of_purpose(report: SelectReport, purpose: str) -> list[Chosen]:
    return [item for item in report.chosen if item.purpose == purpose]


def test_a_batch_is_kept_with_everything_that_was_said(analyzed: FakeParts) -> None:
    report = select(analyzed, quiet, budget=12)
    with read(analyzed.project.engine) as session:
        (batch,) = batches(session)
        rows = tasks(session)
    assert (batch.id, batch.status, batch.strategy, batch.budget) == (
        report.batch,
        BatchStatus.QUEUED,
        "hybrid",
        12,
    )
    assert [(row.frame, row.rank, row.reason, row.priority) for row in rows] == [
        (item.frame, item.rank, item.reason, item.priority) for item in report.chosen
    ]
    assert {row.status for row in rows} == {TaskStatus.PENDING}
    assert len({row.key for row in rows}) == 12
    assert [row.priority for row in rows] == sorted((row.priority for row in rows), reverse=True)


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_evaluation_frames_come_from_evaluation_groups_and_training_frames_from_the_pool(
    analyzed: FakeParts, view: CoverageView, strategy: str
) -> None:
    report = select_from(analyzed.project, view, Request(12, strategy))
    role = {row.seq: row.role for row in view.frames}
    assert Counter(item.purpose for item in report.chosen) == {"train": 9, "evaluation": 3}
    assert {role[item.frame] for item in of_purpose(report, "train")} == {Role.POOL}
    assert {role[item.frame] for item in of_purpose(report, "evaluation")} == {Role.EVALUATION}


def test_what_resembles_a_frame_that_judges_is_not_labeled_to_train(
    analyzed: FakeParts, view: CoverageView, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Freezing would leave it out of the training set once it was paid for."""
    in_pool = [row.role == Role.POOL for row in view.frames]
    twins = np.where(np.arange(len(in_pool)) % 3 == 0, -7, np.arange(len(in_pool)))
    monkeypatch.setattr(selecting, "stored_clusters", lambda *given: twins)
    with read(analyzed.project.engine) as session:
        assert not tasks(session)
    report = select_from(analyzed.project, view, Request(40, "random"))
    place = {row.seq: number for number, row in enumerate(view.frames)}
    judged = {twins[place[item.frame]] for item in of_purpose(report, "evaluation")}
    trained = {twins[place[item.frame]] for item in of_purpose(report, "train")}
    assert -7 in judged
    assert -7 not in trained
    again = select_from(analyzed.project, view, Request(40, "random"))
    assert not {place[item.frame] % 3 for item in of_purpose(again, "train")} & {0}


def test_every_choice_has_its_reason_on_one_line(analyzed: FakeParts, view: CoverageView) -> None:
    report = select_from(analyzed.project, view, Request(20, "hybrid"))
    for item in report.chosen:
        assert 10 < len(item.reason) <= LONGEST
        assert "\n" not in item.reason
    assert {item.component for item in report.chosen} >= {"coverage", "evaluation", "random"}
    assert any(item.reason.startswith("Too rare in training: ") for item in report.chosen)
    assert len(report.lines()) == 23, "a head, twenty frames, what they cost, and what is next"


@pytest.mark.slow
def test_inclusion_probabilities_are_those_of_the_draw(analyzed: FakeParts, view: CoverageView) -> None:
    drawn: Counter[int] = Counter()
    told: dict[int, float] = {}
    for seed in range(400):
        report = select_from(analyzed.project, view, Request(12, "random", seed, dry_run=True))
        for item in of_purpose(report, "evaluation"):
            assert item.probability is not None
            assert 0 < item.probability <= 1
            drawn[item.frame] += 1
            told[item.frame] = item.probability
        assert all(item.probability is None for item in of_purpose(report, "train"))
    for frame, times in drawn.items():
        assert times / 400 == pytest.approx(told[frame], abs=0.1)


def test_what_a_model_believes_has_no_part_in_drawing_evaluation_frames(
    analyzed: FakeParts, view: CoverageView
) -> None:
    blind = replace(view, boxes=view.boxes.take(np.arange(len(view.production))[::-1]))
    first, second = (
        of_purpose(select_from(analyzed.project, each, Request(12, "entropy", 3, True)), "evaluation")
        for each in (view, blind)
    )
    assert [item.frame for item in first] == [item.frame for item in second]


def test_the_same_seed_gives_the_same_answer(analyzed: FakeParts, view: CoverageView) -> None:
    runs = [select_from(analyzed.project, view, Request(12, "hybrid", seed, True)) for seed in (5, 5, 6)]
    chosen = [[asdict(item) for item in run.chosen] for run in runs]
    assert chosen[0] == chosen[1]
    assert chosen[0] != chosen[2]


def test_a_dry_run_keeps_nothing_and_tells_what_the_real_one_will_do(analyzed: FakeParts) -> None:
    rehearsed = select(analyzed, quiet, budget=8, dry_run=True)
    with read(analyzed.project.engine) as session:
        assert (batches(session), tasks(session)) == ([], [])
    assert rehearsed.lines()[-1] == "dry run: nothing was kept"
    assert select(analyzed, quiet, budget=8).chosen == rehearsed.chosen


def test_no_frame_is_chosen_twice_and_at_last_nothing_is_left(analyzed: FakeParts) -> None:
    seen: list[int] = []
    for _ in range(20):
        report = select(analyzed, quiet, budget=8)
        if not report.chosen:
            break
        seen += [item.frame for item in report.chosen]
    assert report.batch is None
    assert report.lines()[0].startswith("nothing left to choose")
    assert len(seen) == len(set(seen)) > 20


def test_a_withdrawn_frame_may_be_chosen_again(analyzed: FakeParts) -> None:
    parts = with_select(analyzed, evaluation_share=0.0)
    first = select(parts, quiet, budget=100)
    with write(parts.project.engine) as session:
        move(session, [row.id for row in tasks(session)], TaskStatus.PENDING, TaskStatus.CANCELLED)
    second = select(parts, quiet, budget=100)
    assert {item.frame for item in second.chosen} & {item.frame for item in first.chosen}
    with read(parts.project.engine) as session:
        assert len({row.key for row in tasks(session)}) == len(first.chosen) + len(second.chosen)


def test_so_many_of_a_sequence_and_no_more(analyzed: FakeParts, view: CoverageView) -> None:
    parts = with_select(analyzed, max_per_sequence=1)
    sequence = np.zeros_like(view.production.sequence)
    one = replace(view, production=replace(view.production, sequence=sequence))
    report = select_from(parts.project, one, Request(12, "random", dry_run=True))
    assert len(of_purpose(report, "train")) == 1


@pytest.mark.parametrize(
    ("role", "purpose", "said"),
    [
        (Role.POOL, "train", "no evaluation frames: all 8 camera-days so far are in the pool; more"),
        (
            Role.EVALUATION,
            "evaluation",
            "no training frames: all 8 camera-days so far are kept for evaluation;",
        ),
    ],
)
def test_without_evaluation_groups_all_is_for_training_and_the_other_way_round(
    role: Role, purpose: str, said: str, analyzed: FakeParts, view: CoverageView
) -> None:
    all_one = replace(view, in_pool=np.full(len(view.production), role == Role.POOL))
    report = select_from(analyzed.project, all_one, Request(12, "hybrid", dry_run=True))
    assert {item.purpose for item in report.chosen} == {purpose}
    assert report.lines()[1].startswith(said)


def test_one_camera_day_and_frames_that_are_used_up_are_told(
    analyzed: FakeParts, view: CoverageView, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        selecting, "stored_clusters", lambda engine, embedder, rows: np.arange(len(rows)) // 3
    )
    group = np.zeros_like(view.production.group)
    production = replace(view.production, group=group)
    single = replace(view, in_pool=np.ones(len(group), np.bool_), production=production)
    report = select_from(analyzed.project, single, Request(12, "random", dry_run=True))
    assert report.lacking == [
        "no evaluation frames: the one camera-day so far is in the pool; more come with more camera-days"
    ]
    parts = with_select(analyzed, evaluation_share=1.0)
    held = len(of_purpose(select(parts, quiet, budget=100), "evaluation"))
    again = select(parts, quiet, budget=10)
    assert f"no evaluation frames: all {held} are labeled or queued already" in again.lines()
    left = select(analyzed, quiet, budget=8, dry_run=True)
    assert left.lacking[0] == again.lacking[0]
    assert re.fullmatch(
        r"no training frames: of 30 in the pool, \d+ labeled or queued, \d+ nearly the same as one that is"
        r" labeled, queued or in this batch",
        left.lacking[1],
    )


def test_a_batch_that_is_not_full_accounts_for_every_frame(
    analyzed: FakeParts, view: CoverageView, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selecting, "stored_clusters", lambda engine, embedder, rows: np.arange(len(rows)))
    pool = sum(row.role == Role.POOL for row in view.frames)
    one = replace(view, production=replace(view.production, sequence=np.zeros_like(view.production.sequence)))
    parts = with_select(analyzed, max_per_sequence=2)
    report = select_from(parts.project, one, Request(40, "random", dry_run=True))
    (line,) = [line for line in report.lines() if "training frames: of" in line]
    assert line.startswith(f"2 of 30 training frames: of {pool} in the pool, ")
    assert line.endswith(f" {pool - 2} beyond 2 of one sequence (select.max_per_sequence)")


def test_a_full_batch_explains_nothing(analyzed: FakeParts, view: CoverageView) -> None:
    assert select_from(analyzed.project, view, Request(12, "random", dry_run=True)).lacking == []


def test_an_unknown_strategy_is_answered_with_the_nearest(analyzed: FakeParts) -> None:
    with pytest.raises(
        ConfigError, match=r"select\.strategy: expected one of .*, got 'hybird'; the nearest is 'hybrid'"
    ):
        select(analyzed, quiet, strategy="hybird")


def test_a_share_is_kept_over_batches_of_one() -> None:
    ones = [selecting._share_of(1, 0.25, spent) for spent in range(12)]
    assert sum(ones) == 3
    assert selecting._share_of(100, 0.25, 0) == 25
    assert [selecting._share_of(2, 1.0, spent) for spent in (0, 2)] == [2, 2]


def test_the_service_keeps_to_its_share_and_its_daily_budget(analyzed: FakeParts, folder: Path) -> None:
    parts = with_select(analyzed, share_of_new=0.2, daily_budget=10)
    assert len(daily.select_daily(parts, quiet).chosen) == 8
    assert daily.select_daily(parts, quiet).chosen == []
    write_frames(folder / "incoming", bright=30, dark=0, first=100)
    ingest(parts, quiet)
    analyze(parts, quiet)
    assert len(daily.select_daily(parts, quiet).chosen) == 2
    assert daily.select_daily(parts, quiet).chosen == []


def test_frames_that_trickle_in_are_not_all_chosen(analyzed: FakeParts, folder: Path) -> None:
    parts = with_select(analyzed, share_of_new=0.2)
    daily.select_daily(parts, quiet)
    chosen: list[Chosen] = []
    for number in range(20):
        write_frames(folder / "incoming", bright=1, dark=0, first=300 + number)
        ingest(parts, quiet)
        analyze(parts, quiet)
        chosen += daily.select_daily(parts, quiet).chosen
    assert 3 <= len(chosen) <= 4
    assert any(item.purpose == "evaluation" for item in chosen)


def test_a_batch_from_a_part_of_production_says_so(analyzed: FakeParts, folder: Path) -> None:
    note = "42 of 62 production frames are analyzed by the current models; run `fieldloop analyze`"
    assert select(analyzed, quiet, budget=2, dry_run=True).note == ""
    write_frames(folder / "incoming", bright=20, dark=0, first=500)
    ingest(analyzed, quiet)
    report = select(analyzed, quiet, budget=2)
    assert (report.note, report.lines()[1]) == (note, note)
    assert note in SelectReport(note=note).lines()


def test_the_service_does_not_choose_while_most_has_yet_to_be_analyzed(
    analyzed: FakeParts, folder: Path
) -> None:
    parts = with_select(analyzed, share_of_new=0.2, daily_budget=100)
    deploy.promote(parts.project, add_checkpoint(parts.project, weights(note="better")), "by hand")
    with pytest.raises(
        Waiting, match=r"expected 80% of production to be analyzed .*, got less; .* by itself"
    ):
        daily.select_daily(parts, quiet)
    analyze(parts, quiet)
    write_frames(folder / "incoming", bright=10, dark=0, first=500)
    ingest(parts, quiet)
    assert producers.backlog_of(parts) == Backlog(52, 42)
    assert len(daily.select_daily(parts, quiet).chosen) == 8
    analyze(parts, quiet)
    assert len(daily.select_daily(parts, quiet).chosen) == 2


def test_only_one_process_selects(analyzed: FakeParts) -> None:
    take(analyzed.project.engine, "select", holder_id(), 60)
    assert select(analyzed, quiet).busy
    assert daily.select_daily(analyzed, quiet).busy
    with read(analyzed.project.engine) as session:
        assert batches(session) == []


def test_frames_analyzed_while_the_view_is_built_count_too(
    analyzed: FakeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = with_select(analyzed, share_of_new=0.5, daily_budget=100)
    monkeypatch.setattr(daily, "count_analyzed", lambda session: 12)
    assert len(daily.select_daily(parts, quiet).chosen) == 21


def test_what_was_not_worth_labeling_is_not_looked_at_again(
    analyzed: FakeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = []
    build = coverage_view.build
    monkeypatch.setattr(coverage_view, "build", lambda *given: views.append(1) or build(*given))
    monkeypatch.setattr(daily, "select_from", lambda *given: SelectReport())
    for _ in range(3):
        assert daily.select_daily(analyzed, quiet).chosen == []
    assert len(views) == 1


def test_a_batch_is_chosen_within_a_set_alone(analyzed: FakeParts) -> None:
    address = "role=pool&origin=production&time=known"
    query = FrameQuery.parse(address)
    within = within_of(analyzed, query.but(camera=pool_camera(analyzed)))
    free = select(analyzed, quiet, budget=8, dry_run=True)
    assert {item.frame for item in free.chosen} - set(within.frames.tolist())
    report = select(analyzed, quiet, budget=8, within=within, explain=True)
    assert report.chosen
    assert {item.frame for item in report.chosen} <= set(within.frames.tolist())
    assert of_purpose(report, "evaluation") == []
    assert f"chosen from {len(within.frames)} of the {len(within.frames)} frames" in "\n".join(report.lines())
    with read(analyzed.project.engine) as session:
        (batch,) = batches(session)
    assert batch.settings["within"] == within.address


def pool_camera(parts: FakeParts) -> str:
    with read(parts.project.engine) as session:
        found = [row.camera for row in frames(session, role=Role.POOL, origin=Origin.PRODUCTION)]
    return Counter(found).most_common()[-1][0]


def test_a_set_of_nothing_or_of_frames_that_judge_says_so(analyzed: FakeParts) -> None:
    with pytest.raises(ConfigError, match="expected frames to choose from, found none by 'camera=nowhere'"):
        within_of(analyzed, FrameQuery.parse("camera=nowhere"))
    judging = within_of(analyzed, FrameQuery.parse("role=evaluation&origin=production"))
    report = select(analyzed, quiet, budget=4, within=judging)
    assert report.chosen == []
    assert f"chosen from 0 of the {len(judging.frames)} frames" in report.lines()[1]
