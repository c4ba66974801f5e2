"""How many views real cameras show, by what near-duplicates teach.

    python -m benchmarks.near_duplicates_real [--data DIR]

Clips of fixed cameras, each one camera, one day and one sequence, taken at several steps; still
scenes with the noise of a sensor; a second day. What is right does not rest on the embedding:
- the street camera has boxes with track ids. Frames are the same view where boxes of the same
  tracks overlap by more than .8 on average (a track in one frame only counts as 0).
- elsewhere it is the outlines of what differs from the median picture. Frames are the same view
  where these overlap by more than .7: at that limit the street camera has 103 views by outlines,
  104 by tracks. Small things far away move out of their outlines in a fraction of a second, so
  this is the most that can be right.
- a still scene is one view.

`lost` is the share of the street's frames that no kept view shows with an overlap of .5 at least.
Writes benchmarks/results/near_duplicates_real.json.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.real_clips import (
    CLIPS,
    Clip,
    fog,
    noisy,
    options,
    read_clip,
    small_clip,
    store,
    stored,
)
from connectors.ports import Array, Image
from samplers.engine.near_duplicates import near_duplicates
from samplers.pool import Ints, Reals

RESULTS = Path(__file__).parent / "results" / "near_duplicates_real.json"
SAME_BOXES, SAME_OUTLINES, SHOWN = 0.8, 0.7, 0.5
HIGHWAY = 300
"""Frames, 12 s."""
STEPS = {"highway": (1, 5, 25), "street": (1, 5)}
Overlap = NDArray[np.float64]
Embed = Callable[[list[Image]], Array]


@dataclass(frozen=True)
class Case:
    """right: what holds without the embedding.
    mixed: frames that share a view with what they must not; None where nothing is planted.
    lost: see above; None where nothing tells.
    """

    name: str
    frames: int
    views: int
    right: str
    mixed: int | None = None
    lost: float | None = None


def main() -> None:
    asked = options(__doc__, RESULTS)
    embedder = small_clip()
    cases = []
    for case in [*clips(asked.data, embedder.embed), *still_scenes(asked.data, embedder.embed)]:
        print(case, flush=True)
        cases.append(asdict(case))
    store(asked.out, asked.column, {"embedder": embedder.name, "cases": cases})


def clips(data: Path, embed: Embed) -> Iterator[Case]:
    """Whole clips at several steps, and twelve seconds of a highway."""
    for name in ("street", *CLIPS):
        clip = read_clip(data, name, HIGHWAY if name == "highway" else None)
        vectors = embed(list(clip.images))
        overlap = by_tracks(data) if name == "street" else by_outlines(clip)
        limit = SAME_BOXES if name == "street" else SAME_OUTLINES
        for step in STEPS.get(name, (1,)):
            rows = np.arange(0, len(clip), step)
            view = views(vectors[rows], clip.seconds[rows])
            some = overlap[np.ix_(rows, rows)]
            apart = told_apart(some > limit)
            yield Case(
                f"{name}, a frame every {step / clip.fps:.2g} s",
                len(rows),
                len(np.unique(view)),
                f"{apart} by tracks" if name == "street" else f"<= {apart}",
                lost=lost(some, view) if name == "street" else None,
            )


def still_scenes(data: Path, embed: Embed) -> Iterator[Case]:
    """One picture with noise; with somebody in it for a while; on two days, in fog on the second."""
    for name in ("highway", "street"):
        scene = read_clip(data, name, 1).images[0]
        for sigma in (2, 4, 8):
            vectors = embed(noisy(scene, sigma, HIGHWAY))
            count = len(np.unique(views(vectors, np.arange(HIGHWAY, dtype=np.float64) / 25)))
            yield Case(f"still {name}, noise of {sigma}", HIGHWAY, count, "1")
        slow = len(np.unique(views(vectors, np.arange(HIGHWAY, dtype=np.float64) * 60)))
        yield Case(f"still {name}, noise of 8, a frame a minute", HIGHWAY, slow, "1")
    person = read_clip(data, "person", 320).images
    for sigma in (2, 4, 8):
        rare = np.zeros(HIGHWAY, dtype=np.bool_)
        rare[140:152] = True
        away, there = noisy(person[0], sigma, HIGHWAY), noisy(person[300], sigma, HIGHWAY, seed=1)
        vectors = embed([there[row] if rare[row] else away[row] for row in range(HIGHWAY)])
        yield planted(f"still room, noise of {sigma}, a person in 12 frames", vectors, rare, same_day=True)
    scene = read_clip(data, "highway", 1).images[0]
    two = [*noisy(scene, 4, 150), *noisy(scene, 4, 150, seed=1)]
    yield planted("still highway on two days", embed(two), np.zeros(300, dtype=np.bool_), same_day=False)
    foggy = np.arange(300) >= 150
    two = [*two[:150], *noisy(fog(scene), 4, 150, seed=1)]
    yield planted("still highway, in fog on the second day", embed(two), foggy, same_day=False)
    moving = read_clip(data, "highway").images
    vectors = embed([*moving[:300], *moving[-300:]])
    view = views(vectors, np.arange(600) / 25, np.arange(600) // 300)
    yield Case("highway, 12 s on each of two days", 600, len(np.unique(view)), "about twice one day")


def planted(name: str, vectors: Array, rare: NDArray[np.bool_], *, same_day: bool) -> Case:
    """Views of a still scene, some frames of which show something else."""
    day = np.zeros(len(rare), dtype=np.int64) if same_day else np.arange(len(rare)) // (len(rare) // 2)
    view = views(vectors, np.arange(len(rare)) / 25 + 86400.0 * day, day)
    mixed = int(np.isin(view[rare], view[~rare]).sum())
    return Case(name, len(rare), len(np.unique(view)), "2" if rare.any() else "1", mixed)


def views(vectors: Array, seconds: Reals, day: Ints | None = None) -> Ints:
    """(N,) the view of each frame of one camera and one sequence a day, one day if none is given."""
    one = np.zeros(len(vectors), dtype=np.int64)
    group = one if day is None else day
    return near_duplicates(vectors, group, one, group, seconds)


def by_tracks(data: Path) -> Overlap:
    """(N, N) the mean overlap of boxes of the same track over all tracks of either frame."""
    told = json.loads((data / "street_cam" / "instances_tracks_1920x1080.json").read_text(encoding="utf-8"))
    tracks = sorted({each["attributes"]["track_id"] for each in told["annotations"]})
    boxes = np.full((len(told["images"]), len(tracks), 4), np.nan)
    for each in told["annotations"]:
        left, top, width, height = each["bbox"]
        place = each["image_id"] - 1, tracks.index(each["attributes"]["track_id"])
        boxes[place] = left, top, left + width, top + height
    there = np.isfinite(boxes[:, :, 0])
    return np.stack(
        [
            np.nan_to_num(_overlap(boxes[row], boxes)).sum(axis=1)
            / np.maximum((there[row] | there).sum(axis=1), 1)
            for row in range(len(boxes))
        ]
    )


def _overlap(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of boxes (..., 4), NaN where either is."""
    low, high = np.maximum(one[..., :2], other[..., :2]), np.minimum(one[..., 2:], other[..., 2:])
    inside = np.clip(high - low, 0, None).prod(axis=-1)
    both = (one[..., 2:] - one[..., :2]).prod(axis=-1) + (other[..., 2:] - other[..., :2]).prod(axis=-1)
    found: NDArray[np.float64] = inside / (both - inside)
    return found


def by_outlines(clip: Clip, width: int = 160, differs: int = 30, least: float = 0.002) -> Overlap:
    """(N, N) intersection over union of what differs from the median picture by more than 30 gray
    levels; 1 where in both frames together it is less than .002 of the picture.
    """
    size = width, round(width * clip.images[0].shape[0] / clip.images[0].shape[1])
    small = np.stack([_smooth(image, size) for image in clip.images]).astype(np.int16)
    usual = np.median(small[:: max(1, len(small) // 100)], axis=0)
    kernel = np.ones((3, 3), np.uint8)
    apart = (np.abs(small - usual).max(axis=3) > differs).astype(np.uint8)
    outline = np.stack([cv2.morphologyEx(each, cv2.MORPH_OPEN, kernel) for each in apart])
    flat = outline.reshape(len(small), -1).astype(np.float32)
    inside = (flat @ flat.T).astype(np.float64)
    area = np.diag(inside)
    both = area[:, None] + area - inside
    return np.where(both < least * flat.shape[1], 1.0, inside / np.maximum(both, 1))


def _smooth(image: Image, size: tuple[int, int]) -> NDArray[Any]:
    small: NDArray[Any] = cv2.GaussianBlur(cv2.resize(image, size, interpolation=cv2.INTER_AREA), (3, 3), 0)
    return small


def told_apart(same: NDArray[np.bool_]) -> int:
    """How many frames are kept, if each goes that is the same as one kept before."""
    kept: list[int] = []
    for row in range(len(same)):
        if not same[row, kept].any():
            kept.append(row)
    return len(kept)


def lost(overlap: Overlap, view: NDArray[np.int64]) -> float:
    """The share of frames that the first frame of no view shows."""
    kept = np.unique(view, return_index=True)[1]
    return round(float((overlap[:, kept].max(axis=1) < SHOWN).mean()), 3)


def table(results: Path = RESULTS) -> str:
    """Markdown: case, frames, views before and now, what is right."""
    known = stored(results)
    before = {case["name"]: case["views"] for case in known["before"]["cases"]}
    lines = ["| case | frames | views before | views now | right |", "|---|---|---|---|---|"]
    for case in known["now"]["cases"]:
        lines.append(
            f"| {case['name']} | {case['frames']:,} | {before.get(case['name'], '')} | {case['views']}"
            f" | {case['right']} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
