"""A YOLO detector of any class list, through ultralytics.

A checkpoint is a pickle. It may name the parts of torch and ultralytics alone; whatever else it names
is refused before it runs.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectors.devices import torch_threads
from connectors.errors import ModelError, WeightsUnavailable
from connectors.files import sha256_of_file
from connectors.ports import Detections, Image
from connectors.yolo.class_names import class_names
from connectors.yolo.environment import import_ultralytics, unchanged_process

CHUNK = 8
"""Images per forward pass."""
FOREIGN = re.compile(r"(?:GLOBAL|[Uu]nsupported (?:class|global)) `?([\w.]+)")
KINDS = {
    "RTDETRDetectionModel": "RT-DETR",
    "WorldModel": "YOLO-World",
    "YOLOEModel": "YOLOE",
    "YOLOESegModel": "YOLOE",
}
"""What ultralytics calls detectors that are none of the YOLO kind."""


class YoloDetector:
    """ports.Detector over ultralytics weights; `load_detector` makes one. Threads may share it."""

    def __init__(self, name: str, classes: tuple[str, ...], predictor: Any, threads: int) -> None:
        self._name = name
        self._classes = classes
        self._predictor = predictor
        self._threads = threads

    @property
    def name(self) -> str:
        """Changes with the weights' bytes and with every setting that changes boxes."""
        return self._name

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names by class id."""
        return self._classes

    def detect(self, images: Sequence[Image]) -> list[Detections]:
        """One Detections per RGB (H, W, 3) uint8 image, in order, boxes in that image's pixels,
        best first.

        Images of one shape go through together, so an image's boxes do not depend on its neighbors'
        shapes. Raises ValueError for any other array.
        """
        for position, image in enumerate(images):
            _check_image(image, position)
        found: dict[int, Detections] = {}
        with torch_threads(self._threads):
            for chunk in _chunks_of_one_shape(images):
                found.update(zip(chunk, self._forward([images[i] for i in chunk]), strict=True))
        return [found[i] for i in range(len(images))]

    def _forward(self, images: Sequence[Image]) -> list[Detections]:
        started = time.perf_counter()
        results = self._predictor([np.ascontiguousarray(image) for image in images])
        share = (time.perf_counter() - started) * 1000 / len(images)
        return [_translate(result, share) for result in results]


def load_detector(
    weights: Path,
    *,
    imgsz: int,
    conf: float,
    iou: float,
    device: str = "cpu",
    max_det: int = 300,
    threads: int = 0,
    class_scores: bool = True,
) -> YoloDetector:
    """The detector of a checkpoint (`.pt`).

    imgsz: longer side in px.
    conf: boxes below are dropped.
    iou: of two boxes of one class that overlap more, the better stays.
    threads: torch threads during `detect`, 0 = as they are.
    class_scores: also gather every class's score of each box.
    Raises WeightsUnavailable when the file is missing, ModelError when it is no detection
    checkpoint or the device is not there.
    """
    model, classes = load_model(weights)
    settings = {"imgsz": imgsz, "conf": conf, "iou": iou, "max_det": max_det, "device": device}
    predictor = _predictor(model, settings, class_scores)
    name = f"yolo:{sha256_of_file(weights)[:16]}:{imgsz}px:conf{conf:g}:iou{iou:g}:max{max_det}"
    detector = YoloDetector(name, classes, predictor, threads)
    with unchanged_process():
        detector.detect([np.zeros((64, 64, 3), np.uint8)])
    return detector


def read_classes(weights: Path) -> tuple[str, ...]:
    """Class names by class id of a checkpoint. Raises as `load_detector` does."""
    return load_model(weights)[1]


def untrainable(weights: Path) -> str:
    """Why a training could not go on from a checkpoint, "" where the architecture that it names
    takes all of its parameters over.
    """
    model, classes = load_model(weights)
    import torch
    from ultralytics.nn.tasks import DetectionModel

    with unchanged_process():
        begun = DetectionModel(deepcopy(model.yaml), nc=len(classes), verbose=False)
        begun.names = model.names
        begun.load(model, verbose=False)
    held, kept = model.state_dict(), begun.state_dict()
    lost = [
        name
        for name in held.keys() | kept.keys()
        if name not in held or name not in kept or not torch.equal(held[name].float(), kept[name].float())
    ]
    if not lost:
        return ""
    return (
        f"expected weights that fit the architecture they name, got {len(lost)} parameters that do not; a"
        " training would begin without them: give weights as a training left them, not fused or pruned"
    )


def load_model(weights: Path) -> tuple[Any, tuple[str, ...]]:
    """The module of a checkpoint, its names a mapping from ids, and the class names by id. Raises
    WeightsUnavailable, ModelError.
    """
    _check_file(weights)
    import_ultralytics()
    from ultralytics.nn.tasks import load_checkpoint

    with unchanged_process():
        try:
            model, _ = load_checkpoint(str(weights))
        except Exception as error:
            raise ModelError(f"{weights}: {_unloadable(error)}") from error
    task = getattr(model, "task", None)
    if task != "detect":
        raise ModelError(
            f"{weights}: expected a detection model, got one for the task {task!r}; "
            "give the weights of a YOLO detector"
        )
    _check_kind(weights, model)
    try:
        classes = class_names(model.names, model.model[-1].nc)
    except ValueError as error:
        raise ModelError(
            f"{weights}: class names: {error}; set the names of the model and save it again"
        ) from error
    model.names = dict(enumerate(classes))
    return model, classes


def _check_kind(weights: Path, model: Any) -> None:
    """Raises ModelError for a detector whose outputs or training are of another kind."""
    from ultralytics.nn.tasks import DetectionModel

    if type(model) is not DetectionModel:
        kind = type(model).__name__
        raise ModelError(
            f"{weights}: expected a YOLO detector with classes of its own, got {KINDS.get(kind, kind)}, which"
            " cannot be fine-tuned here; give the weights of a YOLO detector, such as yolo11n.pt"
        )


def _unloadable(error: Exception) -> str:
    """Why a checkpoint is not taken, and whether it named what would run as code."""
    cause = error.__cause__
    refused = cause if isinstance(cause, UnpicklingError | EOFError | LookupError) else error
    if named := FOREIGN.search(str(refused)):
        return (
            f"expected a checkpoint of torch's and ultralytics' own parts, got one that names {named[1]},"
            " which loading would run; nothing of it was run. Take no weights of strangers; save your own"
            " again, without parts of other packages"
        )
    return (
        f"expected an ultralytics checkpoint, got a file that does not load ({_first_line(refused)}); copy it"
        " again, or export it again from the training run"
    )


def _check_file(weights: Path) -> None:
    if not weights.is_file():
        raise WeightsUnavailable(
            f"{weights}: expected a YOLO checkpoint, got no such file; give the path of the weights, for none"
            " are downloaded"
        )
    if weights.suffix != ".pt":
        raise ModelError(
            f"{weights}: expected a PyTorch checkpoint that ends in .pt, got {weights.suffix!r}; "
            "exported formats cannot be fine-tuned: give the .pt file they were made from"
        )


def _predictor(model: Any, settings: dict[str, Any], class_scores: bool) -> Any:
    fixed = {"task": "detect", "mode": "predict", "verbose": False, "save": False, "rect": True, "batch": 1}
    with unchanged_process():
        try:
            predictor = _predictor_class(class_scores)(overrides={**fixed, **settings})
            predictor.setup_model(model, verbose=False)
        except (ValueError, TypeError, AssertionError, RuntimeError) as error:
            raise ModelError(
                f"the detector cannot be set up with {settings}: {_first_line(error)}; "
                "expected device 'cpu' or the number of a GPU that is there, imgsz in px, conf, iou in 0..1"
            ) from error
    return predictor


@cache
def _predictor_class(class_scores: bool) -> Any:
    import cv2
    from ultralytics.models.yolo.detect import DetectionPredictor
    from ultralytics.utils import nms

    class RgbPredictor(DetectionPredictor):  # type: ignore[misc]
        """Takes RGB: images are turned to the BGR that ultralytics expects when they are small."""

        def pre_transform(self, im: Any) -> Any:
            return [cv2.cvtColor(image, cv2.COLOR_RGB2BGR) for image in super().pre_transform(im)]

    if not class_scores:
        return RgbPredictor

    class ScoringPredictor(RgbPredictor):
        """Stock boxes, and beside each the scores of all classes at the anchor it came from."""

        def postprocess(self, preds: Any, img: Any, orig_imgs: Any, **kwargs: Any) -> Any:
            end2end = getattr(self.model, "end2end", False)
            args = self.args
            boxes, anchors = nms.non_max_suppression(
                preds, args.conf, args.iou, args.classes, args.agnostic_nms, max_det=args.max_det, nc=0,
                end2end=end2end, return_idxs=True,
            )  # fmt: skip
            raw = preds[0] if isinstance(preds, list | tuple) else preds
            results = self.construct_results(boxes, img, orig_imgs, **kwargs)
            for result, scores, kept in zip(results, raw, anchors, strict=True):
                result.class_scores = None if end2end else scores[4:, kept.view(-1).long()].T
            return results

    return ScoringPredictor


def _translate(result: Any, forward_ms: float) -> Detections:
    boxes = result.boxes.data.cpu().numpy()
    scores = getattr(result, "class_scores", None)
    return Detections(
        xyxy=np.ascontiguousarray(boxes[:, :4], np.float32),
        confidence=np.ascontiguousarray(boxes[:, 4], np.float32),
        class_id=boxes[:, 5].astype(np.int64),
        class_scores=None if scores is None else np.ascontiguousarray(scores.cpu().numpy(), np.float32),
        forward_ms=forward_ms,
    )


def _chunks_of_one_shape(images: Sequence[Image]) -> Iterator[list[int]]:
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for position, image in enumerate(images):
        by_shape.setdefault(image.shape, []).append(position)
    for positions in by_shape.values():
        yield from (positions[i : i + CHUNK] for i in range(0, len(positions), CHUNK))


def _check_image(image: NDArray[Any], position: int) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(
            f"image {position}: expected RGB uint8 of shape (H, W, 3), "
            f"got {image.dtype} of shape {image.shape}; decode it with PIL's convert('RGB')"
        )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
