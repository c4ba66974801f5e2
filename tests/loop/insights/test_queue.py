"""The queue as people see it, over a real database."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connectors.ports import Box
from db.engine import read, write
from db.slices import NewSlice, define_slices
from db.states import SliceKind, TaskStatus
from db.tables import LabelTask
from db.tasks import move, tasks
from loop.base.errors import ConfigError
from loop.insights.queue import TABS, QueueItem, QueueQuery, queue, queue_items
from tests.fakes import FakeParts
from tests.loop.desk import HAT, a_key, pull, row


def items(parts: FakeParts, **query: str | int) -> list[QueueItem]:
    return list(queue(parts.project, replace(QueueQuery(), **query)).items)  # type: ignore[arg-type]


def change(parts: FakeParts, number: int, **values: object) -> None:
    with write(parts.project.engine) as session:
        task = session.get(LabelTask, number)
        assert task is not None
        for name, value in values.items():
            setattr(task, name, value)


def test_what_was_chosen_is_on_its_way_and_then_due(pushed: FakeParts) -> None:
    page = queue(pushed.project, QueueQuery())
    assert (page.counts["due"], page.counts["sending"], len(page.items)) == (12, 0, 12)
    priorities = [item.priority for item in page.items]
    assert priorities == sorted(priorities, reverse=True)
    first = page.items[0]
    with read(pushed.project.engine) as session:
        (stored,) = tasks(session, frames=[first.frame], limit=1)
    assert (first.reason, first.state, first.rank) == (stored.reason, "due", stored.rank)
    assert first.file.endswith(".jpg")
    assert first.camera in first.file


def test_before_the_push_tasks_are_on_their_way_without_an_address(chosen: FakeParts) -> None:
    assert items(chosen) == []
    waiting = items(chosen, tab="sending")
    assert len(waiting) == 12
    assert {item.url for item in waiting} == {""}


def test_a_task_shows_the_boxes_that_the_labeler_was_shown(pushed: FakeParts) -> None:
    shown = {item.task: item.boxes for item in items(pushed)}
    for task in pushed.server.tasks:
        assert shown[task.id] == tuple(task.task.predictions)
    assert any(shown.values())


def test_a_task_is_opened_where_label_studio_has_it(pushed: FakeParts) -> None:
    item = items(pushed)[0]
    assert item.url == f"http://studio/projects/{pushed.server.tasks[0].project}/data?task={item.task}"


def test_a_pinned_task_is_first_and_a_hurried_one_is_next(pushed: FakeParts) -> None:
    listed = items(pushed)
    change(pushed, listed[-1].id, pinned=True)
    change(pushed, listed[-2].id, priority=1.001)
    found = items(pushed)
    assert [item.id for item in found[:2]] == [listed[-1].id, listed[-2].id]
    assert [(item.pinned, item.hurried) for item in found[:3]] == [
        (True, False),
        (False, True),
        (False, False),
    ]
    assert [item.id for item in items(pushed, tab="pinned")] == [listed[-1].id]
    assert queue(pushed.project, QueueQuery()).counts["pinned"] == 1


@pytest.mark.parametrize("tab", ["due", "answered"])
def test_pages_follow_one_another_without_a_gap(pushed: FakeParts, tab: str) -> None:
    every = items(pushed)
    change(pushed, every[5].id, pinned=True)
    change(pushed, every[7].id, priority=every[8].priority)
    if tab == "answered":
        for number in [task.id for task in pushed.server.tasks]:
            key = next(task.task.key for task in pushed.server.tasks if task.id == number)
            pushed.server.accept(key)
        pull(pushed)
    whole = [item.id for item in items(pushed, tab=tab)]
    paged: list[int] = []
    query: QueueQuery | None = QueueQuery(tab=tab, limit=5)
    while query is not None:
        page = queue(pushed.project, query)
        paged += [item.id for item in page.items]
        query = query.but(after=page.next) if page.next else None
    assert len(whole) == 12
    assert paged == whole


def test_it_is_narrowed_by_camera_purpose_batch_and_slice(pushed: FakeParts) -> None:
    every = items(pushed)
    one = every[0]
    with write(pushed.project.engine) as session:
        numbers = define_slices(
            session, [NewSlice(f"{i}", SliceKind.METADATA, f"place {i}") for i in range(1, 14)]
        )
        ids = sorted(numbers.values())
    change(pushed, every[1].id, slice_id=ids[1])
    change(pushed, every[2].id, shows=[ids[0], ids[1]])
    change(pushed, every[3].id, shows=[ids[1] + 10 * ids[1], ids[11]])
    narrowed = items(pushed, slice=ids[1])
    assert {item.id for item in narrowed} == {every[1].id, every[2].id}
    aimed = next(item for item in narrowed if item.id == every[1].id)
    assert aimed.aim is not None
    assert (aimed.aim.id, aimed.aim.name) == (ids[1], "place 2")
    shows = next(item for item in narrowed if item.id == every[2].id).shows
    assert [named.name for named in shows] == ["place 1", "place 2"]
    assert {item.camera for item in items(pushed, camera=one.camera)} == {one.camera}
    assert len(items(pushed, batch=one.batch)) == 12
    assert items(pushed, batch=one.batch + 1) == []
    judging = items(pushed, purpose="evaluation")
    assert {item.purpose for item in judging} == {"evaluation"}
    assert len(judging) + len(items(pushed, purpose="train")) == 12
    choices = queue(pushed.project, QueueQuery()).choices
    assert one.camera in choices.cameras
    assert (one.batch,) == choices.batches
    assert "place 2" in [named.name for named in choices.slices]


def test_answers_that_need_mending_say_what_is_wrong(pushed: FakeParts) -> None:
    key = a_key(pushed)
    pushed.server.answer(key, [Box("unicorn", (1.0, 2.0, 9.0, 10.0))])
    pull(pushed)
    (item,) = items(pushed, tab="mend")
    assert item.id == row(pushed, key).id
    assert "unknown class unicorn" in item.problem
    assert item.answered_by == ("ann@example.org",)


def test_what_came_back_last_is_first(pushed: FakeParts) -> None:
    first, second = (task.task.key for task in pushed.server.tasks[:2])
    pushed.server.answer(first, [HAT])
    pull(pushed)
    pushed.server.answer(second, cancelled=True)
    pull(pushed)
    found = items(pushed, tab="answered")
    assert [(item.id, item.state) for item in found] == [
        (row(pushed, second).id, "skipped"),
        (row(pushed, first).id, "answered"),
    ]


def test_a_dropped_task_is_listed_and_has_no_address(pushed: FakeParts) -> None:
    pull(pushed)
    number = items(pushed)[0].id
    with write(pushed.project.engine) as session:
        move(session, [number], TaskStatus.CONFIRMED, TaskStatus.CANCELLED)
    (item,) = items(pushed, tab="dropped")
    assert (item.id, item.state, item.url) == (number, "dropped", "")


def test_tasks_are_found_by_their_ids_in_the_order_asked(pushed: FakeParts) -> None:
    ids = [item.id for item in items(pushed)][:3]
    assert [item.id for item in queue_items(pushed.project, [ids[2], 9999, ids[0]])] == [ids[2], ids[0]]


def test_an_address_is_read_as_it_was_written() -> None:
    query = QueueQuery(tab="mend", camera="gate & <1>", slice=12, after=7)
    assert QueueQuery.parse(dict(_pairs(query.address()))) == query
    assert QueueQuery().address() == ""
    assert query.but(batch=3).after == 0


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"tab": "all"}, f"tab: expected {', '.join(TABS)}, got 'all'"),
        ({"batch": "-1"}, "batch: expected a whole number, got '-1'"),
        ({"purpose": "fun"}, "purpose: expected train, evaluation"),
        ({"limit": "1000"}, "limit: expected 1 to 200"),
        ({"color": "red"}, "got 'color'"),
    ],
)
def test_a_wrong_address_is_refused(params: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        QueueQuery.parse(params)


def test_a_page_that_begins_behind_an_unknown_task_is_refused(pushed: FakeParts) -> None:
    with pytest.raises(ConfigError, match="after: expected the id of a task, got 9999"):
        items(pushed, after=9999)


def _pairs(address: str) -> list[tuple[str, str]]:
    from urllib.parse import parse_qsl

    return parse_qsl(address)
