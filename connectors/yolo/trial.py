"""Whether weights can be run and trained, tried before anybody relies on them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import yaml
from PIL import Image as PilImage

from connectors.errors import ModelError, TrainingFailed
from connectors.ports import TrainSpec
from connectors.yolo.detector import load_detector, untrainable
from connectors.yolo.trainer import YoloTrainer

SIDE, IMAGES = 128, 4
OF_THE_MACHINE = frozenset({"amp", "cache", "channels_last", "compile", "workers"})
"""Settings that are about the machine a round trains on, not about what is trained."""


def try_weights(weights: Path, overrides: Mapping[str, object]) -> None:
    """One forward pass and one training step, on the CPU, of noise.

    overrides: what a round asks of the trainer beside its spec. Raises ModelError.
    """
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8) for _ in range(IMAGES)]
    try:
        detector = load_detector(weights, imgsz=SIDE, conf=0.0005, iou=0.6)
        found = detector.detect(images)
    except (AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        said = " ".join(str(error).split())[:300]
        raise ModelError(
            f"{weights}: expected weights that find objects in a picture, got {type(error).__name__}: {said};"
            " give the weights of a YOLO detector as ultralytics saved it"
        ) from error
    classes = detector.classes
    if any(not np.isfinite(one.xyxy).all() or (one.class_id >= len(classes)).any() for one in found):
        raise ModelError(
            f"{weights}: expected boxes of {len(classes)} classes within numbers, got others; give weights"
            " whose last training ended well"
        )
    if why := untrainable(weights):
        raise ModelError(f"{weights}: {why}")
    with TemporaryDirectory() as folder:
        _try_training(Path(folder), weights, classes, images, overrides)


def _try_training(
    folder: Path,
    weights: Path,
    classes: tuple[str, ...],
    images: list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]],
    overrides: Mapping[str, object],
) -> None:
    for kind in ("images", "labels"):
        (folder / kind).mkdir()
    for number, image in enumerate(images):
        PilImage.fromarray(image).save(folder / "images" / f"{number}.png")
        (folder / "labels" / f"{number}.txt").write_text(f"{number % len(classes)} 0.5 0.5 0.4 0.4\n")
    tree = {"path": str(folder), "train": "images", "val": "images", "names": list(classes)}
    (folder / "data.yaml").write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8")
    asked = {name: value for name, value in overrides.items() if name not in OF_THE_MACHINE}
    asked["close_mosaic"] = 0  # one epoch is all there is
    spec = TrainSpec(
        folder / "data.yaml", weights, folder / "run", 1, 0, SIDE, IMAGES, threads=0, overrides=asked
    )
    try:
        YoloTrainer().train(spec, lambda done, total, what: None, lambda: False)
    except TrainingFailed as error:
        said = str(error).removeprefix(f"training in {spec.run_dir} failed: ")
        raise ModelError(
            f"{weights}: expected one training step to work with these weights and the settings of"
            f" round.train, got: {said}"
        ) from error
