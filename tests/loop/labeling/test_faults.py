"""The real Label Studio behind a proxy that fails on purpose: no task twice, none lost, no answer lost,
history kept.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from connectors.errors import LabelStudioError
from connectors.label_studio import client
from connectors.label_studio.backend import LabelStudio
from db.engine import read, write
from db.labels import answers
from db.states import TaskStatus
from loop.analysis.analyze import analyze
from loop.ingest.ingest import ingest
from loop.labeling.project import holding_project, mark_of_ours
from loop.labeling.pull import anything_to_pull
from loop.labeling.telling import to_move
from loop.selection.select import select
from tests.fakes import FakeParts, quiet
from tests.faulty import Fault, FaultyProxy
from tests.loop.desk import pull, push, rows
from tests.studio import Studio, drawn

pytestmark = [pytest.mark.slow, pytest.mark.studio]
MARK = "#12 "
SEED, FAULTS, ANSWERS, RATE, PATIENCE_S = 18, 40, 3, 0.25, 4.0


@pytest.fixture
def through(
    parts: FakeParts, label_studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[FakeParts, FaultyProxy]]:
    """Six chosen frames, nothing pushed yet, and a proxy on the way to the server."""
    proxy = FaultyProxy(label_studio.server.url, SEED, RATE, PATIENCE_S + 0.5)
    monkeypatch.setitem(client.WRITE, "timeout_in_seconds", PATIENCE_S)
    ingest(parts, quiet)
    analyze(parts, quiet)
    select(parts, quiet, budget=6)
    with proxy.listening() as url:
        backend = LabelStudio(url, label_studio.server.token, images="upload", timeout=PATIENCE_S)
        monkeypatch.setattr(parts, "_studio", backend)
        yield parts, proxy
    for number in own_projects(parts, label_studio):
        label_studio.call("DELETE", f"projects/{number}")


def own_projects(parts: FakeParts, studio: Studio) -> list[int]:
    """Every project that bears our mark."""
    found = studio.call("GET", "projects", params={"page_size": 1000})["results"]
    return [one["id"] for one in found if mark_of_ours(parts.project) in (one["description"] or "")]


def test_no_task_is_made_twice_or_lost_and_no_answer_is_lost(
    through: tuple[FakeParts, FaultyProxy], label_studio: Studio
) -> None:
    parts, proxy = through
    given, errors = live(parts, proxy, label_studio, FAULTS)
    assert (proxy.faults >= FAULTS, len(proxy.injected) >= 6, proxy.writes.total() > 0) == (True, True, True)
    assert [said for said in errors if "expected" not in said or "next:" not in said] == []
    proxy.rate = 0.0
    for _ in range(2):
        push(parts)
        keep_tabs(parts)
        pull(parts)
    (number,) = own_projects(parts, label_studio)
    everything_stands(parts, number, label_studio, given)


def live(
    parts: FakeParts, proxy: FaultyProxy, studio: Studio, faults: int
) -> tuple[dict[int, str], list[str]]:
    """Days at the desk until so many faults were injected and some answers given: frames are chosen, pushed,
    moved in the order, answered and pulled. The box of each answer that was given, by its number; and what
    errors said.
    """
    dice, given, errors = random.Random(SEED), dict[int, str](), list[str]()
    while proxy.faults < faults or len(given) < ANSWERS:
        act = dice.choice((push, pull, push, pull, choose, reorder, keep_tabs, answer))
        try:
            if act is answer:
                given |= answer(parts, studio, dice)
            elif act is not pull or anything_to_pull(parts):
                act(parts)
        except LabelStudioError as error:
            errors.append(str(error))
    return given, errors


def keep_tabs(parts: FakeParts) -> None:
    number = holding_project(parts.project)
    if number is None:
        return
    backend = parts.label_backend()
    numbers = [task.external_id for task in rows(parts, TaskStatus.CONFIRMED) if task.external_id]
    backend.say_of_tasks(number, "collections", dict.fromkeys(numbers, f"{MARK}night"))
    backend.keep_tabs(number, "collections", {MARK: "night"})


def choose(parts: FakeParts) -> None:
    if len(rows(parts)) < 20:
        select(parts, quiet, budget=3)


def reorder(parts: FakeParts) -> None:
    with write(parts.project.engine) as session:
        to_move(session, [task.id for task in rows(parts, TaskStatus.CONFIRMED)[:2]])


def answer(parts: FakeParts, studio: Studio, dice: random.Random) -> dict[int, str]:
    """One task is answered, by a person who does not come through the proxy."""
    waiting = rows(parts, TaskStatus.CONFIRMED)
    if not waiting:
        return {}
    task = dice.choice(waiting)
    box = {**drawn("helmet", (2.0, 3.0, 11.0, 13.0), (32, 24)), "id": f"box{dice.random()}"[:12]}
    body = {"result": [box], "lead_time": 3.0}
    return {
        int(studio.call("POST", f"tasks/{task.external_id}/annotations/", json=body)["id"]): str(box["id"])
    }


def everything_stands(parts: FakeParts, project: int, studio: Studio, given: dict[int, str]) -> None:
    """Every task of ours stands on the server once, and every answer in the database."""
    listed: dict[str, Any] = studio.call(
        "GET", "tasks", params={"project": project, "fields": "all", "page_size": 500}
    )
    there = sorted(task["data"]["fieldloop_key"] for task in listed["tasks"])
    ours = rows(parts)
    assert there == sorted(task.key for task in ours), "none twice, none lost"
    assert {task.status for task in ours} <= {TaskStatus.CONFIRMED, TaskStatus.DONE}
    numbers = {task["data"]["fieldloop_key"]: task["id"] for task in listed["tasks"]}
    assert {task.key: task.external_id for task in ours} == numbers
    with read(parts.project.engine) as session:
        stored = answers(session, [task.id for task in ours])
    assert {row.external_id: row.result[0]["id"] for row in stored} == given
    assert given, "somebody answered"
    views = studio.call("GET", "dm/views", params={"project": project})
    assert [view["data"]["title"] for view in views].count("night") == 1


def test_the_proxy_does_each_of_its_faults(label_studio: Studio) -> None:
    proxy = FaultyProxy(label_studio.server.url, SEED, 1.0, 0.0)
    with proxy.listening() as url:
        backend = LabelStudio(url, label_studio.server.token, images="upload", timeout=PATIENCE_S)
        said = set()
        while proxy.injected.keys() != {*Fault} and proxy.faults < 400:
            try:
                backend.count(10**6)
            except LabelStudioError as error:
                said.add(type(error).__name__)
    assert proxy.injected.keys() == {*Fault}
    assert said == {"LabelStudioDown", "TokenRefused", "ProjectGone", "LabelStudioError"}
