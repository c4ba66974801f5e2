"""Three labeled data sets whose labels are taken to be right: debris, a street, a rendered world."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from connectors.files import sha256_of_file
from demo.world import parse_world, rendered
from loop.base.arrays import Ints, Reals

SEQUENCES = 4
"""A class of debris in fewer sequences is left out: folds would hardly know it."""
OF_SEQUENCE = 14
"""Frames of one sequence of debris, evenly spaced; its frames are nearly alike."""
BLOCKS = 12
"""The street's one day is cut into as many blocks, each for a camera-day."""
WORLD: dict[str, Any] = {
    "seed": 2718,
    "classes": ["person", "helmet", "car", "truck", "pallet", "extinguisher", "forklift"],
    "training": {"frames": 1, "cameras": ["depot-1"]},
    "production": {
        "frames": 800,
        "burst": 4,
        "days": 10,
        "cameras": ["depot-1", "depot-2", "construction-1", "construction-2", "street-1", "street-2"],
    },
    "test": {"frames_per_condition": 1},
}
"""Daylight of six cameras, of the kind that the demo renders; no detector has seen this seed."""


@dataclass(frozen=True, eq=False)
class LabeledFrame:
    """path: of the picture.
    size: (width, height) px.
    xyxy: (L, 4) px and class_id: (L,), the labels.
    group: its camera-day, sequence or block.
    """

    path: Path
    size: tuple[int, int]
    xyxy: Reals
    class_id: Ints
    group: str


@dataclass(frozen=True, eq=False)
class LabeledSet:
    """Frames whose labels are right, and what the folds' models need for them.

    imgsz: longer side in px. passes: pictures that a training sees.
    """

    name: str
    classes: tuple[str, ...]
    frames: tuple[LabeledFrame, ...]
    imgsz: int
    passes: int
    folds: int


def debris(data: Path, work: Path) -> LabeledSet:
    """FOD-A: classes in enough sequences, frames evenly from each."""
    folder = data / "fod_a"
    names = (folder / "classes.txt").read_text(encoding="utf-8").split("\n")
    rows = list(csv.DictReader((folder / "meta.csv").open(encoding="utf-8")))
    sequences: dict[str, set[str]] = defaultdict(set)
    of_sequence: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        sequences[row["class"]].add(row["sequence"])
    kept = [name for name in names if len(sequences[name]) >= SEQUENCES]
    for row in rows:
        if row["class"] in kept:
            of_sequence[row["sequence"]].append(row["file"])
    number = {names.index(name): i for i, name in enumerate(kept)}
    frames = [
        _read(folder, file, f"sequence {sequence}", number)
        for sequence, files in sorted(of_sequence.items())
        for file in _evenly(files, OF_SEQUENCE)
    ]
    return LabeledSet("debris", tuple(kept), tuple(frames), 224, 8000, 2)


def street(data: Path, work: Path) -> LabeledSet:
    """One fixed camera, in blocks of consecutive frames."""
    folder = data / "street_cam"
    names = (folder / "classes.txt").read_text(encoding="utf-8").split()
    files = sorted(path.name for path in (folder / "images").glob("*.jpg"))
    number = {i: i for i in range(len(names))}
    frames = [
        _read(folder, file, f"block {BLOCKS * place // len(files):02d}", number)
        for place, file in enumerate(files)
    ]
    return LabeledSet("street", tuple(names), tuple(frames), 640, 2400, 2)


def world(data: Path, work: Path) -> LabeledSet:
    """A rendered world."""
    plan = parse_world(WORLD)
    rendered(plan, work, lambda done, total: None)
    lines = (work / "truth" / "production.jsonl").read_text(encoding="utf-8").splitlines()
    truth = {line["sha256"]: line for line in map(json.loads, lines)}
    root = work / "world" / "production"
    frames = [_of_world(path, root, truth, plan.classes) for path in sorted(root.rglob("*.jpg"))]
    return LabeledSet("rendered", plan.classes, tuple(frames), 320, 4000, 2)


SETS: dict[str, Callable[[Path, Path], LabeledSet]] = {"rendered": world, "street": street, "debris": debris}


def _read(folder: Path, file: str, group: str, number: Mapping[int, int]) -> LabeledFrame:
    """A picture with its YOLO labels; classes that are not numbered are left out."""
    path = folder / "images" / file
    with Image.open(path) as image:
        width, height = image.size
    text = (folder / "labels" / file).with_suffix(".txt").read_text(encoding="utf-8")
    rows: Reals = np.array(text.split(), dtype=np.float64).reshape(-1, 5)
    rows = rows[[int(each) in number for each in rows[:, 0]]]
    middle, half = rows[:, 1:3], rows[:, 3:] / 2
    xyxy = np.concatenate([middle - half, middle + half], axis=1) * [width, height, width, height]
    ids = np.array([number[int(each)] for each in rows[:, 0]], dtype=np.int64)
    return LabeledFrame(path, (width, height), xyxy, ids, group)


def _of_world(path: Path, root: Path, truth: Mapping[str, Any], classes: Sequence[str]) -> LabeledFrame:
    with Image.open(path) as image:
        size = image.size
    boxes = truth[sha256_of_file(path)]["boxes"]
    xyxy = np.array([box[1:] for box in boxes], dtype=np.float64).reshape(-1, 4)
    ids = np.array([classes.index(box[0]) for box in boxes], dtype=np.int64)
    return LabeledFrame(path, size, xyxy, ids, path.parent.relative_to(root).as_posix())


def _evenly(files: Sequence[str], most: int) -> list[str]:
    if len(files) <= most:
        return list(files)
    return [files[place] for place in np.linspace(0, len(files) - 1, most).round().astype(int)]
