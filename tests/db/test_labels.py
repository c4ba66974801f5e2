"""Answers are kept as given; a label is what holds now."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine, select

from connectors.ports import Box
from db.engine import read, write
from db.labels import (
    answers,
    count_labels,
    delete_label,
    labels,
    record_annotation,
    set_label,
    stored_state,
)
from db.tables import Label, utcnow
from db.tasks import add_tasks, create_batch, tasks
from tests.db.world import new_task, stocked

AT = datetime(2026, 11, 24, 9, 30, 0, 123456, UTC)
RESULT: list[dict[str, Any]] = [
    {"type": "rectanglelabels", "value": {"x": 1.5, "rectanglelabels": ["Schutzhelm ⛑"]}}
]


def asked(engine: Engine, frame: int) -> int:
    with write(engine) as session:
        add_tasks(session, create_batch(session, "random", 1, 1, {}), [new_task(frame)])
        return tasks(session)[0].id


def answer(
    engine: Engine,
    task: int,
    at: datetime = AT,
    external_id: int = 5,
    project: int = 1,
    result: list[dict[str, Any]] = RESULT,
) -> int | None:
    with write(engine) as session:
        return record_annotation(
            session,
            task,
            external_project=project,
            external_id=external_id,
            author="ann@example.org",
            created_at=AT,
            updated_at=at,
            cancelled=False,
            result=result,
            lead_time_s=3.5,
        )


def test_another_content_of_the_same_time_is_another_state(engine: Engine) -> None:
    task = asked(engine, stocked(engine, 1)[0])
    contents: list[list[dict[str, Any]]] = [
        RESULT,
        [],
        [{"type": "choices", "value": {"b": 0.1, "a": [2, None]}}],
    ]
    for _ in range(2):
        for content in contents:
            answer(engine, task, result=content)
    with read(engine) as session:
        stored = answers(session, [task])
    assert [row.updated_at - AT for row in stored] == [timedelta(microseconds=step) for step in range(3)]
    assert [json.dumps(row.result) for row in stored] == [json.dumps(content) for content in contents]
    found = stored_state(stored, 1, 5, AT, False, [])
    assert found == stored[1]
    assert stored_state(stored, 1, 5, AT, True, []) is None
    assert stored_state(stored, 1, 6, AT, False, []) is None


def test_an_answer_is_stored_once_per_change(engine: Engine) -> None:
    task = asked(engine, stocked(engine, 1)[0])
    first = answer(engine, task)
    assert first is not None
    assert answer(engine, task) is None
    changed = answer(engine, task, at=AT + timedelta(microseconds=1))
    assert changed not in (None, first)
    assert answer(engine, task, project=2) not in (None, first, changed)
    with read(engine) as session:
        stored = answers(session, [task])
        assert answers(session, [task + 1]) == []
        assert answers(session) == stored
    assert [row.updated_at for row in stored] == [AT, AT, AT + timedelta(microseconds=1)]
    assert (stored[0].result, stored[0].author, stored[0].lead_time_s) == (RESULT, "ann@example.org", 3.5)
    assert stored[0].cancelled is False


def test_a_label_is_replaced_by_the_next_one(engine: Engine) -> None:
    (seq,) = stocked(engine, 1)
    kept = answer(engine, asked(engine, seq))
    with write(engine) as session:
        set_label(
            session,
            seq,
            [Box("person", (1.5, 2, 30, 40)), Box("helmet", (5, 6, 7, 8), "prediction", 0.9)],
            "train",
            "imported",
        )
    with read(engine) as session:
        assert labels(session)[seq].boxes == (
            Box("person", (1.5, 2, 30, 40), "manual"),
            Box("helmet", (5, 6, 7, 8), "prediction"),
        )
    with write(engine) as session:
        set_label(session, seq, [], "evaluation", "annotation", kept)
        (label,) = labels(session).values()
    assert (label.frame, label.boxes, label.purpose, label.source) == (seq, (), "evaluation", "annotation")
    assert label.annotation_id == kept


def test_boxes_are_stored_as_rows_of_name_corners_and_origin(engine: Engine) -> None:
    (seq,) = stocked(engine, 1)
    with write(engine) as session:
        set_label(session, seq, [Box("person", (1.004, 2, 30.126, 40), "manual", 0.5)], "train", "annotation")
    with read(engine) as session:
        (stored,) = session.execute(select(Label.boxes)).scalars()
    assert stored == [["person", 1.0, 2.0, 30.13, 40.0, "manual"]]


def test_a_box_that_is_there_twice_counts_once(engine: Engine) -> None:
    (seq,) = stocked(engine, 1)
    first, again = Box("person", (1, 2, 30, 40), "prediction"), Box("person", (1.001, 2, 30, 40), "manual")
    with write(engine) as session:
        boxes = [first, again, Box("car", (1, 2, 30, 40)), Box("person", (1, 2, 30, 41))]
        set_label(session, seq, boxes, "train", "annotation")
    with read(engine) as session:
        (stored,) = session.execute(select(Label.boxes)).scalars()
    assert stored == [
        ["person", 1, 2, 30, 40, "prediction"],
        ["car", 1, 2, 30, 40, "manual"],
        ["person", 1, 2, 30, 41, "manual"],
    ]


def test_rows_of_boxes_that_were_stored_before_are_read(engine: Engine) -> None:
    (seq,) = stocked(engine, 1)
    rows = [["person", 1, 2.5, 30, 40.25, "prediction-changed"], ["helmet", 5, 6, 7, 8]]
    with write(engine) as session:
        session.add(Label(frame=seq, boxes=rows, purpose="train", source="imported", updated_at=AT))
    with read(engine) as session:
        assert labels(session)[seq].boxes == (
            Box("person", (1, 2.5, 30, 40.25), "prediction-changed"),
            Box("helmet", (5, 6, 7, 8), "manual"),
        )


def test_a_label_that_came_from_an_answer_is_revoked_and_no_other_is_touched(engine: Engine) -> None:
    a, b, imported = stocked(engine, 3)
    with write(engine) as session:
        add_tasks(session, create_batch(session, "random", 1, 1, {}), [new_task(a), new_task(b, rank=1)])
        first, second = (task.id for task in tasks(session))
        set_label(session, imported, [], "train", "imported")
    given, changed = answer(engine, first), answer(engine, first, at=AT + timedelta(seconds=1))
    other = answer(engine, second, external_id=6)
    with write(engine) as session:
        set_label(session, a, [], "train", "annotation", changed)
        set_label(session, b, [], "train", "annotation", other)
    with write(engine) as session:
        assert delete_label(session, a)
        assert not delete_label(session, a)
        assert not delete_label(session, imported)
        assert list(labels(session)) == [b, imported]
        assert [row.id for row in answers(session, [first])] == [given, changed]
        set_label(session, a, [], "train", "annotation", given)
        assert list(labels(session)) == [a, b, imported]


def test_labels_meet_every_condition_and_are_counted(engine: Engine) -> None:
    a, b, c, bare = stocked(engine, 4)
    with write(engine) as session:
        set_label(session, c, [], "train", "imported")
        set_label(session, b, [], "evaluation", "annotation")
    between = utcnow()
    with write(engine) as session:
        set_label(session, a, [], "train", "annotation")
        assert list(labels(session)) == [a, b, c]
        assert list(labels(session, purpose="train")) == [a, c]
        assert list(labels(session, purpose="train", source="annotation")) == [a]
        assert list(labels(session, [bare, c, b])) == [b, c]
        assert labels(session, []) == {}
        assert count_labels(session) == 3
        assert count_labels(session, since=between) == 1
        assert count_labels(session, purpose="evaluation") == 1
        assert count_labels(session, since=between, purpose="train", source="imported") == 0
