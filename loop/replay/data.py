"""Labeled data to be replayed: frames with their truth, their groups and the part each plays."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from connectors.files import sha256_of_file
from connectors.sources.metadata import Facts as SourceFacts
from connectors.times import camera_day
from db.frames import UNKNOWN
from loop.base.arrays import Bools, Ints
from loop.datasets.imported import DatasetError, ImportedDataset, ImportedImage, PixelBox
from loop.datasets.importers import read_dataset
from loop.datasets.units import Item, units
from loop.replay.settings import ReplaySettings
from loop.replay.sidecar import Known, read_beside, read_paths, read_sidecar
from loop.replay.split import ALONE, LABELED, POOL, Part, parts_of


@dataclass(frozen=True, slots=True)
class ReplayFrame:
    """key: path below the dataset, POSIX.
    boxes: the truth.
    group: what must not be torn apart.
    columns: what slices are made of.
    """

    key: str
    path: Path
    content_hash: str
    width: int
    height: int
    boxes: tuple[PixelBox, ...]
    camera: str
    site: str
    sequence: str | None
    captured_at: datetime | None
    group: str
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What result files call it."""
        return self.content_hash[:12]


@dataclass(frozen=True, eq=False)
class ReplayData:
    """frames: by key.
    parts: one per frame.
    slices: (N,) bool by name, such as "light=dark".
    left_out: what cannot be used or was mended, and why; that two splits list an image is nothing
    here, where all are one pool.

    digest: of all this, not of where it lies.
    """

    name: str
    classes: tuple[str, ...]
    frames: tuple[ReplayFrame, ...]
    parts: tuple[Part, ...]
    slices: Mapping[str, Bools]
    left_out: tuple[str, ...]
    digest: str

    def rows(self, part: Part) -> Ints:
        return np.flatnonzero([each == part for each in self.parts])

    def share(self, name: str) -> float:
        """Of a slice in what was there to choose from."""
        return float(self.slices[name][self.rows(POOL)].mean())


def load_data(dataset: Path, settings: ReplaySettings, name: str = "") -> ReplayData:
    """Reads, groups and divides a labeled dataset. Raises DatasetError that says what was expected,
    what was found and what to do.
    """
    read = read_dataset(dataset, images=Path(settings.images) if settings.images else None)
    root = (dataset if dataset.is_dir() else dataset.parent).resolve()
    _check_boxes(read, dataset)
    known = _known(read, root, settings)
    frames, left_out = _frames(read, root, known, settings)
    parts = parts_of([(each.group, each.columns) for each in frames], settings)
    _check_pool(frames, parts, read.classes, settings)
    slices = _slices(frames, known, settings)
    return ReplayData(
        name or root.name,
        read.classes,
        frames,
        parts,
        slices,
        (*(str(each) for each in read.problems if each.code != "split"), *left_out),
        _digest(read.classes, frames, parts, slices),
    )


def _known(read: ImportedDataset, root: Path, settings: ReplaySettings) -> dict[Path, Known]:
    paths = [image.path.resolve() for image in read.images]
    if settings.sidecar:
        found = read_sidecar(Path(settings.sidecar))
        missing = [path for path in paths if path not in found]
        if missing:
            raise DatasetError(
                f"{settings.sidecar}: expected a row for each of {len(paths)} images, got none for"
                f" {len(missing)}, the first is {missing[0]}; add them, or take their images out of the"
                " dataset"
            )
        return found
    return read_paths(paths, root, settings.pattern) if settings.pattern else read_beside(paths)


def _frames(
    read: ImportedDataset, root: Path, known: Mapping[Path, Known], settings: ReplaySettings
) -> tuple[tuple[ReplayFrame, ...], list[str]]:
    frames: dict[str, ReplayFrame] = {}
    left_out = []
    for image in sorted(read.images, key=lambda each: str(each.path)):
        frame = _frame(image, root, known.get(image.path.resolve()), settings)
        if image.boxes is None or frame.content_hash in frames:
            why = "nobody labeled it" if image.boxes is None else "the same bytes as another image"
            left_out.append(f"{frame.key}: left out, {why}")
            continue
        frames[frame.content_hash] = frame
    kept = sorted(frames.values(), key=lambda each: each.key)
    unit = units([_item(number, each) for number, each in enumerate(kept)])
    return tuple(_with_group(each, unit[number]) for number, each in enumerate(kept)), left_out


def _frame(image: ImportedImage, root: Path, known: Known | None, settings: ReplaySettings) -> ReplayFrame:
    path = image.path.resolve()
    key = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
    facts = known.facts if known else SourceFacts(sequence=image.sequence)
    sequence = None if settings.ungrouped else facts.sequence
    camera = facts.camera or UNKNOWN
    return ReplayFrame(
        key,
        path,
        sha256_of_file(path),
        image.width,
        image.height,
        tuple(image.boxes or ()),
        camera,
        facts.site or UNKNOWN,
        sequence,
        facts.captured_at,
        _group(key, camera, sequence, facts.captured_at, settings.ungrouped),
        {"split": image.split, "camera": camera, **(known.columns if known else {})},
    )


def _group(key: str, camera: str, sequence: str | None, captured_at: datetime | None, ungrouped: bool) -> str:
    if captured_at is not None and not ungrouped:
        return camera_day(camera, captured_at)
    return f"{camera}|{sequence}" if sequence else f"{ALONE}{key}"


def _item(number: int, frame: ReplayFrame) -> Item:
    return Item(
        number,
        frame.content_hash,
        frame.key,
        frame.width,
        frame.height,
        frame.boxes,
        "production",
        frame.group,
        frame.sequence,
        frame.captured_at,
    )


def _with_group(frame: ReplayFrame, unit: str) -> ReplayFrame:
    return replace(frame, group=unit.removeprefix("group:"))


def _slices(
    frames: Sequence[ReplayFrame], known: Mapping[Path, Known], settings: ReplaySettings
) -> dict[str, Bools]:
    """Every value of every slice column; columns that are not asked for count when the sidecar
    names them.
    """
    named = {key for each in known.values() for key in each.columns}
    for column in (
        part for spec in (*settings.slices, settings.weight_by) for part in spec.split("+") if part
    ):
        if column not in named | {"camera", "site", "split"}:
            raise DatasetError(
                f"slices: expected a column of the sidecar ({', '.join(sorted(named)) or 'none there'}),"
                f" camera or site, got {column!r}; correct it"
            )
    wanted = settings.slices or tuple(sorted(named))
    if settings.weight_by and settings.weight_by not in wanted:
        wanted = (*wanted, settings.weight_by)
    out: dict[str, Bools] = {}
    for spec in wanted:
        values = np.array([_value(each, spec) for each in frames])
        out |= {f"{spec}={value}": values == value for value in sorted(set(values.tolist()) - {""})}
    return out


def _value(frame: ReplayFrame, spec: str) -> str:
    columns = {"camera": frame.camera, "site": frame.site, **frame.columns}
    values = [columns.get(column, "") for column in spec.split("+")]
    return "-".join(values) if all(values) else ""


def _check_boxes(read: ImportedDataset, dataset: Path) -> None:
    if not read.boxes:
        raise DatasetError(
            f"{dataset}: expected labeled objects, got {len(read.images)} images without a box; replay needs"
            " the truth"
        )


def _check_pool(
    frames: Sequence[ReplayFrame], parts: Sequence[Part], classes: Sequence[str], settings: ReplaySettings
) -> None:
    sizes = Counter(parts)
    for part in (POOL, settings.judge):
        shown = {
            box[0] for frame, each in zip(frames, parts, strict=True) if each == part for box in frame.boxes
        }
        if not shown:
            raise DatasetError(
                f"expected objects in the {part}, got {sizes[part]} frames without one; change the split seed"
                " or the shares"
            )
    if len(classes) < 1:
        raise DatasetError("expected at least one class, got none; name the classes in the data.yaml")
    wanted = settings.budget * settings.rounds + (
        0 if sizes[LABELED] else round(settings.initial * sizes[POOL])
    )
    if wanted > sizes[POOL]:
        raise DatasetError(
            f"expected a pool of at least {wanted} frames for {settings.rounds} rounds of {settings.budget},"
            f" got {sizes[POOL]}; lower the budget or the rounds"
        )


def _digest(
    classes: Sequence[str], frames: Sequence[ReplayFrame], parts: Sequence[str], slices: Mapping[str, Bools]
) -> str:
    told = {name: np.packbits(mask).tobytes().hex() for name, mask in slices.items()}
    rows = [
        (
            frame.content_hash,
            frame.boxes,
            frame.camera,
            frame.site,
            frame.sequence,
            frame.captured_at.isoformat() if frame.captured_at else "",
            frame.group,
            part,
        )
        for frame, part in zip(frames, parts, strict=True)
    ]
    return hashlib.sha256(json.dumps([classes, rows, told], sort_keys=True).encode()).hexdigest()[:16]
