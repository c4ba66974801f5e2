"""Collections as tabs of a real Label Studio: each shows its tasks, whatever changes."""

from __future__ import annotations

from typing import Any

import pytest

from db.engine import read
from db.slice_members import members
from loop.analysis.producers import producers
from loop.changes import collections as changing
from loop.changes.audit import Who
from loop.labeling.collection_tabs import COLLECTIONS, keep_tabs, mark_of
from loop.labeling.push import anything_to_push
from loop.selection.select import select
from loop.settings.collections import Address
from tests.fakes import FakeParts, quiet
from tests.loop.desk import push, rows
from tests.studio import Studio

ANN = Who("ann", "page")


def with_tab(parts: FakeParts, name: str, rule: str) -> int:
    number = changing.make_by_rules(parts, ANN, name, [Address(rule)])
    changing.set_tab(parts, ANN, number, True)
    return number


def in_tab(studio: Studio, project: int, title: str) -> set[int]:
    """Ids of the tasks that the tab shows, by the server's own filter."""
    (tab,) = [view for view in tabs(studio, project) if view["data"]["title"] == title]
    found = studio.call("GET", f"tasks?view={tab['id']}&project={project}&page_size=100")
    return {task["id"] for task in found["tasks"]}


def tabs(studio: Studio, project: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = studio.call("GET", f"dm/views?project={project}")
    return found


def titles(studio: Studio, project: int) -> list[str]:
    return [view["data"]["title"] for view in tabs(studio, project)]


def expected(parts: FakeParts, number: int) -> set[int]:
    with read(parts.project.engine) as session:
        inside = set(members(session, producers(parts).measure, number)[0].tolist())
    return {row.external_id for row in rows(parts) if row.frame in inside and row.external_id is not None}


@pytest.mark.slow
@pytest.mark.studio
def test_a_tab_shows_the_tasks_of_a_collection_and_follows_it(real: FakeParts, label_studio: Studio) -> None:
    project = rows(real)[0].external_project
    assert project is not None
    before = titles(label_studio, project)
    number = with_tab(real, "first camera", "camera=cam0")
    other = with_tab(real, "second camera", "camera=cam1")
    assert anything_to_push(real)
    push(real)
    assert not anything_to_push(real)
    assert titles(label_studio, project) == [*before, "first camera", "second camera"]
    assert in_tab(label_studio, project, "first camera") == expected(real, number)
    assert in_tab(label_studio, project, "second camera") == expected(real, other)
    assert len(expected(real, number)) + len(expected(real, other)) == 8

    select(real, quiet, budget=6)
    push(real)
    assert in_tab(label_studio, project, "first camera") == expected(real, number)
    assert len(expected(real, number)) + len(expected(real, other)) == 14

    changing.rename(real, ANN, number, "north gate")
    frame = next(row.frame for row in rows(real) if row.external_id in expected(real, number))
    changing.change_examples(real, ANN, number, exclude=[frame])
    push(real)
    assert titles(label_studio, project) == [*before, "north gate", "second camera"]
    assert in_tab(label_studio, project, "north gate") == expected(real, number)

    changing.retire(real, ANN, number)
    changing.set_tab(real, ANN, other, False)
    push(real)
    assert titles(label_studio, project) == before
    assert not anything_to_push(real)


def test_tasks_say_which_collections_they_are_in(chosen: FakeParts) -> None:
    number = with_tab(chosen, "first #1 camera", "camera=cam0")
    push(chosen)
    said = {task.id: task.task.meta[COLLECTIONS] for task in chosen.server.tasks}
    inside = expected(chosen, number)
    assert {text for task, text in said.items() if task in inside} == {f"{mark_of(number)}first 1 camera"}
    assert {text for task, text in said.items() if task not in inside} == {""}
    assert chosen.server.tabs[1] == {mark_of(number): "first #1 camera"}


def test_tasks_that_stand_there_are_told(pushed: FakeParts) -> None:
    assert COLLECTIONS not in pushed.server.tasks[0].task.meta
    assert not anything_to_push(pushed)
    number = with_tab(pushed, "first camera", "camera=cam0")
    project = rows(pushed)[0].external_project
    assert project is not None
    inside = expected(pushed, number)
    done = keep_tabs(pushed.project, pushed.label_backend(), project)
    assert done == f"1 tab and {len(pushed.server.tasks)} tasks in other collections brought up to date"
    assert {task.id for task in pushed.server.tasks if task.task.meta[COLLECTIONS]} == inside
    assert keep_tabs(pushed.project, pushed.label_backend(), project) == ""
