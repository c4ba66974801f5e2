"""A toy of a replay: gray pictures in three lights, and a detector that finds what it has seen
enough labels of.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image as Pil

from connectors.ports import Array, Detections, Detector, Image, Progress, TrainResult, TrainSpec
from loop.replay.tools import Tools

CLASSES = ("red", "green")
COLORS = ((200, 0, 0), (0, 200, 0))
LIGHTS = {"day": 180, "dusk": 110, "night": 40}
SIDE = 32
BOX = (8, 6, 24, 20)
PER_DAY = 4
ENOUGH = 3


def make_dataset(
    root: Path, days: int = 20, classes: Sequence[str] = CLASSES, boxes: bool = True, labeled: int = 0
) -> Path:
    """A YOLO dataset with frames.csv: camera-days of four frames in one light, a tenth of them at
    night; some labeled by day.
    """
    rng = np.random.default_rng(0)
    for part in ("images", "labels"):
        (root / part).mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(days * PER_DAY + labeled):
        day = number // PER_DAY
        base = number >= days * PER_DAY
        light = "day" if base else ("night" if day % 10 == 9 else "dusk" if day % 4 == 3 else "day")
        name, which = f"{number:04d}.png", number % len(classes)
        pixels = np.full((SIDE, SIDE, 3), LIGHTS[light], np.uint8)
        pixels += rng.integers(0, 8, (SIDE, SIDE, 1), dtype=np.uint8)
        x1, y1, x2, y2 = BOX
        pixels[y1:y2, x1:x2] = COLORS[which]
        Pil.fromarray(pixels).save(root / "images" / name)
        center = f"{(x1 + x2) / 2 / SIDE} {(y1 + y2) / 2 / SIDE} {(x2 - x1) / SIDE} {(y2 - y1) / SIDE}"
        (root / "labels" / f"{number:04d}.txt").write_text(f"{which} {center}\n" if boxes else "")
        moment = "" if base else f"2026-03-{1 + day % 28:02d}T10:{number % 60:02d}:00+00:00"
        part = "labeled" if base else "production"
        rows.append((f"images/{name}", f"cam{day % 3}", moment, light, part))
    with (root / "frames.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "camera", "captured_at", "light", "part"))
        writer.writerows(rows)
    content = {"train": "images", "names": dict(enumerate(classes))}
    (root / "data.yaml").write_text(yaml.safe_dump(content))
    (root / "base.pt").write_bytes(b"base")
    settings = {
        "weights": "base.pt",
        "sidecar": "frames.csv",
        "slices": ["light"],
        "budget": 6,
        "rounds": 2,
        "initial": 0.1,
        "epochs": 1,
        "replay": 4,
        "rare_share": 0.2,
        "imgsz": 32,
    }
    if labeled:
        settings["labeled"] = ["part=labeled"]
    (root / "replay.yaml").write_text(yaml.safe_dump(settings))
    return root


def light_of(image: Image) -> str:
    corner = float(image[:4, :4].mean())
    return min(LIGHTS, key=lambda name: abs(LIGHTS[name] + 4 - corner))


@dataclass
class ToyTrainer:
    """Remembers the lights it was shown; the checkpoint is that memory. stop: raises at the n-th
    training.
    """

    specs: list[TrainSpec] = field(default_factory=list)
    passes: list[int] = field(default_factory=list)
    stop: int | None = None

    def train(self, spec: TrainSpec, progress: Progress, cancelled: Callable[[], bool]) -> TrainResult:
        if self.stop is not None and len(self.specs) == self.stop:
            raise KeyboardInterrupt
        tree = yaml.safe_load(spec.dataset.read_text())
        lines = (Path(tree["path"]) / tree["train"]).read_text().splitlines()
        seen = Counter(light_of(np.asarray(Pil.open(line).convert("RGB"))) for line in set(lines))
        spec.run_dir.mkdir(parents=True, exist_ok=True)
        weights = spec.run_dir / "candidate.pt"
        weights.write_text(json.dumps(seen))
        self.specs.append(spec)
        self.passes.append(len(lines))
        return TrainResult(weights, "", spec.epochs, 0.0)


@dataclass(frozen=True)
class ToyDetector:
    """Finds the object of a picture whose light it knows, the surer the more it was shown of it."""

    seen: dict[str, int]
    confidence: float

    @property
    def name(self) -> str:
        return "toy"

    @property
    def classes(self) -> tuple[str, ...]:
        return CLASSES

    def detect(self, images: Sequence[Image]) -> list[Detections]:
        return [self._one(image) for image in images]

    def _one(self, image: Image) -> Detections:
        known = self.seen.get(light_of(image), 0)
        sure = min(0.95, known / (known + ENOUGH))
        which = int(image[10, 10].argmax())
        found = (
            np.array([[*BOX]], np.float32)
            if known and sure >= self.confidence
            else np.zeros((0, 4), np.float32)
        )
        scores = np.zeros((len(found), len(CLASSES)), np.float32)
        scores[:, which] = sure
        return Detections(found, scores[:, which], np.full(len(found), which, np.int64), scores)


class ToyEmbedder:
    """A vector of light and color."""

    name, dim, logit_scale = "toy-embedder", 8, 10.0

    def embed(self, images: Sequence[Image]) -> Array:
        rows = np.zeros((len(images), self.dim), np.float32)
        for row, image in zip(rows, images, strict=True):
            row[list(LIGHTS).index(light_of(image))] = 1.0
            row[3:6] = image[10, 10] / 400
            row[6] = image[:4, :4].std() / 20
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def embed_text(self, prompts: Sequence[str]) -> Array:
        rows = np.random.default_rng(0).normal(size=(len(prompts), self.dim)).astype(np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def unlike(self, vectors: Array) -> NDArray[np.bool_]:
        return np.zeros(len(vectors), dtype=np.bool_)

    def unknown_words(self, prompts: Sequence[str]) -> tuple[str, ...]:
        return ()


def toy_tools(trainer: ToyTrainer) -> Tools:
    def detector(weights: Path, confidence: float) -> Detector:
        return ToyDetector(json.loads(weights.read_text()), confidence)

    return Tools(ToyEmbedder(), trainer, detector)
