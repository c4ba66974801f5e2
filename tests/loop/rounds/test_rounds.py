"""From labels to a judged candidate; torch-free, every part but the training is real."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import pytest

from connectors.files import sha256_of_file
from connectors.ports import Box, Purpose
from db.engine import read, write
from db.labels import labels, set_label
from db.models import models
from db.progress import backlog
from db.rounds import dataset, dataset_members, round_by_id
from db.slices import retire_slice, slices
from db.states import ModelStatus, Origin, Role, RoundStatus
from db.tasks import tasks
from loop.analysis.analyze import analyze
from loop.analysis.producers import producers
from loop.base.errors import ConfigError, RoundError
from loop.datasets.export import export_yolo
from loop.datasets.freeze import Manifest
from loop.gaps import arrivals, coverage_view
from loop.gaps.slices import TRAINING_WORLD
from loop.ingest.ingest import ingest
from loop.labeling.pull import pull
from loop.labeling.push import push
from loop.project.project import Project
from loop.project.training_settings import overrides_of, trained_line
from loop.rounds import freeze, judge, rounds
from loop.rounds.judge import held_out
from loop.selection.select import select
from loop.settings.settings import load_settings
from tests.fakes import (
    FakeParts,
    FakeTrainer,
    make_project,
    quiet,
    weights,
    write_frames,
)
from tests.loop.judged import (
    BASE,
    BETTER,
    NOTHING_HELD_OUT,
    in_production,
    label_all,
    production,
    promoted_before,
    run,
    sha_of,
    started,
    with_gate,
    with_round,
)


def test_a_round_without_production_is_judged_by_the_imported_held_out_images(parts: FakeParts) -> None:
    """A detector that was just started has its first round before any frame came in."""
    row = run(started(parts))
    assert (row.status, row.error) == (RoundStatus.REJECTED, None), "both find all in daylight"
    assert row.verdict is not None
    names = {check["name"] for check in row.verdict["checks"]}
    assert {"no fall: class person", "no fall: class helmet"} <= names
    with read(parts.project.engine) as session:
        made = producers(parts)
        assert backlog(session, made.embedder, made.detector, origin=Origin.IMPORTED).waiting == 0


def test_a_better_candidate_is_promoted(labeled: FakeParts) -> None:
    row = run(started(labeled))
    assert row.error is None
    assert row.status is RoundStatus.PROMOTED, row.verdict
    assert in_production(labeled) == sha_of(BETTER) == sha256_of_file(labeled.project.deployed_weights)
    assert row.verdict is not None
    assert row.verdict["promote"]
    (spec,) = labeled.fake_trainer.specs
    assert (spec.epochs, spec.run_dir, spec.weights.read_bytes()) == (3, labeled.project.rounds / "1", BASE)
    with read(labeled.project.engine) as session:
        status = {model.sha256: model.status for model in models(session)}
    assert status == {sha_of(BASE): ModelStatus.RETIRED, sha_of(BETTER): ModelStatus.DEPLOYED}


def test_what_a_round_asks_for_is_what_the_trainer_is_told_and_what_it_did_is_kept(
    labeled: FakeParts,
) -> None:
    parts = started(labeled, optimizer="SGD", lr0=0.02, train={"mosaic": 0.0})
    row = run(parts)
    (spec,) = parts.fake_trainer.specs
    assert spec.overrides == {"optimizer": "SGD", "lr0": 0.02, "mosaic": 0.0}
    assert row.settings["trained"]["lr0"] == 0.02
    assert trained_line(row.settings) == (
        "trained with SGD, learning rate 0.02, batch 16, mosaic 0, 2 classes; the weights of epoch 3 of 3"
        " count"
    )


def test_the_optimizer_is_named_where_nobody_names_one() -> None:
    assert overrides_of(load_settings(None).round.model_dump()) == {"optimizer": "AdamW", "lr0": 0.001}


@pytest.mark.parametrize(
    ("train", "said"),
    [
        ({"optimizer": "auto"}, "'auto' chooses its own learning rate and throws lr0 away"),
        ({"single_cls": True}, "it makes one class of all"),
        ({"epochs": 3}, "set 'epochs' of the spec, round.epochs of a project"),
    ],
)
def test_a_round_that_its_training_would_not_follow_is_not_opened(
    labeled: FakeParts, train: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigError, match=rf"^round\.train: training settings: expected no .*{said}"):
        started(labeled, train=train)
    assert rounds.current(labeled.project) is None


def test_what_judges_never_trains(labeled: FakeParts) -> None:
    run(started(labeled))
    analyze(labeled, quiet)
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
    return [frame.seq for frame in held_out(parts.project, view.made, row.base_model_id).rows]


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
    row = run(started(labeled, weights(blind_to=["helmet"])))
    assert row.status is RoundStatus.REJECTED
    assert row.verdict is not None
    assert row.verdict["reasons"][0].startswith("class helmet fell: AP50 1.000 -> 0.")
    (overall,) = [check for check in row.verdict["checks"] if check["name"] == "better overall"]
    assert overall["status"] == "pass", overall
    assert in_production(labeled) == sha_of(BASE)


def test_a_part_of_a_rare_class_that_chance_may_explain_is_named_and_does_not_block(
    labeled: FakeParts,
) -> None:
    """Three of eight objects, where a score of slices is looked at."""
    row = run(started(labeled, weights(misses=["helmet"])))
    assert row.status is RoundStatus.PROMOTED
    assert row.verdict is not None
    assert row.verdict["reasons"][-1].startswith(
        "could not be verified, so nothing is claimed of them: class helmet may have fallen: "
    )


def test_a_slice_with_too_few_groups_is_called_unverifiable(labeled: FakeParts) -> None:
    row = run(started(with_gate(labeled, fall_groups=8)))
    assert row.verdict is not None
    (helmet,) = [check for check in row.verdict["checks"] if check["name"] == "no fall: class helmet"]
    assert (helmet["status"], helmet["groups"] < 8) == ("unverifiable", True)
    said = "could not be verified, so nothing is claimed of them: class helmet"
    assert any(reason.startswith(said) for reason in row.verdict["reasons"])


@pytest.mark.parametrize("purpose", [Purpose.CONSENSUS, Purpose.SUSPECT, Purpose.INSPECTION, Purpose.REPORT])
def test_labels_of_another_purpose_stop_the_freeze(labeled: FakeParts, purpose: Purpose) -> None:
    with write(labeled.project.engine) as session:
        seq = min(labels(session, source="annotation"))
        set_label(session, seq, [], purpose, "annotation")
    row = run(started(labeled))
    assert row.status is RoundStatus.FAILED
    assert row.error is not None
    assert row.error.startswith(
        f"freeze: expected frames to train or to evaluate with, got one for {purpose}"
    )
    assert not labeled.fake_trainer.specs


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
    ingest(parts, quiet)
    analyze(parts, quiet)
    row = run(started(parts))
    assert row.status is RoundStatus.FAILED
    assert row.error is not None
    assert row.error == NOTHING_HELD_OUT


def test_one_class_is_enough(tmp_path: Path) -> None:
    parts = FakeParts(make_project(tmp_path / "project", train=3, val=2))
    write_frames(tmp_path / "incoming", bright=3, dark=0)
    ingest(parts, quiet)
    analyze(parts, quiet)
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
        judge.held_out(labeled.project, coverage_view.build(labeled, quiet).made, row.base_model_id)


def test_a_dataset_that_cannot_be_trained_on_ends_the_round_before_it_trains(labeled: FakeParts) -> None:
    def damaged(manifest: Manifest, store: Path, out: Path) -> None:
        export_yolo(manifest, store, out)
        next((out / "labels").rglob("*.txt")).write_text("7 0.5 0.5 2 2\n")

    with patch.object(freeze, "export_yolo", damaged):
        row = run(started(labeled))
    assert row.status is RoundStatus.FAILED
    assert row.error is not None
    assert row.error.startswith("expected a dataset that can be trained on, got 1 problem: ")
    assert labeled.fake_trainer.specs == []


def test_the_gate_judges_by_the_settings_of_the_project(labeled: FakeParts) -> None:
    row = run(started(with_gate(labeled, fall_groups=8, margin=0.01, required=("no fall: class helmet",))))
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
    select(parts, quiet, budget=40)
    push(parts, quiet)
    for key in parts.server.task_keys():
        parts.server.answer(key, [Box("person", (0.0, 0.0, 8.0, 8.0))])
    pull(parts, quiet)
    rounds.start(parts)
    row = rounds.current(parts.project)
    assert row is not None
    held = judge.held_out(parts.project, coverage_view.build(parts, quiet).made, row.base_model_id)
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


def conditions_of(parts: FakeParts) -> dict[int, tuple[str, ...]]:
    """What the manifest of the open round says of its production frames."""
    entries = frozen(parts).entries
    return {entry.frame: entry.conditions for entry in entries if entry.origin == Origin.PRODUCTION}


def frozen(parts: FakeParts) -> Manifest:
    row = rounds.current(parts.project)
    assert row is not None
    return freeze.build_manifest(parts.project, producers(parts).embedder, row)


def gaps_by_frame(parts: FakeParts, batch: int) -> dict[int, set[str]]:
    """Of each frame of the batch, the gaps there are now that it shows."""
    view = coverage_view.build(parts, quiet)
    inside = {gap.key: set(view.production.seq[gap.frames].tolist()) for gap in view.gaps}
    with read(parts.project.engine) as session:
        chosen = [task.frame for task in tasks(session, batch=batch)]
    return {frame: {key for key, own in inside.items() if frame in own} for frame in chosen}


def test_a_labeled_frame_shows_the_gaps_that_it_showed_when_it_was_chosen(chosen: FakeParts) -> None:
    first = gaps_by_frame(chosen, batch=1)
    assert any(first.values())
    label_all(chosen.project, only=first)
    select(chosen, quiet, budget=6)
    second = gaps_by_frame(chosen, batch=2)
    label_all(chosen.project)
    started(chosen)
    found = conditions_of(chosen)
    for frame, conditions in found.items():
        assert set(conditions) == first.get(frame, set()) | second.get(frame, set())
    assert any(found[frame] for frame in first)


def test_a_dataset_is_the_same_however_often_production_was_compared(chosen: FakeParts) -> None:
    label_all(chosen.project)
    started(chosen)
    with patch.object(coverage_view, "build", side_effect=AssertionError):
        before = frozen(chosen).to_json()
    coverage_view.build(chosen, quiet)
    promoted_before(chosen)
    arrivals.analyze(chosen, quiet)
    coverage_view.build(chosen, quiet)
    assert frozen(chosen).to_json() == before


def test_a_retired_slice_is_no_condition_of_a_dataset(chosen: FakeParts) -> None:
    label_all(chosen.project)
    started(chosen)
    found = conditions_of(chosen)
    key = min(key for conditions in found.values() for key in conditions)
    with write(chosen.project.engine) as session:
        retire_slice(session, next(row.id for row in slices(session) if row.key == key))
    assert conditions_of(chosen) == {
        seq: tuple(each for each in conditions if each != key) for seq, conditions in found.items()
    }
