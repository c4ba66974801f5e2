"""From labels to a judged candidate; torch-free, every part but the training is real."""

from __future__ import annotations

import dataclasses
import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from unittest.mock import patch

import pytest

from connectors.errors import ModelError, TrainingFailed, TrainingKilled
from connectors.ports import Box
from db.engine import read, write
from db.errors import Conflict
from db.frames import FrameRow, frames
from db.labels import set_label
from db.models import deployed, models, move_model
from db.rounds import RoundRow, advance, dataset, dataset_members, open_round, round_by_id
from db.states import ModelStatus, Origin, Role, RoundStatus
from db.tasks import tasks
from loop import coverage_view, current, deploying, freezing, judging, rounds, stages
from loop.cli.rounds import models_promote
from loop.datasets.export import export_yolo
from loop.datasets.freeze import Manifest
from loop.deploying import file_sha256, find_model, promote, rollback, sync_deployed
from loop.errors import ProjectError, RoundError, Waiting
from loop.exclusive import holder_id, take
from loop.insights import round_line
from loop.judging import TRAINING_WORLD, held_out
from loop.project import Project
from loop.service import Stopping
from tests.fakes import (
    CLASSES,
    FakeParts,
    FakeTrainer,
    add_checkpoint,
    box_of,
    make_project,
    quiet,
    weights,
    write_frames,
)

BASE = weights(blind_below=100)
BETTER = weights(note="sees in the dark")
BY_DAY, BY_NIGHT = 30, 60
NOTHING_HELD_OUT = (
    "expected frames labeled for evaluation, found none; label some of the evaluation tasks in Label Studio, "
    "or import a dataset with a val split"
)


class Killed(BaseException):
    """The process is gone."""


@pytest.fixture(scope="module")
def labeled_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 camera-days, most of them to evaluate, two thirds of all frames dark; a few bursts by day show a helmet."""
    folder = tmp_path_factory.mktemp("rounds")
    overrides = [
        "frames.path=../incoming",
        "evaluation.group_share=0.75",
        "round.epochs=3",
        "gaps.regions=false",
    ]
    project = make_project(folder / "project", overrides=overrides, train=24, val=8)
    write_frames(folder / "incoming", bright=BY_DAY, dark=BY_NIGHT, cameras=4, days=5, class_of=class_of)
    parts = FakeParts(project)
    stages.ingest(parts, quiet)
    stages.analyze(parts, quiet)
    label_all(project)
    project.engine.dispose()
    return folder


@pytest.fixture
def labeled(labeled_template: Path, tmp_path: Path) -> FakeParts:
    import shutil

    from loop.project import open_project

    for name in ("project", "incoming"):
        shutil.copytree(labeled_template / name, tmp_path / name)
    return FakeParts(open_project(tmp_path / "project"))


def label_all(project: Project) -> None:
    """What a person would have answered: the truth, for the purpose of each frame's group."""
    with write(project.engine) as session:
        for row in frames(session, origin=Origin.PRODUCTION):
            number = int(Path(row.source_key).stem.split("-")[-1])
            purpose = "evaluation" if row.role == Role.EVALUATION else "train"
            set_label(session, row.seq, [(CLASSES[class_of(number)], *box_of(number))], purpose, "annotation")


def class_of(number: int) -> int:
    return int(number < BY_DAY and number // 3 % 4 == 1)


def run(parts: FakeParts) -> RoundRow:
    row = rounds.run(parts, quiet)
    assert row is not None
    return row


def started(parts: FakeParts, candidate: bytes = BETTER, **settings: object) -> FakeParts:
    """A round is open; the trainer will answer with this candidate."""
    if settings:
        parts = with_round(parts, **settings)
    parts.fake_trainer = FakeTrainer(candidate)
    rounds.start(parts)
    return parts


def with_round(parts: FakeParts, **changed: object) -> FakeParts:
    chosen = parts.project.settings
    chosen = chosen.model_copy(update={"round": chosen.round.model_copy(update=changed)})
    return FakeParts(dataclasses.replace(parts.project, settings=chosen))


def in_production(parts: FakeParts) -> str:
    with read(parts.project.engine) as session:
        now = deployed(session)
    assert now is not None
    return now.sha256


def sha_of(data: bytes) -> str:
    from connectors.images import content_hash

    return content_hash(data)


def production(parts: FakeParts) -> Sequence[FrameRow]:
    with read(parts.project.engine) as session:
        return frames(session, origin=Origin.PRODUCTION)


def test_a_better_candidate_is_promoted(labeled: FakeParts) -> None:
    row = run(started(labeled))
    assert row.error is None
    assert row.status is RoundStatus.PROMOTED, row.verdict
    assert in_production(labeled) == sha_of(BETTER) == file_sha256(labeled.project.deployed_weights)
    assert row.verdict is not None
    assert row.verdict["promote"]
    (spec,) = labeled.fake_trainer.specs
    assert (spec.epochs, spec.run_dir, spec.weights.read_bytes()) == (3, labeled.project.rounds / "1", BASE)
    with read(labeled.project.engine) as session:
        status = {model.sha256: model.status for model in models(session)}
    assert status == {sha_of(BASE): ModelStatus.RETIRED, sha_of(BETTER): ModelStatus.DEPLOYED}


def test_what_judges_never_trains(labeled: FakeParts) -> None:
    run(started(labeled))
    stages.analyze(labeled, quiet)
    role = {row.seq: (row.role, row.origin, row.split) for row in production(labeled)}
    with read(labeled.project.engine) as session:
        members = dataset_members(session, 1)
        path = labeled.project.root / dataset(session, 1).path
    train = {member.frame for member in members if member.split == "train"}
    judged = set(held_rows(labeled))
    assert train
    assert judged
    assert not train & judged
    assert {role[frame][0] for frame in train if frame in role} == {Role.POOL}
    listed = (path / "train.txt").read_text().split()
    assert len(set(listed)) == len(train)


def held_rows(parts: FakeParts) -> list[int]:
    view = coverage_view.build(parts, quiet)
    with read(parts.project.engine) as session:
        row = round_by_id(session, 1)
    return [frame.seq for frame in held_out(parts.project, view, row).rows]


def test_a_byte_copy_of_the_deployed_model_is_not_promoted(labeled: FakeParts) -> None:
    row = run(started(labeled, BASE))
    assert row.status is RoundStatus.REJECTED
    assert row.verdict is not None
    assert any("both models gave the same detections" in reason for reason in row.verdict["reasons"])
    with read(labeled.project.engine) as session:
        (model,) = models(session)
    assert model.status is ModelStatus.DEPLOYED
    assert in_production(labeled) == sha_of(BASE)


def test_a_round_after_a_byte_copy_still_takes_its_frames_for_new(labeled: FakeParts) -> None:
    run(started(labeled, BASE))
    row = run(started(labeled, BETTER))
    with read(labeled.project.engine) as session:
        first, second = (
            {member.frame: member.repeats for member in dataset_members(session, number)} for number in (1, 2)
        )
    assert row.status is RoundStatus.PROMOTED
    assert first == second


def test_better_overall_but_worse_on_a_rare_class_is_refused_and_the_class_is_named(
    labeled: FakeParts,
) -> None:
    row = run(started(labeled, weights(misses=["helmet"])))
    assert row.status is RoundStatus.REJECTED
    assert row.verdict is not None
    assert row.verdict["reasons"][0].startswith("class helmet fell: AP50 1.000 -> 0.")
    (overall,) = [check for check in row.verdict["checks"] if check["name"] == "better overall"]
    assert overall["status"] == "pass", overall
    assert in_production(labeled) == sha_of(BASE)


def test_a_slice_with_too_few_groups_is_called_unverifiable(labeled: FakeParts) -> None:
    row = run(started(labeled))
    assert row.verdict is not None
    (helmet,) = [check for check in row.verdict["checks"] if check["name"] == "no fall: class helmet"]
    assert (helmet["status"], helmet["groups"] < 8) == ("unverifiable", True)
    said = "could not be verified, so nothing is claimed of it: class helmet"
    assert any(reason.startswith(said) for reason in row.verdict["reasons"])


def only(project: Project, keep: int, boxes: bool) -> None:
    """All but `keep` training labels are gone; without boxes they are backgrounds."""
    from sqlalchemy import text

    with write(project.engine) as session:
        session.execute(
            text(
                "DELETE FROM labels WHERE purpose = 'train' AND frame NOT IN "
                "(SELECT frame FROM labels WHERE purpose = 'train' ORDER BY frame LIMIT :keep)"
            ),
            {"keep": keep},
        )
        if not boxes:
            session.execute(text("UPDATE labels SET boxes = '[]' WHERE purpose = 'train'"))


@pytest.mark.parametrize(
    ("keep", "boxes", "said"),
    [(24, False, "boxes"), (0, True, "train")],
)
def test_a_dataset_that_cannot_be_trained_on_is_answered_clearly(
    labeled: FakeParts, keep: int, boxes: bool, said: str
) -> None:
    only(labeled.project, keep, boxes)
    row = run(started(labeled))
    assert row.status is RoundStatus.FAILED
    assert row.error is not None
    assert row.error.startswith("expected ")
    assert said in row.error
    assert labeled.fake_trainer.specs == []
    assert rounds.current(labeled.project) is None


def test_one_image_is_answered_clearly(tmp_path: Path) -> None:
    parts = FakeParts(make_project(tmp_path / "project", train=1, val=0))
    write_frames(tmp_path / "incoming", bright=3, dark=0)
    stages.ingest(parts, quiet)
    stages.analyze(parts, quiet)
    row = run(started(parts))
    assert row.status is RoundStatus.FAILED
    assert row.error is not None
    assert row.error == NOTHING_HELD_OUT


def test_one_class_is_enough(tmp_path: Path) -> None:
    parts = FakeParts(make_project(tmp_path / "project", train=3, val=2))
    write_frames(tmp_path / "incoming", bright=3, dark=0)
    stages.ingest(parts, quiet)
    stages.analyze(parts, quiet)
    row = run(started(parts))
    assert row.status is RoundStatus.REJECTED
    with read(parts.project.engine) as session:
        assert dataset(session, 1).summary["untrained"] == ["helmet"]


def test_without_held_out_frames_there_is_nothing_to_judge_on(labeled: FakeParts) -> None:
    from sqlalchemy import text

    with write(labeled.project.engine) as session:
        session.execute(text("DELETE FROM labels WHERE purpose = 'evaluation'"))
    row = run(started(labeled))
    assert (row.status, row.error) == (RoundStatus.FAILED, NOTHING_HELD_OUT)
    assert labeled.fake_trainer.specs == [], "asked before hours of training"
    with pytest.raises(RoundError, match=NOTHING_HELD_OUT):
        judging.held_out(labeled.project, coverage_view.build(labeled, quiet), row)


def test_a_death_in_training_leaves_the_round_open_to_go_on(labeled: FakeParts) -> None:
    parts = started(labeled)
    parts.fake_trainer = FakeTrainer(BETTER, dying(3))
    row = run(parts)
    assert row.status is RoundStatus.TRAINING
    assert row.error is not None
    assert row.error.startswith(
        "expected training to end with a result, got its process killed by SIGKILL after epoch 2 (1 of at most 3 times there); "
        "`fieldloop round advance` goes on from epoch 3, as `fieldloop serve` does by itself; its log is "
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
    assert said == (
        "round 1: failed (expected training to end with a result, got its process killed by SIGKILL after epoch 2, 3 times; "
        "give it more memory, or lower round.batch or round.imgsz, then run `fieldloop round start`)"
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
        stages.analyze(labeled, quiet)
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


def test_a_dataset_that_cannot_be_trained_on_ends_the_round_before_it_trains(labeled: FakeParts) -> None:
    def damaged(manifest: Manifest, store: Path, out: Path) -> None:
        export_yolo(manifest, store, out)
        next((out / "labels").rglob("*.txt")).write_text("7 0.5 0.5 2 2\n")

    with patch.object(freezing, "export_yolo", damaged):
        row = run(started(labeled))
    assert row.status is RoundStatus.FAILED
    assert row.error is not None
    assert row.error.startswith("expected a dataset that can be trained on, got 1 problems: ")
    assert labeled.fake_trainer.specs == []


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
        match=r"expected no open round, got round 1 \(freezing\); go on with it by `fieldloop round advance`, or end it",
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
    assert in_production(parts) == sha_of(BETTER) == file_sha256(parts.project.deployed_weights)
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
    run(started(labeled, weights(misses=["helmet"])))
    models_promote("2", labeled.project.root, as_json=False)
    out, err = capsys.readouterr()
    assert out.startswith("deployed: model 2 (")
    assert err.startswith(
        "warning: the gate rejected model 2 in round 1: class helmet fell: AP50 1.000 -> 0."
    )
    assert err.endswith(
        "; it is deployed all the same, `fieldloop models rollback` brings the former model back\n"
    )
    assert in_production(labeled) == sha_of(weights(misses=["helmet"]))
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
    stages.analyze(parts, quiet)
    second = run(started(parts, weights(note="third"), replay=4))
    assert (first.status, second.status) == (RoundStatus.PROMOTED, RoundStatus.REJECTED)
    with write(parts.project.engine) as session:
        move_model(session, 3, ModelStatus.REJECTED, ModelStatus.CANDIDATE)
    promote(parts.project, 3, "by hand")
    stages.analyze(parts, quiet)
    rounds.start(parts)
    with read(parts.project.engine) as session:
        row = open_round(session)
        assert row is not None
        trained = {m.frame for m in dataset_members(session, 1) if m.split == "train"}
        left_out = trained - {m.frame for m in dataset_members(session, 2) if m.split == "train"}
    assert left_out
    manifest = freezing.build_manifest(parts.project, coverage_view.build(parts, quiet), row)
    assert manifest.rounds == (2, 3)
    assert len(manifest.of("train")) == 4


def test_the_gate_judges_by_the_settings_of_the_project(labeled: FakeParts) -> None:
    chosen = labeled.project.settings
    gate = chosen.gate.model_copy(update={"few_margin": 0.01, "required": ("no fall: class helmet",)})
    project = dataclasses.replace(labeled.project, settings=chosen.model_copy(update={"gate": gate}))
    row = run(started(FakeParts(project)))
    assert row.status is RoundStatus.REJECTED
    assert row.verdict is not None
    assert row.verdict["reasons"][0].startswith("required, but class helmet")
    (helmet,) = [check for check in row.verdict["checks"] if check["name"] == "no fall: class helmet"]
    assert helmet["bound"] == 0.01


def test_enough_new_labels_start_a_round(labeled: FakeParts) -> None:
    train = sum(row.role == Role.POOL for row in production(labeled))
    few = with_round(labeled, labels=train + 1)
    assert rounds.new_labels(labeled.project) == train
    assert rounds.step_or_start(few, quiet) == ""
    assert rounds.current(labeled.project) is None
    enough = with_round(labeled, labels=train)
    enough.fake_trainer = FakeTrainer(BETTER)
    assert rounds.step_or_start(enough, quiet) == "round 1: promoted"
    assert rounds.new_labels(labeled.project) == 0
    assert rounds.step_or_start(enough, quiet) == ""


def test_evaluation_frames_count_by_how_likely_they_were_drawn(labeled: FakeParts) -> None:
    parts = labeled
    from sqlalchemy import text

    with write(parts.project.engine) as session:
        session.execute(text("DELETE FROM labels WHERE source = 'annotation'"))
    stages.select(parts, quiet, budget=40)
    stages.push(parts, quiet)
    for key in parts.server.task_keys():
        parts.server.answer(key, [Box("person", (0.0, 0.0, 8.0, 8.0))])
    stages.pull(parts, quiet)
    rounds.start(parts)
    row = rounds.current(parts.project)
    assert row is not None
    held = judging.held_out(parts.project, coverage_view.build(parts, quiet), row)
    assert {frame.role for frame in held.rows} == {Role.EVALUATION}
    imported = [frame.origin == Origin.IMPORTED for frame in held.rows]
    assert sum(imported) == 8
    assert len(held.rows) == 18
    assert held.conditions[TRAINING_WORLD].tolist() == imported
    enough = len({frame.group_key for frame in held.rows if frame.origin == Origin.PRODUCTION}) >= 8
    drawn = [w for w, own in zip(held.weights, imported, strict=True) if not own]
    with read(parts.project.engine) as session:
        chance = {task.frame: task.inclusion_probability for task in tasks(session)}
    own = [frame.seq for frame in held.rows if frame.origin == Origin.PRODUCTION]
    assert drawn == pytest.approx([1 / (chance[seq] or 0) for seq in own])
    assert min(drawn) > 1
    assert [w for w, own in zip(held.weights, imported, strict=True) if own] == [0.0 if enough else 1.0] * 8


def test_deploying_the_deployed_model_changes_nothing(labeled: FakeParts) -> None:
    deploying.promote(labeled.project, 1, "again")
    with pytest.raises(ProjectError, match="nothing has been promoted yet"):
        rollback(labeled.project)


def promoted_before(parts: FakeParts) -> FakeParts:
    """Another detector than the one that analyzed production is deployed."""
    promote(parts.project, add_checkpoint(parts.project, weights(blind_below=100, note="by hand")), "by hand")
    return parts


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
    stages.analyze(parts, quiet)
    write_frames(tmp_path / "incoming", bright=5, dark=0, first=900)
    stages.ingest(parts, quiet)
    assert current.backlog_of(parts).waiting == 5
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
