"""Rounds and models as people see them: real rounds, all but the training."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import pytest

from db.engine import read, write
from db.errors import StateError
from db.rounds import advance, update_progress
from db.slices import NewSlice, define_slices
from db.states import ModelStatus, RoundStatus, SliceKind
from loop.insights import rounds as insight
from loop.insights.frame_query import FrameQuery
from loop.insights.frames import frame_sets
from loop.insights.rounds import (
    models_view,
    open_line,
    round_lines,
    round_view,
    verdict_line,
    verdict_view,
)
from loop.project.training_curve import training_curves
from loop.rounds import rounds
from loop.rounds.deploy import rollback
from tests.fakes import FakeParts, weights
from tests.loop.judged import aimed_at, production, run, started

BLIND = weights(blind_to=["helmet"])


def check(
    name: str, status: str, before: float | None = None, after: float | None = None
) -> dict[str, object]:
    return {"name": name, "status": status, "before": before, "after": after, "text": name, "objects": 3}


def test_a_project_that_was_just_made_has_one_model_and_no_round(parts: FakeParts) -> None:
    view = models_view(parts.project)
    (node,) = view.tree
    assert (node.model.id, node.depth, node.deployed, node.made_by, node.refused) == (1, 0, True, (), "")
    assert (view.rounds, view.open, view.back) == ((), None, None)
    assert [step.reason for step in view.deployments] == ["init"]


def test_a_promoted_round_is_told_with_its_data_verdict_and_lineage(labeled: FakeParts) -> None:
    row = run(started(labeled, lr0=0.02))
    view = round_view(labeled.project, row.id)
    assert (view.line.status, view.line.words, view.line.open) == (RoundStatus.PROMOTED, "promoted", False)
    assert view.trained.startswith("trained with AdamW, learning rate 0.02")
    by_name = {setting.name: setting for setting in view.settings}
    assert (by_name["lr0"].value, by_name["lr0"].usual, by_name["lr0"].changed) == (0.02, 0.001, True)
    assert not by_name["epochs"].changed
    assert "trained" not in by_name
    assert view.data is not None
    assert view.data.images == {split: sum(boxes.values()) for split, boxes in view.data.boxes.items()}
    assert view.data.passes >= view.data.images["train"]
    assert view.verdict is not None
    assert (view.verdict.promote, view.verdict.left_out) == (True, 0)
    assert view.verdict.frames == len((row.verdict or {})["frames"])
    models = models_view(labeled.project)
    assert [(n.model.id, n.depth, n.deployed, n.made_by) for n in models.tree] == [
        (1, 0, False, ()),
        (2, 1, True, (1,)),
    ]
    assert models.back is not None
    assert models.back.id == 1
    assert [step.reason for step in models.deployments] == ["round 1", "init"]
    rollback(labeled.project)
    after = models_view(labeled.project)
    assert after.deployed is not None
    assert (after.deployed.id, after.back, after.deployments[0].reason) == (1, None, "rollback")


def test_a_refused_candidate_says_why_and_its_worst_line_is_first(labeled: FakeParts) -> None:
    row = run(started(labeled, BLIND))
    view = round_view(labeled.project, row.id)
    assert view.verdict is not None
    assert not view.verdict.promote
    line = view.verdict.lines[0]
    assert (line.about, line.status, line.kind, line.measure) == ("class helmet", "fail", "class", "AP50")
    assert line.before == 1
    assert line.change is not None
    assert line.change < -0.5
    assert line.address == "class=helmet&role=evaluation&labeled=yes"
    rank = {"fail": 0, "unverifiable": 1, "pass": 2}
    order = [rank[one.status] for one in view.verdict.lines]
    assert order == sorted(order)
    node = models_view(labeled.project).tree[1]
    assert node.model.status is ModelStatus.REJECTED
    assert node.refused.startswith("by the gate: class helmet fell")


def test_what_a_person_refused_says_so(labeled: FakeParts) -> None:
    parts = started(labeled, approval="manual")
    run(parts)
    waiting = models_view(parts.project).open
    assert waiting is not None
    assert waiting.words == "waits for a person"
    rounds.cancel(parts)
    assert models_view(parts.project).tree[1].refused == "by a person"


def test_the_dataset_says_which_batches_it_came_from(labeled: FakeParts) -> None:
    chosen = list(production(labeled))
    with write(labeled.project.engine) as session:
        made = define_slices(session, [NewSlice("snow", SliceKind.PROMPT, "snow")])
        aimed_at(session, chosen, made["snow"])
    row = run(started(labeled))
    data = round_view(labeled.project, row.id).data
    assert data is not None
    assert data.batches == ((1, 5),)


def test_time_left_follows_the_epochs_of_this_process(labeled: FakeParts) -> None:
    parts = started(labeled)
    number = current(parts)
    begun = datetime(2026, 5, 1, 12, tzinfo=UTC)

    def told(epoch: int, minutes: float) -> float | None:
        progress = {
            "epoch": epoch,
            "epochs": 10,
            "at": (begun + timedelta(minutes=minutes)).isoformat(),
            "begun": begun.isoformat(),
            "begun_after": 2,
        }
        with write(parts.project.engine) as session:
            update_progress(session, number, progress)
        view = round_view(parts.project, number).line.progress
        assert view is not None
        return view.seconds_left

    with write(parts.project.engine) as session:
        advance(session, number, RoundStatus.FREEZING, RoundStatus.TRAINING)
    assert told(2, 0) is None
    assert told(4, 6) == pytest.approx(6 * 180)
    with write(parts.project.engine) as session:
        advance(session, number, RoundStatus.TRAINING, RoundStatus.JUDGING)
    assert told(10, 30) is None


def test_a_real_training_notes_its_pace(labeled: FakeParts) -> None:
    row = run(started(labeled))
    view = round_view(labeled.project, row.id).line.progress
    assert view is not None
    assert (view.epoch, view.epochs) == (3, 3)
    assert view.at is not None
    assert row.progress["begun_after"] == 1


def test_curves_are_what_the_trainer_told_each_epoch(labeled: FakeParts) -> None:
    folder = labeled.project.rounds / "1"
    folder.mkdir(parents=True)
    lines = [
        {"settings": {}},
        {"epoch": 1, "epochs": 3, "metrics": {"train/box_loss": 2.0}},
        {"epoch": 2, "epochs": 3, "metrics": {"train/box_loss": 9.0}},
        {"epoch": 2, "epochs": 3, "metrics": {"train/box_loss": 1.5, "metrics/mAP50(B)": 0.4}},
    ]
    text = "\n".join(json.dumps(line) for line in lines) + '\n{"epoch": 3, "epo'
    (folder / "progress.jsonl").write_text(text)
    box = {curve.name: curve for curve in training_curves(folder)}
    assert box["train/box_loss"].values == (2.0, 1.5)
    assert box["metrics/mAP50(B)"].epochs == (2,)
    assert training_curves(labeled.project.rounds / "9") == []


def test_the_order_of_lines_is_failed_asked_unknown_and_held() -> None:
    told = [
        check("no fall: condition day", "pass", 0.8, 0.7),
        check("no fall: condition snow", "unverifiable", 0.8, 0.2),
        check("no fall: class helmet", "unverifiable") | {"asks": True},
        check("latency", "fail") | {"objects": 0},
        check("no fall: class person, mAP50-95", "fail", 0.8, 0.4),
    ]
    view = verdict_view({"promote": False, "reasons": [], "checks": told})
    assert [line.about for line in view.lines] == [
        "class person",
        "latency",
        "class helmet",
        "condition snow",
        "condition day",
    ]
    assert [line.measure for line in view.lines[:2]] == ["mAP50-95", ""]


def test_every_line_leads_to_the_frames_that_it_is_about() -> None:
    snow = verdict_line(check("no fall: condition snow", "pass") | {"slice_id": 12})
    assert snow.address == "slice=12&role=evaluation&labeled=yes"
    assert verdict_line(check("no fall: overall", "pass")).address == "role=evaluation&labeled=yes"
    assert verdict_line(check("better on the gaps", "pass")).address == ""
    assert verdict_line(check("no fall: condition old", "pass")).address == ""


def test_behind_each_line_are_the_frames_that_it_counts(labeled: FakeParts) -> None:
    run(started(labeled))
    verdict = round_view(labeled.project, 1).verdict
    assert verdict is not None
    sets = frame_sets(labeled)
    counted = {
        line.name: (line.frames, sets.find(FrameQuery.parse(line.address)).count)
        for line in verdict.lines
        if line.address
    }
    assert len(counted) == len(verdict.lines) - 1, "all but the latency lead to frames"
    assert {name: pair for name, pair in counted.items() if pair[0] != pair[1]} == {}
    assert counted["no fall: overall"][0] < verdict.frames, "imported images judge no whole"


def test_a_long_verdict_says_how_many_lines_it_leaves_out() -> None:
    told = [check(f"no fall: condition {n}", "pass", 0.5, 0.5) for n in range(5)]
    with patch.object(insight, "LINES", 3):
        view = verdict_view({"promote": True, "reasons": [], "checks": told})
    assert (len(view.lines), view.left_out) == (3, 2)


def test_of_many_rounds_and_models_the_newest_are_listed_and_the_line_of_the_deployed_one(
    labeled: FakeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = run(started(labeled))
    assert row.status is RoundStatus.PROMOTED
    for name in ("third", "fourth"):
        run(started(labeled, weights(blind_to=["helmet"], note=name)))
    rounds.start(labeled)
    monkeypatch.setattr(insight, "ROUNDS", 2)
    monkeypatch.setattr(insight, "MODELS", 1)
    view = models_view(labeled.project)
    assert [line.id for line in view.rounds] == [4, 3]
    assert view.open is not None
    assert (view.open.id, view.rounds_left, view.models_left) == (4, 2, 1)
    assert [(node.model.id, node.depth, node.made_by) for node in view.tree] == [
        (1, 0, ()),
        (2, 1, (1,)),
        (4, 2, (3,)),
    ]
    assert view.tree[2].refused.startswith("by the gate: class helmet fell")
    assert [line.id for line in round_lines(labeled.project, 2, before=4)] == [3, 2]
    now = open_line(labeled.project)
    assert now is not None
    assert (now.id, now.words) == (4, "freezing its dataset")
    rounds.cancel(labeled)
    assert open_line(labeled.project) is None


def test_an_unknown_round_is_refused(parts: FakeParts) -> None:
    with pytest.raises(StateError, match="expected a round, got the unknown id 7"):
        round_view(parts.project, 7)


def current(parts: FakeParts) -> int:
    row = rounds.current(parts.project)
    assert row is not None
    return row.id


def test_reading_changes_nothing(labeled: FakeParts) -> None:
    run(started(labeled))
    with read(labeled.project.engine) as session:
        before = session.connection().exec_driver_sql("PRAGMA data_version").scalar()
        models_view(labeled.project)
        round_view(labeled.project, 1)
        assert session.connection().exec_driver_sql("PRAGMA data_version").scalar() == before
