"""A whole amplified project in a folder, made once for each size and schema."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.scale.history import (
    SECRET,
    WEIGHTS,
    Asked,
    burst_weights,
    slice_of,
    true_boxes,
    write_history,
    write_models,
)
from benchmarks.scale.models import CLASSES, DETECTOR, EMBEDDER, Boxes, boxes_of, plain_picture
from benchmarks.scale.rows import (
    Groups,
    Makers,
    Part,
    Rows,
    frame_rows,
    group_row,
    own_picture,
    parts_of,
    production_keys,
    put,
    write_facts,
    write_frames,
    write_pictures,
)
from benchmarks.scale.world import DIM, IMPORTED, PRODUCTION, SEED, Bursts, Ints, bursts, unnamed_share
from db.analysis import producer_id
from db.engine import schema_head, write
from db.facts import set_fact
from db.states import Origin, Role
from db.tables import Label
from loop.analysis.producers import MEASURES_VERSION
from loop.project.project import CONFIG_NAME, Project, open_project

IMPORTED_FRAMES, ASKED = 2000, 3000
"""Of the imported dataset, and those that people were asked about; a small project has fewer of
both.
"""
TRAIN = 0.8
"""So much of the imported dataset is its train split."""
CHUNK = 20_000
ROOMY = "PRAGMA cache_size = -262144"
"""For the insertion alone: hashes come in no order."""


@dataclass(frozen=True)
class Made:
    """What is in a project. unnamed: share of production that is of a kind nobody named. megabytes:
    of its database.
    """

    production: int
    imported: int
    camera_days: int
    asked: int
    labels: int
    unnamed: float
    megabytes: float


def folder_of(work: Path, size: int) -> Path:
    """Where the project of this size lies, for the schema of this code."""
    return work / f"{size}-{schema_head()}"


def make(folder: Path, size: int) -> Made:
    """Makes the project of `size` production frames, whole or not at all; one that is there stays."""
    written = folder / "made.json"
    if written.is_file():
        return Made(**json.loads(written.read_text(encoding="utf-8")))
    project, makers = empty(folder, f"scale {size}")
    try:
        counts = _fill(project, makers, size)
    finally:
        project.engine.dispose()
    made = Made(**counts, megabytes=round((folder / "fieldloop.db").stat().st_size / 1e6, 1))
    written.write_text(json.dumps(asdict(made)) + "\n", encoding="utf-8")
    return made


def empty(folder: Path, name: str) -> tuple[Project, Makers]:
    """A project without frames, with two models, and the producers that are there to say something
    of frames.
    """
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "incoming").mkdir(parents=True)
    (folder / CONFIG_NAME).write_text(yaml.safe_dump(_config(folder, name)), encoding="utf-8")
    project = open_project(folder, new=True)
    return project, _prepare(project)


def copy_of(folder: Path, target: Path) -> Path:
    """The same project elsewhere, to be changed."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target)
    config = target / CONFIG_NAME
    config.write_text(config.read_text(encoding="utf-8").replace(str(folder), str(target)), encoding="utf-8")
    return target


def _config(folder: Path, name: str) -> dict[str, Any]:
    frames = {
        "path": str(folder / "incoming"),
        "pattern": "{camera}/{date:%Y-%m-%d}/{time:%H%M%S}-{n}.jpg",
        "settle_s": 0,
    }
    return {"name": name, "frames": frames}


def _fill(project: Project, makers: Makers, size: int) -> dict[str, Any]:
    """What is counted of it."""
    imported = min(IMPORTED_FRAMES, size)
    trained = _write_imported(project, imported, makers)
    world = bursts(size, PRODUCTION, size)
    chosen = _chosen(world, imported + 1, min(ASKED, 3 * size // 10))
    asked: list[Asked] = []
    days: set[str] = set()
    with write(project.engine) as session:
        groups = Groups(session, SECRET, project.settings.evaluation.group_share)
    for part in parts_of(world, imported + 1, size, CHUNK):
        with write(project.engine) as session:
            keys = production_keys(part)
            days.update(keys)
            rows = frame_rows(part, Origin.PRODUCTION, groups.of(session, keys), [True] * len(part))
            boxes = boxes_of(part.bursts, part.seed)
            asked += _asked(project, rows, boxes, groups.roles, chosen)
            write_frames(session, rows, makers)
            write_facts(session, part, boxes, makers)
    with write(project.engine) as session:
        labels = write_history(session, asked, trained, makers)
    return {
        "production": size,
        "imported": imported,
        "camera_days": len(days),
        "asked": len(asked),
        "labels": labels,
        "unnamed": round(unnamed_share(world), 5),
    }


def _prepare(project: Project) -> Makers:
    """Facts, models and producers."""
    write_pictures(project.store)
    project.models.mkdir(parents=True)
    weights = [(hashlib.sha256(data).hexdigest(), data) for data in WEIGHTS]
    for sha256, data in weights:
        (project.models / f"{sha256}.pt").write_bytes(data)
    project.deployed_weights.write_bytes(WEIGHTS[-1])
    facts = {"classes": json.dumps(CLASSES), "evaluation_secret": SECRET, "project": "scale"}
    with write(project.engine) as session:
        if project.engine.dialect.name == "sqlite":
            session.connection().exec_driver_sql(ROOMY)
        for key, value in facts.items():
            set_fact(session, key, value)
        write_models(session, [(sha256, f"models/{sha256}.pt") for sha256, _ in weights])
        return Makers(
            producer_id(session, "embedder", EMBEDDER, {"dim": DIM}),
            producer_id(session, "detector", DETECTOR, {"classes": list(CLASSES)}),
            producer_id(session, "measure", MEASURES_VERSION, {}),
        )


def _write_imported(project: Project, frames: int, makers: Makers) -> Ints:
    """The labeled dataset, of half of which camera and time are known; the frames of its train
    split.
    """
    world = bursts(frames, IMPORTED, SEED, first_day=-60, days=60)
    part, own, boxes = Part(world, 1, SEED), world.frames(), boxes_of(world, SEED)
    train = np.arange(len(world)) < TRAIN * len(world)
    with write(project.engine) as session:
        groups = [
            group_row(session, f"imported:{_split(is_train)}:{burst}", _role(is_train))
            for burst, is_train in enumerate(train.tolist())
        ]
        placed = (own % 2 == 0).tolist()
        rows = frame_rows(part, Origin.IMPORTED, [groups[burst] for burst in own], placed)
        for row, burst in zip(rows, own.tolist(), strict=True):
            row |= own_picture(project.store, plain_picture(1_000_000 + row["seq"]))
            row |= {"split": _split(bool(train[burst])), "sequence": f"sequence-{burst}"}
        write_frames(session, rows, makers)
        write_facts(session, part, boxes, makers)
        put(session, Label, [_imported_label(row, place, boxes) for place, row in enumerate(rows)])
    trained: Ints = np.flatnonzero(train[own]) + 1
    return trained


def _split(train: bool) -> str:
    return "train" if train else "val"


def _role(train: bool) -> Role:
    return Role.POOL if train else Role.EVALUATION


def _imported_label(row: Mapping[str, Any], place: int, boxes: Boxes) -> dict[str, Any]:
    return {
        "frame": row["seq"],
        "boxes": true_boxes(boxes, place, "imported"),
        "purpose": "train" if row["split"] == "train" else "evaluation",
        "source": "imported",
        "updated_at": row["ingested_at"],
    }


def _chosen(world: Bursts, seq: int, most: int) -> dict[int, str | None]:
    """The frames that people are asked about, with what each is chosen for. seq: of the first
    frame.
    """
    own = world.frames()
    weight = burst_weights(world)[own]
    rng = np.random.default_rng(SEED)
    picked = np.sort(rng.choice(len(own), most, replace=False, p=weight / weight.sum()))
    return {seq + row: slice_of(world, int(own[row])) for row in picked.tolist()}


def _asked(
    project: Project, rows: Rows, boxes: Boxes, roles: Mapping[int, Role], chosen: Mapping[int, str | None]
) -> Iterator[Asked]:
    """Those of the rows that people are asked about; each gets a picture of its own."""
    for place, row in enumerate(rows):
        if row["seq"] in chosen:
            row |= own_picture(project.store, plain_picture(2_000_000 + row["seq"]))
            drawn, why = true_boxes(boxes, place, "manual"), chosen[row["seq"]]
            yield Asked(row["seq"], row["content_hash"], roles[row["group_id"]], why, drawn)
