"""Which bad pictures the measured conditions find, camera by camera, and how often they cry wolf.

    python -m benchmarks.image_conditions [--seeds 3]
    python -m benchmarks.image_conditions --report

Real frames of six fixed cameras (FIELDLOOP_DATA: fixed_videos, street_cam). The first half of each
clip is the camera's training set, the last part its clean production, so what changes in a scene
counts against a condition. Faults are planted (`benchmarks.image_faults`). Conditions are those of
config/conditions.yaml, by the product's own `measure` and `measured_facets`. AUROC: faulty against
other frames of the same camera by how far they lie beyond the camera's limit, mean of the cameras.
False alarms: clean production frames beyond the limit. Before: the statistic that was there for it.
Writes benchmarks/results/image_conditions.json; --report prints the table from it.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.image_faults import FAULTS, RESIZED
from benchmarks.scale.__main__ import commit
from connectors.ports import Image
from loop.base.arrays import Bools, Reals
from loop.math.coverage.facets import measured_facets
from loop.math.coverage.frame_arrays import Named
from loop.math.coverage.image_statistics import measure
from loop.settings.conditions import Bin, load_conditions

RESULTS = Path(__file__).parent / "results" / "image_conditions.json"
CLIPS = (
    "bottle-detection.mp4",
    "car-detection.mp4",
    "one-by-one-person-detection.mp4",
    "video02.avi",
    "video03.avi",
)
STREET = "street_cam"
TRAINING, PRODUCTION, FAULTY = 60, 60, 20
"""Frames of a camera; faulty ones of each fault and seed."""
SPLIT, LATER = 0.5, 0.55
"""Shares of a clip: where training ends and production begins."""
SEEDS = 3
CLEAN = "clean"
Values = dict[str, Reals]
Sets = dict[str, Values]
"""What was measured, by training, clean and each fault."""
Results = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One line of the table.

    condition: as config/conditions.yaml calls it.
    fault, other: the frames that shall be told from one another.
    before: the statistic of old, and its sign: 1 rises with the fault, -1 falls.
    """

    condition: str
    fault: str
    other: str
    before: str
    sign: int
    aim: float | None = None


ROWS = (
    Row("blurry", "blurred night", CLEAN, "old sharpness", -1, 0.85),
    Row("blurry", "blurred night", "night", "old sharpness", -1),
    Row("blurry", "blurred", CLEAN, "old sharpness", -1),
    Row("motion blur", "moved", "defocused", "old sharpness", -1, 0.85),
    Row("motion blur", "moved", CLEAN, "old sharpness", -1),
    Row("foggy", "fogged", CLEAN, "contrast", -1, 0.85),
    Row("dirty lens", "dirtied", CLEAN, "old sharpness", -1, 0.8),
    *(Row("compressed", f"compressed, x {scale}", CLEAN, "blockiness", 1, 0.9) for scale in RESIZED),
    *(Row("compressed", f"compressed, x {scale}", "resized", "blockiness", 1) for scale in RESIZED),
    Row("compressed", "compressed", CLEAN, "blockiness", 1),
    Row("noisy", "noisy", CLEAN, "noise", 1),
    Row("noisy", "night", CLEAN, "noise", 1),
    Row("dark", "dark", CLEAN, "brightness", -1),
    Row("glaring", "glaring", CLEAN, "brightness", 1),
    Row("flat", "flat", CLEAN, "contrast", -1),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("FIELDLOOP_DATA") or "../shared/data")
    )
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--report", action="store_true", help="print the table of the results there are")
    given = parser.parse_args()
    if not given.report:
        if not (given.data / "fixed_videos").is_dir():
            parser.error(f"expected fixed_videos in {given.data}; --data or FIELDLOOP_DATA names its folder")
        results = measured(given.data, range(given.seeds))
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(table(json.loads(given.out.read_text(encoding="utf-8"))))


def measured(data: Path, seeds: Sequence[int]) -> Results:
    """AUROC and rates by camera and seed."""
    cv2.setNumThreads(1)
    begun, bins = time.monotonic(), load_conditions().bins
    found: dict[str, dict[str, Any]] = {}
    for number, (name, frames) in enumerate(cameras(data)):
        split, later = int(SPLIT * len(frames)), int(LATER * len(frames))
        clean = spread(frames[later:], PRODUCTION)
        own = {"training": values_of(spread(frames[:split], TRAINING)), CLEAN: values_of(clean)}
        found[name] = {
            "seeds": [_seed(own, clean, [seed, number], bins) for seed in seeds],
            "frames": len(frames),
        }
        print(f"{time.monotonic() - begun:4.0f} s: {name}", flush=True)
    cpu = round(time.process_time(), 1)
    return {"commit": commit(), "cpu_s": cpu, "cost_ms": costs(frames[0]), "cameras": found}


def cameras(data: Path) -> Iterator[tuple[str, list[Image]]]:
    """Each camera's name and its frames in order of time."""
    for name in CLIPS:
        video, frames = cv2.VideoCapture(str(data / "fixed_videos" / name)), []
        while (read := video.read())[0]:
            frames.append(np.ascontiguousarray(read[1][..., ::-1], dtype=np.uint8))
        yield name.partition(".")[0], frames
    files = sorted((data / STREET / "images").glob("*.jpg"))
    yield STREET, [_read(file) for file in files]


def spread(frames: Sequence[Image], count: int) -> list[Image]:
    return [frames[place] for place in np.linspace(0, len(frames) - 1, count).astype(int)]


def values_of(images: Sequence[Image]) -> Values:
    """(N,) of each measurement, and of the sharpness that was before."""
    rows = [measure(image) | {"old sharpness": old_sharpness(image)} for image in images]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def old_sharpness(image: Image) -> float:
    """var(Laplacian) / var(luma)."""
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64)
    return float(cv2.Laplacian(luma, cv2.CV_64F).var() / max(luma.var(), 1.0))


def _seed(own: Sets, clean: Sequence[Image], seed: list[int], bins: Sequence[Bin]) -> dict[str, Any]:
    sets = dict(own)
    for number, (name, fault) in enumerate(FAULTS.items()):
        dice = np.random.default_rng([*seed, number])
        sets[name] = values_of([fault(image, dice) for image in spread(clean, FAULTY)])
    training = sets.pop("training")
    told = {name: _told(bins, values, training) for name, values in sets.items()}
    return {
        "now": [_auroc(told[row.fault][row.condition][1], told[row.other][row.condition][1]) for row in ROWS],
        "before": [
            _auroc(row.sign * sets[row.fault][row.before], row.sign * sets[row.other][row.before])
            for row in ROWS
        ],
        "rates": {
            bin_.name: {name: round(float(told[name][bin_.name][0].mean()), 4) for name in sets}
            for bin_ in bins
        },
    }


def _told(bins: Sequence[Bin], values: Values, training: Values) -> dict[str, tuple[Bools, Reals]]:
    """Which frames show each condition, and how far beyond the limit they lie."""
    counts = (len(side["brightness"]) for side in (values, training))
    here, there = (Named.of(["here"] * count) for count in counts)
    facets = measured_facets(bins, values, training, here, there)
    return {facet.options[0]: (facet.production == 0, facet.strength) for facet in facets}


def _auroc(faulty: Reals, others: Reals) -> float:
    """How often a faulty frame ranks above another one; a tie is half."""
    above = (faulty[:, None] > others).mean() + (faulty[:, None] == others).mean() / 2
    return round(float(above), 4)


def costs(image: Image) -> dict[str, float]:
    """CPU ms of one frame by its size, the least of forty."""
    return {f"{width}x{height}": _cost(image, width, height) for width, height in ((1920, 1080), (640, 360))}


def _cost(image: Image, width: int, height: int) -> float:
    frame = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    spent = []
    for _ in range(40):
        begun = time.process_time()
        measure(frame)
        spent.append(time.process_time() - begun)
    return round(1000 * min(spent), 2)


def rows(results: Results) -> list[dict[str, Any]]:
    """Of the table: condition, fault, other, aim, before, now (mean of the cameras), spread (of the
    seeds), lowest (camera), found (share of faulty frames), false_alarms of clean and of other frames.
    """
    return [_row(row, place, results["cameras"]) for place, row in enumerate(ROWS)]


def _row(row: Row, place: int, found: dict[str, Any]) -> dict[str, Any]:
    now, before = (
        np.array([[seed[which][place] for seed in camera["seeds"]] for camera in found.values()])
        for which in ("now", "before")
    )
    by_seed = now.mean(axis=0)
    names = list(found)
    return {
        "condition": row.condition,
        "fault": row.fault,
        "other": row.other,
        "aim": row.aim,
        "before": float(before.mean()),
        "now": float(now.mean()),
        "spread": [float(by_seed.min()), float(by_seed.max())],
        "lowest": [names[int(now.mean(axis=1).argmin())], float(now.mean(axis=1).min())],
        "found": rate(found, row.condition, row.fault),
        "false_alarms": rate(found, row.condition, CLEAN),
        "false_alarms_other": rate(found, row.condition, row.other),
    }


def rate(found: dict[str, Any], condition: str, frames: str) -> float:
    """Share of these frames that show the condition, mean of the cameras and seeds."""
    each = [seed["rates"][condition][frames] for camera in found.values() for seed in camera["seeds"]]
    return float(np.mean(each))


def table(results: Results) -> str:
    """Markdown: AUROC within a camera, and the share of frames beyond the limit."""
    lines = [
        "| condition | aim | before | now | false alarms |",
        "|---|---|---|---|---|",
    ]
    for row in rows(results):
        low, high = row["spread"]
        camera, lowest = row["lowest"]
        alarms = f"{row['false_alarms']:.1%} of clean frames"
        if row["other"] != CLEAN:
            alarms += f", {row['false_alarms_other']:.1%} of {row['other']} ones"
        lines.append(
            f"| {row['condition']}: {row['fault']} against {row['other']} "
            f"| {'' if row['aim'] is None else format(row['aim'], '.2f')} | {row['before']:.2f} "
            f"| {row['now']:.2f} (seeds {low:.2f} to {high:.2f}; lowest {camera} {lowest:.2f}); "
            f"finds {row['found']:.0%} | {alarms} |"
        )
    return "\n".join([*lines, "", *_matrix(results["cameras"])])


def _matrix(found: dict[str, Any]) -> list[str]:
    """What else each condition is said of."""
    conditions = list(next(iter(found.values()))["seeds"][0]["rates"])
    frames = [CLEAN, *FAULTS]
    return [
        f"| share of frames said to be | {' | '.join(conditions)} |",
        f"|---{'|---:' * len(conditions)}|",
        *(
            f"| {name} | {' | '.join(f'{rate(found, each, name):.2f}' for each in conditions)} |"
            for name in frames
        ),
    ]


def _read(file: Path) -> Image:
    picture = cv2.imread(str(file))
    if picture is None:
        raise RuntimeError(f"expected an image, got {file}")
    return np.ascontiguousarray(picture[..., ::-1], dtype=np.uint8)


if __name__ == "__main__":
    main()
