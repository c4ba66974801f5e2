"""Models that judge frames they were not trained on, trained on labels with the planted errors."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image
from sklearn.model_selection import StratifiedGroupKFold

from benchmarks.label_errors.data import LabeledFrame, LabeledSet
from connectors.files import sha256_of_file, write_atomically
from connectors.ports import TrainSpec
from connectors.yolo.detector import load_detector
from connectors.yolo.trainer import YoloTrainer
from loop.base.arrays import Ints, Reals
from loop.datasets.export import label_line
from loop.math.quality.label_errors import JudgedFrame
from loop.replay.settings import RECIPE

BATCH = 8
CONFIDENCE, IOU = 0.01, 0.7
"""Boxes below this confidence are dropped; of two of one class that overlap more the better stays."""
RECIPE_OF_FOLDS: dict[str, object] = {**RECIPE, "freeze": 5}
"""The first five layers stay as they are: trainings are short."""


def folds_of(data: LabeledSet) -> Ints:
    """(N,) the fold that judges each frame. Whole groups, classes as even as groups allow."""
    common = [int(np.bincount(each.class_id).argmax()) if len(each.class_id) else -1 for each in data.frames]
    split = StratifiedGroupKFold(data.folds, shuffle=True, random_state=0)
    fold = np.zeros(len(data.frames), np.int64)
    groups = [each.group for each in data.frames]
    for number, (_, judged) in enumerate(split.split(common, common, groups)):
        fold[judged] = number
    return fold


def train(data: LabeledSet, labels: Sequence[LabeledFrame], weights: Path, cache: Path) -> list[Path]:
    """One model per fold, trained on the other folds' labels; as many trainings at once as folds.

    What was trained before on the same is taken from the cache.
    """
    fold = folds_of(data)

    def one(number: int) -> Path:
        rest = [each for each, own in zip(labels, fold, strict=True) if own != number]
        return _trained(data, rest, weights, cache)

    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(one, range(data.folds)))


def judged(data: LabeledSet, models: Sequence[Path]) -> list[JudgedFrame]:
    """Every frame as its fold's model sees it, without labels."""
    fold = folds_of(data)
    out: list[JudgedFrame | None] = [None] * len(fold)
    no_boxes: Reals = np.zeros((0, 4))
    for number, weights in enumerate(models):
        detector = load_detector(weights, imgsz=data.imgsz, conf=CONFIDENCE, iou=IOU)
        for row in np.flatnonzero(fold == number).tolist():
            image = np.asarray(Image.open(data.frames[row].path).convert("RGB"))
            seen = detector.detect([image])[0]
            scores = seen.class_scores
            out[row] = JudgedFrame(
                no_boxes,
                np.zeros(0, np.int64),
                seen.xyxy.astype(np.float64),
                seen.confidence.astype(np.float64),
                seen.class_id,
                None if scores is None else scores.astype(np.float64),
                data.frames[row].group,
            )
    return [each for each in out if each is not None]


def seconds_of(model: Path) -> dict[str, Any]:
    """How long a model was trained, in how many epochs of how many frames."""
    told: dict[str, Any] = json.loads(model.with_suffix(".json").read_text(encoding="utf-8"))
    return told


def _trained(data: LabeledSet, rest: Sequence[LabeledFrame], weights: Path, cache: Path) -> Path:
    told = [(each.path.name, each.xyxy.round(3).tolist(), each.class_id.tolist()) for each in rest]
    recipe = [data.classes, data.imgsz, data.passes, BATCH, RECIPE_OF_FOLDS, sha256_of_file(weights)]
    name = hashlib.sha256(json.dumps([told, recipe], default=str).encode()).hexdigest()[:16]
    done = cache / f"{data.name}-{name}.pt"
    if done.is_file():
        return done
    begun, work = time.monotonic(), cache / "work" / name
    spec = TrainSpec(
        _laid_out(data, rest, work / "data"),
        weights,
        work / "run",
        epochs=max(1, round(data.passes / len(rest))),
        seed=0,
        imgsz=data.imgsz,
        batch=BATCH,
        threads=1,
        overrides=RECIPE_OF_FOLDS,
    )
    result = YoloTrainer().train(spec, lambda done, total, what: None, lambda: False)
    shutil.copyfile(result.weights, done.with_suffix(".draft"))
    done.with_suffix(".draft").replace(done)
    seconds = {"seconds": round(time.monotonic() - begun), "epochs": spec.epochs, "frames": len(rest)}
    write_atomically(done.with_suffix(".json"), json.dumps(seconds))
    shutil.rmtree(work)
    return done


def _laid_out(data: LabeledSet, frames: Sequence[LabeledFrame], folder: Path) -> Path:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "labels").mkdir(exist_ok=True)
    for number, each in enumerate(frames):
        image = folder / "images" / f"{number:05d}{each.path.suffix}"
        shutil.copyfile(each.path, image)
        boxes = zip(each.class_id.tolist(), each.xyxy.tolist(), strict=True)
        lines = [label_line((i, *box), *each.size) + "\n" for i, box in boxes]
        (folder / "labels" / f"{number:05d}.txt").write_text("".join(lines), encoding="utf-8")
    content = {"path": str(folder.absolute()), "train": "images", "names": dict(enumerate(data.classes))}
    (folder / "data.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return folder / "data.yaml"
