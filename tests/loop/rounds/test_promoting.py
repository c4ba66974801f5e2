"""Promotion, rollback, and weights that are not what they were."""

from __future__ import annotations

import errno
import os
from unittest.mock import patch

import pytest

from db.engine import read, write
from db.models import models, move_model
from db.rounds import dataset_members, open_round
from db.states import ModelStatus, RoundStatus
from loop.analysis.analyze import analyze
from loop.analysis.producers import producers
from loop.base.errors import ProjectError
from loop.cli.rounds import models_promote
from loop.project.weights import sync_deployed
from loop.rounds import deploy, freeze, rounds
from loop.rounds.deploy import find_model, promote, rollback
from tests.fakes import (
    FakeParts,
    add_checkpoint,
    quiet,
    weights,
)
from tests.loop.judged import (
    BASE,
    BETTER,
    Killed,
    in_production,
    run,
    sha_of,
    started,
    with_round,
)


@pytest.mark.parametrize(("step", "changed"), [("_train", BASE), ("_judge", BASE), ("_judge", BETTER)])
def test_changed_weights_are_not_used_and_the_round_waits_for_them(
    labeled: FakeParts, step: str, changed: bytes
) -> None:
    parts = started(labeled)
    status = {act.__name__: status for status, act in rounds.STEPS.items()}[step]

    def stopped(*values: object) -> None:
        raise Killed

    with patch.dict(rounds.STEPS, {status: stopped}), pytest.raises(Killed):
        rounds.run(parts, quiet)
    path = parts.project.models / f"{sha_of(changed)}.pt"
    path.write_bytes(weights(note="overwritten"))
    with pytest.raises(
        ProjectError, match=r"expected the weights of model \d in .*\.pt, found them missing or changed"
    ):
        run(parts)
    row = rounds.current(parts.project)
    assert row is not None
    assert (row.status, row.error) == (status, None)
    path.write_bytes(changed)
    assert run(parts).status is RoundStatus.PROMOTED


def test_changed_weights_are_neither_loaded_nor_copied(labeled: FakeParts) -> None:
    (labeled.project.models / f"{sha_of(BASE)}.pt").write_bytes(weights(note="overwritten"))
    changed = pytest.raises(ProjectError, match="found them missing or changed; copy them back")
    with changed:
        analyze(labeled, quiet)
    with changed:
        rounds.start(labeled)
    labeled.project.deployed_weights.unlink()
    with changed:
        sync_deployed(labeled.project)
    assert not labeled.project.deployed_weights.exists()


def test_a_changed_file_of_the_same_candidate_is_written_anew(labeled: FakeParts) -> None:
    (labeled.project.models / f"{sha_of(BETTER)}.pt").write_bytes(b"other")
    assert run(started(labeled)).status is RoundStatus.PROMOTED
    assert labeled.project.deployed_weights.read_bytes() == BETTER


def test_manual_approval_waits_for_a_person(labeled: FakeParts) -> None:
    parts = started(labeled, approval="manual")
    row = run(parts)
    assert row.status is RoundStatus.AWAITING_APPROVAL
    assert in_production(parts) == sha_of(BASE)
    assert run(parts).status is RoundStatus.AWAITING_APPROVAL
    assert row.candidate_id is not None
    assert not rounds.approve(parts, row.candidate_id + 1)
    assert rounds.approve(parts, row.candidate_id)
    assert in_production(parts) == sha_of(BETTER)
    assert rounds.current(parts.project) is None


def test_a_person_may_refuse_what_the_gate_passed(labeled: FakeParts) -> None:
    parts = started(labeled, approval="manual")
    row = run(parts)
    assert rounds.cancel(parts).status is RoundStatus.REJECTED
    with read(parts.project.engine) as session:
        status = {model.id: model.status for model in models(session)}
    assert status[row.candidate_id or 0] is ModelStatus.REJECTED


def test_a_candidate_of_a_model_that_was_replaced_meanwhile_is_not_promoted(labeled: FakeParts) -> None:
    parts = started(labeled)
    other = add_checkpoint(parts.project, weights(note="by hand"))
    real = rounds._await_approval

    def replaced(*values: object) -> object:
        promote(parts.project, other, "by hand")
        return real(*values)  # type: ignore[arg-type]

    with patch.dict(rounds.STEPS, {RoundStatus.AWAITING_APPROVAL: replaced}):
        row = run(parts)
    assert (row.status, row.error) == (
        RoundStatus.FAILED,
        "expected model 1 in production, got 2; judge again",
    )
    assert in_production(parts) == sha_of(weights(note="by hand"))
    assert rounds.current(parts.project) is None


def test_a_candidate_whose_file_was_changed_is_not_promoted(labeled: FakeParts) -> None:
    parts = started(labeled, approval="manual")
    row = run(parts)
    (parts.project.models / f"{sha_of(BETTER)}.pt").write_bytes(b"other")
    with pytest.raises(ProjectError, match="found them missing or changed; copy them back"):
        rounds.approve(parts, row.candidate_id or 0)
    assert in_production(parts) == sha_of(BASE)


def test_promoting_what_the_gate_rejected_is_done_with_a_warning(
    labeled: FakeParts, capsys: pytest.CaptureFixture[str]
) -> None:
    run(started(labeled, weights(blind_to=["helmet"])))
    models_promote("2", labeled.project.root, as_json=False)
    out, err = capsys.readouterr()
    assert out.startswith("deployed: model 2 (")
    assert err.startswith(
        "warning: the gate rejected model 2 in round 1: class helmet fell: AP50 1.000 -> 0."
    )
    assert err.endswith(
        "; it is deployed all the same, `fieldloop models rollback` brings the former model back\n"
    )
    assert in_production(labeled) == sha_of(weights(blind_to=["helmet"]))
    models_promote("1", labeled.project.root, as_json=False)
    assert capsys.readouterr().err == ""


def test_promoting_what_a_person_rejected_says_who_it_was(labeled: FakeParts) -> None:
    parts = started(labeled, approval="manual")
    run(parts)
    rounds.cancel(parts)
    assert (
        rounds.refusal(parts.project, find_model(parts.project, "2"))
        == "a person rejected model 2 in round 1"
    )


def test_rolling_back_restores_the_former_bytes(labeled: FakeParts) -> None:
    with pytest.raises(ProjectError, match="expected a formerly deployed model, found none"):
        rollback(labeled.project)
    run(started(labeled))
    rollback(labeled.project)
    assert labeled.project.deployed_weights.read_bytes() == BASE
    assert in_production(labeled) == sha_of(BASE)


def test_the_deployed_file_is_swapped_whole_or_not_at_all(labeled: FakeParts) -> None:
    number = add_checkpoint(labeled.project, BETTER)
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with patch("os.fsync", side_effect=full), pytest.raises(OSError, match="No space left"):
        promote(labeled.project, number, "by hand")
    assert labeled.project.deployed_weights.read_bytes() == BASE
    assert in_production(labeled) == sha_of(BETTER)
    sync_deployed(labeled.project)
    assert labeled.project.deployed_weights.read_bytes() == BETTER
    assert not list(labeled.project.models.glob("*.part"))


def test_a_file_that_a_stop_left_behind_follows_with_the_next_round(labeled: FakeParts) -> None:
    run(started(labeled))
    labeled.project.deployed_weights.write_bytes(BASE)
    rounds.run(labeled, quiet)
    assert labeled.project.deployed_weights.read_bytes() == BETTER


def test_a_changed_checkpoint_is_neither_promoted_nor_rolled_back_to(labeled: FakeParts) -> None:
    run(started(labeled))
    (labeled.project.models / f"{sha_of(BASE)}.pt").write_bytes(b"damaged")
    with pytest.raises(
        ProjectError, match=r"expected the weights of model 1 in .* found them missing or changed"
    ):
        rollback(labeled.project)
    assert in_production(labeled) == sha_of(BETTER)


def test_models_are_found_by_number_and_by_hash(labeled: FakeParts) -> None:
    assert find_model(labeled.project, "1").sha256 == sha_of(BASE)
    assert find_model(labeled.project, sha_of(BASE)[:8]).id == 1
    with pytest.raises(ProjectError, match=r"expected one model by id or hash, got 'nope'; there are 1 \("):
        find_model(labeled.project, "nope")


def test_lineage_goes_back_to_the_model_the_team_brought(labeled: FakeParts) -> None:
    parts = with_round(labeled, replay=4)
    first = run(started(parts, BETTER))
    analyze(parts, quiet)
    second = run(started(parts, weights(note="third"), replay=4))
    assert (first.status, second.status) == (RoundStatus.PROMOTED, RoundStatus.REJECTED)
    with write(parts.project.engine) as session:
        move_model(session, 3, ModelStatus.REJECTED, ModelStatus.CANDIDATE)
    promote(parts.project, 3, "by hand")
    analyze(parts, quiet)
    rounds.start(parts)
    with read(parts.project.engine) as session:
        row = open_round(session)
        assert row is not None
        trained = {m.frame for m in dataset_members(session, 1) if m.split == "train"}
        left_out = trained - {m.frame for m in dataset_members(session, 2) if m.split == "train"}
    assert left_out
    manifest = freeze.build_manifest(parts.project, producers(parts).embedder, row)
    assert manifest.rounds == (2, 3)
    assert len(manifest.of("train")) == 4


def test_deploying_the_deployed_model_changes_nothing(labeled: FakeParts) -> None:
    deploy.promote(labeled.project, 1, "again")
    with pytest.raises(ProjectError, match="nothing has been promoted yet"):
        rollback(labeled.project)


def test_after_a_rollback_to_the_first_model_it_says_what_brings_another_back(labeled: FakeParts) -> None:
    deploy.promote(labeled.project, add_checkpoint(labeled.project, weights(note="second")), "by hand")
    assert rollback(labeled.project).id == 1
    with pytest.raises(ProjectError, match="the first one is deployed again: `fieldloop models promote`"):
        rollback(labeled.project)
