"""The real `fieldloop serve`, killed at random again and again beside a real Label Studio."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from connectors.label_studio.label_config import valid_title
from connectors.label_studio.results import KEY
from db.engine import read
from db.labels import labels
from db.tasks import tasks as stored_tasks
from loop.labeling.project import SLOTS, title_of
from loop.project.project import open_project
from tests.loop.service.world import Served, World, deliver, until, world_at
from tests.studio import Person, Studio

pytestmark = [pytest.mark.slow, pytest.mark.studio]
KILLS = int(os.environ.get("TEST_KILLS", "20"))
FRAMES_A_KILL = 6
SEED = 20261124


def standing(studio: Studio, title: str) -> list[dict[str, Any]]:
    """Every task of the project of that title in Label Studio; of all of them, should there be several by
    mistake.
    """
    projects = [
        project["id"]
        for project in studio.call("GET", "projects?page_size=1000")["results"]
        if project["title"] == title
    ]
    pages = [studio.call("GET", f"tasks?project={each}&page_size=1000&fields=all") for each in projects]
    return [task for page in pages for task in page["tasks"]]


def answer_one(studio: Studio, tasks: Sequence[dict[str, Any]]) -> int:
    for task in tasks:
        if not task["total_annotations"]:
            return Person(studio).accept(task["id"])
    return 0


def analyzed_once(served: Served) -> bool:
    """From here on a kill meets selection, push and pull; before it mostly imports, ingest and
    analysis.
    """
    return bool(served.job("analyze")["checked_at"])


@pytest.mark.timeout(900)
def test_killed_at_random_it_loses_nothing_and_makes_nothing_twice(
    tmp_path: Path, label_studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FIELDLOOP_LABEL_STUDIO_TOKEN", raising=False)
    title = f"kills {tmp_path.name}"[:50]
    world = world_at(label_studio, tmp_path / "world", title, {"select.daily_budget": 1000})
    chance = random.Random(SEED)
    given = answered = 0
    for number in range(KILLS):
        deliver(world.incoming, FRAMES_A_KILL, first=3000 + given)
        given += FRAMES_A_KILL
        served = world.serve()
        if number % 2:
            until(partial(analyzed_once, served), 60)
            time.sleep(chance.uniform(0, 3))
        else:
            time.sleep(chance.uniform(1, 8))
        served.kill()
        answered += answer_one(label_studio, standing(label_studio, title)) > 0

    served = world.serve()
    until(lambda: _settled(served.status(), given, answered), 240)
    code, _ = served.terminate()
    assert code == 0, served.said()[-3000:]
    until(lambda: world.ask("push")["waiting"] == 0, 90)  # a batch may have been chosen in the last second
    _check(world, label_studio, title, given, answered)


def _settled(view: Mapping[str, Any], given: int, answered: int) -> bool:
    analyzed = {item["kind"]: item["done"] for item in view["analyzed"]}
    tasks = view["tasks"]
    return (
        view["frames"]["production"] == given
        and len(analyzed) == 3
        and set(analyzed.values()) == {view["frames"]["total"]}
        and tasks["pending"] + tasks["sent"] == 0
        and tasks["done"] == answered
    )


def _check(world: World, studio: Studio, title: str, given: int, answered: int) -> None:
    project = open_project(world.root)
    titles = [valid_title(title_of(project, slot)) for slot in SLOTS]
    with read(project.engine) as session:
        chosen = stored_tasks(session)
        annotated = labels(session, source="annotation")
    project.engine.dispose()
    first = [row for row in chosen if row.slot == 0]
    assert len(first) > given // 4
    for slot, called in zip(SLOTS, titles, strict=True):
        found = standing(studio, called)
        keys = [row.key for row in chosen if row.slot == slot]
        assert sorted(task["data"][KEY] for task in found) == sorted(keys)
    assert len({row.frame for row in first}) == len(first)
    assert len({row.frame for row in chosen if row.slot == 1}) == len(chosen) - len(first)
    assert len(list((world.root / "store").rglob("*.jpg"))) == given + 20
    assert len(annotated) == answered
    assert answered > KILLS // 5, "hardly anything came through between the kills: they met nothing"
