"""Suspect labels before people: what they are asked, and what their answers say of the suspicion."""

from __future__ import annotations

import pytest

from connectors.ports import Box
from db.engine import read, write
from db.labels import labels, set_label
from db.states import SuspectKind, SuspectOutcome
from db.suspects import SuspectRow, newest_run, suspects
from loop.changes.audit import Who
from loop.changes.suspects import send_worst
from loop.rounds.suspects import judge_labels
from tests.fakes import FakeParts, FakeTrainer, StudioTask, quiet, weights
from tests.loop.desk import pull, push, rows
from tests.loop.planted import SPURIOUS, wrong
from tests.studio import Person, Studio

ANN = Who("ann", "command")
CONFIRMED, REFUTED = SuspectOutcome.CONFIRMED, SuspectOutcome.REFUTED


def asked(parts: FakeParts) -> dict[SuspectKind, StudioTask]:
    """The four planted errors, found and pushed; the task of each in Label Studio."""
    planted = wrong(parts)
    judge_labels(parts, quiet)
    assert send_worst(parts.project, ANN, 4).frames == 4
    push(parts)
    with read(parts.project.engine) as session:
        number_of = {row.frame: row.task_id for row in suspects(session) if row.task_id}
    keys = {row.id: row.key for row in rows(parts)}
    return {kind: parts.server.of(keys[number_of[frame] or 0]) for kind, frame in planted.items()}


def of(parts: FakeParts, kind: SuspectKind) -> SuspectRow:
    with read(parts.project.engine) as session:
        return next(row for row in suspects(session) if row.kind is kind and row.task_id)


def test_what_a_person_sees(labeled: FakeParts) -> None:
    shown = {kind: one.task for kind, one in asked(labeled).items()}
    assert {kind: one.reason.split(" (")[0] for kind, one in shown.items()} == {
        SuspectKind.OVERLOOKED: "person here has no box?",
        SuspectKind.SPURIOUS: "no person here, though it is labeled?",
        SuspectKind.CLASS: "person here is labeled helmet?",
        SuspectKind.LOCATION: "box of person here is badly placed?",
    }
    drawn = {kind: [(box.class_name, box.xyxy) for box in one.predictions] for kind, one in shown.items()}
    assert all(len(boxes) == 1 for boxes in drawn.values()), "the fix is drawn, and nothing else"
    assert SPURIOUS.xyxy not in [xyxy for _, xyxy in drawn[SuspectKind.SPURIOUS]]
    assert all(one.purpose == "suspect" for one in shown.values())


def test_answers_settle_suspects_and_labels(labeled: FakeParts) -> None:
    tasks = asked(labeled)
    for kind in (SuspectKind.OVERLOOKED, SuspectKind.LOCATION):
        labeled.server.accept(tasks[kind].task.key)
    was = [Box("helmet", tuple(of(labeled, SuspectKind.CLASS).box[1:]))]
    labeled.server.answer(tasks[SuspectKind.CLASS].task.key, was)
    pull(labeled)
    assert of(labeled, SuspectKind.OVERLOOKED).outcome is CONFIRMED
    assert of(labeled, SuspectKind.LOCATION).outcome is CONFIRMED
    assert of(labeled, SuspectKind.CLASS).outcome is REFUTED
    assert of(labeled, SuspectKind.SPURIOUS).outcome is None
    fixed = of(labeled, SuspectKind.OVERLOOKED)
    with read(labeled.project.engine) as session:
        label = labels(session)[fixed.frame]
    assert [[box.class_name, *box.xyxy] for box in label.boxes] == [fixed.fix]


def test_an_answer_that_is_taken_back_takes_the_outcome_back(labeled: FakeParts) -> None:
    task = asked(labeled)[SuspectKind.CLASS]
    given = labeled.server.accept(task.task.key)
    pull(labeled)
    assert of(labeled, SuspectKind.CLASS).outcome is CONFIRMED
    labeled.server.delete_answer(given)
    pull(labeled)
    assert of(labeled, SuspectKind.CLASS).outcome is None


@pytest.mark.studio
def test_a_person_settles_a_suspect_in_the_real_label_studio(real: FakeParts, label_studio: Studio) -> None:
    real.fake_trainer = FakeTrainer(weights(note="fold"))
    with write(real.project.engine) as session:
        seq, label = next(iter(labels(session, purpose="train").items()))
        (box,) = label.boxes
        other = "helmet" if box.class_name == "person" else "person"
        set_label(session, seq, [Box(other, box.xyxy)], "train", label.source)
    judge_labels(real, quiet)
    before = rate(real)
    send_worst(real.project, ANN, 1)
    push(real)
    task = next(row for row in rows(real) if row.purpose == "suspect")
    there = label_studio.call("GET", f"tasks/{task.external_id}")
    assert f"{box.class_name} here is labeled {other}?" in str(there["data"])
    Person(label_studio).accept(task.external_id or 0)
    pull(real)
    assert of(real, SuspectKind.CLASS).outcome is CONFIRMED
    with read(real.project.engine) as session:
        (now,) = labels(session, [seq])[seq].boxes
    assert now.class_name == box.class_name
    assert now.xyxy == pytest.approx(box.xyxy, abs=0.05)
    judge_labels(real, quiet)
    assert rate(real) > before, "the next list has learned that such suspects are wrong"


def rate(parts: FakeParts) -> float:
    """Of labels with a wrong class, as the newest calibration has it."""
    with read(parts.project.engine) as session:
        run = newest_run(session)
    assert run is not None
    return float(run.calibration["fold"]["class"]["rate"])
