"""The scenes that the small CLIP learns from and is tested on: rendered, labeled, brought to 112
px, kept on disk.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from connectors.clip.embedder import Preprocess
from connectors.files import draft_of
from demo.render import CAMERAS, CLASSES, QUALITIES, SITES, TIMES, VIEWS, WEATHERS, Camera, SceneSpec, render

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]

IMAGE_SIZE = 112
PREPROCESS = Preprocess(
    (IMAGE_SIZE, IMAGE_SIZE), (0.45, 0.45, 0.45), (0.25, 0.25, 0.25), "bicubic", "squash", 0
)
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "time": TIMES,
    "weather": WEATHERS,
    "quality": QUALITIES,
    "view": VIEWS,
    "site": SITES,
}
_SHARES = {"quality": (0.36, 0.16, 0.16, 0.16, 0.16)}
_CHUNK = 256


@dataclass(frozen=True)
class SceneSet:
    """images: (N, 112, 112, 3) uint8 RGB, squashed; labels: (N, A) int64 into the values of
    ATTRIBUTES;
    attributes: what the renderer says of each scene.
    """

    images: Pixels
    labels: Labels
    attributes: list[dict[str, str]]

    def __getitem__(self, rows: slice) -> SceneSet:
        return SceneSet(self.images[rows], self.labels[rows], self.attributes[rows])

    def __add__(self, other: SceneSet) -> SceneSet:
        images = np.concatenate([self.images, other.images])
        labels = np.concatenate([self.labels, other.labels])
        return SceneSet(images, labels, self.attributes + other.attributes)

    def column(self, attribute: str) -> Labels:
        return np.asarray(self.labels[:, list(ATTRIBUTES).index(attribute)])


def random_specs(count: int, seed: int, cameras: dict[str, Camera]) -> list[SceneSpec]:
    """Scenes in which every view, time and weather is as frequent as any other."""
    rng = np.random.default_rng(seed)
    by_view = {view: [c for c in cameras.values() if c.view == view] for view in VIEWS}
    return [_random_spec(rng, by_view, int(rng.integers(2**31))) for _ in range(count)]


def labels_of(attributes: dict[str, str]) -> list[int]:
    return [names.index(attributes[attribute]) for attribute, names in ATTRIBUTES.items()]


def stored(image: Pixels, jpeg: int = 90) -> Pixels:
    """(H, W, 3) uint8 RGB as a camera's file would give it back: after JPEG."""
    _, packed = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, jpeg])
    return np.ascontiguousarray(
        np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))[:, :, ::-1], dtype=np.uint8
    )


def rendered(folder: Path, count: int, seed: int, unknown: bool = False) -> SceneSet:
    """Scenes of all_cameras(seed, unknown); those already on disk from an interrupted run are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    with all_cameras(seed, unknown) as cameras:
        specs = sorted(random_specs(count, seed, cameras), key=lambda spec: spec.camera)
        for first in range(0, count, _CHUNK):
            part = folder / f"{count}-{seed}-{first:06d}.npz"
            if not part.exists():
                _write(part, [small_scene(spec) for spec in specs[first : first + _CHUNK]])
                print(f"rendered {min(first + _CHUNK, count)} of {count} scenes", flush=True)
    return _joined([np.load(folder / f"{count}-{seed}-{first:06d}.npz") for first in range(0, count, _CHUNK)])


def small_scene(spec: SceneSpec) -> tuple[Pixels, dict[str, str]]:
    """(112, 112, 3) uint8, what the model's own preprocessing makes of a frame before it
    normalizes, and what the renderer says of it.
    """
    scene = render(spec)
    frame = stored(scene.image, jpeg=80 + spec.seed % 16)
    return np.ascontiguousarray(PREPROCESS.pixels(frame).permute(1, 2, 0).numpy()), scene.attributes


@contextmanager
def all_cameras(seed: int, unknown: bool = False) -> Iterator[dict[str, Camera]]:
    """The world's cameras, with those that no detector was trained on if `unknown`, and made-up
    ones beside them so that a view is learned as such.
    """
    extra = {camera.id: camera for camera in _made_up(np.random.default_rng([seed, 1]))}
    CAMERAS.update(extra)
    try:
        yield {name: c for name, c in CAMERAS.items() if c.known or unknown or name in extra}
    finally:
        for name in extra:
            del CAMERAS[name]


def _made_up(rng: np.random.Generator, per_view: int = 4) -> Iterator[Camera]:
    for site in SITES:
        for view in VIEWS:
            for number in range(per_view):
                yield _camera(f"{site}-{view.replace(' ', '-')}-{number}", site, view, rng)


def _camera(name: str, site: str, view: str, rng: np.random.Generator) -> Camera:
    height, pitch, roll, fov, bend = {
        "eye level": ((2.6, 3.8), (5, 13), (-2, 2), (56, 72), (0, 0)),
        "overhead": ((6.5, 8.5), (29, 42), (-2, 2), (56, 70), (0, 0)),
        "wide angle": ((3.0, 5.6), (14, 26), (-4, 4), (106, 122), (1.1, 1.35)),
        "tilted": ((4.0, 6.6), (15, 27), (15, 27), (60, 76), (0, 0)),
    }[view]
    side = rng.choice((-1, 1)) if view == "tilted" else 1
    tint = rng.uniform(0.88, 1.06, 3) if rng.random() < 0.5 else np.ones(3)
    return Camera(
        name,
        site,
        view,
        (rng.uniform(-5, 4), rng.uniform(0, 3), rng.uniform(*height)),
        rng.uniform(-14, 14),
        rng.uniform(*pitch),
        roll=side * rng.uniform(*roll),
        fov=rng.uniform(*fov),
        bend=rng.uniform(*bend),
        cast=(float(tint[0]), float(tint[1]), float(tint[2])),
        known=False,
    )


def _random_spec(rng: np.random.Generator, by_view: dict[str, list[Camera]], seed: int) -> SceneSpec:
    cameras = by_view[VIEWS[rng.integers(len(VIEWS))]]
    camera = cameras[rng.integers(len(cameras))]
    time, weather, quality = (
        str(rng.choice(ATTRIBUTES[name], p=_SHARES.get(name))) for name in ("time", "weather", "quality")
    )
    objects = tuple(str(name) for name in rng.choice(CLASSES, rng.integers(0, 7)))
    usual = rng.random() < 0.7
    return SceneSpec(camera.site, camera.id, time, weather, quality, None if usual else objects, seed, 0)


def _write(path: Path, scenes: list[tuple[Pixels, dict[str, str]]]) -> None:
    with draft_of(path) as draft, draft.open("wb") as file:
        texts = np.array([json.dumps(attributes) for _, attributes in scenes])
        np.savez(file, images=np.stack([image for image, _ in scenes]), attributes=texts)


def _joined(parts: list[Any]) -> SceneSet:
    attributes = [json.loads(str(text)) for part in parts for text in part["attributes"]]
    labels = np.array([labels_of(each) for each in attributes], dtype=np.int64)
    return SceneSet(np.concatenate([part["images"] for part in parts]), labels, attributes)
