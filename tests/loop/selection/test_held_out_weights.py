"""What a held-out frame counts after many batches, by the real draw and the real judge."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from connectors.ports import Purpose
from db.engine import read, write
from db.frames import frames
from db.labels import set_label
from db.slice_members import Members, add_members
from db.slices import NewSlice, define_slices
from db.states import Origin, TaskStatus
from db.tasks import TaskRow, batches, move, tasks
from loop.analysis.analyze import analyze
from loop.base.arrays import Bools, Ints, Reals
from loop.gaps import coverage_view
from loop.gaps.coverage_view import CoverageView
from loop.ingest.ingest import ingest
from loop.math.coverage.frame_slices import frame_slices_of
from loop.math.coverage.gaps import Gap
from loop.project.project import Project, open_project
from loop.rounds.judge import held_out
from loop.rounds.rounds import current
from loop.selection.evaluation_draw import CHANCES, ENOUGH_GROUPS
from loop.selection.held_out_weights import held_out_weights
from loop.selection.select import Request, select_from
from tests.fakes import FakeParts, copy_linked, make_project, quiet, write_frames
from tests.loop.judged import started

RARE = "rare"


@dataclass(frozen=True, eq=False)
class Pool:
    """A project whose batches only judge. rows: of production, that may judge. rare: (N,) bool."""

    project: Project
    view: CoverageView
    rows: Ints
    rare: Bools

    def batch(self, budget: int, seed: int, gaps: bool = True) -> int:
        """A batch of that seed; without gaps all frames are ordinary. Its id."""
        nothing = frame_slices_of([], len(self.view.production))
        view = self.view if gaps else replace(self.view, gaps=[], frame_slices=nothing)
        made = select_from(self.project, view, Request(budget, "random", seed)).batch
        assert made is not None
        return made

    def answered(self) -> list[TaskRow]:
        """Every task is done, and its frame labeled."""
        with write(self.project.engine) as session:
            waiting = tasks(session, status=TaskStatus.PENDING)
            move(session, [task.id for task in waiting], TaskStatus.PENDING, TaskStatus.DONE)
            for task in waiting:
                set_label(session, task.frame, [], Purpose.EVALUATION, "annotation")
        with read(self.project.engine) as session:
            return tasks(session, status=TaskStatus.DONE)

    def weights(self) -> tuple[Ints, Reals]:
        """Rows of production that were drawn, and what they count."""
        answered = {task.frame: task for task in self.answered()}
        with read(self.project.engine) as session:
            held = frames(session, seqs=sorted(answered))
            weights = held_out_weights(session, self.view.made, held, answered)
        return np.searchsorted(self.view.production.seq, [frame.seq for frame in held]), weights

    def days(self) -> int:
        """How many camera-days that are held out show the rare slice."""
        rows = np.searchsorted(self.view.production.seq, [task.frame for task in self.answered()])
        return len(np.unique(self.view.production.group[rows[self.rare[rows]]]))

    def forget(self) -> None:
        """As before the first batch."""
        with write(self.project.engine) as session:
            session.execute(text("DELETE FROM labels WHERE source = 'annotation'"))
            session.execute(text("DELETE FROM label_tasks"))
            session.execute(text("DELETE FROM batches"))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """288 frames of 40 camera-days, nine tenths of them to judge."""
    folder = tmp_path_factory.mktemp("pool")
    overrides = [
        "frames.path=../incoming",
        "evaluation.group_share=0.9",
        "select.evaluation_share=1.0",
        "gaps.regions=false",
    ]
    parts = FakeParts(make_project(folder / "project", overrides=overrides))
    write_frames(folder / "incoming", bright=288, dark=0, cameras=4, days=10)
    ingest(parts, quiet)
    analyze(parts, quiet)
    parts.project.engine.dispose()
    return folder


@pytest.fixture
def pool(template: Path, tmp_path: Path) -> Iterator[Pool]:
    """Two gaps: a broad one, and a rare one of one frame in each of 16 camera-days, half of them
    inside the other.
    """
    copy_linked(template, tmp_path)
    parts = FakeParts(open_project(tmp_path / "project"))
    view = coverage_view.build(parts, quiet)
    group, rows = view.production.group, np.flatnonzero(~view.in_pool)
    one_of_a_day = rows[np.unique(group[rows], return_index=True)[1]]
    rare, broad = one_of_a_day[:16], rows[np.isin(group[rows], group[one_of_a_day[8:16]])]
    made = [planted(parts.project, view, name, own) for name, own in ((RARE, rare), ("broad", broad))]
    ids = {gap.key: number for gap, number in made}
    gaps = [gap for gap, _ in made]
    slices = frame_slices_of(gaps, len(view.production))
    planted_view = replace(view, gaps=gaps, frame_slices=slices, slice_ids=view.slice_ids | ids)
    yield Pool(parts.project, planted_view, rows, np.isin(np.arange(len(group)), rare))
    parts.project.engine.dispose()


def planted(project: Project, view: CoverageView, name: str, rows: Ints) -> tuple[Gap, int]:
    """A gap that these frames show, and its slice."""
    group, size = view.production.group, len(view.production)
    with write(project.engine) as session:
        number = define_slices(session, [NewSlice(f"site/{name}", "metadata", name)])[f"site/{name}"]
        members = Members(np.sort(view.production.seq[rows]), np.ones(len(rows)))
        add_members(session, view.made.measure, number, members)
    share, days = len(rows) / size, len(np.unique(group[rows]))
    known = (share, 0.0, True, None, share, 0.5, 0.5, rows, days, name, share)
    return Gap(name, "metadata", *known, key=f"site/{name}"), number


def probability_of(pool: Pool, batch: int, row: int) -> float:
    """By what the batch kept: of the rare slice before the broad one, of that before ordinary ones."""
    with read(pool.project.engine) as session:
        kept = {made.id: made.settings[CHANCES] for made in batches(session)}[batch]
    shown = [pool.view.slice_ids[gap.key] for gap in pool.view.gaps if row in gap.frames]
    return next(each["probability"] for each in kept if each["slice_id"] in (None, *shown))


def test_a_batch_keeps_what_its_evaluation_frames_were_drawn_from(pool: Pool) -> None:
    pool.batch(10, seed=0)
    with read(pool.project.engine) as session:
        (made,) = batches(session)
        drawn = {task.slice_id: task.inclusion_probability for task in tasks(session)}
    strata = [(each["slice_id"], each["probability"]) for each in made.settings[CHANCES]]
    rare, broad = (pool.view.slice_ids[gap.key] for gap in pool.view.gaps)
    assert [slice_id for slice_id, _ in strata] == [rare, broad, None], "the rarest first"
    assert drawn == dict(strata), "no camera-day judges yet"


def test_after_one_batch_a_frame_counts_by_its_probability_there(pool: Pool) -> None:
    pool.batch(10, seed=0)
    chance = {task.frame: task.inclusion_probability for task in pool.answered()}
    rows, weights = pool.weights()
    np.testing.assert_allclose(weights, [1 / chance[seq] for seq in pool.view.production.seq[rows].tolist()])


def test_a_frame_counts_by_every_batch_that_could_have_drawn_it(pool: Pool) -> None:
    """An ordinary frame and a rare one, drawn by whichever of three batches, of which the middle one
    knew no gap.
    """
    made = [pool.batch(10, 0), pool.batch(6, 1, gaps=False), pool.batch(10, 2)]
    drawn = {task.frame: task for task in pool.answered()}
    rows, weights = pool.weights()
    found = set()
    for row, weight in zip(rows.tolist(), weights.tolist(), strict=True):
        chances = [probability_of(pool, batch, row) for batch in made]
        task = drawn[int(pool.view.production.seq[row])]
        place = made.index(task.batch_id)
        spared = np.prod([1 - chance for chance in chances[place + 1 :]])
        own = 1 + spared * (chances[place] / task.inclusion_probability - 1)
        assert weight == pytest.approx(own / (1 - np.prod([1 - chance for chance in chances])))
        found.add((bool(pool.rare[row]), place))
    assert len(found) > 3


def test_what_came_in_later_could_not_be_drawn_before(pool: Pool) -> None:
    """The first batch was made before any of these frames came in."""
    first, second = pool.batch(10, 0), pool.batch(10, 1)
    pool.answered()
    with write(pool.project.engine) as session:
        session.execute(text("UPDATE batches SET created_at = '2000-01-01 00:00:00' WHERE id = 1"))
        drawn = {task.frame: task for task in tasks(session, batch=second)}
    rows, weights = pool.weights()
    assert first == 1
    for row, weight in zip(rows.tolist(), weights.tolist(), strict=True):
        task = drawn.get(int(pool.view.production.seq[row]))
        if task is not None:
            assert weight == pytest.approx(1 / task.inclusion_probability)


def test_batches_of_a_version_before_are_told_by_their_tasks(pool: Pool) -> None:
    made = [pool.batch(12, 0), pool.batch(12, 1)]
    pool.answered()
    expected = {row: [probability_of(pool, batch, row) for batch in made] for row in pool.rows.tolist()}
    with write(pool.project.engine) as session:
        session.execute(text("UPDATE batches SET settings = '{\"considered\": 288}' WHERE id = 1"))
        tasks_of = tasks(session, batch=2)
        known = {task.slice_id for task in tasks(session, batch=1)}
    assert known == {None, *(pool.view.slice_ids[gap.key] for gap in pool.view.gaps)}
    second = {task.frame: task.inclusion_probability for task in tasks_of}
    for row, weight in zip(*(each.tolist() for each in pool.weights()), strict=True):
        one, other = expected[row]
        own = second.get(int(pool.view.production.seq[row]), other)
        spared = 1.0 if own != other else 0.0
        assert weight == pytest.approx((1 + spared * (other / own - 1)) / (1 - (1 - one) * (1 - other)))


def test_frames_that_chance_did_not_draw_count_once(pool: Pool) -> None:
    with read(pool.project.engine) as session:
        held = frames(session, origin=Origin.PRODUCTION)[:3]
        assert held_out_weights(session, pool.view.made, held, {}).tolist() == [1, 1, 1]


def test_the_judge_weighs_by_all_batches(pool: Pool) -> None:
    for number in range(3):
        pool.batch(10, number)
    pool.answered()
    parts = started(FakeParts(pool.project))
    row = current(pool.project)
    assert row is not None
    held = held_out(parts.project, pool.view.made, row.base_model_id)
    own = [frame.origin == Origin.PRODUCTION for frame in held.rows]
    np.testing.assert_allclose(held.weights[own], pool.weights()[1])
    assert held.weights.sum() == pytest.approx(len(pool.rows), rel=0.1)


def simulated(pool: Pool, seed: int, value: Reals) -> tuple[float, float, float, float]:
    """After 12 batches of 6: the sum of weights, the estimate of the mean value, that of the rare
    share, and the mean by 1 over the probability in the one batch that drew each.
    """
    pool.forget()
    for number in range(12):
        pool.batch(6, 100 * seed + number)
    rows, weights = pool.weights()
    chance = {task.frame: task.inclusion_probability for task in pool.answered()}
    one = np.array([1 / chance[seq] for seq in pool.view.production.seq[rows].tolist()])
    return (
        weights.sum(),
        weights @ value[rows] / weights.sum(),
        weights[pool.rare[rows]].sum() / weights.sum(),
        one @ value[rows] / one.sum(),
    )


@pytest.mark.slow
def test_many_batches_estimate_what_production_holds(pool: Pool) -> None:
    """A quantity that the gaps have much of."""
    rng = np.random.default_rng(0)
    broad = np.isin(np.arange(len(pool.rare)), pool.view.gaps[1].frames)
    value = 0.2 + 0.5 * pool.rare + 0.3 * broad + rng.uniform(0, 0.2, len(pool.rare))
    found = np.array([simulated(pool, seed, value) for seed in range(20)])
    total, mean, share, one = found.mean(axis=0)
    error = found.std(axis=0) / np.sqrt(len(found))
    truth = value[pool.rows].mean()
    assert total == pytest.approx(len(pool.rows), abs=4 * error[0])
    assert mean == pytest.approx(truth, abs=4 * error[1])
    assert share == pytest.approx(pool.rare.sum() / len(pool.rows), abs=4 * error[2])
    assert error[1] < 0.005
    assert abs(one - truth) > 4 * error[3], "what the probability in one batch would say"


def test_four_batches_hold_out_enough_days_of_a_gap(pool: Pool) -> None:
    for number in range(4):
        pool.batch(10, number)
    assert pool.days() >= ENOUGH_GROUPS - 1
