"""Builds a demo's world on disk: the training set and production in one folder, the truth in
another.
"""

import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import yaml
from PIL import Image

from demo.render import CLASSES, SIZE, Scene, SceneSpec, render
from demo.world_plan import Shot, held_out_shots, production_shots, training_shots
from demo.world_schema import World, WorldError, load_world, parse_world

__all__ = ["World", "WorldError", "build", "load_world", "parse_world", "rendered"]

Progress = Callable[[int, int], None]
_JPEG = 92
_CHUNK = 48
_ATTEMPTS = 64
_EXIF_IFD, _MODEL, _DESCRIPTION, _ORIGINAL = 0x8769, 0x0110, 0x010E, 0x9003


@dataclass(frozen=True)
class _Job:
    """A shot and where its picture and, for all but production, its label file go."""

    shot: Shot
    image: Path
    label: Path | None


def build(world: World, out: Path, truth: Path, progress: Progress, workers: int = 2) -> None:
    """Renders a world.

    ``out/train`` is a YOLO data set with data.yaml, ``out/production/<site>/<camera>/<date>/``
    holds pictures whose names and EXIF say camera, site and time only. ``truth/production.jsonl``
    has a line for each of
    them: sha256, boxes [[class, x1, y1, x2, y2]] in pixels, conditions, gap or null;
    ``truth/test/<condition>`` holds images and labels of independent scenes. ``progress`` is called
    with (done, total) frames. The same world gives the same bytes on one kind of processor; on
    another about one picture in a hundred came out with other bytes. Raises FileExistsError where a
    part is there already.
    """
    for part in (out / "train", out / "production", truth / "production.jsonl", truth / "test"):
        if part.exists():
            raise FileExistsError(
                f"{part} is there already: expected a folder without it; remove it or build elsewhere"
            )
    production = [
        _Job(shot, out / "production" / f"{shot.path}.jpg", None) for shot in production_shots(world)
    ]
    jobs = [*production, *_yolo_jobs(world, out, truth)]
    for folder in {path.parent for job in jobs for path in (job.image, job.label) if path}:
        folder.mkdir(parents=True, exist_ok=True)
    _write_names(world, out / "train" / "data.yaml")
    lines = _render_all(jobs, world.classes, workers, progress)
    truth.mkdir(parents=True, exist_ok=True)
    text = "".join(lines[str(job.image)] + "\n" for job in production)
    (truth / "production.jsonl").write_text(text, encoding="utf-8")


def rendered(world: World, folder: Path, progress: Progress) -> bool:
    """Renders a world to folder/world and folder/truth unless it stands there already; whether it
    had to.

    Another world, or a half-made one, is made again.
    """
    stamp = folder / "world.sha256"
    described = hashlib.sha256(world.model_dump_json().encode()).hexdigest()
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == described:
        return False
    stamp.unlink(missing_ok=True)
    for part in ("world", "truth"):
        shutil.rmtree(folder / part, ignore_errors=True)
    build(world, folder / "world", folder / "truth", progress)
    stamp.write_text(described, encoding="utf-8")
    return True


def _yolo_jobs(world: World, out: Path, truth: Path) -> Iterator[_Job]:
    for part in ("train", "val"):
        for shot in training_shots(world, part):
            yield _labeled(shot, out / "train" / "images" / part, out / "train" / "labels" / part)
    for condition, shots in held_out_shots(world).items():
        for shot in shots:
            yield _labeled(shot, truth / "test" / condition / "images", truth / "test" / condition / "labels")


def _labeled(shot: Shot, images: Path, labels: Path) -> _Job:
    return _Job(shot, images / f"{shot.path}.jpg", labels / f"{shot.path}.txt")


def _write_names(world: World, path: Path) -> None:
    """Without a `path:` key, so that the folders are looked for beside the file, wherever it is
    moved.
    """
    part = "val" if world.training.validation else "train"
    content = {"train": "images/train", "val": f"images/{part}", "names": dict(enumerate(world.classes))}
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def _render_all(
    jobs: Sequence[_Job], classes: tuple[str, ...], workers: int, progress: Progress
) -> dict[str, str]:
    """Draws all jobs; each camera stays with one process, which then makes its backdrop only once."""
    lanes = [
        ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_calm) for _ in range(workers)
    ]
    try:
        futures: list[Future[dict[str, str]]] = []
        for lane, share in zip(lanes, _shares(jobs, workers), strict=True):
            futures += [
                lane.submit(_render_some, share[i : i + _CHUNK], classes)
                for i in range(0, len(share), _CHUNK)
            ]
        lines: dict[str, str] = {}
        for future in as_completed(futures):
            lines.update(future.result())
            progress(len(lines), len(jobs))
        return lines
    finally:
        for lane in lanes:
            lane.shutdown(wait=True, cancel_futures=True)


def _shares(jobs: Sequence[_Job], workers: int) -> list[list[_Job]]:
    cameras: dict[str, list[_Job]] = {}
    for job in jobs:
        cameras.setdefault(job.shot.spec.camera, []).append(job)
    shares: list[list[_Job]] = [[] for _ in range(workers)]
    for camera in sorted(cameras, key=lambda name: (-len(cameras[name]), name)):
        min(shares, key=len).extend(cameras[camera])
    return shares


def _calm() -> None:
    cv2.setNumThreads(1)
    os.nice(2)


def _render_some(jobs: Sequence[_Job], classes: tuple[str, ...]) -> dict[str, str]:
    """Writes pictures and labels; returns each picture's line of truth by its path."""
    return {str(job.image): _render_one(job, classes) for job in jobs}


def _render_one(job: _Job, classes: tuple[str, ...]) -> str:
    shot = job.shot
    seed = _settled(replace(shot.spec, burst_index=0), shot.needs, shot.instances)
    scene = render(replace(shot.spec, seed=seed))
    boxes = [
        (CLASSES[i], box)
        for i, box in zip(scene.class_ids, scene.xyxy.tolist(), strict=True)
        if CLASSES[i] in classes
    ]
    content = _encoded(scene, shot)
    job.image.write_bytes(content)
    if job.label:
        job.label.write_text(
            "".join(_yolo(classes.index(name), box) for name, box in boxes), encoding="utf-8"
        )
    spec = shot.spec
    conditions = {
        "site": spec.site,
        "camera": spec.camera,
        "time": spec.time,
        "weather": spec.weather,
        "quality": spec.quality,
        "view": scene.attributes["view"],
    }
    return json.dumps(
        {
            "sha256": hashlib.sha256(content).hexdigest(),
            "boxes": [[n, *(round(v, 2) for v in b)] for n, b in boxes],
            "conditions": conditions,
            "gap": shot.gap,
        }
    )


@lru_cache(maxsize=256)
def _settled(spec: SceneSpec, needs: str, instances: int) -> int:
    """The first seed from the spec's on whose scene shows the class that it needs."""
    if not needs:
        return spec.seed
    for seed in range(spec.seed, spec.seed + _ATTEMPTS):
        found = int((render(replace(spec, seed=seed)).class_ids == CLASSES.index(needs)).sum())
        if found and (not instances or found == instances):
            return seed
    raise WorldError(
        f"no scene of camera {spec.camera} shows a {needs} in {_ATTEMPTS} attempts; leave that camera out"
    )


def _encoded(scene: Scene, shot: Shot) -> bytes:
    exif = Image.Exif()
    if shot.captured:
        exif[_MODEL], exif[_DESCRIPTION] = shot.spec.camera, shot.spec.site
        exif.get_ifd(_EXIF_IFD)[_ORIGINAL] = f"{shot.captured:%Y:%m:%d %H:%M:%S}"
    buffer = io.BytesIO()
    Image.fromarray(scene.image).save(buffer, "JPEG", quality=_JPEG, exif=exif)
    return buffer.getvalue()


def _yolo(class_id: int, box: Sequence[float]) -> str:
    scale = np.array([*SIZE, *SIZE])
    x1, y1, x2, y2 = np.asarray(box) / scale
    return f"{class_id} {(x1 + x2) / 2:.6f} {(y1 + y2) / 2:.6f} {x2 - x1:.6f} {y2 - y1:.6f}\n"
