"""Trains the detector that the demo deploys: good where it was trained, weak in everything rare.

    python -m demo.train_detector --out demo/assets/detector

A YOLO11 of an eighth of the width (0.8 million parameters) learns from scratch on a world's
rendered training set: daylight frames in which five forklifts stand, if no other world is named;
about ten minutes on one core. Colors are hardly varied, so that other light stays strange to it.
Started again, it goes on where it was stopped. base.pt is the network in half precision, base.json
says how it came about and what it scores.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from connectors.ports import Detections, Progress, TrainResult, TrainSpec
from connectors.ports import Image as Pixels
from connectors.yolo.detector import load_detector
from connectors.yolo.environment import import_ultralytics
from connectors.yolo.trainer import YoloTrainer
from demo.world import World, load_world, rendered
from loop.math.boxes.matching import Truth
from loop.math.evaluation.ap import Scores, average_precision, match_all
from loop.settings.settings import load_settings

WORLD = Path(__file__).parents[1] / "config" / "demo.yaml"
IMGSZ = 320
ARCHITECTURE = {"depth": 0.5, "width": 0.125, "max_channels": 1024}
SETTINGS: dict[str, object] = {
    "nbs": 8,
    "optimizer": "AdamW",
    "weight_decay": 0.0005,
    "lrf": 0.02,
    "warmup_epochs": 0.5,
    "warmup_bias_lr": 0.0,
    "rect": True,
    "mosaic": 0.0,
    "erasing": 0.0,
    "fliplr": 0.5,
    "translate": 0.1,
    "scale": 0.2,
    "hsv_h": 0.0,
    "hsv_s": 0.1,
    "hsv_v": 0.05,
    "cache": True,
}


@dataclass(frozen=True, slots=True)
class Stage:
    """One training run. rare_repeats: how often an epoch shows each of the few frames with the rare
    class.
    """

    epochs: int
    lr0: float
    rare_repeats: int


STAGES = (Stage(8, 0.003, 1), Stage(6, 0.002, 1))


@dataclass(frozen=True, slots=True)
class Frames:
    """Labeled pictures: RGB uint8 (H, W, 3) each, and what is really in them."""

    images: list[Pixels]
    truths: list[Truth]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder that gets base.pt and base.json")
    parser.add_argument("--world", type=Path, default=WORLD, help="a YAML with a `world:` section")
    parser.add_argument("--work", type=Path, default=Path("runs/detector"), help="frames and checkpoints")
    parser.add_argument("--seed", type=int, default=0, help="of the training, not of the world")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    world = load_world(options.world)
    rendered(world, options.work, lambda done, total: None)
    result = train(world, options.work, options.work, options.seed, options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(result.weights, options.out / "base.pt")
    scores = evaluate(options.out / "base.pt", world, options.work)
    record = {
        "sha256": result.sha256,
        **described(world, options.seed, options.threads),
        "test_frames_per_condition": world.test.frames_per_condition,
        "scores": {name: summary(score, world.classes) for name, score in scores.items()},
    }
    (options.out / "base.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(table({"base": scores}))


def described(world: World, seed: int = 0, threads: int = 1) -> dict[str, Any]:
    """All that a trained detector depends on, as its record holds it."""
    return {
        "classes": list(world.classes),
        "scarce": sorted(world.scarce),
        "architecture": {"family": "yolo11", **ARCHITECTURE},
        "training": world.training.model_dump(mode="json", by_alias=True) | {"world_seed": world.seed},
        "seed": seed,
        "threads": threads,
        "imgsz": IMGSZ,
        "settings": SETTINGS,
        "stages": [asdict(stage) for stage in STAGES],
    }


def report(done: int, total: int, what: str) -> None:
    print(f"epoch {done}/{total}: {what}", flush=True)


def train(
    world: World, frames: Path, work: Path, seed: int = 0, threads: int = 1, progress: Progress = report
) -> TrainResult:
    """All stages, on the world rendered below `frames`; resumed or skipped as far as `work` already
    holds them.
    """
    work.mkdir(parents=True, exist_ok=True)
    weights = write_architecture(work / "yolo11n-eighth.yaml")
    before, total = 0, sum(stage.epochs for stage in STAGES)
    for number, stage in enumerate(STAGES, 1):
        data = write_dataset(world, frames, work / f"stage-{number}.yaml", stage.rare_repeats)
        spec = TrainSpec(
            data,
            weights,
            stage_folder(work, number, seed),
            epochs=stage.epochs,
            seed=seed,
            imgsz=IMGSZ,
            batch=8,
            threads=threads,
            overrides={**SETTINGS, "lr0": stage.lr0},
        )
        result = YoloTrainer().train(spec, _counted(progress, before, total), lambda: False)
        weights = result.weights
        before += stage.epochs
    return result


def is_trained(work: Path, seed: int = 0) -> bool:
    """Whether `work` holds the last stage's result."""
    return (stage_folder(work, len(STAGES), seed) / "result.json").is_file()


def stage_folder(work: Path, number: int, seed: int) -> Path:
    return work / f"run-{number}-{seed}"


def _counted(progress: Progress, before: int, total: int) -> Progress:
    """The epochs of one stage, counted over all of them."""
    return lambda done, _, what: progress(before + done, total, f"epoch of the detector, {what}")


def write_dataset(world: World, frames: Path, path: Path, rare_repeats: int) -> Path:
    """The rendered training set as a data.yaml in which frames with the rare class are listed so
    many times.
    """
    rare = str(world.classes.index(world.training.rare.name)) if world.training.rare else ""
    part = frames / "world" / "train"
    lines = []
    for image in sorted((part / "images" / "train").glob("*.jpg")):
        labels = (part / "labels" / "train" / f"{image.stem}.txt").read_text(encoding="utf-8")
        shows_rare = any(line.split()[0] == rare for line in labels.splitlines())
        lines += [f"{image.absolute()}\n"] * (rare_repeats if shows_rare else 1)
    path.with_suffix(".txt").write_text("".join(lines), encoding="utf-8")
    content = {"train": f"{path.stem}.txt", "names": dict(enumerate(world.classes))}
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def evaluate(weights: Path, world: World, work: Path) -> dict[str, Scores]:
    """What a checkpoint scores on each condition's held-out frames.

    Where the condition is a class, that class alone counts.
    """
    objects = {gap.name: gap.where.object for gap in world.production.gaps}
    conditions = [world.production.usual, *objects]
    frames = {name: read_frames(work / "truth" / "test" / name) for name in conditions}
    detector = load_detector(
        weights, imgsz=IMGSZ, conf=0.001, iou=load_settings(None).detector.iou, class_scores=False
    )
    return {
        name: score(
            detector.detect(frames[name].images), frames[name].truths, world.classes, objects.get(name)
        )
        for name in conditions
    }


def score(
    found: list[Detections], truths: list[Truth], classes: tuple[str, ...], only: str | None = None
) -> Scores:
    scores = average_precision(match_all(truths, found, len(classes)))
    if only is None:
        return scores
    alone = np.full_like(scores.table, np.nan)
    alone[:, classes.index(only)] = scores.table[:, classes.index(only)]
    return Scores(alone, scores.ious)


def read_frames(folder: Path) -> Frames:
    """The pictures and labels of a folder in YOLO layout."""
    paths = sorted((folder / "images").glob("*.jpg"))
    images = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    labels = [(folder / "labels" / f"{path.stem}.txt").read_text(encoding="utf-8") for path in paths]
    return Frames(
        images, [parse_labels(t, i.shape[1], i.shape[0]) for t, i in zip(labels, images, strict=True)]
    )


def parse_labels(text: str, width: int, height: int) -> Truth:
    rows = np.array([line.split() for line in text.splitlines()], dtype=np.float64).reshape(-1, 5)
    center, half = rows[:, 1:3], rows[:, 3:5] / 2
    xyxy = np.concatenate([center - half, center + half], axis=1) * (width, height, width, height)
    return Truth(xyxy, rows[:, 0].astype(np.int64))


def summary(scores: Scores, classes: tuple[str, ...]) -> dict[str, Any]:
    pairs = zip(classes, scores.at(0.5), strict=True)
    per_class = {name: round(float(ap), 3) for name, ap in pairs if not np.isnan(ap)}
    return {"ap50": round(scores.ap50, 3), "ap50_95": round(scores.ap, 3), "ap50_per_class": per_class}


def table(rows: dict[str, dict[str, Scores]]) -> str:
    """AP50 (AP50-95) by condition, one line per model."""
    conditions = list(next(iter(rows.values())))
    lines = [f"{'':24}" + "".join(f"{condition:>15}" for condition in conditions)]
    for name, row in rows.items():
        cells = [f"{row[c].ap50:.3f} ({row[c].ap:.3f})" for c in conditions]
        lines.append(f"{name:24}" + "".join(f"{cell:>15}" for cell in cells))
    return "\n".join(lines)


def write_architecture(path: Path) -> Path:
    """Stock YOLO11 with a scale of our own; its name has to carry the scale's letter."""
    stock = Path(import_ultralytics().__file__).parent / "cfg" / "models" / "11" / "yolo11.yaml"
    content = yaml.safe_load(stock.read_text(encoding="utf-8"))
    content["scales"] = {"n": [ARCHITECTURE["depth"], ARCHITECTURE["width"], ARCHITECTURE["max_channels"]]}
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


if __name__ == "__main__":
    main()
