"""What labeling costs, as pages, API and command read it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connectors.ports import Box, Purpose
from loop.insights import effort_words, labels
from loop.insights.effort import ANNOTATOR, CLASS, MODEL, SLICE, ClassCost, effort
from loop.insights.effort_words import drawn_text, lines, objects_line, saved_line
from loop.labeling.effort import DrawnFrom
from loop.math.quality.grouped_means import Difference
from loop.selection.select import select
from tests.fakes import FakeParts, quiet
from tests.loop.desk import HAT, pull, push, rows

PERSON = Box("person", (2.0, 17.0, 9.0, 23.0))


@pytest.fixture
def answered(chosen: FakeParts) -> FakeParts:
    """Twelve tasks; who answers those to train on keeps what was drawn and adds a helmet, at 20 s."""
    push(chosen)
    for place, task in enumerate(list(chosen.server.tasks)):
        author = f"{'ann' if place % 2 else 'bob'}@example.org"
        trains = task.task.purpose == Purpose.TRAIN
        boxes = [*task.task.predictions, HAT] if trains else [PERSON]
        given = chosen.server.answer(task.task.key, boxes, author=author)
        task.answers = [replace(given, lead_time_s=20.0)]
    pull(chosen)
    return chosen


def findings(parts: FakeParts) -> list[labels.Finding]:
    return [one for one in labels.findings(parts.project) if one.part == "effort"]


def test_nothing_is_known_before_somebody_answered(chosen: FakeParts) -> None:
    found = effort(chosen.project)
    assert (found.whole.tasks, found.rows) == (0, ())
    assert lines(found) == ["no answered task yet; label some, then fieldloop pull"]
    assert findings(chosen) == []


def test_edits_and_seconds_are_told_apart(answered: FakeParts) -> None:
    found = effort(answered.project)
    trains = [task for task in answered.server.tasks if task.task.purpose == Purpose.TRAIN]
    drawn = sum(len(task.task.predictions) for task in trains)
    judging = len(answered.server.tasks) - len(trains)
    whole = found.whole
    assert (whole.tasks, whole.boxes) == (12, drawn + 12)
    assert (whole.accepted, whole.moved, whole.deleted, whole.added) == (drawn, 0, 0, 12)
    assert whole.seconds_per_task is not None
    assert whole.seconds_per_task.value == pytest.approx(20)
    assert whole.seconds_per_box == pytest.approx(12 * 20 / whole.boxes)
    assert sum(row.tasks for row in found.of(ANNOTATOR)) == 12
    assert {row.name for row in found.of(ANNOTATOR)} == {"ann@example.org", "bob@example.org"}
    by_class = {row.name: row for row in found.of(CLASS)}
    assert (by_class["helmet"].tasks, by_class["helmet"].added) == (len(trains), len(trains))
    assert (by_class["person"].accepted, by_class["person"].added) == (drawn, judging)
    assert [row.name for row in found.of(MODEL)] == [answered.detector().name]
    assert all(row.tasks <= 12 for row in found.of(SLICE))
    said = "\n".join(lines(found))
    assert f"12 tasks, {whole.boxes} boxes, 20.0 s a task" in said
    assert "a rule, until 30 tasks were timed" in said
    assert "person: drawn from confidence 0.25 (a rule, until 30 edits were timed" in said


def test_a_break_is_no_work_where_every_task_was_timed(chosen: FakeParts) -> None:
    """Three hours at lunch over one task with drawn boxes do not make drawn boxes dear."""
    settings = chosen.project.settings
    half = settings.labels.model_copy(update={"bare_share": 0.5})
    chosen.project = replace(chosen.project, settings=settings.model_copy(update={"labels": half}))
    push(chosen)
    trains = [row for row in rows(chosen) if row.purpose == Purpose.TRAIN]
    assert {row.bare for row in trains} == {True, False}
    lunch = next(row.key for row in trains if not row.bare)
    for task in chosen.server.tasks:
        given = chosen.server.answer(task.task.key, [HAT])
        task.answers = [replace(given, lead_time_s=3 * 3600.0 if task.task.key == lunch else 20.0)]
    pull(chosen)
    found = effort(chosen.project)
    assert found.saved is not None
    assert found.saved.difference == pytest.approx(0)
    assert found.objects is not None
    assert found.saved.drawn_tasks == found.objects.drawn_tasks - 1


def test_seconds_of_tasks_without_an_object_are_told(chosen: FakeParts) -> None:
    push(chosen)
    for task in list(chosen.server.tasks):
        task.answers = [replace(chosen.server.answer(task.task.key, []), lead_time_s=20.0)]
    pull(chosen)
    assert "12 tasks, 0 boxes, 20.0 s a task; " in lines(effort(chosen.project))[0]


def test_too_few_days_are_counted_in_plain_words() -> None:
    for groups, words in (
        (1, "1 camera-day with such tasks is too few"),
        (2, "2 camera-days with such tasks are"),
    ):
        assert words in objects_line(Difference(1.0, 2.0, -1.0, None, 1, 1, groups))


def test_it_is_read_anew_when_an_answer_comes(answered: FakeParts) -> None:
    before = effort(answered.project)
    assert effort(answered.project) is before
    task = answered.server.tasks[0]
    answered.server.answer(task.task.key, [], again=task.answers[0])
    pull(answered)
    assert effort(answered.project).whole.boxes < before.whole.boxes


def test_what_is_unknown_is_said_and_what_hides_objects_is_a_finding(
    answered: FakeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert objects_line(None).startswith("not known")
    few = Difference(3.0, 2.0, 1.0, None, 4, 40, 3)
    assert "not known: 3 camera-days with such tasks are too few" in objects_line(few)
    shown = replace(few, interval=(0.4, 1.6), groups=20)
    assert saved_line(shown).endswith("the difference is 0.4 to 1.6 (95 %)")
    found = replace(effort(answered.project), objects=shown, costly=(ClassCost("person", 600, 300),))
    monkeypatch.setattr(effort_words, "effort", lambda project: found)
    first, second = findings(answered)
    assert first.text.startswith("Drawn boxes hide objects from labelers: 3.00 objects a frame without")
    assert second.text == (
        "Drawn boxes of person cost labelers more than drawing them would: 10 minutes so far against 5."
    )
    assert {first.address, second.address} == {"/labels/effort"}
    fewer = replace(found, objects=replace(shown, difference=-1.0, interval=(-1.6, -0.4)), costly=())
    monkeypatch.setattr(effort_words, "effort", lambda project: fewer)
    assert findings(answered) == [], "drawn boxes that show more objects hide none"
    monkeypatch.setattr(effort_words, "effort", lambda project: replace(fewer, objects=few))
    assert findings(answered) == []


def test_where_a_threshold_comes_from_is_said() -> None:
    assert drawn_text(DrawnFrom("a", 0.4, "setting", 3)) == (
        "a: drawn from confidence 0.40 (labels.drawn_above says so)"
    )
    assert drawn_text(DrawnFrom("a", 0.31, "learned", 44)).endswith("0.31 (learned from 44 timed edits)")
    assert drawn_text(DrawnFrom("a", 1.0, "learned", 44)).startswith("a: never drawn")


def test_the_price_of_a_batch_is_learned_from_answers(analyzed: FakeParts) -> None:
    """Each frame turns out to hold three objects more than the detector finds, at 5 s a box."""
    first = select(analyzed, quiet, budget=36)
    assert first.cost is not None
    assert any(line.startswith("costs about") and "rule of thumb" in line for line in first.lines())
    push(analyzed)
    for place, task in enumerate(list(analyzed.server.tasks)):
        more = [Box("person", (2.0 + 3 * n, 17.0, 4.0 + 3 * n, 23.0)) for n in range(3 + place % 2)]
        boxes = [*task.task.predictions, *more]
        given = analyzed.server.answer(task.task.key, boxes)
        task.answers = [replace(given, lead_time_s=30 + 5.0 * len(boxes))]
    pull(analyzed)
    second = select(analyzed, quiet, budget=6)
    assert second.cost is not None
    assert second.cost.timed
    assert second.cost.answered
    frames = len(second.chosen)
    assert frames
    assert 3 * frames <= second.cost.boxes <= 5 * frames
    assert second.cost.hours * 3600 == pytest.approx(30 * frames + 5 * second.cost.boxes, rel=0.1)
    assert any("by how long answers took so far, and what they held" in line for line in second.lines())
