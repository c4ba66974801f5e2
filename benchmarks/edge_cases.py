"""Which planted edge cases the built-in collections gather, and how often they are wrong.

    python -m benchmarks.edge_cases [--seed 0]
    python -m benchmarks.edge_cases --report

Real frames of three fixed cameras (FIELDLOOP_DATA: fixed_videos, street_cam) through the whole
product: a project is made, ingested, analyzed by a real YOLOv8n and the bundled CLIP, and compared. The
first half of each clip is the training set, labeled by the detector itself (street_cam by people);
production is its last part, clean and with faults planted: blur, night, fog and reflections into
pixels, and cut-outs of the camera's own objects: a dozen of them (crowds), one over another
(occlusion), one turned by 90 degrees (odd orientation). Crowds and occlusion of street_cam that are
no plants are true by its labels. By example: six frames of a fault, two of each camera; those are left
out of what is counted. Writes benchmarks/results/edge_cases.json; --report prints the table from it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from benchmarks.image_faults import OF_EDGE_CASES
from benchmarks.real_clips import read_clip
from benchmarks.scale.__main__ import commit
from connectors.ports import Detections, Detector, Image
from connectors.yolo.detector import load_detector
from db.engine import read
from db.frames import frames
from db.slice_members import members
from db.slices import slices
from db.states import Origin, SliceKind
from loop.analysis.analyze import analyze
from loop.analysis.producers import producers
from loop.changes.audit import Who
from loop.changes.collections import make_by_examples
from loop.gaps import coverage_view
from loop.ingest.ingest import ingest
from loop.insights.collections import one_collection
from loop.math.coverage.box_cases import Corners, overlapped_share
from loop.project.init import NewProject, create_project, unasked
from loop.project.project import open_project
from loop.project.training_metadata import TrainingMetadata
from loop.project.wiring import Parts
from samplers.ragged import Ragged

RESULTS = Path(__file__).parent / "results" / "edge_cases.json"
CAMERAS = ("person", "car", "street")
WEIGHTS = "weights/yolov8n_from_int8.pt"
PATTERN = "{camera}/{date:%Y-%m-%d}/{time:%H%M%S}-{n}.jpg"
TRAINING, CLEAN, FAULTY = 30, 30, 8
"""Frames of a camera; faulty ones of each fault."""
HELD_OUT = 10
"""One in so many training frames is held out."""
SPLIT, LATER = 0.5, 0.55
"""Shares of a clip: where training ends and production begins."""
SURE, LEAST_SIDE = 0.5, 24
"""Of what is cut out: confidence, and pixels."""
CROWD, COVERED, SHARE = 8, 0.2, 0.25
"""As config/collections.yaml has them."""
EXAMPLES = 2
"""Of each camera."""
OF_STREET = {0: "car", 1: "truck", 2: "train", 3: "person"}
PLANTS = {
    "blur": ("blurred", "moved", "defocused"),
    "night": ("night",),
    "weather": ("fogged",),
    "reflections": ("reflecting",),
    "crowds": ("crowded",),
    "occlusion": ("covered",),
    "odd orientation": ("turned",),
}
START = datetime(2026, 5, 4, 8, tzinfo=UTC)
Dice = np.random.Generator
Boxes = NDArray[np.float64]
Results = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Shot:
    """A frame of a camera with what was found in it. boxes: (K, 4) px of sure and large objects.
    truth: (G, 4) px of labels that people gave, None where there are none.
    """

    image: Image
    found: Detections
    boxes: Boxes
    truth: Boxes | None


@dataclass(frozen=True)
class Frame:
    """One of production. shows: the collections that it belongs to."""

    camera: str
    fault: str
    shows: tuple[str, ...]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("FIELDLOOP_DATA") or "../shared/data")
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report", action="store_true")
    given = parser.parse_args()
    if not given.report:
        with tempfile.TemporaryDirectory(dir=Path("/dev/shm") if Path("/dev/shm").is_dir() else None) as at:
            results = measured(given.data, Path(at), given.seed)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(table(json.loads(RESULTS.read_text(encoding="utf-8"))))


def measured(data: Path, folder: Path, seed: int) -> Results:
    """Precision, recall and false alarms of each built-in collection, and of those by example."""
    begun = time.monotonic()
    detector = load_detector(data / WEIGHTS, imgsz=640, conf=0.05, iou=0.6)
    shots = {name: shots_of(data, name, detector) for name in CAMERAS}
    print(f"{time.monotonic() - begun:4.0f} s: detected", flush=True)
    write_dataset(folder / "dataset", shots, detector.classes)
    known = write_production(folder / "incoming", shots, seed)
    parts = compared(folder, data / WEIGHTS)
    print(f"{time.monotonic() - begun:4.0f} s: analyzed", flush=True)
    with read(parts.project.engine) as session:
        rows = frames(session, origin=Origin.PRODUCTION)
        stored = {row.name: row.id for row in slices(session, [SliceKind.COLLECTION])}
    of_seq = {row.seq: known[row.source_key] for row in rows}
    built_in = {name: _told(parts, stored[name], of_seq, name) for name in PLANTS}
    by_example = {name: _by_example(parts, name, of_seq) for name in PLANTS}
    counts = {"production": len(rows), "training": len(CAMERAS) * TRAINING}
    return {"commit": commit(), "seed": seed, **counts, "built_in": built_in, "by_example": by_example}


def shots_of(data: Path, name: str, detector: Detector) -> list[Shot]:
    """Frames for training, then for production, spread over the two parts of a clip."""
    clip = read_clip(data, name)
    first = np.linspace(0, SPLIT * len(clip) - 1, TRAINING).astype(int)
    later = np.linspace(LATER * len(clip), len(clip) - 1, CLEAN + FAULTY * 4).astype(int)
    places = [*first.tolist(), *later.tolist()]
    images = [clip.images[place] for place in places]
    truths = [_street_truth(data, place, images[0]) if name == "street" else None for place in places]
    found = [one for start in range(0, len(images), 8) for one in detector.detect(images[start : start + 8])]
    return [
        Shot(image, one, _objects(one), None if truth is None else truth[:, 1:])
        for image, one, truth in zip(images, found, truths, strict=True)
    ]


def write_dataset(folder: Path, shots: dict[str, list[Shot]], classes: Sequence[str]) -> None:
    """YOLO labels by what the detector is sure of."""
    for name, own in shots.items():
        for number, shot in enumerate(own[:TRAINING]):
            part = "val" if number % HELD_OUT == 0 else "train"
            path = _place(folder / "images" / part, name, number, day=-20 - (part == "val"))
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, shot.image)
            label = Path(str(path).replace("/images/", "/labels/")).with_suffix(".txt")
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text("\n".join(_label_lines(shot)) + "\n")
    document = {"path": str(folder), "train": "images/train", "val": "images/val", "names": list(classes)}
    (folder / "data.yaml").write_text(yaml.safe_dump(document))


def write_production(folder: Path, shots: dict[str, list[Shot]], seed: int) -> dict[str, Frame]:
    """What each file shows, by its path below the folder."""
    found: dict[str, Frame] = {}
    for place, (name, own) in enumerate(shots.items()):
        dice = np.random.default_rng([seed, place])
        cuts = [cut for shot in own[:TRAINING] for cut in _cut_outs(shot)]
        later = own[TRAINING:]
        for number, (shot, image, fault) in enumerate(_shown(later, cuts, dice)):
            path = _place(folder, name, number, day=number % 5)
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, image)
            natural = _natural(shot)
            planted = tuple(case for case, faults in PLANTS.items() if fault in faults)
            shows = tuple(dict.fromkeys([*planted, *natural]))
            found[path.relative_to(folder).as_posix()] = Frame(name, fault, shows)
    return found


def compared(folder: Path, weights: Path) -> Parts:
    """A project of it, ingested, analyzed and compared."""
    shutil.copy(weights, folder / "best.pt")
    settings = (f"frames.pattern={PATTERN}", "frames.settle_s=0", "gaps.regions=false", "detector.batch=8")
    training = TrainingMetadata(pattern=f"images/*/{PATTERN}")
    plan = NewProject(
        folder / "project",
        folder / "dataset" / "data.yaml",
        folder / "best.pt",
        str(folder / "incoming"),
        "",
        "small",
        settings,
        training,
    )
    create_project(plan, quiet, unasked)
    parts = Parts(open_project(folder / "project"))
    ingest(parts, quiet)
    analyze(parts, quiet)
    coverage_view.build(parts, quiet)
    return parts


def table(results: Results) -> str:
    """For people, in Markdown."""
    lines = [
        f"{results['production']} production frames of {len(CAMERAS)} cameras, {results['training']} training"
        f" frames; commit {results['commit']}, seed {results['seed']}.",
        "",
        "| collection | planted | recall | precision | false alarms | by six examples: recall | precision |"
        " what the examples foretold |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, found in results["built_in"].items():
        own = results["by_example"][name]
        cells = [_percent(found[what]) for what in ("recall", "precision", "false_alarms")]
        cells += [_percent(own[what]) for what in ("recall", "precision", "found")]
        lines.append(f"| {name} | {', '.join(PLANTS[name])} ({found['true']}) | {' | '.join(cells)} |")
    return "\n".join(lines)


def quiet(done: int, total: int, what: str) -> None:
    """Nobody watches."""


def crowded(shot: Shot, cuts: Sequence[Image], dice: Dice) -> Image:
    """A dozen objects more, none over another."""
    image, taken = shot.image.copy(), [*shot.boxes.tolist()]
    for _ in range(400):
        cut = cuts[int(dice.integers(len(cuts)))]
        corners = _anywhere(image, cut, dice)
        if corners is not None and not any(_overlap(corners, other) for other in taken):
            _paste(image, cut, corners)
            taken.append(list(corners))
            if len(taken) - len(shot.boxes) == 12:
                break
    return image


def covered(shot: Shot, cuts: Sequence[Image], dice: Dice) -> Image:
    """Each object gets another of its kind over 40 to 60 % of it."""
    image = shot.image.copy()
    for x1, y1, x2, y2 in shot.boxes.astype(int).tolist():
        cut = shot.image[y1:y2, x1:x2].copy()
        moved = int((x2 - x1) * dice.uniform(0.4, 0.6))
        left = x1 + moved if x2 + moved < image.shape[1] else x1 - moved
        if left >= 0:
            _paste(image, cut, (left, y1, left + x2 - x1, y2))
    return image


def turned(shot: Shot, cuts: Sequence[Image], dice: Dice) -> Image:
    """One object more, lying on its side."""
    image = shot.image.copy()
    for _ in range(400):
        cut = np.ascontiguousarray(np.rot90(cuts[int(dice.integers(len(cuts)))], dice.choice([1, 3])))
        corners = _anywhere(image, cut, dice)
        if corners is not None and not any(_overlap(corners, other) for other in shot.boxes.tolist()):
            _paste(image, cut, corners)
            break
    return image


COMPOSED: dict[str, Callable[[Shot, Sequence[Image], Dice], Image]] = {
    "crowded": crowded,
    "covered": covered,
    "turned": turned,
}


def _shown(later: Sequence[Shot], cuts: Sequence[Image], dice: Dice) -> Iterator[tuple[Shot, Image, str]]:
    order = [later[place] for place in dice.permutation(len(later))]
    for shot in order[:CLEAN]:
        yield shot, shot.image, "clean"
    rest = order[CLEAN:]
    for fault in (each for faults in PLANTS.values() for each in faults):
        drawn = [rest[place] for place in dice.permutation(len(rest))]
        if fault in COMPOSED:
            drawn = [shot for shot in drawn if len(shot.boxes)]
        for shot in drawn[:FAULTY]:
            if fault in COMPOSED:
                image = COMPOSED[fault](shot, cuts, dice)
            else:
                image = OF_EDGE_CASES[fault](shot.image, dice)
            yield shot, image, fault


def _natural(shot: Shot) -> list[str]:
    if shot.truth is None:
        return []
    count = len(shot.truth)
    sizes = np.array(shot.image.shape[1::-1])
    start = np.array([0, count])
    ones = np.ones(count)
    corners = Corners(Ragged(shot.truth, start), np.zeros(count, np.int64), ones, sizes[:1], sizes[1:])
    hidden = overlapped_share(corners, COVERED)[0] if count else 0.0
    return [*(["crowds"] if count >= CROWD else []), *(["occlusion"] if hidden >= SHARE else [])]


def _told(parts: Parts, number: int, of_seq: dict[int, Frame], name: str, but: Sequence[int] = ()) -> Results:
    with read(parts.project.engine) as session:
        everything = set(members(session, producers(parts).measure, number)[0].tolist())
    found = everything & set(of_seq) - set(but)
    true = {seq for seq, frame in of_seq.items() if name in frame.shows} - set(but)
    others = set(of_seq) - true - set(but)
    by_fault = {
        fault: round(len(found & own) / len(own), 3)
        for fault in dict.fromkeys(frame.fault for frame in of_seq.values())
        if (own := {seq for seq, frame in of_seq.items() if frame.fault == fault} - set(but))
    }
    return {
        "true": len(true),
        "recall": round(len(found & true) / max(len(true), 1), 3),
        "precision": round(len(found & true) / len(found), 3) if found else None,
        "false_alarms": round(len(found & others) / max(len(others), 1), 3),
        "by_fault": by_fault,
    }


def _by_example(parts: Parts, name: str, of_seq: dict[int, Frame]) -> Results:
    examples = [
        seq
        for camera in CAMERAS
        for seq in [
            seq for seq, frame in of_seq.items() if frame.camera == camera and frame.fault in PLANTS[name]
        ][:EXAMPLES]
    ]
    number = make_by_examples(parts, Who("benchmark", "command"), f"like {name}", examples)
    found = one_collection(parts.project, number).found
    return _told(parts, number, of_seq, name, examples) | {"found": found}


def _objects(found: Detections) -> Boxes:
    sides = (found.xyxy[:, 2:] - found.xyxy[:, :2]).min(axis=1, initial=np.inf)
    boxes: Boxes = found.xyxy[(found.confidence >= SURE) & (sides >= LEAST_SIDE)].astype(np.float64)
    return boxes


def _cut_outs(shot: Shot) -> Iterator[Image]:
    for x1, y1, x2, y2 in shot.boxes.astype(int).tolist():
        if (x2 - x1) * (y2 - y1) < 0.1 * shot.image.shape[0] * shot.image.shape[1]:
            yield shot.image[y1:y2, x1:x2].copy()


def _anywhere(image: Image, cut: Image, dice: Dice) -> tuple[int, int, int, int] | None:
    height, width = cut.shape[:2]
    if height + 20 >= image.shape[0] or width + 20 >= image.shape[1]:
        return None
    x1 = int(dice.integers(10, image.shape[1] - width - 10))
    y1 = int(dice.integers(10, image.shape[0] - height - 10))
    return x1, y1, x1 + width, y1 + height


def _paste(image: Image, cut: Image, corners: tuple[int, int, int, int]) -> None:
    x1, y1, x2, y2 = corners
    image[y1:y2, x1:x2] = cut[: y2 - y1, : x2 - x1]


def _overlap(some: Sequence[float], other: Sequence[float]) -> bool:
    across = min(some[2], other[2]) > max(some[0], other[0])
    return across and min(some[3], other[3]) > max(some[1], other[1])


def _street_truth(data: Path, place: int, image: Image) -> Boxes:
    """(G, 5) class and corners in px."""
    text = (data / "street_cam" / "labels" / f"{place:06d}.txt").read_text().split()
    rows = np.array(text, dtype=np.float64).reshape(-1, 5)
    height, width = image.shape[:2]
    middle, half = rows[:, 1:3] * [width, height], rows[:, 3:] * [width, height] / 2
    boxes: Boxes = np.concatenate([rows[:, :1], middle - half, middle + half], axis=1)
    return boxes


def _label_lines(shot: Shot) -> Iterator[str]:
    height, width = shot.image.shape[:2]
    for class_id, confidence, (x1, y1, x2, y2) in zip(
        shot.found.class_id, shot.found.confidence, shot.found.xyxy.tolist(), strict=True
    ):
        if confidence >= SURE:
            values = (x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height
            yield f"{class_id} " + " ".join(f"{value:.6f}" for value in values)


def _place(folder: Path, camera: str, number: int, day: int) -> Path:
    """A minute apart, so that no two are of one burst."""
    when = START + timedelta(days=day, minutes=number)
    return folder / camera / f"{when:%Y-%m-%d}" / f"{when:%H%M%S}-{number}.jpg"


def _write(path: Path, image: Image) -> None:
    cv2.imwrite(str(path), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])


def _percent(share: float | None) -> str:
    return "not known" if share is None else f"{share:.0%}"


if __name__ == "__main__":
    main()
