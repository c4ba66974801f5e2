"""FOD-A (runway debris) laid out as a team would have it: a training set, a folder of frames from a
camera, and, withheld, the truth.

Sequences are never divided: each trains, is production, or is held out as a whole.
"""

from __future__ import annotations

import csv
import json
import random
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from PIL import Image as Pil
from steps import write_data_yaml

from connectors.files import sha256_of_file

KNOWN = "dry-bright"
CELLS = (KNOWN, "dry-dim", "dry-dark", "wet-dim")
LONG = 10
CAMERA = "runway"
FIRST_DAY = datetime(2026, 3, 1, 12, tzinfo=UTC)
FRAME_S = 1 / 30


@dataclass(frozen=True)
class Frame:
    """One image. cell: weather and light. index: its place in the recordings."""

    file: str
    sequence: int
    index: int
    cell: str
    class_name: str

    @property
    def conditions(self) -> frozenset[str]:
        """dark, dim, wet: what is to be found."""
        return frozenset(self.cell.split("-")) & {"dark", "dim", "wet"}


@dataclass(frozen=True)
class Parts:
    """train, val: of the known cell. production: of the others. held_out: by cell, seen by nobody
    until the end.
    """

    classes: tuple[str, ...]
    train: list[Frame]
    val: list[Frame]
    production: list[Frame]
    held_out: dict[str, list[Frame]]


@dataclass(frozen=True)
class Sizes:
    """At most so many frames of one sequence, evenly spaced."""

    train: int
    production: int
    held_out: int


@dataclass(frozen=True)
class Layout:
    """What was written. truth: conditions and boxes (class, x1, y1, x2, y2 in px) by the sha256 of
    the image file.
    """

    dataset: Path
    frames: Path
    conditions: dict[str, frozenset[str]]
    boxes: dict[str, tuple[tuple[str, float, float, float, float], ...]]
    tests: dict[str, Path]


def read_frames(folder: Path) -> list[Frame]:
    """The frames of the classes that occur in all cells."""
    with (folder / "meta.csv").open(encoding="utf-8", newline="") as file:
        frames = [
            Frame(
                row["file"],
                int(row["sequence"]),
                int(row["frame"]),
                f"{row['weather']}-{row['light']}",
                row["class"],
            )
            for row in csv.DictReader(file)
        ]
    cells = defaultdict(set)
    for frame in frames:
        cells[frame.class_name].add(frame.cell)
    return [frame for frame in frames if cells[frame.class_name] >= set(CELLS)]


def divide(frames: Sequence[Frame], sizes: Sizes) -> Parts:
    """Where a class has several long sequences in a cell, the shortest of those is held out. Where
    it has one, that is held out in one of the three other cells, in turns, and is production in the
    rest: in that cell such a class is met only at the end.
    """
    classes = tuple(sorted({frame.class_name for frame in frames}))
    roles: dict[int, str] = {}
    for place, name in enumerate(classes):
        for turn, cell in enumerate(CELLS):
            lengths = _lengths(frame for frame in frames if (frame.class_name, frame.cell) == (name, cell))
            roles |= {
                sequence: roles.get(sequence, role)
                for sequence, role in _roles(lengths, cell, turn == 1 + place % 3).items()
            }
    chosen = {
        role: [frame for frame in frames if roles[frame.sequence] == role]
        for role in ("train", "val", "production", "held out")
    }
    held_out = {
        cell: thinned([frame for frame in chosen["held out"] if frame.cell == cell], sizes.held_out)
        for cell in CELLS
    }
    return Parts(
        classes,
        thinned(chosen["train"], sizes.train),
        thinned(chosen["val"], sizes.held_out),
        thinned(chosen["production"], sizes.production),
        held_out,
    )


def thinned(frames: Iterable[Frame], most: int) -> list[Frame]:
    """At most so many frames of each class in each sequence, evenly spaced."""
    by_sequence = defaultdict(list)
    for frame in frames:
        by_sequence[frame.sequence, frame.class_name].append(frame)
    kept: list[Frame] = []
    for members in by_sequence.values():
        members.sort(key=lambda frame: frame.index)
        count = min(most, len(members))
        kept += [members[i * len(members) // count] for i in range(count)]
    return kept


def write_layout(source: Path, out: Path, parts: Parts, seed: int) -> Layout:
    """Copies what is used; names, order and times of the frames say nothing of light or weather."""
    shutil.rmtree(out, ignore_errors=True)
    for split, frames, first_day in (("train", parts.train, -400), ("val", parts.val, -200)):
        _write_labeled(source, out / "training", split, frames, parts.classes)
        _write_sidecar(
            out / "training" / "images" / split,
            {frame.file: frame for frame in frames},
            _days(frames, seed, first_day),
        )
    dataset = write_data_yaml(
        out / "training",
        parts.classes,
        train="images/train",
        val="images/val" if parts.val else "images/train",
    )
    tests = {}
    for cell, frames in parts.held_out.items():
        _write_labeled(source, out / "held-out" / cell, "val", frames, parts.classes)
        tests[cell] = write_data_yaml(
            out / "held-out" / cell, parts.classes, train="images/val", val="images/val"
        )
    conditions, boxes = _write_production(source, out / "camera", parts.production, seed)
    return Layout(dataset, out / "camera", conditions, boxes, tests)


def _lengths(frames: Iterable[Frame]) -> dict[int, int]:
    lengths: dict[int, int] = defaultdict(int)
    for frame in frames:
        lengths[frame.sequence] += 1
    return lengths


def _roles(lengths: Mapping[int, int], cell: str, in_turn: bool) -> dict[int, str]:
    """By sequence of one class in one cell."""
    usual = "train" if cell == KNOWN else "production"
    roles = dict.fromkeys(lengths, usual)
    by_length = sorted((count, sequence) for sequence, count in lengths.items() if count >= LONG)
    if len(by_length) > 1:
        roles[by_length[0][1]] = "held out"
    elif cell != KNOWN and in_turn:
        roles = dict.fromkeys(lengths, "held out")
    if len(by_length) > 2 and cell == KNOWN:
        roles[by_length[1][1]] = "val"
    return roles


def _write_labeled(
    source: Path, root: Path, split: str, frames: Sequence[Frame], classes: Sequence[str]
) -> None:
    for kind in ("images", "labels"):
        (root / kind / split).mkdir(parents=True, exist_ok=True)
    for frame in frames:
        shutil.copyfile(source / "images" / frame.file, root / "images" / split / frame.file)
        lines = [
            f"{classes.index(name)} {' '.join(map(str, values))}" for name, *values in _boxes(source, frame)
        ]
        text = root / "labels" / split / Path(frame.file).with_suffix(".txt")
        text.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_production(
    source: Path, folder: Path, frames: Sequence[Frame], seed: int
) -> tuple[dict[str, frozenset[str]], dict[str, tuple[tuple[str, float, float, float, float], ...]]]:
    folder.mkdir(parents=True)
    days = _days(frames, seed, 0)
    ordered = sorted(frames, key=lambda frame: (days[frame.sequence], frame.index))
    named = {f"{place:06d}.jpg": frame for place, frame in enumerate(ordered)}
    conditions, boxes = {}, {}
    for name, frame in named.items():
        shutil.copyfile(source / "images" / frame.file, folder / name)
        sha256 = sha256_of_file(folder / name)
        conditions[sha256] = frame.conditions
        with Pil.open(folder / name) as image:
            size = image.size
        boxes[sha256] = tuple((name, *_corners(values, size)) for name, *values in _boxes(source, frame))
    _write_sidecar(folder, named, days)
    return conditions, boxes


def _write_sidecar(folder: Path, named: Mapping[str, Frame], days: Mapping[int, int]) -> None:
    """Camera, sequence and time, as a camera would know them: one sequence a day, days drawn by
    lot.
    """
    with (folder / "frames.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("file", "camera", "sequence", "captured_at"))
        for name, frame in named.items():
            moment = FIRST_DAY + timedelta(days=days[frame.sequence], seconds=(frame.index % 2000) * FRAME_S)
            rows.writerow((name, CAMERA, f"day{days[frame.sequence]:+04d}", moment.isoformat()))


def _days(frames: Sequence[Frame], seed: int, first: int) -> dict[int, int]:
    sequences = sorted({frame.sequence for frame in frames})
    random.Random(seed).shuffle(sequences)  # noqa: S311
    return {sequence: first + place for place, sequence in enumerate(sequences)}


def _boxes(source: Path, frame: Frame) -> list[tuple[str, float, float, float, float]]:
    """Class and YOLO's normalized center and size."""
    names = (source / "classes.txt").read_text(encoding="utf-8").split()
    text = (source / "labels" / frame.file).with_suffix(".txt").read_text(encoding="utf-8")
    rows = [line.split() for line in text.splitlines() if line.strip()]
    return [(names[int(row[0])], float(row[1]), float(row[2]), float(row[3]), float(row[4])) for row in rows]


def _corners(values: Sequence[float], size: tuple[int, int]) -> tuple[float, float, float, float]:
    x, y, width, height = values
    return (
        (x - width / 2) * size[0],
        (y - height / 2) * size[1],
        (x + width / 2) * size[0],
        (y + height / 2) * size[1],
    )


def describe(parts: Parts) -> dict[str, dict[str, int]]:
    """Frames and sequences of every part."""
    every = {"train": parts.train, "val": parts.val, "production": parts.production} | {
        f"held out {cell}": frames for cell, frames in parts.held_out.items()
    }
    return {
        name: {
            "frames": len(frames),
            "sequences": len({frame.sequence for frame in frames}),
            "classes": len({frame.class_name for frame in frames}),
        }
        for name, frames in every.items()
    }


def keep_truth(path: Path, layout: Layout) -> None:
    """What was withheld, for whoever wants to look."""
    rows = {
        sha256: {"conditions": sorted(layout.conditions[sha256]), "boxes": boxes}
        for sha256, boxes in layout.boxes.items()
    }
    path.write_text(json.dumps(rows, indent=1), encoding="utf-8")
