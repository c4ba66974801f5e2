"""Near-duplicates at a million frames: what clusters, connected groups and growth cost.

    python -m benchmarks.duplicates [--cameras 200] [--frames 5000] [--dim 512] [--dir DIR]
    python -m benchmarks.duplicates --report

Synthetic cameras: a background, scenes that differ from it, bursts of 1 to 24 frames that drift, a
fifth of them of an empty scene, over 20 days. The first part is the pure functions, camera by
camera; the second the same frames in a project's SQLite file, clustered from nothing and then
grown. Vectors are drawn camera by camera, so the memory told is that of the work itself; only the
groups of all cameras together hold all of them. Results are small files in
benchmarks/results/duplicates; --report writes docs/near-duplicates.md from all of them.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from db.analysis import await_clusters, producer_id
from db.engine import open_database, write
from db.frames import group_id
from db.sql import insert_new
from db.states import Origin, Role
from db.tables import Embedding, Frame
from loop.analysis import near_duplicates
from samplers.engine.near_duplicates import (
    camera_residual,
    connected_groups,
    estimate_threshold,
    leaders,
    reach_of,
)

Array = NDArray[np.float32]
Ints = NDArray[np.int64]
Steps = list[tuple[str, float, float, float]]
START = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = 20
RESULTS = Path(__file__).parent / "results" / "duplicates"
PAGE = Path(__file__).parent.parent / "docs" / "near-duplicates.md"
INTRO = """# What near-duplicates cost

Written by `python -m benchmarks.duplicates --report` from the files in `benchmarks/results/duplicates`. Synthetic cameras: bursts of 1 to 24
frames that drift, a fifth of them of an empty scene, over 20 days. Leader clusters thin; connected groups are what may not lie on two
sides of a split, of each camera alone and of all cameras together, where copies are looked for across cameras too. `stored` is the
project's database, from nothing and then grown: leader clusters grow with what comes in. Groups are those of the frames that are being
frozen, so they are found at each freeze, of the labeled frames alone: a million is far more than a freeze has. Seconds of one run on two cores; peak is the process's largest memory so far.
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cameras", type=int, default=200)
    parser.add_argument("--frames", type=int, default=5000, help="of each camera")
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--dir", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--report", action="store_true", help="write the page from the results there are")
    asked = parser.parse_args()
    if not asked.report:
        RESULTS.mkdir(parents=True, exist_ok=True)
        result = measured(asked.cameras, asked.frames, asked.dim, asked.dir)
        file = RESULTS / f"{asked.cameras}x{asked.frames}x{asked.dim}.json"
        file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    results = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(RESULTS.glob("*.json"))]
    PAGE.write_text(page(results), encoding="utf-8")
    print(PAGE)


def measured(cameras: int, frames: int, dim: int, folder: Path) -> dict[str, Any]:
    """What each step took, and how many clusters and groups there were."""
    print(f"{cameras * frames:,} frames of {cameras} cameras, {dim} numbers each, {DAYS} days")
    print(f"{'':<44}{'wall s':>9}{'CPU s':>9}{'peak MiB':>10}")
    steps: Steps = []
    found = _pure(steps, cameras, frames, dim)
    _worst(steps, min(frames, 5000), dim)
    with tempfile.TemporaryDirectory(dir=folder) as made:
        _stored(steps, Path(made), cameras, frames, dim)
    found |= _together(steps, cameras, frames, dim)
    return {"cameras": cameras, "frames": frames, "dim": dim, "found": found, "steps": steps}


def page(results: Sequence[dict[str, Any]]) -> str:
    """Markdown of all results, the largest first."""
    lines = [INTRO]
    for result in sorted(results, key=lambda each: -each["cameras"] * each["frames"]):
        found = result["found"]
        lines += [
            f"## {result['cameras']} cameras of {result['frames']:,} frames, {result['dim']} numbers each\n",
            (
                f"{found['clusters']:,} leader clusters, {found['groups']:,} connected groups by camera (the"
                f" largest has {found['largest']:.1%} of its camera), {found['together']:,} of all cameras"
                " together.\n"
            ),
            "| step | wall s | CPU s | peak MiB |",
            "|---|---|---|---|",
            *(
                f"| {what} | {wall:.1f} | {cpu:.1f} | {peak:,.0f} |"
                for what, wall, cpu, peak in result["steps"]
            ),
            "",
        ]
    return "\n".join(lines)


def camera(number: int, count: int, dim: int) -> tuple[Array, Ints, Ints]:
    """(vectors (count, dim), bursts, days) of one camera, in order of time."""
    rng = np.random.default_rng([7, number])
    sizes = rng.integers(1, 25, size=count)
    burst = np.repeat(np.arange(count), sizes)[:count]
    day = burst * DAYS // (burst[-1] + 1)
    background, empty = _unit(rng, 1, dim), 0.05 * _unit(rng, 1, dim)
    still = rng.random(count) < 0.2
    scenes = np.where(still[burst][:, None], empty, (0.25 * _unit(rng, count, dim))[burst])
    moves = np.where(still[burst], 0.01, 0.04)[:, None]
    light = 0.03 * _unit(rng, DAYS, dim)[day]
    rows = background + scenes + light + moves * _unit(rng, count, dim)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32), burst, day


def _pure(steps: Steps, cameras: int, count: int, dim: int) -> dict[str, Any]:
    spent: dict[str, list[float]] = {}
    clusters = groups = 0
    largest = 0.0
    for number in range(cameras):
        vectors, burst, day = camera(number, count, dim)
        with _timed(spent, "median and threshold"):
            residual = camera_residual(vectors)
            threshold = estimate_threshold(residual, burst, day)
            reach = reach_of(residual, burst, day, threshold)
        with _timed(spent, "leader clusters"):
            clusters += len(np.unique(leaders(residual, reach)))
        with _timed(spent, "connected groups"):
            sizes = np.bincount(connected_groups(residual, reach))
        groups += len(sizes)
        largest = max(largest, sizes.max() / count)
    for what, (wall, cpu) in spent.items():
        _row(steps, f"pure: {what}", wall, cpu)
    print(f"  {clusters:,} clusters, {groups:,} groups, the largest has {largest:.1%} of its camera")
    return {"clusters": clusters, "groups": groups, "largest": largest}


def _together(steps: Steps, cameras: int, count: int, dim: int) -> dict[str, Any]:
    vectors, reach = np.empty((cameras * count, dim), dtype=np.float32), np.empty(cameras * count)
    for number in range(cameras):
        rows = slice(number * count, (number + 1) * count)
        vectors[rows], burst, day = camera(number, count, dim)
        residual = camera_residual(vectors[rows])
        reach[rows] = reach_of(residual, burst, day, estimate_threshold(residual, burst, day))
    spent: dict[str, list[float]] = {}
    with _timed(spent, "groups"):
        groups = connected_groups(camera_residual(vectors), reach, np.repeat(np.arange(cameras), count))
    _row(steps, "pure: connected groups, all cameras together", *spent["groups"])
    return {"together": int(groups.max()) + 1}


def _worst(steps: Steps, count: int, dim: int) -> None:
    """A camera of which no two frames are alike, and one four times as large."""
    for size in (count, 4 * count):
        vectors = _unit(np.random.default_rng(0), size, dim)
        spent: dict[str, list[float]] = {}
        with _timed(spent, "leaders"):
            leaders(vectors, np.full(size, 0.1))
        _row(steps, f"one camera, {size:,} frames, none alike", *spent["leaders"])


def _stored(steps: Steps, folder: Path, cameras: int, count: int, dim: int) -> None:
    engine = open_database(f"sqlite:///{folder / 'loop.db'}")
    fresh = max(1, 1000 // cameras)
    started = time.perf_counter()
    embedder = _fill(engine, cameras, count, dim, fresh)
    print(f"  (the database was filled in {time.perf_counter() - started:.0f} s)")
    _update(steps, engine, embedder, "stored: all frames at once")
    for places, what in ((range(cameras), "over all cameras"), (range(1), "of one camera")):
        each = fresh if len(places) > 1 else 1000
        for number in places:
            _add(engine, embedder, number, *_late(number, count, dim, each, what))
        _update(steps, engine, embedder, f"stored: {each * len(places):,} new frames {what}")
    _update(steps, engine, embedder, "stored: nothing new")
    engine.dispose()


def _late(number: int, count: int, dim: int, each: int, what: str) -> tuple[Array, Ints, Ints, str]:
    vectors, burst, _ = camera(number + 10**6, each, dim)
    base, _, _ = camera(number, 1, dim)
    mixed = base + 0.2 * vectors
    days = np.full(each, DAYS + len(what))
    return (mixed / np.linalg.norm(mixed, axis=1, keepdims=True)).astype(np.float32), burst, days, what


def _fill(engine: Engine, cameras: int, count: int, dim: int, fresh: int) -> int:
    with write(engine) as session:
        embedder = producer_id(session, "embedder", "synthetic", {"dim": dim})
    for number in range(cameras):
        _add(engine, embedder, number, *camera(number, count, dim), "first")
    return embedder


def _add(
    engine: Engine, embedder: int, number: int, vectors: Array, burst: Ints, day: Ints, name: str
) -> None:
    camera_name = f"camera-{number}"
    with write(engine) as session:
        groups = {d: group_id(session, f"{camera_name}|{d}", Role.POOL) for d in np.unique(day).tolist()}
        first = number * 10**6 + {"first": 0}.get(name, 500_000 + 1000 * len(name))
        rows: list[dict[str, Any]] = [
            _frame(first + i, camera_name, groups[int(day[i])], int(burst[i]), int(day[i]), embedder)
            for i in range(len(vectors))
        ]
        insert_new(session, Frame, rows)
        packed = vectors.astype("<f2")
        facts = [
            {"frame": row["seq"], "producer": embedder, "vector": packed[i].tobytes()}
            for i, row in enumerate(rows)
        ]
        insert_new(session, Embedding, facts)
        await_clusters(session, embedder, [row["seq"] for row in rows])


def _frame(seq: int, name: str, group: int, burst: int, day: int, embedder: int) -> dict[str, Any]:
    taken = START + timedelta(days=day, seconds=60 * burst + seq % 60)
    return {
        "seq": seq + 1,
        "content_hash": f"{seq:064d}",
        "path": f"frames/{seq}.jpg",
        "origin": Origin.PRODUCTION,
        "group_id": group,
        "camera": name,
        "site": "",
        "sequence": f"burst-{burst}",
        "captured_at": taken,
        "width": 640,
        "height": 360,
        "bytes": 1,
        "source_key": f"{seq}.jpg",
        "ingested_at": taken,
        "embedded_by": embedder,
        "detected_by": 0,
        "measured_by": 0,
    }


def _update(steps: Steps, engine: Engine, embedder: int, what: str) -> None:
    spent: dict[str, list[float]] = {}
    with _timed(spent, what):
        near_duplicates.update(engine, embedder)
    _row(steps, what, *spent[what])


@contextmanager
def _timed(spent: dict[str, list[float]], what: str) -> Iterator[None]:
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    total = spent.setdefault(what, [0.0, 0.0])
    total[0] += time.perf_counter() - wall
    total[1] += time.process_time() - cpu


def _row(steps: Steps, what: str, wall: float, cpu: float) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    steps.append((what, wall, cpu, peak))
    print(f"{what:<44}{wall:>9.2f}{cpu:>9.2f}{peak:>10.0f}", flush=True)


def _unit(rng: np.random.Generator, count: int, dim: int) -> Array:
    rows = rng.standard_normal((count, dim), dtype=np.float32)
    unit: Array = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


if __name__ == "__main__":
    main()
