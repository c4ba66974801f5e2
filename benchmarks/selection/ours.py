"""One selection by the samplers, in a process of its own. Prints JSON: CPU seconds, and memory over
that of what is given.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.selection.peers import memory
from samplers import STRATEGIES, Pool
from samplers.engine.covering import Cells
from samplers.pool import Ints
from samplers.strategies.diversity import k_center_rows
from samplers.strategies.herding import HerdingSettings, herding

SLICES = 20


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("method")
    parser.add_argument("data", type=Path)
    parser.add_argument("k", type=int)
    parser.add_argument("picks", type=Path)
    parser.add_argument("--labeled", type=Path)
    parser.add_argument("--first", type=int, default=0, help="so many rows from 0 on are labeled")
    parser.add_argument("--cells", type=json.loads, default={}, help="of herding, as JSON")
    parser.add_argument("--scale", type=float, help="of herding's kernel")
    options = parser.parse_args()
    before = memory("VmRSS")
    mapped = options.method == "mapped"
    points = np.load(options.data, mmap_mode="r" if mapped else None)
    labeled = None if options.labeled is None else np.load(options.labeled)
    if options.first:
        labeled = points[: options.first].astype(np.float32)
    with Watched() as watched:
        start = time.process_time()
        chosen = METHODS[options.method](points, options.k, labeled, options)
        cpu = time.process_time() - start
    np.save(options.picks, chosen)
    used = watched.most if mapped else memory("VmHWM") - before
    given = points.nbytes + (0 if labeled is None else labeled.nbytes)
    print(json.dumps({"cpu": cpu, "memory": used / given}))


class Watched:
    """The most memory of its own that this process had, without mapped files: bytes over what it
    had at first.
    """

    def __enter__(self) -> Watched:
        self.most, self._first, self._over = 0, memory("RssAnon"), threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            self.most = max(self.most, memory("RssAnon") - self._first)


def _farthest(points: NDArray[Any], k: int, labeled: NDArray[Any] | None, _: argparse.Namespace) -> Ints:
    return k_center_rows(points, k, np.random.default_rng(0), labeled)[0]


def _strategy(name: str, rich: bool) -> Callable[..., Ints]:
    def choose(points: NDArray[Any], k: int, labeled: NDArray[Any] | None, _: argparse.Namespace) -> Ints:
        pool = _pool(points, labeled) if rich else Pool.of(points, labeled=labeled)
        return STRATEGIES[name](pool, k, np.random.default_rng(0)).indices

    return choose


def _pool(points: NDArray[Any], labeled: NDArray[Any] | None) -> Pool:
    """With what production knows of its frames: bursts, near-duplicates, twenty named conditions
    that lack frames, and expected loss.
    """
    rng, size = np.random.default_rng(1), len(points)
    return Pool.of(
        points,
        labeled=labeled,
        sequence=np.arange(size) // 16,
        max_per_sequence=3,
        cluster=np.arange(size) // 8,
        slices=np.where(rng.random(size) < 0.1, rng.integers(0, SLICES, size), -1),
        names=[str(number) for number in range(SLICES)],
        deficit=rng.uniform(0, 0.03, SLICES),
        wanted=rng.integers(5, 200, SLICES),
        expected_loss=rng.random(size),
        trust=0.3,
    )


def _herding(points: NDArray[Any], k: int, labeled: NDArray[Any] | None, options: argparse.Namespace) -> Ints:
    settings = HerdingSettings(cells=Cells(**options.cells), scale=options.scale)
    return herding(Pool.of(points, labeled=labeled), k, np.random.default_rng(0), settings).indices


METHODS: dict[str, Callable[..., Ints]] = {
    "rows": _farthest,
    "mapped": _farthest,
    "k_center": _strategy("k_center", rich=False),
    "k_center_rich": _strategy("k_center", rich=True),
    "herding": _herding,
    "facility": _strategy("facility_location", rich=False),
    "hybrid": _strategy("hybrid", rich=False),
    "hybrid_rich": _strategy("hybrid", rich=True),
}

if __name__ == "__main__":
    main()
