"""Which boxes a task is sent with, and what is learned from what became of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connectors.ports import Box, Purpose
from db.effort import drawn_boxes
from db.engine import read, write
from db.states import TaskStatus
from loop.labeling.asking import Ask, ask
from loop.labeling.drawing import drawings, is_bare
from loop.labeling.effort import seconds_of, seconds_to_look, thresholds, work_of
from loop.math.boxes.drawn import DRAWN_ABOVE
from loop.math.quality.effort import FEW, RULE
from loop.project.project import Project
from loop.selection.select import select
from tests.fakes import SIZE, FakeParts, quiet
from tests.loop.desk import HAT, a_key, pull, push, row, rows
from tests.studio import Person, Studio


def with_settings(project: Project, **labels: object) -> Project:
    settings = project.settings.model_copy(
        update={"labels": project.settings.labels.model_copy(update=labels)}
    )
    return replace(project, settings=settings)


def test_what_judges_is_never_drawn_and_what_was_drawn_is_kept(pushed: FakeParts) -> None:
    judging = [task for task in pushed.server.tasks if task.task.purpose == Purpose.EVALUATION]
    assert judging
    assert all(task.task.predictions == () for task in judging)
    assert all(row(pushed, task.task.key).detector is not None for task in judging)
    assert any(task.task.predictions for task in pushed.server.tasks)
    for task in pushed.server.tasks:
        known = row(pushed, task.task.key)
        assert known.drawn is not None
        assert drawn_boxes(known.drawn) == tuple(task.task.predictions)


def test_consensus_is_never_drawn_and_a_label_that_is_looked_at_again_is_as_it_says(
    chosen: FakeParts,
) -> None:
    one = rows(chosen)[0]
    again = replace(one, purpose=Purpose.SUSPECT, about={"draw": [["helmet", 1.0, 2.0, 9.0, 10.0]]})
    second = replace(one, purpose=Purpose.CONSENSUS)
    with read(chosen.project.engine) as session:
        (told,) = drawings(session, chosen.project, [again]).values()
        (unseen,) = drawings(session, chosen.project, [second]).values()
    assert [(box.class_name, box.xyxy) for box in told.boxes] == [("helmet", HAT.xyxy)]
    assert unseen.boxes == ()


def test_a_tenth_of_what_trains_is_bare_and_always_the_same(chosen: FakeParts) -> None:
    some = rows(chosen)[0]
    many = [replace(some, id=seq, frame=seq, purpose=Purpose.TRAIN) for seq in range(4000)]
    bare = [is_bare(chosen.project, task) for task in many]
    assert bare == [is_bare(chosen.project, task) for task in many]
    assert 0.08 < sum(bare) / 4000 < 0.12
    assert not any(is_bare(chosen.project, replace(task, purpose=Purpose.EVALUATION)) for task in many)
    other = replace(chosen.project, settings=chosen.project.settings.model_copy(update={"seed": 99}))
    assert bare != [is_bare(other, task) for task in many]


def test_a_bare_task_is_sent_without_boxes_and_says_so(chosen: FakeParts) -> None:
    chosen.project = with_settings(chosen.project, bare_share=1.0)
    push(chosen)
    assert all(task.task.predictions == () for task in chosen.server.tasks)
    told = {(task.purpose, task.bare) for task in rows(chosen)}
    assert told == {(Purpose.TRAIN, True), (Purpose.EVALUATION, False)}
    assert all(task.drawn == [] for task in rows(chosen))


def test_a_setting_decides_from_which_confidence_a_class_is_drawn(chosen: FakeParts) -> None:
    """The fake detector is sure by .9."""
    chosen.project = with_settings(chosen.project, drawn_above={"person": 0.95})
    push(chosen)
    assert all(task.task.predictions == () for task in chosen.server.tasks)
    with read(chosen.project.engine) as session:
        found = thresholds(session, chosen.project, rows(chosen)[0].detector, work_of(session))
    assert (found["person"].above, found["person"].source) == (0.95, "setting")
    assert (found["helmet"].above, found["helmet"].source) == (DRAWN_ABOVE, "rule")


def test_edits_are_read_from_the_answers_that_stand(pushed: FakeParts) -> None:
    drawn, bare = a_key(pushed), a_key(pushed, boxes=False)
    (box,) = pushed.server.of(drawn).task.predictions
    pushed.server.answer(drawn, [box, HAT])
    first = pushed.server.answer(bare, [HAT])
    pull(pushed)
    pushed.server.answer(bare, [HAT, Box("person", (20, 10, 28, 20))], again=first)
    skipped = a_key(pushed)
    pushed.server.answer(skipped, cancelled=True)
    pushed.server.answer(a_key(pushed, "evaluation"), [HAT], unseen=True)
    pull(pushed)
    with read(pushed.project.engine) as session:
        work = {one.given.task: one for one in work_of(session)}
    assert set(work) == {row(pushed, drawn).id, row(pushed, bare).id}, "skipped ones are no work on boxes"
    assert sorted(edit.fate for edit in work[row(pushed, drawn).id].edits or ()) == ["accepted", "added"]
    assert [edit.fate for edit in work[row(pushed, bare).id].edits or ()] == ["added", "added"]
    assert {one.seconds for one in work.values()} == {3.0}
    assert seconds_of([*work.values()]) == RULE, "two tasks teach nothing"
    assert seconds_to_look(pushed.project).seconds_for(accepted=2) == RULE.task + 2 * RULE.accepted


def answer_in(parts: FakeParts, key: str, boxes: list[Box], seconds: float) -> None:
    """A person's answer that took so long."""
    given = parts.server.answer(key, boxes)
    task = parts.server.of(key)
    task.answers = [replace(one, lead_time_s=seconds) if one is given else one for one in task.answers]


@pytest.mark.parametrize("right", [True, False])
def test_where_boxes_of_a_class_are_drawn_from_is_learned(analyzed: FakeParts, right: bool) -> None:
    """Each drawn person is deleted, or stands; others are added at 7 s each."""
    select(analyzed, quiet, budget=42)
    push(analyzed)
    keys = [task.task.key for task in analyzed.server.tasks if task.task.purpose == Purpose.TRAIN]
    for place, key in enumerate(keys):
        drawn = list(analyzed.server.of(key).task.predictions)
        more = [Box("person", (2.0 + 9 * n, 17.0, 9.0 + 9 * n, 23.0)) for n in range(1 + place % 3)]
        seconds = 10 + 7 * len(more) + (1 if right else 2) * len(drawn)
        answer_in(analyzed, key, [*(drawn if right else ()), *more], seconds)
    pull(analyzed)
    with read(analyzed.project.engine) as session:
        found = thresholds(session, analyzed.project, rows(analyzed)[0].detector, work_of(session))
    assert found["person"].source == "learned"
    assert found["person"].edits >= FEW
    assert found["person"].above < 0.5 if right else found["person"].above > 0.9
    assert found["helmet"].source == "rule"


def test_tasks_that_are_asked_again_keep_what_they_were_drawn_with(pushed: FakeParts) -> None:
    key = a_key(pushed)
    pushed.server.answer(key, [HAT])
    pull(pushed)
    frame = row(pushed, key).frame
    with write(pushed.project.engine) as session:
        made = ask(session, Purpose.SUSPECT, "suspects", [Ask(frame, "look", 0.5, draw=[HAT])], {})
    push(pushed)
    (task,) = [task for task in rows(pushed, TaskStatus.CONFIRMED) if task.id == made[frame]]
    assert task.drawn == [["helmet", *HAT.xyxy, None]]
    assert not task.bare


@pytest.mark.studio
def test_edits_in_the_real_label_studio_are_told_apart(real: FakeParts, label_studio: Studio) -> None:
    person = Person(label_studio)
    shown = [task for task in rows(real) if task.drawn]
    assert len(shown) >= 4
    kept, moved, deleted, added = (task.external_id or 0 for task in shown[:4])
    person.accept(kept)
    person.move(moved, 0, (3.0, 3.0, 25.0, 20.0), SIZE)
    person.remove(deleted, 0)
    person.add(added, "helmet", HAT.xyxy, SIZE)
    pull(real)
    with read(real.project.engine) as session:
        told = {one.given.task: [edit.fate for edit in one.edits or ()] for one in work_of(session)}
        seconds = {one.seconds for one in work_of(session)}
    assert [told[task.id] for task in shown[:4]] == [
        ["accepted"],
        ["moved"],
        ["deleted"],
        ["accepted", "added"],
    ]
    assert seconds == {4.5}
