"""Lots: drawn, pushed, inspected by somebody else, accepted or sent back to the desk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from connectors.ports import Box, Purpose
from db.changes import changes
from db.engine import read, write
from db.labels import count_labels, labels, set_label
from db.lots import held_back, lot_draws, lot_members, lots, lots_of_labels, set_draws
from db.rounds import round_by_id
from db.states import OPEN_TASKS, LotStatus, TaskStatus
from db.tasks import move, tasks
from loop.analysis.producers import producers
from loop.base.errors import ConfigError
from loop.changes.audit import Who
from loop.changes.lots import LotDrawn, draw, withdraw
from loop.changes.tasks import drop
from loop.datasets.freeze import Manifest, summary
from loop.insights.frame_query import FrameQuery
from loop.insights.frames import frame_sets
from loop.insights.labels import findings
from loop.insights.lots import lot_view, lots_page, planned, sample_lines
from loop.labeling.asking import Ask, ask
from loop.labeling.consensus import MOST_SAY
from loop.labeling.lots import verdict_text
from loop.math.quality.acceptance import plan_of
from loop.rounds import rounds
from loop.rounds.freeze import build_manifest
from loop.rounds.judge import held_out
from loop.rounds.preflight import preflight
from loop.rounds.rounds import new_labels
from tests.fakes import FakeParts
from tests.loop.desk import pull, push, rows

ME = Who("boss", "page")
BOB = "bob@example.org"


@pytest.fixture
def answered(pushed: FakeParts) -> FakeParts:
    """A batch of 12, each with one box, answered by ann."""
    for task in pushed.server.tasks:
        pushed.server.answer(task.task.key, [Box("person", (2.0, 2.0, 12.0, 12.0))])
    pull(pushed)
    return pushed


@pytest.fixture
def lot(answered: FakeParts) -> LotDrawn:
    made = draw(answered, ME, seed=5)
    push(answered)
    return made


def inspections(parts: FakeParts) -> Iterator[str]:
    """Keys of what is to be inspected."""
    for task in rows(parts, TaskStatus.CONFIRMED):
        if task.purpose is Purpose.INSPECTION and "again" not in task.about:
            yield task.key


def inspect(parts: FakeParts, wrong: int = 0, author: str = BOB, most: int = 100) -> list[str]:
    """The first `most` frames; so many of them get another label. What the pull said of lots."""
    for number, key in enumerate([*inspections(parts)][:most]):
        boxes = list(parts.server.of(key).task.predictions)
        boxes = [replace(box, class_name="helmet") for box in boxes] if number < wrong else boxes
        parts.server.answer(key, boxes, author=author)
    return pull(parts).lots


def status(parts: FakeParts, number: int = 1) -> LotStatus:
    with read(parts.project.engine) as session:
        (row,) = lots(session, ids=[number])
    return row.status


def test_the_plan_is_told_before_anybody_starts(answered: FakeParts) -> None:
    found = planned(answered, "", "zero", 1)
    assert (found.sample.labels, found.sample.boxes, found.sample.places) == (12, 12, 24)
    assert (found.plan.risks, found.plan.limit, found.plan.accept) == ("hypergeometric", 1, 0)
    assert "zero plan: inspect 23 of 24 places; accept with none wrong" in sample_lines(found)
    with read(answered.project.engine) as session:
        assert lots(session) == []
    with pytest.raises(ConfigError, match="plan: expected zero or double, got 'triple'; choose one"):
        planned(answered, "", "triple", 1)
    with pytest.raises(ConfigError, match=r"expected labels with boxes that no lot holds yet, got 0 labels"):
        planned(answered, "labeled=no", "zero", 1)


def test_inspectors_see_the_label_and_who_made_it(answered: FakeParts, lot: LotDrawn) -> None:
    keys = [*inspections(answered)]
    with read(answered.project.engine) as session:
        draws, members = lot_draws(session, lot.lot), lot_members(session, lot.lot)
    assert len(members) == 12
    assert len(keys) == len(draws) > 10
    task = answered.server.of(keys[0]).task
    assert [(box.class_name, box.xyxy) for box in task.predictions] == [("person", (2.0, 2.0, 12.0, 12.0))]
    assert "to be inspected by somebody other than ann@example.org" in task.reason
    with pytest.raises(ConfigError, match="expected labels with boxes that no lot holds yet"):
        draw(answered, ME)


def test_an_accepted_lot_is_said_and_stands_in_the_dataset(answered: FakeParts, lot: LotDrawn) -> None:
    (said,) = inspect(answered)
    assert said.startswith("lot 1 accepted: at least 98 % of its boxes are right, with 95 % confidence (0 of")
    assert status(answered) is LotStatus.ACCEPTED
    page = lots_page(answered.project)
    assert page.never == frame_sets(answered).find(FrameQuery.parse("lot=0")).count
    assert frame_sets(answered).find(FrameQuery.parse("lot=1")).count == page.lots[0].labels == 12
    assert manifest_lots(answered)[0] == [1]
    assert pull(answered).lots == []


def test_a_rejected_lot_goes_back_to_the_desk_until_it_is_reviewed(
    answered: FakeParts, lot: LotDrawn
) -> None:
    before = new_labels(answered.project)
    (said,) = inspect(answered, wrong=3, most=3)
    assert said == (
        "lot 1 rejected: 3 of 6 inspected places are wrong, and its plan allows 0; 9 labels must be reviewed"
        " again before they train or judge"
    )
    with read(answered.project.engine) as session:
        held = held_back(session)
        known, usable = labels(session), labels(session, usable=True)
        assert known.keys() - usable.keys() == set(held)
        assert count_labels(session, usable=True) == len(usable)
        waiting = {task.frame for task in tasks(session, status=OPEN_TASKS)}
    assert len(held) == 9
    assert waiting == set(held)
    assert new_labels(answered.project) <= before - sum(known[seq].purpose == "train" for seq in held)
    assert not manifest_frames(answered) & set(held)
    assert not {row.seq for row in held_out(answered.project, producers(answered), 1).rows} & set(held)
    assert findings(answered.project)[0].severity == 0.95
    assert any("of rejected lots" in line for line in preflight(answered).lines())
    push(answered)
    for task in rows(answered, TaskStatus.CONFIRMED):
        answered.server.answer(task.key, answered.server.of(task.key).task.predictions, author=BOB)
    pull(answered)
    with read(answered.project.engine) as session:
        assert held_back(session) == []
    assert "all its labels were reviewed again" in lot_view(answered.project, 1).verdict


def test_whoever_made_a_label_does_not_inspect_it(answered: FakeParts, lot: LotDrawn) -> None:
    first = {*inspections(answered)}
    assert inspect(answered, author="ann@example.org") == []
    assert lot_view(answered.project, 1).stages[0].inspected == 0
    push(answered)
    second = {*inspections(answered)}
    assert len(second) == len(first)
    assert not first & second
    (said,) = inspect(answered)
    assert said.startswith("lot 1 accepted")


def test_a_skipped_inspection_counts_as_wrong(answered: FakeParts, lot: LotDrawn) -> None:
    for key in inspections(answered):
        answered.server.answer(key, cancelled=True, author=BOB)
    (said,) = pull(answered).lots
    assert said.startswith("lot 1 rejected")


def test_an_inspection_that_was_deleted_is_asked_again(answered: FakeParts, lot: LotDrawn) -> None:
    waiting = [*inspections(answered)]
    answered.server.delete_task(waiting[0])
    assert pull(answered).lots == []
    push(answered)
    assert len([*inspections(answered)]) == len(waiting)
    (said,) = inspect(answered)
    assert said.startswith("lot 1 accepted")


def test_a_dropped_inspection_counts_as_wrong(answered: FakeParts, lot: LotDrawn) -> None:
    key = next(inspections(answered))
    (number,) = (task.id for task in rows(answered) if task.key == key)
    assert drop(answered.project, ME, [number]).done == [number]
    (said,) = inspect(answered)
    assert said.startswith("lot 1 rejected")


def test_a_label_that_is_reviewed_elsewhere_can_enter_the_next_lot(
    answered: FakeParts, lot: LotDrawn
) -> None:
    inspect(answered, wrong=3, most=3)
    push(answered)
    back = next(task for task in rows(answered, TaskStatus.CONFIRMED))
    with write(answered.project.engine) as session:
        ask(session, Purpose.SUSPECT, "suspects", [Ask(back.frame, "look", 0.5)], {})
    push(answered)
    suspect = next(task.key for task in rows(answered) if task.purpose is Purpose.SUSPECT)
    answered.server.answer(suspect, [Box("person", (2.0, 2.0, 12.0, 12.0))], author="eve@example.org")
    pull(answered)
    assert draw(answered, ME, kind="zero", seed=1).lot == 2
    answered.server.answer(back.key, [Box("person", (2.0, 2.0, 12.0, 12.0))], author=BOB)
    pull(answered)
    with read(answered.project.engine) as session:
        assert [one.frame for one in lot_draws(session, 2) if one.task_id is None] == []


def test_a_lot_is_open_again_when_an_inspection_is_taken_back(answered: FakeParts, lot: LotDrawn) -> None:
    key = next(inspections(answered))
    inspect(answered)
    (given,) = answered.server.of(key).answers
    answered.server.delete_answer(given)
    (said,) = pull(answered).lots
    assert said.startswith("lot 1 under inspection: ")
    assert status(answered) is LotStatus.DRAWN
    answered.server.answer(key, [], author=BOB)
    (said,) = pull(answered).lots
    assert said.startswith("lot 1 rejected"), "the box was deleted"


def test_a_lot_can_be_withdrawn(answered: FakeParts, lot: LotDrawn) -> None:
    waiting = len([*inspections(answered)])
    assert (
        withdraw(answered.project, ME, 1)
        == f"lot 1 is withdrawn; {waiting} tasks taken back with the next push"
    )
    push(answered)
    assert [*inspections(answered)] == []
    with pytest.raises(
        ConfigError, match="expected a lot that is under inspection, got lot 1, which is withdrawn"
    ):
        withdraw(answered.project, ME, 1)
    with pytest.raises(ConfigError, match="expected the number of a lot, got 7"):
        withdraw(answered.project, ME, 7)
    with read(answered.project.engine) as session:
        assert [row.what for row in changes(session, 2)] == ["lot withdrawn", "lot drawn"]
    assert draw(answered, ME).lot == 2


def test_no_lot_is_given_up_for_a_luckier_draw(answered: FakeParts, monkeypatch: pytest.MonkeyPatch) -> None:
    """A double plan goes on after one wrong place; giving up then and drawing anew would pass in the end."""
    monkeypatch.setattr(
        "loop.labeling.lots.plan_of",
        lambda boxes, places, right, confidence, kind: replace(
            plan_of(boxes, places, right, confidence, kind), first=8, second=8, accept=2
        ),
    )
    draw(answered, ME, seed=5)
    push(answered)
    inspect(answered, wrong=1, most=2)
    assert status(answered) is LotStatus.DRAWN
    with pytest.raises(ConfigError, match=r"nothing wrong was found so far, got lot 1 with \d wrong place"):
        withdraw(answered.project, ME, 1)
    assert status(answered) is LotStatus.DRAWN


def test_a_label_that_others_changed_since_is_no_longer_of_the_lot(
    answered: FakeParts, lot: LotDrawn
) -> None:
    """Fused of several persons' answers it keeps the answer of the first, but not its boxes."""
    with write(answered.project.engine) as session:
        row = next(row for row in labels(session, purpose="train").values() if row.annotation_id)
        assert row.frame in lots_of_labels(session, [LotStatus.DRAWN])
        boxes = [*row.boxes, Box("helmet", (20.0, 2.0, 28.0, 9.0))]
        set_label(session, row.frame, boxes, row.purpose, row.source, row.annotation_id, MOST_SAY)
        assert row.frame not in lots_of_labels(session, [LotStatus.DRAWN])


def test_what_could_not_be_asked_for_is_asked_later(answered: FakeParts, lot: LotDrawn) -> None:
    """A frame with an open inspection of an earlier lot is left out when the lot is drawn."""
    with write(answered.project.engine) as session:
        row = lot_draws(session, lot.lot)[0]
        set_draws(session, [replace(row, task_id=None)])
        move(session, [row.task_id or 0], OPEN_TASKS, TaskStatus.CANCELLED)
    pull(answered)
    with read(answered.project.engine) as session:
        assert all(one.task_id not in (None, row.task_id) for one in lot_draws(session, lot.lot)[:1])


def test_more_errors_than_places_are_said_as_errors(answered: FakeParts, lot: LotDrawn) -> None:
    plan = lot_view(answered.project, 1).plan
    said = verdict_text(LotStatus.REJECTED, plan, [6, 0], [9, 0], 0)
    assert said.startswith("rejected: 9 errors in 6 inspected places, and its plan allows 0")


def manifest_frames(parts: FakeParts) -> set[int]:
    return {entry.frame for entry in manifest(parts).entries}


def manifest_lots(parts: FakeParts) -> tuple[list[int], int]:
    made = manifest(parts)
    return made.settings["lots"], made.settings["never_inspected"]


def manifest(parts: FakeParts) -> Manifest:
    number = rounds.start(parts)
    with read(parts.project.engine) as session:
        row = round_by_id(session, number)
    made = build_manifest(parts.project, producers(parts).embedder, row)
    assert summary(made)["lots"] == made.settings["lots"]
    return made
