"""What people did in an amplified project: tasks in batches, answers, labels, and one judged round."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from benchmarks.scale.models import CLASSES, DETECTOR, Boxes
from benchmarks.scale.rows import FIRST_DAY, Makers, Rows, put
from benchmarks.scale.world import DAYS, LIGHT, NONE, QUALITY, WEATHER, Bursts, Ints
from db.models import add_model, deploy
from db.slices import NewSlice, define_slices
from db.states import BatchStatus, Role, RoundStatus, SliceKind, TaskStatus
from db.tables import Annotation, Batch, Dataset, DatasetMember, Label, LabelTask, Round

BATCHES, ANSWERED, FROZEN = 12, 10, 5
"""Batches in all, those that were answered, and those whose labels the one round was trained on."""
SKIPPED = 0.03
LEAST_SCORE = 0.3
"""Boxes that the detector is surer of are what a person draws."""
SECRET = "scale"
WEIGHTS = tuple(json.dumps({"detector": DETECTOR, "version": number}).encode() for number in (1, 2))


@dataclass(frozen=True)
class Asked:
    """A frame that was put before a person. slice: the key of what it was chosen for, None for
    chance. boxes: what they drew, as a label has it.
    """

    seq: int
    content_hash: str
    role: Role
    slice: str | None
    boxes: list[list[Any]]


def burst_weights(bursts: Bursts) -> NDArray[np.float64]:
    """(B,) how probable a frame of each burst is to be asked about: bad weather is sought, what
    nobody named is hardly met.
    """
    sought = (bursts.weather > 0) | (bursts.quality > 0)
    weight: NDArray[np.float64] = np.where(bursts.unnamed != NONE, 0.05, np.where(sought, 2.0, 1.0))
    return weight


def slice_of(bursts: Bursts, row: int) -> str | None:
    """The key of the slice that a frame of this burst was chosen for."""
    if bursts.unnamed[row] != NONE:
        return f"region/{bursts.unnamed[row] + 1}"
    if bursts.weather[row] > 0:
        return f"weather/{WEATHER[bursts.weather[row]]}"
    if bursts.quality[row] > 0:
        return f"image quality/{QUALITY[bursts.quality[row]]}"
    return "time of day/night" if LIGHT[bursts.light[row]] == "night" else None


def true_boxes(boxes: Boxes, row: int, origin: str) -> list[list[Any]]:
    """A label's boxes: those that the detector is sure enough of."""
    seen = boxes.of(row)
    return [
        [CLASSES[class_id], *(round(float(value), 2) for value in corners), origin]
        for class_id, corners, score in zip(seen.class_id, seen.xyxy, seen.confidence, strict=True)
        if score >= LEAST_SCORE
    ]


def write_models(session: Session, weights: Sequence[tuple[str, str]]) -> None:
    """The model that the team brought, and its successor, deployed by round 1. weights: (sha256,
    path) of each.
    """
    first, second = (add_model(session, sha256, path, CLASSES) for sha256, path in weights)
    deploy(session, first, "init")
    deploy(session, second, "round 1")


def write_history(session: Session, asked: Sequence[Asked], imported: Ints, makers: Makers) -> int:
    """How many labels there are of it. Batches, tasks, answers and labels of these frames, in their
    order; the round that was trained on the first of them.
    """
    size = -(-len(asked) // BATCHES)
    parts = [asked[start : start + size] for start in range(0, len(asked), size)]
    put(session, Batch, [_batch(number, len(part)) for number, part in enumerate(parts, 1)])
    rng = np.random.default_rng(3)
    slices = _slices(session, asked)
    tasks = [
        task for number, part in enumerate(parts, 1) for task in _tasks(number, part, makers, slices, rng)
    ]
    put(session, LabelTask, tasks)
    done = [(task, one) for task, one in zip(tasks, asked, strict=True) if task["status"] == TaskStatus.DONE]
    put(session, Annotation, [_annotation(task, one) for task, one in done])
    put(session, Label, [_label(task, one) for task, one in done])
    _write_round(session, [one.seq for task, one in done if task["batch_id"] <= FROZEN], imported)
    return len(done)


def _batch(number: int, size: int) -> dict[str, Any]:
    status = BatchStatus.CLOSED if number <= ANSWERED else BatchStatus.QUEUED
    return {
        "id": number,
        "status": status,
        "strategy": "hybrid",
        "seed": number,
        "budget": size,
        "settings": {"considered": 0, "gaps": []},
        "created_at": FIRST_DAY + timedelta(days=DAYS * number // BATCHES),
    }


def _slices(session: Session, asked: Sequence[Asked]) -> dict[str | None, int | None]:
    """Ids by key; chance chose by none."""
    keys = sorted({one.slice for one in asked if one.slice})
    kinds = {key: SliceKind.REGION if key.startswith("region/") else SliceKind.PROMPT for key in keys}
    made = define_slices(session, [NewSlice(key, kinds[key], key.replace("/", ": ")) for key in keys])
    return {None: None} | dict(made)


def _tasks(
    number: int,
    part: Sequence[Asked],
    makers: Makers,
    slices: Mapping[str | None, int | None],
    rng: np.random.Generator,
) -> Rows:
    when = FIRST_DAY + timedelta(days=DAYS * number // BATCHES)
    statuses = np.where(rng.random(len(part)) < SKIPPED, TaskStatus.SKIPPED, TaskStatus.DONE)
    if number > ANSWERED:
        status = TaskStatus.CONFIRMED if number == ANSWERED + 1 else TaskStatus.PENDING
        statuses = np.full(len(part), status)
    return [
        {
            "id": 1_000_000 * number + rank,
            "frame": one.seq,
            "batch_id": number,
            "purpose": "evaluation" if one.role is Role.EVALUATION else "train",
            "status": TaskStatus(statuses[rank]),
            "key": f"{one.content_hash[:20]}-b{number}",
            "rank": rank,
            "priority": 1 - rank / len(part),
            "reason": f"for {one.slice or 'chance'}",
            "component": "coverage" if one.slice else "random",
            "slice_id": slices[one.slice],
            "inclusion_probability": 0.05 if one.role is Role.EVALUATION else None,
            "detector": makers.detector,
            "external_project": 1,
            "external_id": 1_000_000 * number + rank,
            "created_at": when,
            "changed_at": when,
        }
        for rank, one in enumerate(part)
    ]


def _annotation(task: dict[str, Any], one: Asked) -> dict[str, Any]:
    return {
        "id": task["id"],
        "task_id": task["id"],
        "external_project": 1,
        "external_id": task["external_id"],
        "author": "ann@example.org",
        "created_at": task["created_at"],
        "updated_at": task["created_at"],
        "cancelled": False,
        "lead_time_s": 10.0 + 7 * len(one.boxes),
        "result": [],
    }


def _label(task: dict[str, Any], one: Asked) -> dict[str, Any]:
    return {
        "frame": one.seq,
        "boxes": one.boxes,
        "purpose": task["purpose"],
        "source": "annotation",
        "annotation_id": task["id"],
        "updated_at": task["created_at"],
    }


def _write_round(session: Session, labeled: Sequence[int], imported: Ints) -> None:
    seqs = [*imported.tolist(), *labeled]
    put(session, Dataset, [{"id": 1, "manifest_sha256": 64 * "a", "path": "datasets/1", "summary": {}}])
    members = [{"dataset_id": 1, "frame": seq, "split": "train", "repeats": 1} for seq in seqs]
    put(session, DatasetMember, members)
    reasons = ["better over all held-out frames"]
    made = {
        "id": 1,
        "status": RoundStatus.PROMOTED,
        "settings": {},
        "base_model_id": 1,
        "dataset_id": 1,
        "candidate_id": 2,
        "verdict": {"promote": True, "reasons": reasons, "checks": []},
        "progress": {},
    }
    put(session, Round, [made])
