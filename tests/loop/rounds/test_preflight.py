"""What a round could show, told before it is opened; torch-free, the database is real."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm
from sqlalchemy import text

from connectors.ports import Purpose
from db.engine import read, write
from db.frames import frames
from db.models import deployed
from db.slices import NewSlice, define_slices, slices
from db.states import Role, RoundStatus, SliceKind, TaskStatus
from db.tasks import NewTask, add_tasks, create_batch, queue_batch, tasks
from loop.analysis.producers import producers
from loop.gaps import coverage_view
from loop.rounds.judge import held_out
from loop.rounds.preflight import NOTHING_HELD_OUT, Preflight, preflight
from loop.selection.select import select
from tests.fakes import FakeParts, quiet
from tests.loop.judged import aimed_at, production, run, started, with_gate


def dark(parts: FakeParts) -> int:
    """The slice of dark frames."""
    coverage_view.build(parts, quiet)
    with read(parts.project.engine) as session:
        rows = slices(session, [SliceKind.MEASURED])
    return next(row.id for row in rows if "dark" in row.name)


def aim(parts: FakeParts, number: int) -> None:
    with write(parts.project.engine) as session:
        aimed_at(session, production(parts), number)


def test_each_target_with_what_is_held_out_of_it(labeled: FakeParts) -> None:
    number = dark(labeled)
    aim(labeled, number)
    found = preflight(labeled)
    (one,) = found.aims
    assert one.slice_id == number
    assert one.frames == one.objects > 0
    assert found.together is not None
    assert (found.together.frames, found.together.groups) == (one.frames, one.groups)
    assert (one.queued, one.left) == ((), 0)


def test_classes_that_nothing_held_out_shows_are_told(labeled: FakeParts) -> None:
    assert preflight(labeled).unseen == ()
    with write(labeled.project.engine) as session:
        session.execute(text("DELETE FROM labels WHERE purpose = 'evaluation' AND boxes LIKE '%helmet%'"))
    found = preflight(labeled)
    assert found.unseen == ("helmet",)
    assert found.lines()[-1] == (
        "no object of helmet is held out, so a candidate that passes waits for a person; label some that"
        " judge"
    )
    assert preflight(with_gate(labeled, when_unjudged="promote")).unseen == ()


def test_a_candidate_waits_while_a_class_cannot_be_checked(labeled: FakeParts) -> None:
    with write(labeled.project.engine) as session:
        session.execute(text("DELETE FROM labels WHERE purpose = 'evaluation' AND boxes LIKE '%helmet%'"))
    row = run(started(labeled))
    assert (row.status, row.verdict is not None and row.verdict["needs_approval"]) == (
        RoundStatus.AWAITING_APPROVAL,
        True,
    )
    assert row.verdict["reasons"][:2] == [
        "it passed, but a person decides, because too little is held out of: class helmet",
        "class helmet: no object of it was labeled",
    ]


def test_more_camera_days_show_a_smaller_rise(labeled: FakeParts) -> None:
    aim(labeled, dark(labeled))
    before = preflight(labeled).together
    assert before is not None
    assert before.rise is not None
    with write(labeled.project.engine) as session:
        evaluation = [row.seq for row in production(labeled) if row.role == Role.EVALUATION]
        gone = ", ".join(map(str, evaluation[::2]))
        session.execute(text(f"DELETE FROM labels WHERE frame IN ({gone})"))
    after = preflight(labeled).together
    assert after is not None
    assert after.objects < before.objects
    assert after.rise is not None
    assert after.rise > before.rise


def test_what_nobody_held_out_is_named_first(labeled: FakeParts) -> None:
    aim(labeled, dark(labeled))
    with write(labeled.project.engine) as session:
        number = define_slices(session, [NewSlice("prompt:snow", SliceKind.PROMPT, "snow")])["prompt:snow"]
        aimed_at(session, production(labeled)[20:], number)
    found = preflight(labeled)
    assert found.aims[0].name == "snow"
    lines = found.lines()
    assert "snow: 0 frames held out, so nothing will be known of it" in lines
    assert any("it takes more days of production" in line for line in lines)


def test_frames_that_wait_are_targets_and_advice(labeled: FakeParts) -> None:
    """Nothing of production is labeled yet, and a batch is on its way."""
    settings = labeled.project.settings
    asked = settings.model_copy(update={"gaps": settings.gaps.model_copy(update={"prompts": True})})
    labeled = FakeParts(replace(labeled.project, settings=asked))
    dark(labeled)
    with write(labeled.project.engine) as session:
        session.execute(text("DELETE FROM labels WHERE source = 'annotation'"))
    select(labeled, quiet, budget=40)
    with read(labeled.project.engine) as session:
        waiting = [task for task in tasks(session, status=TaskStatus.PENDING) if task.purpose == "evaluation"]
        aimed = {task.slice_id for task in tasks(session) if task.purpose == "train" and task.slice_id}
    assert waiting
    found = preflight(labeled)
    assert {one.slice_id for one in found.aims} == aimed
    assert aimed
    for one in found.aims:
        assert len(one.queued) == sum(one.slice_id in task.shows for task in waiting)
    with read(labeled.project.engine) as session:
        names = {row.seq: row.source_key for row in frames(session)}
    assert all(one.files == tuple(names[seq] for seq in one.queued) for one in found.aims)
    aim = next(one for one in found.aims if one.queued)
    assert any(f" to judge ({aim.files[0]}" in line for line in found.lines())


def test_frames_that_waited_through_a_round_are_targets_of_the_next(labeled: FakeParts) -> None:
    number = dark(labeled)
    seq = next(row.seq for row in production(labeled) if row.role == Role.POOL)
    with write(labeled.project.engine) as session:
        batch = create_batch(session, "hybrid", 0, 1, {})
        made = NewTask(seq, Purpose.TRAIN, "waits", 0, 1.0, "dark", "gaps", number)
        add_tasks(session, batch, [made])
        queue_batch(session, batch)
    assert run(started(labeled)).status is RoundStatus.PROMOTED
    assert [one.slice_id for one in preflight(labeled).aims] == [number]


def test_nothing_held_out_says_what_to_do(labeled: FakeParts) -> None:
    with write(labeled.project.engine) as session:
        session.execute(text("DELETE FROM labels WHERE purpose = 'evaluation'"))
    found = preflight(labeled)
    assert found == Preflight(None, [])
    assert found.lines() == [NOTHING_HELD_OUT]


def test_frames_that_have_judged_show_less(labeled: FakeParts) -> None:
    aim(labeled, dark(labeled))
    before = preflight(labeled).together
    run(started(labeled, labeled.project.deployed_weights.read_bytes()))
    after = preflight(labeled).together
    assert before is not None
    assert after is not None
    assert before.rise is not None
    assert (after.groups, after.rise) == (8, None), "eight groups tell no less than 1/256"
    assert preflight(labeled).lines()[0].endswith("too few, or asked too often, to show a rise there")


def test_without_targets_all_held_out_frames_are_preflight(labeled: FakeParts) -> None:
    found = preflight(labeled)
    assert found.aims == []
    assert found.together is not None
    assert found.together.name == "all held-out frames"
    with read(labeled.project.engine) as session:
        base = deployed(session)
    assert base is not None
    held = held_out(labeled.project, producers(labeled), base.id)
    counted = [group for group, weight in zip(held.groups, held.weights, strict=True) if weight]
    assert len(counted) < len(held.groups), "imported images count only where production says too little"
    groups = np.array(list(Counter(counted).values()))
    even = groups.sum() ** 2 / (groups**2).sum()
    deviation = np.sqrt(0.25 * (0.1 / even + 1 / (groups.sum() - 2)))
    quantiles = 0.8416212 + norm.isf(labeled.project.settings.gate.alpha * 7 / 8)
    assert found.together.rise == pytest.approx(quantiles * deviation)
    assert found.together.objects == groups.sum(), "each frame shows one"
