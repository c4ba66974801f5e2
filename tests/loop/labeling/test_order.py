"""The order in which labelers get tasks, and dropped ones, in a real Label Studio."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.label_studio.label_config import tabs
from connectors.ports import Purpose
from db.states import TaskStatus
from db.tasks import TaskRow
from loop.changes.audit import Who
from loop.changes.tasks import drop, hurry, pin, undo
from loop.labeling.order import HURRIED, PINNED, STEP, hurried_priority, shown_priority
from tests.fakes import FakeParts
from tests.loop.desk import pull, push, row, rows
from tests.studio import Person, Studio

ANN = Who("ann", "page")


def task(priority: float, pinned: bool = False) -> TaskRow:
    from db.tables import utcnow

    return TaskRow(
        id=1,
        frame=1,
        batch_id=1,
        purpose=Purpose.TRAIN,
        status=TaskStatus.CONFIRMED,
        key="k",
        rank=0,
        priority=priority,
        reason="",
        component="",
        slice_id=None,
        shows=(),
        inclusion_probability=None,
        detector=None,
        external_project=None,
        external_id=None,
        problem="",
        created_at=utcnow(),
        changed_at=utcnow(),
        pinned=pinned,
    )


def test_what_is_pinned_is_before_what_was_hurried_and_that_before_all_else() -> None:
    hurried = hurried_priority(1.0)
    assert 1.0 < hurried < PINNED < shown_priority(task(0.0, pinned=True)) + STEP
    assert shown_priority(task(0.0, pinned=True)) >= hurried
    assert shown_priority(task(0.4)) == 0.4


def test_of_several_the_first_is_in_front_and_later_ones_come_before_them() -> None:
    first, second = (hurried_priority(0.9, place) for place in (1, 0))
    assert first > second > HURRIED
    assert hurried_priority(first) > first
    assert hurried_priority(PINNED) < PINNED, "however often something is hurried"


def order_of(studio: Studio, parts: FakeParts) -> list[str]:
    """Keys in the order of the tab of what is to label."""
    project = rows(parts)[0].external_project
    views = studio.call("GET", f"dm/views?project={project}")
    view = next(one for one in views if one["data"]["title"] == tabs()[0]["title"])
    found = studio.call("GET", f"tasks?project={project}&view={view['id']}&fields=all")["tasks"]
    return [item["data"]["fieldloop_key"] for item in found]


def next_one(studio: Studio, parts: FakeParts) -> str:
    """The key of the task that a labeler gets who labels tasks as they are displayed."""
    project = rows(parts)[0].external_project
    wanted: dict[str, Any] = {"ordering": tabs()[0]["ordering"], "filters": tabs()[0]["filters"]}
    found = studio.call("POST", f"dm/actions?id=next_task&project={project}", json=wanted)
    return str(found["data"]["fieldloop_key"])


@pytest.mark.slow
@pytest.mark.studio
def test_in_the_real_one_hurried_and_pinned_tasks_come_first_and_dropped_ones_are_gone(
    real: FakeParts, label_studio: Studio
) -> None:
    by_rank = order_of(label_studio, real)
    assert len(by_rank) == 8
    number = {key: row(real, key).id for key in by_rank}
    before = label_studio.call("GET", f"tasks/{row(real, by_rank[5]).external_id}")["data"]
    hurry(real.project, ANN, [number[by_rank[5]]])
    pin(real.project, ANN, [number[by_rank[7]]])
    push(real)
    assert order_of(label_studio, real)[:3] == [by_rank[7], by_rank[5], by_rank[0]]
    assert next_one(label_studio, real) == by_rank[7]
    after = label_studio.call("GET", f"tasks/{row(real, by_rank[5]).external_id}")["data"]
    assert {name: value for name, value in after.items() if name != "priority"} == {
        name: value for name, value in before.items() if name != "priority"
    }
    Person(label_studio).accept(row(real, by_rank[1]).external_id or 0)
    report = drop(real.project, ANN, [number[by_rank[0]], number[by_rank[1]]])
    told = push(real).told
    assert (told.taken_back, told.begun) == (1, 1)
    assert by_rank[0] not in order_of(label_studio, real)
    pull(real)
    assert row(real, by_rank[1]).status is TaskStatus.DONE
    assert row(real, by_rank[0]).status is TaskStatus.CANCELLED
    assert undo(real.project, ANN, report.changes).done == [number[by_rank[0]]]
    push(real)
    pull(real)
    assert row(real, by_rank[0]).status is TaskStatus.CONFIRMED
    assert order_of(label_studio, real)[:3] == [by_rank[7], by_rank[5], by_rank[0]]
