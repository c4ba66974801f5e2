"""A pull trusts no time alone: what answers hold is compared, clocks may be wrong, and a restored
backup takes nothing away.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import timedelta

import pytest

from connectors.ports import Annotation, Box
from db.engine import read, write
from db.labels import answers, labels
from db.states import TaskStatus
from db.tables import Label, LabelTask, utcnow
from db.tasks import TaskRow, tasks
from loop.labeling import pull as pulling
from loop.labeling.pull import PullReport
from loop.project.project import open_project
from loop.selection.select import select
from tests.fakes import SIZE, FakeParts, StudioServer, quiet
from tests.loop.desk import HAT, a_key, label_of, pull, push, row, rows
from tests.studio import Person, Studio, drawn

HOUR = timedelta(hours=1)
BOLD = Box("person", HAT.xyxy)


def compare(parts: FakeParts) -> PullReport:
    return pulling.pull(parts, quiet, everything=True)


def rewritten(server: StudioServer, given: Annotation, boxes: list[Box]) -> None:
    """Other boxes in the same answer, as a bulk action writes them: no time moves."""
    held = server.of(given.key)
    result: list[dict[str, object]] = [{"class": box.class_name, "xyxy": list(box.xyxy)} for box in boxes]
    held.answers = [
        replace(one, boxes=tuple(boxes), result=result) if one.external_id == given.external_id else one
        for one in held.answers
    ]


def later(parts: FakeParts) -> None:
    """An answer to another task moves the watermark beyond the overlap."""
    parts.server.now += HOUR
    parts.server.accept(a_key(parts))
    pull(parts)


def test_a_bulk_rename_is_found_by_what_the_answers_hold(pushed: FakeParts) -> None:
    key = a_key(pushed)
    given = pushed.server.answer(key, [HAT])
    pull(pushed)
    later(pushed)
    rewritten(pushed.server, given, [BOLD])
    assert pull(pushed).answers == {}
    assert label_of(pushed, key) == (HAT,)
    report = compare(pushed)
    assert (report.answers, report.kept) == ({TaskStatus.DONE: 1}, set())
    assert label_of(pushed, key) == (BOLD,)
    with read(pushed.project.engine) as session:
        assert [one.result[0]["class"] for one in answers(session, [row(pushed, key).id])] == [
            "helmet",
            "person",
        ]
    rewritten(pushed.server, given, [HAT])
    compare(pushed)
    assert label_of(pushed, key) == (HAT,)
    pushed.server.now += HOUR
    pushed.server.delete_answer(given)
    assert pull(pushed).revoked == 1


def test_a_rename_to_an_unknown_class_waits_for_a_person(pushed: FakeParts) -> None:
    key = a_key(pushed)
    given = pushed.server.answer(key, [HAT])
    pull(pushed)
    rewritten(pushed.server, given, [Box("hat", HAT.xyxy)])
    assert compare(pushed).to_mend == [
        f"task {given.external_task_id}: unknown class hat: choose one that the model knows"
    ]
    assert label_of(pushed, key) is None


def test_an_answer_that_was_spread_over_other_tasks_is_found(pushed: FakeParts) -> None:
    later(pushed)
    key = a_key(pushed)
    before = pushed.server.of(key).updated_at
    pushed.server.answer(key, [HAT], unseen=True)
    pushed.server.of(key).updated_at = before
    assert pull(pushed).answers == {}
    report = compare(pushed)
    assert (report.answers, report.unseen) == ({TaskStatus.DONE: 1}, 1)


def test_a_comparison_that_finds_nothing_writes_nothing(pushed: FakeParts) -> None:
    for key in pushed.server.task_keys()[:3]:
        pushed.server.accept(key)
    pull(pushed)
    seen: list[int] = []
    pulling.pull(pushed, lambda done, total, what: seen.append(done), everything=True)
    assert seen == []


def test_a_clock_that_was_ahead_hides_no_answer(pushed: FakeParts) -> None:
    first, second = pushed.server.task_keys()[:2]
    pushed.server.now = utcnow() + timedelta(days=1)
    pushed.server.answer(first, [HAT])
    pull(pushed)
    pushed.server.now = utcnow()
    pushed.server.answer(second, [HAT])
    report = pull(pushed)
    assert (report.answers, report.compared) == ({TaskStatus.DONE: 1}, False)
    assert label_of(pushed, second) == (HAT,)


def test_a_clock_that_is_set_back_hides_no_answer(pushed: FakeParts) -> None:
    key, other = pushed.server.task_keys()[:2]
    given = pushed.server.answer(key, [HAT])
    pull(pushed)
    pushed.server.now -= timedelta(days=3)
    pushed.server.answer(key, [], again=given)
    report = pull(pushed)
    assert (report.answers, report.compared, report.kept) == ({TaskStatus.DONE: 1}, True, set())
    assert label_of(pushed, key) == ()
    pushed.server.answer(other, [HAT])
    report = pull(pushed)
    assert (report.answers, report.compared) == ({TaskStatus.DONE: 1}, False)
    pushed.server.now += timedelta(days=3)
    assert (pull(pushed).answers, pull(pushed).compared) == ({}, False)


def test_a_clock_that_was_put_right_again_hides_an_answer_until_all_are_compared(pushed: FakeParts) -> None:
    key = a_key(pushed)
    given = pushed.server.answer(key, [HAT])
    pull(pushed)
    pushed.server.now -= timedelta(days=3)
    pushed.server.answer(key, [], again=given)
    pushed.server.now += timedelta(days=3)
    assert pull(pushed).answers == {}
    report = compare(pushed)
    assert (report.answers, report.kept) == ({TaskStatus.DONE: 1}, set())
    assert label_of(pushed, key) == ()


@pytest.mark.parametrize(("hours", "passed", "due"), [(24, 23, False), (24, 25, True), (0, 999, False)])
def test_a_comparison_is_due_after_so_many_hours(
    pushed: FakeParts, monkeypatch: pytest.MonkeyPatch, hours: int, passed: int, due: bool
) -> None:
    monkeypatch.setenv("FIELDLOOP_LABEL_STUDIO__COMPARE_H", str(hours))
    parts = FakeParts(open_project(pushed.project.root), pushed.server)
    assert pull(parts).compared
    assert not pull(parts).compared
    now = utcnow() + passed * HOUR
    monkeypatch.setattr(pulling, "utcnow", lambda: now)
    assert pull(parts).compared == due
    assert not pull(parts).compared


def test_a_restored_backup_takes_no_label_and_no_task_away(pushed: FakeParts) -> None:
    key = a_key(pushed)
    backup = copy.deepcopy(pushed.server)
    given = pushed.server.answer(key, [HAT])
    select(pushed, quiet, budget=4)
    push(pushed)
    pull(pushed)
    restored = FakeParts(pushed.project, backup)
    report = pull(restored)
    assert (report.kept, report.again) == ({given.external_task_id}, 4)
    assert (report.revoked, report.deleted) == (0, 0)
    assert report.lines()[0] == (
        "no new answers; 1 task kept as it is: Label Studio shows an older state of it than we fetched,"
        f" as after a backup was restored (task {given.external_task_id}); answer or skip it there to"
        " change it; 4 tasks that it lacks are made again by the next push"
    )
    assert label_of(restored, key) == (HAT,)
    assert push(restored).pushed == 4
    restored.server.now = pushed.server.now + HOUR
    restored.server.answer(key, [])
    assert pull(restored).answers == {TaskStatus.DONE: 1}
    assert label_of(restored, key) == ()


def test_a_backup_from_before_the_last_push_deletes_no_task(pushed: FakeParts) -> None:
    key = a_key(pushed)
    pushed.server.answer(key, [HAT])
    pull(pushed)
    backup = copy.deepcopy(pushed.server)
    select(pushed, quiet, budget=4)
    push(pushed)
    restored = FakeParts(pushed.project, backup)
    report = pull(restored)
    assert (report.again, report.deleted, report.kept, report.compared) == (4, 0, set(), True)
    assert report.lines()[0] == (
        "no new answers; Label Studio is older than our last push, as after a backup was restored; 4 tasks"
        " that it lacks are made again by the next push"
    )
    assert label_of(restored, key) == (HAT,)
    assert not pull(restored).restored
    assert push(restored).pushed == 4
    backup.delete_task(rows(restored, TaskStatus.CONFIRMED)[-1].key)
    report = pull(restored)
    assert (report.again, report.deleted, report.restored) == (0, 1, False)


def test_a_push_before_the_pull_leaves_the_older_state_to_be_seen(pushed: FakeParts) -> None:
    backup = copy.deepcopy(pushed.server)
    select(pushed, quiet, budget=4)
    push(pushed)
    select(pushed, quiet, budget=2)
    restored = FakeParts(pushed.project, backup)
    assert push(restored).pushed == 2
    assert (pull(restored).again, push(restored).pushed) == (4, 4)


def test_a_task_that_a_person_deleted_is_cancelled_and_nothing_stands_to_mend(pushed: FakeParts) -> None:
    waiting, wrong, done = pushed.server.task_keys()[:3]
    pushed.server.answer(wrong, [Box("hat", HAT.xyxy)])
    pushed.server.answer(done, [HAT])
    pull(pushed)
    for key in (waiting, wrong, done):
        pushed.server.delete_task(key)
    report = pull(pushed)
    assert (report.deleted, report.again, report.compared) == (2, 0, True)
    assert {row(pushed, key).status for key in (waiting, wrong)} == {TaskStatus.CANCELLED}
    assert row(pushed, wrong).problem == ""
    assert (row(pushed, done).status, label_of(pushed, done)) == (TaskStatus.DONE, (HAT,))
    assert len(rows(pushed, TaskStatus.CONFIRMED)) == 9


def test_a_label_of_an_earlier_version_gets_its_rule_and_is_no_newer(pushed: FakeParts) -> None:
    key = a_key(pushed)
    pushed.server.answer(key, [HAT])
    pull(pushed)
    with write(pushed.project.engine) as session:
        session.query(Label).update({"rule": ""})
        session.query(LabelTask).update({"rule": ""})
    with read(pushed.project.engine) as session:
        before = labels(session)[row(pushed, key).frame]
    compare(pushed)
    with read(pushed.project.engine) as session:
        assert labels(session)[row(pushed, key).frame] == replace(before, rule="only answer")


@pytest.mark.slow
@pytest.mark.studio
def test_bulk_actions_of_the_real_label_studio_are_found(real: FakeParts, label_studio: Studio) -> None:
    with read(real.project.engine) as session:
        waiting = sorted(tasks(session), key=lambda task: (task.purpose, -task.rank), reverse=True)
    train = [task for task in waiting if task.purpose == "train"]
    judging = next(task for task in waiting if task.purpose == "evaluation")
    person, call = Person(label_studio), label_studio.call
    drawn_by_hand, spread, accepted = train[:3]
    number = person.submit(drawn_by_hand.external_id or 0, [drawn("helmet", HAT.xyxy, SIZE)])
    pull(real)
    last = max(train[3:], key=lambda task: task.external_id or 0)
    person.accept(last.external_id or 0)
    pull(real)

    def act(name: str, chosen: list[TaskRow], **more: object) -> None:
        project = {"project": drawn_by_hand.external_project}
        included = [task.external_id for task in chosen]
        body = project | {"selectedItems": {"all": False, "included": included}} | more
        call("POST", "dm/actions", params=project | {"id": name}, json=body)

    act("propagate_annotations", [spread], source_annotation_id=number)
    act("predictions_to_annotations", [accepted, judging])
    report = compare(real)
    assert (report.answers, report.unseen) == ({TaskStatus.DONE: 2, TaskStatus.QUARANTINED: 1}, 3)
    assert [box.class_name for box in label_of(real, spread.key) or ()] == ["helmet"]
    assert {box.origin for box in label_of(real, accepted.key) or ()} <= {"prediction"}
    assert row(real, judging.key).problem.startswith("accepted unseen")

    renamed = {"control_tag": "label", "old_label_name": "helmet", "new_label_name": "person"}
    act("rename_labels", [drawn_by_hand], **renamed)
    assert compare(real).answers == {TaskStatus.DONE: 2}
    for task in (drawn_by_hand, spread):
        assert [box.class_name for box in label_of(real, task.key) or ()] == ["person"]
    assert (compare(real).answers, compare(real).kept) == ({}, set())
