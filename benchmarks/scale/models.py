"""An embedder and a detector that cost nothing: what they say of a picture is looked up by the
number drawn in it.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pil

from benchmarks.scale.world import DIM, NONE, QUALITY, WEATHER, Array, Bursts, Ints, sentence_vectors
from connectors.ports import Detections, Image
from loop.math.coverage.image_detail import CELLS, SLANTS

CLASSES = ("person", "helmet", "vest", "forklift", "pallet", "extinguisher")
CLASS_SHARES = (0.45, 0.25, 0.15, 0.1, 0.045, 0.005)
FRAME = (192, 108)
"""Width and height that the rows say, px."""
PATCH, NIBBLES = 8, 8
SMALL = (32, 32)
EMBEDDER, DETECTOR = "scale-embedder", "scale-detector"
FORWARD_MS = 5.0
MOST_BOXES = 12


@dataclass(frozen=True, eq=False)
class Boxes:
    """What the detector sees in N frames, best first in each. offset: (N + 1,) int64 where each
    frame's boxes begin.

    xyxy: (K, 4) float32 px. confidence: (K,) float32. class_id: (K,) int64. scores: (K, C) float32.
    """

    offset: Ints
    xyxy: Array
    confidence: Array
    class_id: Ints
    scores: Array

    def of(self, row: int) -> Detections:
        rows = slice(int(self.offset[row]), int(self.offset[row + 1]))
        return Detections(
            self.xyxy[rows], self.confidence[rows], self.class_id[rows], self.scores[rows], FORWARD_MS
        )


def boxes_of(bursts: Bursts, seed: int) -> Boxes:
    """Three boxes a frame or so; the detector is less sure at night, in bad weather and of what
    nobody named.
    """
    rng = np.random.default_rng([seed, 2])
    own = bursts.frames()
    count = np.minimum(rng.poisson(3, len(own)), MOST_BOXES)
    frame = np.repeat(np.arange(len(own)), count)
    burst = own[frame]
    hard = (bursts.light[burst] == 2) | (bursts.weather[burst] > 0) | (bursts.unnamed[burst] != NONE)
    class_id = rng.choice(len(CLASSES), size=len(frame), p=CLASS_SHARES)
    confidence = (rng.beta(5, 2, len(frame)) * np.where(hard, 0.55, 1.0)).clip(0.05, 0.99)
    order = np.lexsort((-confidence, frame))
    class_id, confidence = class_id[order], confidence[order].astype(np.float32)
    scores = (0.05 * rng.random((len(frame), len(CLASSES)))).astype(np.float32)
    scores[np.arange(len(frame)), class_id] = confidence
    offset = np.concatenate([[0], np.cumsum(count)])
    return Boxes(offset, _corners(rng, len(frame)), confidence, class_id.astype(np.int64), scores)


def picture_of(number: int) -> bytes:
    """A small JPEG that carries the number."""
    nibbles = [(number >> (4 * place)) & 15 for place in range(NIBBLES)]
    gray = np.array([16 * nibble + 8 for nibble in nibbles] * 2, np.uint8).reshape(4, 4)
    pixels = np.repeat(gray.repeat(PATCH, 0).repeat(PATCH, 1)[..., None], 3, axis=2)
    return _jpeg(pixels)


def plain_picture(number: int) -> bytes:
    """A JPEG of FRAME in one color; every number gives another file."""
    rng = np.random.default_rng(number)
    pixels = np.full((FRAME[1], FRAME[0], 3), rng.integers(30, 220, 3), np.uint8)
    pixels[: 4 * PATCH, : 8 * PATCH] = rng.integers(0, 255, (4, 8, 3)).repeat(PATCH, 0).repeat(PATCH, 1)
    return _jpeg(pixels)


def number_in(image: Image) -> int:
    """The number that `picture_of` drew."""
    centers = image[PATCH // 2 :: PATCH, PATCH // 2 :: PATCH, 0].ravel()[:NIBBLES].astype(int)
    return sum((value // 16) << (4 * place) for place, value in enumerate(centers.tolist()))


class FreeEmbedder:
    """`Embedder` of the amplified world. known: (M, D) the vector of each number."""

    name, dim, logit_scale = EMBEDDER, DIM, 100.0

    def __init__(self, known: Array) -> None:
        self._known = known

    def embed(self, images: Sequence[Image]) -> Array:
        return self._known[[number_in(image) for image in images]]

    def embed_text(self, prompts: Sequence[str]) -> Array:
        return sentence_vectors(tuple(prompts))

    def unknown_words(self, prompts: Sequence[str]) -> tuple[str, ...]:
        return ()

    def unlike(self, vectors: Array) -> NDArray[np.bool_]:
        return np.zeros(len(vectors), dtype=np.bool_)


class FreeDetector:
    """`Detector` of the amplified world. known: the boxes of each number."""

    name, classes = DETECTOR, CLASSES

    def __init__(self, known: Boxes) -> None:
        self._known = known

    def detect(self, images: Sequence[Image]) -> list[Detections]:
        return [self._known.of(number_in(image)) for image in images]


def measurements(bursts: Bursts, seed: int) -> dict[str, NDArray[np.float64]]:
    """(N,) of each image statistic: dark at night, flat in fog, soft where the picture is blurred."""
    rng = np.random.default_rng([seed, 3])
    own = bursts.frames()
    light, weather, quality = bursts.light[own], bursts.weather[own], bursts.quality[own]
    jitter = rng.normal(1, 0.05, (12, len(own)))
    night, fog, soft = light == 2, weather == WEATHER.index("fog"), quality == QUALITY.index("blurred")
    return {
        "brightness": jitter[0] * np.where(night, 0.12, 0.45),
        "contrast": jitter[1] * np.where(fog, 0.07, 0.2),
        "dark_fraction": jitter[2] * np.where(night, 0.6, 0.05),
        "bright_fraction": jitter[3] * 0.02,
        "entropy": jitter[4] * np.where(night, 5, 7),
        "saturation": jitter[5] * 0.3,
        "colorfulness": jitter[6] * 0.25,
        "sharpness": jitter[7] * np.where(soft, 0.02, 0.12),
        "noise": jitter[8] * 0.01,
        "blockiness": jitter[9] * 1.05,
        "haze": jitter[10] * np.where(fog, 0.6, 0.1),
        "compression": jitter[11] * 0.1,
        **{name: rng.normal(0, 0.1, len(own)) for name in SLANTS},
        **{name: rng.lognormal(0, 0.2, len(own)) for name in CELLS},
    }


def _corners(rng: np.random.Generator, count: int) -> Array:
    width, height = FRAME
    sides = rng.uniform(0.05, 0.2, (count, 2)) * FRAME
    low = rng.random((count, 2)) * (np.array([width, height]) - sides)
    return np.round(np.concatenate([low, low + sides], axis=1), 1).astype(np.float32)


def _jpeg(pixels: Image) -> bytes:
    file = io.BytesIO()
    Pil.fromarray(pixels).save(file, "JPEG", quality=95, subsampling=0)
    return file.getvalue()
