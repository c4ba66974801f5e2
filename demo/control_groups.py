"""What the loop is measured against: as many random frames, and no new frame at all, from the same
weights in as many steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from connectors.ports import Box, Progress, TrainResult
from db.engine import read
from db.frames import FrameRow, frames
from db.models import model
from db.rounds import RoundRow, dataset
from db.states import Origin
from demo.annotator import Truth, answered
from loop.datasets.export import export_yolo
from loop.datasets.freeze import Entry, Manifest, label_hash, read_manifest
from loop.datasets.imported import PixelBox
from loop.gaps.coverage_view import CoverageView
from loop.math.boxes.drawn import predicted_boxes
from loop.project.project import Project
from loop.project.wiring import Parts
from loop.rounds.rounds import train_spec
from loop.selection.select import Chosen


@dataclass(frozen=True)
class Trained:
    """A training that is compared: the loop's, or that of a control group. frames: new labeled
    frames. passes: image passes in an epoch.
    """

    name: str
    weights: Path
    frames: int
    passes: int


def loop_manifest(project: Project, row: RoundRow) -> Manifest:
    """The dataset that the loop's own round froze."""
    with read(project.engine) as session:
        frozen = dataset(session, row.dataset_id or 0)
    return read_manifest((project.root / frozen.path / "manifest.json").read_text(encoding="utf-8"))


def train_control(
    parts: Parts,
    row: RoundRow,
    name: str,
    new: Sequence[Entry],
    passes: int,
    folder: Path,
    progress: Progress,
) -> Trained:
    """Fine-tunes the same base weights on the loop's replayed frames and these new ones, in exactly
    as many passes.
    """
    project = parts.project
    manifest = loop_manifest(project, row)
    kept = [entry for entry in manifest.entries if entry.split != "train" or entry.origin == Origin.IMPORTED]
    balanced = with_passes(
        [*kept, *new], passes, growing=new or [entry for entry in kept if entry.split == "train"]
    )
    data = export_yolo(replace(manifest, entries=tuple(balanced)), project.store, folder / "dataset")
    with read(project.engine) as session:
        base = model(session, row.base_model_id)
    spec = replace(train_spec(project, row, data, project.root / base.path), run_dir=folder / "run")
    result: TrainResult = parts.trainer().train(spec, progress, never)
    return Trained(name, result.weights, len(new), passes)


def random_entries(
    project: Project, view: CoverageView, chosen: Sequence[Chosen], truth: Truth, repeats: int
) -> list[Entry]:
    """The randomly chosen frames, labeled by the same annotator from the same predicted boxes."""
    with read(project.engine) as session:
        rows = {row.seq: row for row in frames(session, seqs=[item.frame for item in chosen])}
    place = {seq: i for i, seq in enumerate(view.production.seq.tolist())}
    return [_entry(project, view, rows[item.frame], place[item.frame], truth, repeats) for item in chosen]


def with_passes(entries: Sequence[Entry], passes: int, growing: Sequence[Entry]) -> list[Entry]:
    """The same entries with repeats of `growing` raised or lowered in turn until an epoch has
    `passes` image passes.
    """
    repeats = {entry.frame: entry.repeats for entry in entries}
    missing = passes - sum(entry.repeats for entry in entries if entry.split == "train")
    turn = 0
    while missing and growing:
        frame = growing[turn % len(growing)].frame
        step = 1 if missing > 0 else -min(1, repeats[frame] - 1)
        repeats[frame] += step
        missing -= step
        turn += 1
        if turn > 100 * len(growing):
            raise ValueError(f"expected {passes} passes to be reachable, got {missing} left over")
    return [replace(entry, repeats=repeats[entry.frame]) for entry in entries]


def passes_of(manifest: Manifest) -> int:
    return sum(entry.repeats for entry in manifest.of("train"))


def never() -> bool:
    return False


def _entry(
    project: Project, view: CoverageView, row: FrameRow, place: int, truth: Truth, repeats: int
) -> Entry:
    predicted = predicted_boxes(view.detections[place], view.classes)
    index = {name: i for i, name in enumerate(project.classes)}
    boxes = tuple(
        sorted(_pixel_box(index, box) for box in answered(predicted, truth.boxes[row.content_hash]))
    )
    return Entry(
        frame=row.seq,
        content_hash=row.content_hash,
        label_hash=label_hash(boxes, project.classes),
        path=row.path,
        width=row.width,
        height=row.height,
        boxes=boxes,
        split="train",
        repeats=repeats,
        origin=row.origin,
        group=row.group_key,
        unit=f"group:{row.group_key}",
    )


def _pixel_box(index: Mapping[str, int], box: Box) -> PixelBox:
    x1, y1, x2, y2 = (round(value, 2) for value in box.xyxy)
    return index[box.class_name], x1, y1, x2, y2
