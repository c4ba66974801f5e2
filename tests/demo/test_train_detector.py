"""The carried detector is what its record says, and the script that made it works."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from connectors.ports import Detections
from connectors.yolo.detector import read_classes
from demo import train_detector
from demo.train_detector import (
    WORLD,
    Stage,
    evaluate,
    main,
    parse_labels,
    score,
    table,
    write_dataset,
)
from demo.world import World, load_world, parse_world, rendered

ASSETS = Path(train_detector.__file__).parent / "assets" / "detector"
RECORD = json.loads((ASSETS / "base.json").read_text(encoding="utf-8"))


def small_world(test_frames: int, training_frames: int) -> World:
    section = yaml.safe_load(WORLD.read_text(encoding="utf-8"))["world"]
    section["training"] |= {"frames": training_frames, "validation": 0}
    section["training"]["rare"]["instances"] = min(5, training_frames)
    section["production"] |= {"frames": 72, "days": 3}
    section["test"]["frames_per_condition"] = test_frames
    return parse_world(section)


def test_the_record_belongs_to_the_weights() -> None:
    content = (ASSETS / "base.pt").read_bytes()
    assert hashlib.sha256(content).hexdigest() == RECORD["sha256"]
    assert len(content) <= 3_000_000
    assert read_classes(ASSETS / "base.pt") == tuple(RECORD["classes"]) == load_world(WORLD).classes


def test_the_weights_hold_no_path_of_the_machine_that_trained_them() -> None:
    content = (ASSETS / "base.pt").read_bytes()
    assert not re.search(rb"/(home|root|tmp|work|Users|mnt|var)/", content)


def test_good_by_day_and_much_weaker_in_every_gap() -> None:
    scores = RECORD["scores"]
    assert scores["daylight"]["ap50"] >= 0.93
    for gap in load_world(WORLD).production.gaps:
        assert scores[gap.name]["ap50"] <= 0.6, gap.name


@pytest.mark.slow
def test_the_weights_score_what_the_record_says(tmp_path: Path) -> None:
    world = small_world(test_frames=24, training_frames=1)
    rendered(world, tmp_path, lambda done, total: None)
    scores = evaluate(ASSETS / "base.pt", world, tmp_path)
    assert list(scores) == ["daylight", *(gap.name for gap in world.production.gaps)]
    for name, found in scores.items():
        assert found.ap50 == pytest.approx(RECORD["scores"][name]["ap50"], abs=0.2), name
    assert (
        scores["daylight"].ap50
        > max(found.ap50 for name, found in scores.items() if name != "daylight") + 0.2
    )


@pytest.mark.slow
def test_the_script_from_world_to_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_detector, "STAGES", (Stage(1, 0.003, 1), Stage(1, 0.002, 3)))
    world = small_world(test_frames=2, training_frames=16)
    (tmp_path / "world.yaml").write_text(
        yaml.safe_dump({"world": world.model_dump(mode="json", by_alias=True)})
    )
    arguments = ["--out", tmp_path / "out", "--work", tmp_path / "work", "--world", tmp_path / "world.yaml"]
    main([str(argument) for argument in arguments])
    first = (tmp_path / "out" / "base.json").read_bytes()
    assert (tmp_path / "out" / "base.pt").exists()
    main([str(argument) for argument in arguments])
    assert (tmp_path / "out" / "base.json").read_bytes() == first


def test_frames_with_the_rare_class_are_listed_as_often_as_asked(tmp_path: Path) -> None:
    world = small_world(test_frames=1, training_frames=2)
    for part in ("images", "labels"):
        (tmp_path / "world" / "train" / part / "train").mkdir(parents=True)
    for name, labels in (("a", "0 .5 .5 .1 .1\n6 .5 .5 .2 .2\n"), ("b", "")):
        (tmp_path / "world" / "train" / "images" / "train" / f"{name}.jpg").touch()
        (tmp_path / "world" / "train" / "labels" / "train" / f"{name}.txt").write_text(labels)
    listed = (
        write_dataset(world, tmp_path, tmp_path / "stage.yaml", 3).with_suffix(".txt").read_text().split()
    )
    assert [Path(line).stem for line in listed] == ["a", "a", "a", "b"]


def test_labels_become_corners_in_pixels() -> None:
    truth = parse_labels("2 0.5 0.25 0.5 0.5\n", 320, 192)
    np.testing.assert_allclose(truth.xyxy, [[80, 0, 240, 96]])
    assert truth.class_id.tolist() == [2]
    assert len(parse_labels("", 320, 192).class_id) == 0


def test_one_class_alone_may_count() -> None:
    truth = parse_labels("0 0.5 0.5 0.5 0.5\n1 0.2 0.2 0.2 0.2\n", 100, 100)
    nothing = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
    alone = score([nothing], [truth], ("a", "b"), "b")
    assert np.isnan(alone.at(0.5)).tolist() == [True, False]
    assert "0.000 (0.000)" in table({"base": {"b": alone}})
