"""From labels to suspects: who judges what, what is found, and what is kept of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.errors import TrainingCancelled
from db.engine import read, write
from db.labels import labels, set_label
from db.suspects import newest_run, suspects
from loop.base.errors import RoundError
from loop.changes.audit import Who
from loop.changes.suspects import dismiss, stop_run
from loop.datasets.folds import folds
from loop.datasets.units import Item
from loop.rounds.fold_models import Recipe, fold_models
from loop.rounds.suspects import judge_labels
from tests.fakes import CLASSES, FakeParts, FakeTrainer, quiet, weights
from tests.loop.planted import wrong


def test_planted_errors_come_first(labeled: FakeParts) -> None:
    planted = wrong(labeled)
    report = judge_labels(labeled, quiet)
    with read(labeled.project.engine) as session:
        rows, run = suspects(session), newest_run(session)
    assert {(row.kind, row.frame) for row in rows[:4]} == set(planted.items())
    assert [row.gain for row in rows] == sorted((row.gain for row in rows), reverse=True)
    assert run is not None
    assert "3 short, small models: 10 epochs at 320 px" in run.judges["lines"][0]
    assert run.judges["lines"] == report.judges


def test_no_model_judges_what_it_learned(labeled: FakeParts) -> None:
    wrong(labeled)
    judge_labels(labeled, quiet)
    specs = labeled.fake_trainer.specs
    assert len(specs) == labeled.project.settings.labels.folds
    assert {spec.imgsz for spec in specs} == {labeled.project.settings.labels.fold_imgsz}
    again = len(specs)
    judge_labels(labeled, quiet)
    assert len(specs) == again, "labels that stayed as they were are judged by the same models"
    with write(labeled.project.engine) as session:
        seq = [*labels(session, purpose="train", source="annotation")][-1]
        set_label(session, seq, [], "train", "annotation")
    judge_labels(labeled, quiet)
    assert len(specs) == again + labeled.project.settings.labels.folds - 1, "its own judge stays"


def test_a_stopped_run_goes_on(labeled: FakeParts) -> None:
    def stop_at_once(epoch: int) -> None:
        if epoch == 2 and not stopped:
            stopped.append(epoch)
            stop_run(labeled.project, Who("ann", "command"))

    stopped: list[int] = []
    labeled.fake_trainer = FakeTrainer(weights(note="fold"), stop_at_once)
    with pytest.raises(TrainingCancelled):
        judge_labels(labeled, quiet)
    with read(labeled.project.engine) as session:
        assert newest_run(session) is None
    judge_labels(labeled, quiet)
    chosen = labeled.project.settings.labels
    assert labeled.fake_trainer.trained == chosen.folds * chosen.fold_epochs, "no epoch is done twice"


def test_what_was_decided_is_not_found_again(labeled: FakeParts) -> None:
    wrong(labeled)
    judge_labels(labeled, quiet)
    with read(labeled.project.engine) as session:
        first = suspects(session)[0]
    dismiss(labeled.project, Who("ann", "command"), [first.id])
    judge_labels(labeled, quiet)
    with read(labeled.project.engine) as session:
        same = [row for row in suspects(session) if (row.frame, row.kind) == (first.frame, first.kind)]
    assert [row.id for row in same] == [first.id]


def test_labels_of_one_day_cannot_judge_one_another() -> None:
    item = Item(1, "a" * 64, "a.jpg", 32, 24, ((0, 1, 1, 9, 9),), "production", "gate|2026-03-02")
    (fold,) = folds([item], 3, 0)
    assert fold.judged == [1]
    with pytest.raises(RoundError, match=r"expected labels of at least 2 groups .* got 1; label frames of"):
        fold_models(FakeTrainer(weights()), [item], CLASSES, Path(), Path(), RECIPE, 3, quiet)


def test_whole_days_are_judged_and_their_near_duplicates_left_out() -> None:
    items = [
        Item(n, f"{n:064d}", f"{n}.jpg", 32, 24, (), "production", f"gate|{n // 4}", cluster=n % 8)
        for n in range(24)
    ]
    made = folds(items, 3, 0)
    assert sorted(seq for fold in made for seq in fold.judged) == list(range(24))
    for fold in made:
        assert {seq // 4 for seq in fold.judged}.isdisjoint(
            seq // 4 for seq, side in fold.sides.items() if side == "train"
        )
        assert {seq % 8 for seq in fold.judged}.isdisjoint(
            seq % 8 for seq, side in fold.sides.items() if side == "train"
        )
    assert folds(items[::-1], 3, 0)[0].judged[::-1] == made[0].judged


RECIPE = Recipe(Path("base.pt"), 1, 32, 4, "cpu", 0, {})
