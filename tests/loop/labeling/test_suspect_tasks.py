"""Suspect labels before people: what they are asked, and what their answers say of the suspicion."""

from __future__ import annotations

from connectors.ports import Box
from db.engine import read
from db.labels import labels
from db.states import SuspectKind, SuspectOutcome
from db.suspects import SuspectRow, suspects
from loop.changes.audit import Who
from loop.changes.suspects import send_worst
from loop.rounds.suspects import judge_labels
from tests.fakes import FakeParts, StudioTask, quiet
from tests.loop.desk import pull, push, rows
from tests.loop.planted import SPURIOUS, wrong

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
