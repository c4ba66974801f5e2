"""Each built-in collection gathers the edge case that is planted, and little else.

Rendered yards of three cameras, with a detector that sees every colored rectangle: red ones stand
upright, green ones are square.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image as Pil

from benchmarks.image_faults import OF_EDGE_CASES
from connectors.ports import Detections, Image
from db.engine import read
from db.frames import frames
from db.slice_members import members
from db.slices import slices
from db.states import Origin, SliceKind
from loop.analysis.producers import producers
from loop.gaps import coverage_view
from loop.gaps.arrivals import analyze
from loop.ingest.ingest import ingest
from loop.project.init import NewProject
from loop.project.project import open_project
from loop.project.training_metadata import TrainingMetadata
from loop.project.wiring import deployed_weights
from tests.fakes import CLASSES, COLORS, MONDAY, PATTERN, FakeDetector, FakeParts, create, quiet, weights

SIZE = 320, 240
CAMERAS, TRAINING, CLEAN, PLANTED = 3, 30, 40, 4
Dice = np.random.Generator
Box = tuple[int, int, int, int, int]
FEWEST_FOUND, FEWEST_RIGHT = 0.9, 0.7
"""Recall and precision of each."""


class SeesRectangles(FakeDetector):
    """Every connected patch of a color is an object of its class."""

    def _one(self, image: Any) -> Detections:
        rows, ids = [], []
        for class_id, other in ((0, 1), (1, 0)):
            colored = (image[..., class_id] > 1.5 * image[..., other] + 25).astype(np.uint8)
            count, _, found, _ = cv2.connectedComponentsWithStats(colored)
            for x, y, wide, high, area in found[1:count].tolist():
                if area > 60:
                    rows.append((x, y, x + wide, y + high))
                    ids.append(class_id)
        xyxy = np.array(rows, np.float32).reshape(-1, 4)
        return Detections(xyxy, np.full(len(rows), 0.8, np.float32), np.array(ids, np.int64), None, 5.0)


def yard(camera: int, dice: Dice, objects: Sequence[Box]) -> Image:
    """Structured ground of the camera under changing light, with objects on it."""
    own, light = np.random.default_rng(camera), np.full(SIZE[::-1], dice.normal(120, 4))
    for part in (4, 16, 64):
        ground = own.normal(0, 22, (SIZE[1] // part, SIZE[0] // part))
        light += cv2.resize(ground, SIZE, interpolation=cv2.INTER_NEAREST)
    pixels = np.repeat((light + dice.normal(0, 3, light.shape))[..., None], 3, axis=2)
    for class_id, x1, y1, x2, y2 in objects:
        pixels[y1:y2, x1:x2] = np.array(COLORS[class_id]) * 0.8
    return pixels.clip(0, 255).astype(np.uint8)


def apart(dice: Dice, count: int, taken: Sequence[Box] = ()) -> list[Box]:
    """So many objects of either class, none near another nor at the border."""
    found: list[Box] = []
    while len(found) < count:
        class_id = int(dice.integers(0, 2))
        high = int(dice.integers(26, 40))
        wide = int(high * (0.5 if class_id == 0 else 1.0) * dice.uniform(0.9, 1.1))
        x, y = int(dice.integers(10, SIZE[0] - wide - 10)), int(dice.integers(10, SIZE[1] - high - 10))
        if not any(
            x < ox2 + 4 and ox1 < x + wide + 4 and y < oy2 + 4 and oy1 < y + high + 4
            for _, ox1, oy1, ox2, oy2 in (*taken, *found)
        ):
            found.append((class_id, x, y, x + wide, y + high))
    return found


def crowded(dice: Dice) -> list[Box]:
    return apart(dice, 11)


def covered(dice: Dice) -> list[Box]:
    """A red one, half behind a green one."""
    x, y = int(dice.integers(40, 200)), int(dice.integers(40, 140))
    pair: list[Box] = [(0, x, y, x + 24, y + 48), (1, x + 10, y + 10, x + 40, y + 40)]
    return [*pair, *apart(dice, 2, pair)]


def turned(dice: Dice) -> list[Box]:
    """A red one that lies."""
    x, y = int(dice.integers(40, 200)), int(dice.integers(40, 140))
    lying: Box = (0, x, y, x + 60, y + 28)
    return [lying, *apart(dice, 2, [lying])]


def few(dice: Dice) -> list[Box]:
    return apart(dice, int(dice.integers(2, 5)))


@dataclass(frozen=True)
class Plant:
    """What is planted for a collection: objects, or faults of the camera.

    neither: what is planted for others and shows here too: fog and highlights take fine detail.
    """

    objects: Callable[[Dice], list[Box]] = few
    faults: tuple[str, ...] = ()
    neither: tuple[str, ...] = ()


PLANTS = {
    "night": Plant(faults=("night", "dark")),
    "blur": Plant(faults=("blurred", "defocused"), neither=("weather", "reflections")),
    "reflections": Plant(faults=("reflecting",)),
    "weather": Plant(faults=("fogged",)),
    "occlusion": Plant(covered),
    "crowds": Plant(crowded),
    "odd orientation": Plant(turned),
}


def write(path: Path, image: Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = io.BytesIO()
    Pil.fromarray(image).save(file, "JPEG", quality=95, subsampling=0)
    path.write_bytes(file.getvalue())


def place(folder: Path, camera: int, number: int, day: int) -> Path:
    when = MONDAY + timedelta(days=day, minutes=number)
    return folder / f"cam{camera}" / f"{when:%Y-%m-%d}" / f"{when:%H%M%S}-{number}.jpg"


def write_training(folder: Path) -> None:
    for camera in range(CAMERAS):
        dice = np.random.default_rng([camera, 0])
        for number in range(TRAINING):
            part = "val" if number % 10 == 0 else "train"
            objects = few(dice)
            path = place(folder / "images" / part, camera, number, -20 - (part == "val"))
            write(path, yard(camera, dice, objects))
            label = Path(str(path).replace("/images/", "/labels/")).with_suffix(".txt")
            label.parent.mkdir(parents=True, exist_ok=True)
            rows = [
                f"{c} {(x1 + x2) / 2 / SIZE[0]:.6f} {(y1 + y2) / 2 / SIZE[1]:.6f}"
                f" {(x2 - x1) / SIZE[0]:.6f} {(y2 - y1) / SIZE[1]:.6f}"
                for c, x1, y1, x2, y2 in objects
            ]
            label.write_text("\n".join(rows) + "\n")
    document = {"path": str(folder), "train": "images/train", "val": "images/val", "names": list(CLASSES)}
    (folder / "data.yaml").write_text(yaml.safe_dump(document))


def write_production(folder: Path) -> dict[str, str]:
    """What is planted in each file, "" in those that are clean."""
    found = {}
    for camera in range(CAMERAS):
        dice = np.random.default_rng([camera, 1])
        shots: list[tuple[str, Plant, str]] = [("", Plant(), "")] * CLEAN
        shots += [
            (name, plant, "") for name, plant in PLANTS.items() if not plant.faults for _ in range(PLANTED)
        ]
        shots += [
            (name, plant, f) for name, plant in PLANTS.items() for f in plant.faults for _ in range(PLANTED)
        ]
        for number, (name, plant, fault) in enumerate(shots):
            image = yard(camera, dice, plant.objects(dice))
            path = place(folder, camera, number, number % 3)
            write(path, OF_EDGE_CASES[fault](image, dice) if fault else image)
            found[path.relative_to(folder).as_posix()] = name
    return found


@pytest.fixture(scope="module")
def gathered(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[dict[str, str], dict[str, set[str]]]]:
    """What is planted in each file, and the files of each collection."""
    folder = tmp_path_factory.mktemp("planted")
    write_training(folder / "dataset")
    planted = write_production(folder / "incoming")
    (folder / "best.pt").write_bytes(weights())
    settings = (f"frames.pattern={PATTERN}", "frames.settle_s=0", "gaps.prompts=false", "gaps.regions=false")
    training = TrainingMetadata(pattern=f"images/*/{PATTERN}")
    data, frames_of = folder / "dataset" / "data.yaml", str(folder / "incoming")
    plan = NewProject(
        folder / "project", data, folder / "best.pt", frames_of, "", "small", settings, training
    )
    create(plan)
    parts = FakeParts(open_project(folder / "project"))
    parts.detectors[deployed_weights(parts.project)[1]] = SeesRectangles("sees rectangles")
    ingest(parts, quiet)
    analyze(parts, quiet)
    coverage_view.build(parts, quiet)
    with read(parts.project.engine) as session:
        files = {row.seq: row.source_key for row in frames(session, origin=Origin.PRODUCTION)}
        rows = slices(session, [SliceKind.COLLECTION])
        measure = producers(parts).measure
        found = {
            row.name: {files[seq] for seq in members(session, measure, row.id)[0].tolist() if seq in files}
            for row in rows
        }
    yield planted, found
    parts.project.engine.dispose()


@pytest.mark.parametrize("name", PLANTS)
def test_what_is_planted_is_gathered(gathered: tuple[dict[str, str], dict[str, set[str]]], name: str) -> None:
    planted, found = gathered
    true = {file for file, shows in planted.items() if shows == name}
    assert len(true) >= CAMERAS * PLANTED
    counted = {file for file in found[name] if planted[file] not in PLANTS[name].neither}
    told = (len(counted & true) / len(true), len(counted & true) / max(len(counted), 1))
    assert told[0] >= FEWEST_FOUND, told
    assert told[1] >= FEWEST_RIGHT, told
