"""What a verdict rests on, and when a person decides; torch-free, all but the training is real."""

from __future__ import annotations

import pytest

from db.analysis import load_detections
from db.engine import read, write
from db.frames import frames
from db.models import model
from db.slices import NewSlice, define_slices, name_slice, slices
from db.states import RoundStatus, SliceKind, TaskStatus
from db.tasks import tasks
from loop.analysis.producers import known_detector, producers
from loop.changes import collections as changing
from loop.changes.audit import Who
from loop.gaps import coverage_view
from loop.insights.frame_page import frame_view
from loop.insights.frames import FrameSets
from loop.insights.overview import round_line
from loop.rounds import judge, rounds
from loop.settings.collections import Address
from tests.fakes import FakeParts, quiet, weights
from tests.loop.judged import (
    BASE,
    BETTER,
    aimed_at,
    in_production,
    production,
    run,
    sha_of,
    started,
    with_gate,
)


def test_what_the_round_was_to_mend_and_nobody_held_out_waits_for_a_person(labeled: FakeParts) -> None:
    """Every evaluation frame of the targets is gone: the verdict names them, and nobody is replaced."""
    parts = labeled
    with write(parts.project.engine) as session:
        number = define_slices(session, [NewSlice("prompt:snow", SliceKind.PROMPT, "snow")])["prompt:snow"]
        aimed_at(session, production(parts), number)
    row = run(started(parts))
    assert row.status is RoundStatus.AWAITING_APPROVAL
    assert row.verdict is not None
    assert row.verdict["needs_approval"]
    said = "condition snow: 0 frames held out, so nothing is known of what this round was to mend"
    assert said in row.verdict["reasons"]
    snow = [check for check in row.verdict["checks"] if check["name"] == "no fall: condition snow"]
    assert [check["slice_id"] for check in snow] == [number]
    assert round_line(row).endswith("decide by `fieldloop models promote 2` or `fieldloop round cancel`")
    assert in_production(parts) == sha_of(BASE)
    assert rounds.step_or_start(parts, quiet) == "", "it goes on waiting"
    assert row.candidate_id is not None
    assert rounds.approve(parts, row.candidate_id)
    assert in_production(parts) == sha_of(BETTER)


def test_a_setting_lets_it_replace_the_model_by_itself(labeled: FakeParts) -> None:
    parts = with_gate(labeled, when_unjudged="promote")
    with write(parts.project.engine) as session:
        number = define_slices(session, [NewSlice("prompt:snow", SliceKind.PROMPT, "snow")])["prompt:snow"]
        aimed_at(session, production(parts), number)
    assert run(started(parts)).status is RoundStatus.PROMOTED


def test_a_second_verdict_on_the_same_frames_has_a_sixteenth_of_the_alpha(labeled: FakeParts) -> None:
    first, second = (run(started(labeled, BASE if i == 0 else weights(note=str(i)))) for i in range(2))
    assert first.verdict is not None
    assert second.verdict is not None
    assert first.verdict["frames"] == second.verdict["frames"]
    assert first.verdict["frames"]
    (overall,) = [check for check in second.verdict["checks"] if check["name"] == "better overall"]
    assert overall["bound"] == pytest.approx(labeled.project.settings.gate.alpha / 16)


def test_frames_that_a_model_was_trained_on_are_no_targets_again(labeled: FakeParts) -> None:
    parts = with_gate(labeled, when_unjudged="promote")
    with write(parts.project.engine) as session:
        number = define_slices(session, [NewSlice("prompt:snow", SliceKind.PROMPT, "snow")])["prompt:snow"]
        aimed_at(session, production(parts), number)
    row = run(started(parts))
    assert row.status is RoundStatus.PROMOTED
    with read(parts.project.engine) as session:
        done = tasks(session, status=TaskStatus.DONE)
        assert [target.id for target in judge.targets_of(session, row.base_model_id, done)] == [number]
        assert row.candidate_id is not None
        assert judge.targets_of(session, row.candidate_id, done) == []


def test_conditions_that_production_shows_are_judged_though_no_target(labeled: FakeParts) -> None:
    row = run(started(labeled))
    assert row.verdict is not None
    names = [check["name"] for check in row.verdict["checks"]]
    shown = [name for name in names if name.startswith("no fall: condition ")]
    assert any("cam1" in name for name in shown), shown


def test_slices_that_a_user_called_alike_are_judged_apart(labeled: FakeParts) -> None:
    parts = with_gate(labeled, when_unjudged="promote")
    coverage_view.build(parts, quiet)
    with write(parts.project.engine) as session:
        one, other = [row.id for row in slices(session, [SliceKind.METADATA])][:2]
        for number in (one, other):
            name_slice(session, number, "helmet")
        aimed_at(session, production(parts), one)
    row = run(started(parts))
    assert row.verdict is not None
    by_name = {check["name"]: check["slice_id"] for check in row.verdict["checks"]}
    assert by_name[f"no fall: condition helmet (slice {one})"] == one
    assert "no fall: class helmet" in by_name
    held = judge.held_out(parts.project, producers(parts), row.base_model_id)
    assert held.targets == [f"helmet (slice {one})"]


@pytest.mark.parametrize("judged", [True, False])
def test_a_collection_is_judged_where_a_user_wants_it(labeled: FakeParts, judged: bool) -> None:
    ann = Who("ann", "page")
    number = changing.make_by_rules(labeled, ann, "first camera", [Address("camera=cam0")])
    changing.set_judged(labeled, ann, number, judged)
    row = run(started(labeled))
    assert row.verdict is not None
    own = [check["name"] for check in row.verdict["checks"] if check["slice_id"] == number]
    assert own == (["no fall: condition first camera"] if judged else [])


def test_what_a_candidate_saw_is_kept_beside_the_deployed_model(labeled: FakeParts) -> None:
    row = run(started(labeled, weights(misses=("person", "helmet"), note="worse")))
    assert row.status is RoundStatus.REJECTED
    assert row.verdict is not None
    held = row.verdict["frames"]
    with read(labeled.project.engine) as session:
        candidate = model(session, row.candidate_id or 0)
        made = known_detector(session, labeled.project.settings, candidate.sha256)
        kept = load_detections(session, made or 0, held)
        marked = {frame.detected_by for frame in frames(session, seqs=held)}
    assert set(kept) == set(held)
    assert made not in marked
    views = frame_view(FrameSets(labeled), held[0]).models
    assert [view.kind for view in views] == ["deployed", "candidate"]
    assert all(view.verdict for view in views)
