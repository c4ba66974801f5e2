"""Clips of fixed cameras from the folder of real data, and their embeddings by the bundled CLIP."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

import config
from connectors.clip.embedder import ClipEmbedder, load_embedder
from connectors.images import decode
from connectors.ports import Image

CLIPS = {
    "car": "car-detection.mp4",
    "person": "one-by-one-person-detection.mp4",
    "bottle": "bottle-detection.mp4",
    "highway": "video02.avi",
    "highway 2": "video03.avi",
}
STREET_FPS = 10.0
"""Nobody says how fast the street camera is; its cars move as if it were so."""


@dataclass(frozen=True, eq=False)
class Clip:
    """images: (H, W, 3) uint8 RGB each. fps: frames per second."""

    images: Sequence[Image]
    fps: float

    def __len__(self) -> int:
        return len(self.images)

    @property
    def seconds(self) -> NDArray[np.float64]:
        """(N,) since the first frame."""
        return np.arange(len(self)) / self.fps


def read_clip(data: Path, name: str, most: int | None = None) -> Clip:
    """A clip by its key in CLIPS, or "street"; at most so many frames. Raises OSError where the file
    is missing.
    """
    if name == "street":
        files = sorted((data / "street_cam" / "images").iterdir())[:most]
        return Clip([decode(file.read_bytes()) for file in files], STREET_FPS)
    images: list[Image] = []
    with av.open(str(data / "fixed_videos" / CLIPS[name])) as container:
        for frame in container.decode(video=0):
            if len(images) == most:
                break
            images.append(frame.to_ndarray(format="rgb24"))
        return Clip(images, float(container.streams.video[0].average_rate or 1))


def small_clip() -> ClipEmbedder:
    """The bundled CLIP on one thread."""
    return load_embedder(str(config.FOLDER / "clip_small"), batch=64, threads=1)


def noisy(image: Image, sigma: float, count: int, quality: int = 85, seed: int = 0) -> list[Image]:
    """`count` pictures of a still scene: Gaussian noise of `sigma` gray levels, saved as JPEG."""
    rng = np.random.default_rng(seed)
    return [
        as_jpeg(np.clip(image + rng.normal(0, sigma, image.shape), 0, 255).astype(np.uint8), quality)
        for _ in range(count)
    ]


def as_jpeg(image: Image, quality: int) -> Image:
    """The picture after it was saved and read."""
    stored = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return decode(stored.tobytes())


def fog(image: Image) -> Image:
    """Two thirds of the contrast gone, towards light gray."""
    return (0.35 * image + 0.65 * 200).astype(np.uint8)


def night(image: Image) -> Image:
    """A fifth of the light."""
    return (0.2 * image).astype(np.uint8)


def options(description: str | None, results: Path) -> argparse.Namespace:
    """data: folder; out: the result file; column: under which what is measured is stored."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("FIELDLOOP_DATA") or "../shared/data")
    )
    parser.add_argument("--out", type=Path, default=results)
    parser.add_argument("--column", choices=["before", "now"], default="now")
    return parser.parse_args()


def stored(results: Path) -> dict[str, Any]:
    """What the result file says, nothing where there is none."""
    found: dict[str, Any] = json.loads(results.read_text(encoding="utf-8")) if results.is_file() else {}
    return found


def store(results: Path, column: str, measured: dict[str, Any]) -> None:
    """Beside the other column, which stays."""
    results.parent.mkdir(parents=True, exist_ok=True)
    known = stored(results) | {column: measured}
    results.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
