"""Rounds that die, are cancelled, are killed at any step, or wait; none is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest

from connectors.errors import ModelError, TrainingFailed, TrainingKilled
from connectors.files import sha256_of_file
from db.engine import read, write
from db.errors import Conflict
from db.models import models
from db.rounds import advance, round_by_id
from db.states import RoundStatus
from loop.analysis import producers
from loop.analysis.analyze import analyze
from loop.base.errors import RoundError, Waiting
from loop.base.lease import holder_id, take
from loop.ingest.ingest import ingest
from loop.insights.overview import round_line
from loop.rounds import rounds
from loop.rounds.deploy import find_model
from loop.service.asked import Stopping
from tests.fakes import (
    FakeParts,
    FakeTrainer,
    quiet,
    write_frames,
)
from tests.loop.judged import (
    BASE,
    BETTER,
    Killed,
    in_production,
    production,
    promoted_before,
    run,
    sha_of,
    started,
)


def test_a_death_in_training_leaves_the_round_open_to_go_on(labeled: FakeParts) -> None:
    parts = started(labeled)
    parts.fake_trainer = FakeTrainer(BETTER, dying(3))
    row = run(parts)
    assert row.status is RoundStatus.TRAINING
    assert row.error is not None
    assert row.error.startswith(
        "expected training to end with a result, got its process killed by SIGKILL after epoch 2 (1 of at"
        " most 3 times there); `fieldloop round advance` goes on from epoch 3, as `fieldloop serve` does by"
        " itself; its log is "
    )
    assert row.error in round_line(row)
    parts.fake_trainer = FakeTrainer(BETTER)
    row = run(parts)
    assert (row.status, row.error, parts.fake_trainer.trained) == (RoundStatus.PROMOTED, None, 1)


def test_the_service_retries_a_death_until_the_third_at_the_same_epoch(labeled: FakeParts) -> None:
    parts = started(labeled)
    for epoch in (2, 3, 3):
        parts.fake_trainer = FakeTrainer(BETTER, dying(epoch))
        said = rounds.step_or_start(parts, quiet)
        assert said.startswith("round 1: training (expected training to end with a result"), said
    said = rounds.step_or_start(parts, quiet)
    assert (
        said
        == "round 1: failed (expected training to end with a result, got its process killed by SIGKILL after"
        " epoch 2, 3 times; give it more memory, or lower round.batch or round.imgsz, then run `fieldloop"
        " round start`)"
    )
    assert rounds.current(parts.project) is None


def test_an_error_in_training_ends_the_round(labeled: FakeParts) -> None:
    parts = started(labeled)

    def bad(epoch: int) -> None:
        raise TrainingFailed("training in here failed: bad data")

    parts.fake_trainer = FakeTrainer(BETTER, bad)
    row = run(parts)
    assert (row.status, row.error) == (RoundStatus.FAILED, "training in here failed: bad data")


def dying(at: int) -> Callable[[int], None]:
    def die(epoch: int) -> None:
        if epoch == at:
            raise TrainingKilled("training ended; train again", "killed by SIGKILL", epoch - 1)

    return die


def test_cancelling_while_it_trains_ends_it_cleanly(labeled: FakeParts) -> None:
    parts = started(labeled)
    parts.fake_trainer = FakeTrainer(BETTER, lambda epoch: rounds.cancel(parts) if epoch == 1 else None)
    row = run(parts)
    assert row.status is RoundStatus.CANCELLED
    assert parts.fake_trainer.trained == 1
    assert in_production(parts) == sha_of(BASE)
    started(labeled)


def test_cancelling_what_nobody_works_on_ends_it_at_once(labeled: FakeParts) -> None:
    assert rounds.cancel(started(labeled)).status is RoundStatus.CANCELLED
    with pytest.raises(RoundError, match="expected an open round, found none"):
        rounds.cancel(labeled)


def test_cancelling_never_reopens_what_ended_meanwhile(labeled: FakeParts) -> None:
    parts = started(labeled)
    row = rounds.current(parts.project)
    assert row is not None
    promoted = run(parts)
    assert promoted.status is RoundStatus.PROMOTED
    with patch.object(rounds, "current", return_value=row):
        assert rounds.cancel(parts).status is RoundStatus.PROMOTED


def test_only_one_round_at_a_time(labeled: FakeParts) -> None:
    started(labeled)
    with pytest.raises(
        Conflict,
        match=(
            r"expected no open round, got round 1 \(freezing\); go on with it by `fieldloop round advance`,"
            r" or end it"
        ),
    ):
        rounds.start(labeled)


def test_another_process_on_the_same_round_is_left_alone(labeled: FakeParts) -> None:
    parts = started(labeled)
    take(parts.project.engine, "round", holder_id(), 60)
    assert rounds.run(parts, quiet) is None
    assert parts.fake_trainer.specs == []


def test_killed_while_training_it_goes_on_at_its_epoch(labeled: FakeParts) -> None:
    parts = started(labeled)

    def kill(epoch: int) -> None:
        if epoch == 3:
            raise Killed

    parts.fake_trainer = FakeTrainer(BETTER, kill)
    with pytest.raises(Killed):
        rounds.run(parts, quiet)
    row = rounds.current(parts.project)
    assert row is not None
    assert (row.status, row.progress["epoch"]) == (RoundStatus.TRAINING, 2)
    again = FakeParts(parts.project, trainer=FakeTrainer(BETTER))
    assert run(again).status is RoundStatus.PROMOTED
    assert again.fake_trainer.trained == 1


@pytest.mark.parametrize("step", ["_freeze", "_train", "_judge", "_await_approval"])
def test_killed_after_any_step_the_step_is_done_again(labeled: FakeParts, step: str) -> None:
    parts = started(labeled)

    def killed(*values: object) -> None:
        getattr(rounds, step)(*values)
        raise Killed

    with (
        patch.dict(rounds.STEPS, {s: killed for s, act in rounds.STEPS.items() if act.__name__ == step}),
        pytest.raises(Killed),
    ):
        rounds.run(parts, quiet)
    row = run(parts)
    assert row.status is RoundStatus.PROMOTED
    assert in_production(parts) == sha_of(BETTER) == sha256_of_file(parts.project.deployed_weights)
    with read(parts.project.engine) as session:
        assert len(models(session)) == 2


def test_the_service_ending_leaves_a_round_that_goes_on(labeled: FakeParts) -> None:
    parts = started(labeled)

    def stopping(done: int, total: int, what: str) -> None:
        if what == "epochs" and done == 2:
            raise Stopping

    with pytest.raises(Stopping):
        rounds.run(parts, stopping)
    assert run(parts).status is RoundStatus.PROMOTED
    assert parts.fake_trainer.trained == 3


def test_a_status_moves_by_compare_and_set(labeled: FakeParts) -> None:
    parts = started(labeled)
    row = rounds.current(parts.project)
    assert row is not None
    with write(parts.project.engine) as session:
        advance(session, row.id, RoundStatus.FREEZING, RoundStatus.CANCELLED)
    assert not rounds._step(parts, row, quiet)
    with read(parts.project.engine) as session:
        assert round_by_id(session, row.id).status is RoundStatus.CANCELLED


def test_a_round_analyzes_first_what_the_current_models_have_not_seen(labeled: FakeParts) -> None:
    row = run(started(promoted_before(labeled)))
    assert row.status is RoundStatus.PROMOTED, row.error
    base = find_model(labeled.project, str(row.base_model_id))
    assert labeled.detectors[labeled.project.root / base.path].seen >= len(production(labeled))


def test_under_the_service_a_round_waits_for_what_had_come_in_when_it_was_opened(
    labeled: FakeParts, tmp_path: Path
) -> None:
    parts = started(promoted_before(labeled))
    with pytest.raises(Waiting, match=r"when round 1 was opened .* got a part; `fieldloop serve` goes on"):
        rounds.step_or_start(parts, quiet)
    assert rounds.reread(parts.project, 1).status is RoundStatus.FREEZING
    analyze(parts, quiet)
    write_frames(tmp_path / "incoming", bright=5, dark=0, first=900)
    ingest(parts, quiet)
    assert producers.backlog_of(parts).waiting == 5
    assert rounds.step_or_start(parts, quiet) == "round 1: promoted"


def test_a_round_waits_while_another_process_analyzes(labeled: FakeParts) -> None:
    parts = started(promoted_before(labeled))
    take(parts.project.engine, "analyze", holder_id(), 60)
    with pytest.raises(Waiting, match=r"or run `fieldloop round advance` then"):
        run(parts)
    rounds.cancel(parts)
    assert rounds.reread(parts.project, 1).status is RoundStatus.CANCELLED


def test_a_model_that_cannot_analyze_leaves_the_round_open(labeled: FakeParts) -> None:
    parts = started(promoted_before(labeled))
    parts.detector().fails = RuntimeError("out of memory")
    with pytest.raises(ModelError, match="detector: out of memory"):
        run(parts)
    assert rounds.reread(parts.project, 1).status is RoundStatus.FREEZING
    parts.detector().fails = None
    assert run(parts).status is RoundStatus.PROMOTED
