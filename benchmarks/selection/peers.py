"""One selection by a peer, in the peer's own environment: nothing of this project is imported here.

python peers.py PEER DATA.npy K PICKS.npy LABELED: rows from 0 on are chosen already, as many as
LABELED says. Prints JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Rows = Sequence[int]


def plain(points: Floats, k: int, labeled: int) -> Rows:
    """Farthest first by a plain numpy loop: every row for every center."""
    norms = np.einsum("nd,nd->n", points, points)
    distance = np.full(len(points), np.inf, dtype=np.float32)
    chosen: list[int] = []
    for row in range(labeled):
        np.minimum(distance, norms + norms[row] - 2 * (points @ points[row]), out=distance)
    while len(chosen) < k:
        row = int(distance.argmax())
        chosen.append(row)
        np.minimum(distance, norms + norms[row] - 2 * (points @ points[row]), out=distance)
    return chosen


def mundig(points: Floats, k: int, labeled: int) -> Rows:
    """The diversity selection of LightlyStudio."""
    selection = import_module("lightly_mundig").Selection()
    selection.add_diversifying_strategy(points, 1.0)
    chosen = selection.run_selection(list(range(labeled)), len(points), labeled + k)
    return [row for row in chosen if row >= labeled][:k]


def fps(points: Floats, k: int, _: int) -> Rows:
    chosen: Rows = import_module("fpsample").fps_sampling(points, k + 1, start_idx=0)[1:]
    return chosen


def apricot(points: Floats, k: int, _: int) -> Rows:
    cosine = np.maximum(points @ points.T, 0).astype(np.float64)
    choice = import_module("apricot").FacilityLocationSelection(k, metric="precomputed", optimizer="lazy")
    ranking: Rows = choice.fit(cosine).ranking
    return ranking


def submodlib(points: Floats, k: int, _: int) -> Rows:
    cosine = np.maximum(points @ points.T, 0)
    function = import_module("submodlib").FacilityLocationFunction(
        n=len(points), mode="dense", sijs=cosine, separate_rep=False
    )
    return [row for row, _ in function.maximize(budget=k, optimizer="LazyGreedy", show_progress=False)]


PEERS: dict[str, Callable[[Any, int, int], Rows]] = {
    "plain": plain,
    "mundig": mundig,
    "fps": fps,
    "apricot": apricot,
    "submodlib": submodlib,
}


def memory(kind: str) -> int:
    """Bytes of this process: VmRSS now, VmHWM at most."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(kind))


def main() -> None:
    peer, data, k, picks, labeled = sys.argv[1:]
    before = memory("VmRSS")
    points = np.load(data)
    start = time.process_time()
    chosen = PEERS[peer](points, int(k), int(labeled))
    cpu = time.process_time() - start
    most = memory("VmHWM") - before
    np.save(picks, np.asarray(chosen, dtype=np.int64))
    print(json.dumps({"cpu": cpu, "memory": most / points.nbytes}))


if __name__ == "__main__":
    main()
