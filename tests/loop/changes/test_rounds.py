"""What people decide of rounds and models, on record; every part but the training is real."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from db.changes import ChangeRow, changes
from db.engine import read
from db.errors import Conflict, StateError
from db.models import deployments
from db.states import ModelStatus, RoundStatus
from loop.base.errors import ConfigError, ProjectError, RoundError
from loop.changes.audit import Who
from loop.changes.rounds import approve, cancel_round, promote, reject, roll_back, start_round
from loop.cli.rounds import models_promote, models_rollback, round_cancel, round_start
from loop.insights.rounds import round_view
from loop.rounds import rounds
from loop.rounds.deploy import find_model
from tests.fakes import FakeParts, FakeTrainer, add_checkpoint, weights
from tests.loop.judged import BASE, BETTER, in_production, run, sha_of, started

ANN = Who("ann", "page")


def log(parts: FakeParts) -> list[ChangeRow]:
    with read(parts.project.engine) as session:
        return changes(session, 20)


def reasons(parts: FakeParts) -> list[str]:
    with read(parts.project.engine) as session:
        return [step.reason for step in deployments(session)]


def waiting(parts: FakeParts) -> FakeParts:
    made = started(parts, approval="manual")
    assert run(made).status is RoundStatus.AWAITING_APPROVAL
    return made


def test_a_round_is_started_with_the_settings_that_were_chosen_for_it(labeled: FakeParts) -> None:
    labeled.fake_trainer = FakeTrainer(BETTER)
    number = start_round(labeled, ANN, {"epochs": 2, "lr0": 0.02, "replay": 4, "approval": "manual"})
    row = run(labeled)
    assert (row.id, row.status) == (number, RoundStatus.AWAITING_APPROVAL)
    (spec,) = labeled.fake_trainer.specs
    assert (spec.epochs, spec.overrides["lr0"]) == (2, 0.02)
    view = round_view(labeled.project, number)
    assert {setting.name for setting in view.settings if setting.changed} == {
        "epochs",
        "lr0",
        "replay",
        "approval",
    }
    assert view.data is not None
    passes_with_few_old = view.data.passes
    reject(labeled, ANN, number, "again with all old frames")
    labeled.fake_trainer = FakeTrainer(weights(note="other"))
    other = start_round(labeled, ANN, {"replay": 0})
    run(labeled)
    again = round_view(labeled.project, other).data
    assert again is not None
    assert again.passes > passes_with_few_old
    (line,) = [line for line in log(labeled) if line.subject == "round 1" and line.what == "round started"]
    assert (line.who, line.after["lr0"]) == ("ann", 0.02)


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"epochs": 0}, "this round: epochs: expected at least 1|this round: epochs: expected more than 0"),
        ({"labels": 3}, "expected a setting of one round .*, got 'labels'"),
        ({"imgsz": 33}, "imgsz: expected a multiple of 32, got 33"),
        ({"train": {"single_cls": True}}, "it makes one class of all"),
        ({"device": "tpu"}, "expected cpu, cuda, the number of a GPU"),
    ],
)
def test_settings_that_cannot_be_chosen_open_no_round(
    labeled: FakeParts, chosen: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        start_round(labeled, ANN, chosen)
    assert rounds.current(labeled.project) is None
    assert log(labeled) == []


def test_a_second_round_is_refused_and_not_on_record(labeled: FakeParts) -> None:
    start_round(labeled, ANN)
    with pytest.raises(Conflict, match="expected no open round, got round 1"):
        start_round(labeled, ANN)
    assert [line.what for line in log(labeled)] == ["round started"]


def test_an_approved_candidate_is_deployed_and_the_reason_is_kept(labeled: FakeParts) -> None:
    parts = waiting(labeled)
    with pytest.raises(ConfigError, match="expected a reason, got none"):
        approve(parts, ANN, 1, "  ")
    assert in_production(parts) == sha_of(BASE)
    assert approve(parts, ANN, 1, "better at night").id == 2
    assert in_production(parts) == sha_of(BETTER)
    assert reasons(parts) == ["init", "round 1: better at night"]
    (line,) = log(parts)
    assert (line.what, line.subject, line.after) == (
        "candidate approved",
        "round 1",
        {"status": "promoted", "deployed": 2, "reason": "better at night"},
    )
    assert line.before == {"status": "awaiting_approval", "deployed": 1}
    (decision,) = round_view(parts.project, 1).decisions
    assert (decision.who, decision.reason) == ("ann", "better at night")
    with pytest.raises(RoundError, match="expected round 1 to wait for a person, got one that is promoted"):
        approve(parts, ANN, 1, "twice")


def test_a_rejected_candidate_stays_out_and_the_reason_is_kept(labeled: FakeParts) -> None:
    parts = waiting(labeled)
    with pytest.raises(ConfigError, match="expected a reason"):
        reject(parts, ANN, 1, "")
    assert reject(parts, ANN, 1, "too slow at the gate").status is RoundStatus.REJECTED
    assert find_model(parts.project, "2").status is ModelStatus.REJECTED
    assert in_production(parts) == sha_of(BASE)
    (decision,) = round_view(parts.project, 1).decisions
    assert (decision.what, decision.reason) == ("candidate rejected", "too slow at the gate")


def test_a_round_is_cancelled_once_and_only_the_one_that_was_meant(labeled: FakeParts) -> None:
    parts = started(labeled)
    with pytest.raises(StateError, match="unknown id 7"):
        cancel_round(parts, ANN, "", 7)
    assert cancel_round(parts, ANN, "wrong labels", 1).status is RoundStatus.CANCELLED
    with pytest.raises(RoundError, match="expected an open round, found none"):
        cancel_round(parts, ANN, "", 1)
    rounds.start(parts)
    with pytest.raises(RoundError, match="expected round 1 to be open, got one that is cancelled"):
        cancel_round(parts, ANN, "", 1)
    (line,) = log(parts)
    assert (line.what, line.before, line.after) == (
        "round cancelled",
        {"status": "freezing"},
        {"status": "cancelled", "reason": "wrong labels"},
    )


def test_rolling_back_keeps_the_reason_and_going_back_twice_still_goes_back_two_steps(
    labeled: FakeParts,
) -> None:
    other = add_checkpoint(labeled.project, weights(note="second"))
    third = add_checkpoint(labeled.project, weights(note="third"))
    for number in (other, third):
        promote(labeled, ANN, find_model(labeled.project, str(number)), "to try")
    assert roll_back(labeled, ANN, "misses at dusk", expected=third).id == other
    with pytest.raises(Conflict, match=f"expected model {third} in production, got {other}"):
        roll_back(labeled, ANN, "misses at dusk", expected=third)
    assert roll_back(labeled, ANN, "still").id == 1
    assert reasons(labeled) == [
        "init",
        "by hand: to try",
        "by hand: to try",
        "rollback: misses at dusk",
        "rollback: still",
    ]
    assert [line.what for line in log(labeled)] == ["model rolled back"] * 2 + ["model promoted"] * 2
    assert (log(labeled)[1].before, log(labeled)[1].after) == (
        {"deployed": third},
        {"deployed": other, "reason": "misses at dusk"},
    )
    with pytest.raises(ProjectError, match="expected a formerly deployed model, found none"):
        roll_back(labeled, ANN, "more")


def test_deploying_what_is_deployed_is_no_change(labeled: FakeParts) -> None:
    promote(labeled, ANN, find_model(labeled.project, "1"), "again")
    assert log(labeled) == []


def test_a_candidate_whose_file_was_changed_is_not_approved_and_not_on_record(labeled: FakeParts) -> None:
    parts = waiting(labeled)
    (parts.project.models / f"{sha_of(BETTER)}.pt").write_bytes(b"other")
    with pytest.raises(ProjectError, match="found them missing or changed"):
        approve(parts, ANN, 1, "better")
    assert log(parts) == []


def test_the_commands_go_the_same_way(labeled: FakeParts, capsys: pytest.CaptureFixture[str]) -> None:
    root = labeled.project.root
    round_start(open_only=True, chosen=["epochs=4", "round.train={mosaic: 0.0}"], project=root)
    row = rounds.current(labeled.project)
    assert row is not None
    assert (row.settings["epochs"], row.settings["train"]) == (4, {"mosaic": 0.0})
    round_cancel(root, reason="by mistake")
    add_checkpoint(labeled.project, weights(note="second"))
    models_promote("2", root, reason="to try")
    models_rollback(root, reason="no better")
    assert "deployed: model 1" in capsys.readouterr().out
    assert [(line.what, line.via, line.after.get("reason")) for line in reversed(log(labeled))] == [
        ("round started", "command", None),
        ("round cancelled", "command", "by mistake"),
        ("model promoted", "command", "to try"),
        ("model rolled back", "command", "no better"),
    ]


@pytest.mark.parametrize("pair", ["epochs", "epochs={"])
def test_a_setting_that_cannot_be_read_is_a_usage_error(labeled: FakeParts, pair: str) -> None:
    with pytest.raises(typer.BadParameter, match="expected"):
        round_start(open_only=True, chosen=[pair], project=labeled.project.root)
