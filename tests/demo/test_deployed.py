"""A world is shown with a detector that was trained on such a world."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import config
from connectors.label_studio.server import stop
from connectors.ports import TrainResult
from demo import deployed, train_detector
from demo.deployed import CARRIED, deployed_weights, fits, minutes, training_folder
from demo.plan import SHARED, Plan, read_plan
from demo.report import deployed_words, write_report
from demo.run import run
from demo.train_detector import Stage, is_trained
from demo.world import World, load_world, parse_world
from loop.project.project import open_project
from loop.project.wiring import Parts
from tests.fakes import quiet

RECORD = json.loads((CARRIED / "base.json").read_text(encoding="utf-8"))
DUSK = """
world:
  seed: 5
  classes: [person, car, truck, pallet]
  training:
    frames: 48
    validation: 8
    cameras: &known [harbor-1, street-1]
    conditions: [{time: dusk}]
    rare: {class: pallet, instances: 1}
  production:
    frames: 120
    burst: 4
    days: 6
    cameras: *known
    usual: dusk
    conditions: [{time: dusk}]
    gaps: [{name: bright day, share: 0.2, where: {time: day}}]
  test: {frames_per_condition: 6}
project:
  name: a world at dusk
  round: {epochs: 1, replay: 16}
demo: {budget: 16}
"""


def changed(**changes: Any) -> World:
    """The carried detector's world with other values by dotted key."""
    section = yaml.safe_load(SHARED.read_text(encoding="utf-8"))["world"]
    for key, value in changes.items():
        *path, last = key.split("__")
        place = section
        for name in path:
            place = place[name]
        place[last] = value
    return parse_world(section)


def never(*_: object, **__: object) -> TrainResult:
    raise AssertionError("nothing was to be trained")


def test_the_carried_detector_fits_its_own_world_and_other_seeds_of_it() -> None:
    assert fits(RECORD, load_world(SHARED))
    assert fits(RECORD, changed(seed=977))
    assert fits(RECORD, changed(production__days=30, production__usual="clear day"))


@pytest.mark.parametrize(
    "changes",
    [
        {"training__conditions": [{"time": "night"}]},
        {"training__rare": {"class": "forklift", "instances": 50}},
        {"training__cameras": ["street-1"]},
        {"classes": ["forklift", "person", "helmet", "car", "truck", "pallet", "extinguisher"]},
        {"production__gaps": [{"name": "trucks", "share": 0.1, "where": {"object": "truck"}}]},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_it_does_not_fit_another(changes: dict[str, Any]) -> None:
    assert not fits(RECORD, changed(**changes))


def test_the_shipped_plans_deploy_what_was_trained_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployed, "train", never)
    for name in ("demo.yaml", "demo-quick.yaml"):
        plan = read_plan(config.FOLDER / name)
        assert deployed_weights(plan, tmp_path, lambda line: None, quiet) == CARRIED / "base.pt"
    with pytest.raises(AssertionError, match="nothing was to be trained"):
        deployed_weights(read_plan(config.FOLDER / "demo-night.yaml"), tmp_path, lambda line: None, quiet)


def test_a_plan_may_name_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployed, "train", never)
    plan = replace(read_plan(config.FOLDER / "demo-night.yaml"), weights=tmp_path / "own.pt")
    assert deployed_weights(plan, tmp_path, lambda line: None, quiet) == tmp_path / "own.pt"


def test_every_trained_world_has_a_folder_of_its_own(tmp_path: Path) -> None:
    worlds = [
        changed(),
        changed(seed=977),
        changed(classes=["forklift", "person"]),
        changed(training__frames=1599),
        changed(production__gaps=[{"name": "trucks", "share": 0.1, "where": {"object": "truck"}}]),
    ]
    assert len({training_folder(tmp_path, world) for world in worlds}) == len(worlds)
    assert training_folder(tmp_path, changed(production__days=9)) == training_folder(tmp_path, worlds[0])


def test_the_time_it_takes_is_told() -> None:
    assert minutes(changed()) == 7
    assert minutes(changed(training__frames=8)) == 1


def test_the_report_says_what_was_deployed(tmp_path: Path) -> None:
    assert (
        deployed_words(read_plan(SHARED))
        == "A detector was deployed that was trained on 1600 frames by day, 5 of them with a forklift."
    )
    night = read_plan(config.FOLDER / "demo-night.yaml")
    assert deployed_words(night).endswith("1600 frames by night, 16 of them with an extinguisher.")
    conditions = [{"time": "night", "weather": "rain"}, {"time": "dusk", "quality": "dirty lens"}, {}]
    several = changed(training__conditions=conditions, training__rare={"class": "forklift", "instances": 0})
    assert (
        deployed_words(replace(night, world=several, weights=tmp_path / "own.pt"))
        == "The detector own.pt was deployed, beside a training set of 1600 frames by night in rain, "
        "at dusk through a dirty lens and by day, none of them with a forklift."
    )


@pytest.fixture
def dusk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """A tiny world of its own, and a training that takes seconds."""
    for module in (train_detector, deployed):
        monkeypatch.setattr(module, "STAGES", (Stage(1, 0.003, 1), Stage(1, 0.002, 1)))
    (tmp_path / "dusk.yaml").write_text(DUSK)
    return read_plan(tmp_path / "dusk.yaml")


@pytest.mark.slow
@pytest.mark.studio
def test_another_world_from_its_description_to_its_report(dusk: Plan, tmp_path: Path) -> None:
    said: list[str] = []
    folder = tmp_path / "run"
    try:
        outcome = run(dusk, folder, said.append, quiet, control_groups=False)
        page, _ = write_report(outcome, Parts(open_project(folder / "project")), folder)
    finally:
        stop(folder / "project" / "labelstudio")
    assert sum("no carried detector was trained on such a world; training one" in line for line in said) == 1
    assert outcome.weights.is_relative_to(training_folder(folder, dusk.world))
    text = page.read_text(encoding="utf-8")
    assert "trained on 48 frames at dusk, 1 of them with a pallet." in text
    assert "daylight" not in text
    assert "forklift" not in text
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert [gap["name"] for gap in result["gaps"]] == ["bright day"]
    assert set(result["scores"]["deployed"]) == {"dusk", "bright day"}

    said.clear()
    assert is_trained(training_folder(folder, dusk.world))
    assert deployed_weights(dusk, folder, said.append, quiet) == outcome.weights
    assert said == ["  this world's own detector was trained before"]
