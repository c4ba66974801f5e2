"""What is known of every frame before anybody labels it, computed once and kept by content: vectors
and image statistics.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectors.files import draft_of
from connectors.images import decode
from connectors.ports import Array, Detections, Detector, Embedder, Image, Progress
from loop.analysis.producers import MEASURES_VERSION
from loop.base.arrays import Reals
from loop.base.files import chunked
from loop.math.coverage.image_statistics import measure
from loop.replay.data import ReplayData, ReplayFrame

CHUNK = 32


@dataclass(frozen=True, eq=False)
class Facts:
    """vectors: (N, D) float32, unit norm.
    measures: (N,) by name.
    """

    vectors: Array
    measures: dict[str, Reals]


def load_facts(data: ReplayData, embedder: Embedder, folder: Path, progress: Progress) -> Facts:
    """From the file of these contents and this embedder in `folder`, or computed and kept there."""
    contents = "".join(frame.content_hash for frame in data.frames)
    key = hashlib.sha256(f"{embedder.name}|{MEASURES_VERSION}|{contents}".encode()).hexdigest()[:16]
    file = folder / f"facts-{key}.npz"
    if not file.is_file():
        _write(file, _computed(data.frames, embedder, progress))
    with np.load(file, allow_pickle=False) as kept:
        measures = {name: kept[name] for name in kept.files if name != "vectors"}
        return Facts(kept["vectors"], measures)


def detect(
    detector: Detector, frames: Sequence[ReplayFrame], progress: Progress, what: str
) -> list[Detections]:
    """One Detections per frame."""
    found: list[Detections] = []
    for images in _images(frames):
        found += detector.detect(images)
        progress(len(found), len(frames), what)
    return found


def save_detections(file: Path, found: Sequence[Detections]) -> None:
    """Atomically, without pickling."""
    scores = [each.class_scores for each in found]
    arrays = {
        "counts": np.array([len(each) for each in found]),
        "xyxy": np.concatenate([each.xyxy for each in found]),
        "confidence": np.concatenate([each.confidence for each in found]),
        "class_id": np.concatenate([each.class_id for each in found]),
    }
    if all(each is not None for each in scores):
        arrays["class_scores"] = np.concatenate([each for each in scores if each is not None])
    _write(file, arrays)


def read_detections(file: Path) -> list[Detections]:
    with np.load(file, allow_pickle=False) as kept:
        ends = np.cumsum(kept["counts"])[:-1]
        xyxy, confidence, class_id = (
            np.split(kept[name], ends) for name in ("xyxy", "confidence", "class_id")
        )
        scores: Sequence[Array | None] = [None] * len(xyxy)
        if "class_scores" in kept.files:
            scores = np.split(kept["class_scores"], ends)
    return [Detections(*each) for each in zip(xyxy, confidence, class_id, scores, strict=True)]


def _computed(
    frames: Sequence[ReplayFrame], embedder: Embedder, progress: Progress
) -> dict[str, NDArray[Any]]:
    vectors: list[Array] = []
    measured: list[dict[str, float]] = []
    for images in _images(frames):
        vectors.append(embedder.embed(images))
        measured += [measure(image) for image in images]
        progress(len(measured), len(frames), "frames embedded and measured")
    arrays: dict[str, NDArray[Any]] = {"vectors": np.concatenate(vectors)}
    return arrays | {name: np.array([each[name] for each in measured]) for name in measured[0]}


def _images(frames: Sequence[ReplayFrame]) -> Iterator[list[Image]]:
    for part in chunked(frames, CHUNK):
        yield [decode(frame.path.read_bytes()) for frame in part]


def _write(file: Path, arrays: dict[str, Any]) -> None:
    with draft_of(file) as draft, draft.open("wb") as out:
        np.savez(out, **arrays)
