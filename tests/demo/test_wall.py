"""The truth stays behind a wall: without it, everything from ingest to push is the same to the
byte.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import config
from demo.deployed import CARRIED
from demo.plan import Plan, read_plan
from demo.world import build
from loop.analysis.analyze import analyze
from loop.base.jsonable import plain
from loop.ingest.ingest import ingest
from loop.labeling.push import push
from loop.project.init import NewProject, create_project
from loop.project.project import open_project
from loop.project.wiring import Parts
from loop.selection.select import select
from tests.fakes import FakeLabelStudio, StudioServer, quiet


class Walled(Parts):
    """The real parts, but for Label Studio, of which only what is sent is looked at."""

    def __init__(self, root: Path) -> None:
        super().__init__(open_project(root))
        self.server = StudioServer()

    def label_backend(self) -> FakeLabelStudio:
        return FakeLabelStudio(self.server)


def small_plan() -> Plan:
    plan = read_plan(config.FOLDER / "demo-quick.yaml")
    world = plan.world
    small = world.model_copy(
        update={
            "training": world.training.model_copy(update={"frames": 36, "validation": 6}),
            "production": world.production.model_copy(update={"frames": 120}),
            "test": world.test.model_copy(update={"frames_per_condition": 1}),
        }
    )
    return replace(plan, world=small)


def chosen_and_sent(folder: Path, plan: Plan, name: str) -> str:
    """All that ingest, analyze, select and push make of the world, as text."""
    overrides = tuple(f"{key}={json.dumps(value)}" for key, value in plan.project.items())
    world = folder / "world"
    new = NewProject(
        folder / name / "project",
        world / "train" / "data.yaml",
        CARRIED / "base.pt",
        str(world / "production"),
        "",
        "small",
        overrides,
    )
    create_project(new, quiet)
    parts = Walled(new.root)
    ingest(parts, quiet)
    analyze(parts, quiet)
    report = select(parts, quiet, budget=20)
    push(parts, quiet)
    sent = [(task.task.key, task.task.reason, plain(task.task.predictions)) for task in parts.server.tasks]
    return json.dumps(plain([report.chosen, sent]), sort_keys=True)


@pytest.mark.slow
def test_selections_are_the_same_to_the_byte_without_the_truth(tmp_path: Path) -> None:
    plan = small_plan()
    build(plan.world, tmp_path / "world", tmp_path / "truth", lambda done, total: None)
    with_truth = chosen_and_sent(tmp_path, plan, "with")
    (tmp_path / "truth").rename(tmp_path.parent / f"{tmp_path.name}-moved-away")
    assert len(json.loads(with_truth)[0]) == 20
    assert chosen_and_sent(tmp_path, plan, "without") == with_truth
