"""Running one contender in a process and an environment of its own, and judging what it chose."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from samplers.engine.covering import gaussian
from samplers.geometry.distances import nearest_distance, squared_distances
from samplers.strategies.herding import estimate_scale

PINNED = {
    "mundig": "lightly-mundig==0.1.16",
    "fps": "fpsample==0.3.3",
    "apricot": "apricot-select==0.6.1",
    "submodlib": "submodlib-py==0.0.3",
}
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS", "NUMBA_NUM_THREADS"),
    "1",
)
HERE = Path(__file__).parent


def environment(folder: Path, peer: str) -> Path:
    """The Python of an environment with this peer alone, made on first use."""
    home = folder / peer
    python = home / "bin" / "python"
    if not (home / ".ready").exists():
        venv.create(home, with_pip=True, clear=True)
        wanted = ["numpy==2.2.6", *([PINNED[peer]] if peer in PINNED else [])]
        if peer in ("apricot", "submodlib"):
            wanted += ["scipy", "scikit-learn", "numba", "tqdm"]
        subprocess.run([python, "-m", "pip", "install", "-q", *wanted], check=True)
        (home / ".ready").touch()
    return python


def run(command: list[str], picks: Path) -> dict[str, Any]:
    """What the child printed, with its picks."""
    answer = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **ONE_THREAD}
    )
    result: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return result | {"load": round(os.getloadavg()[0], 1), "picks": np.load(picks)}


def ours(method: str, data: Path, k: int, picks: Path, *options: str) -> dict[str, Any]:
    module = [sys.executable, "-m", "benchmarks.selection.ours", method, str(data), str(k), str(picks)]
    return run([*module, *options], picks)


def theirs(python: Path, peer: str, data: Path, k: int, picks: Path, labeled: int) -> dict[str, Any]:
    script = [str(python), str(HERE / "peers.py"), peer, str(data), str(k), str(picks), str(labeled)]
    return run(script, picks)


def radii(points: NDArray[Any], picks: NDArray[np.int64], first: NDArray[Any]) -> NDArray[np.float64]:
    """(k,) how far each pick was from all that was there before it; the last is what k-center is
    judged by.
    """
    chosen = np.asarray(points[picks], dtype=np.float32)
    far = nearest_distance(chosen, first)
    among = np.sqrt(squared_distances(chosen, chosen))
    among[np.triu_indices(len(picks))] = np.inf
    apart: NDArray[np.float64] = np.minimum(far, among.min(axis=1))
    return apart


def covered(points: NDArray[Any], picks: NDArray[np.int64], scale: float | None) -> float:
    """What herding maximizes, the mean over all rows of the largest similarity; at the scale it
    estimates itself, or a given one.
    """
    kernel = gaussian(scale or estimate_scale(points, points[:0], np.random.default_rng(0)))
    return float(
        kernel((nearest_distance(points, points[picks]) ** 2).astype(np.float32)).mean(dtype=np.float64)
    )


def facility(points: NDArray[Any], picks: NDArray[np.int64], _: float | None) -> float:
    """The same for facility location with the cosine."""
    squared = nearest_distance(points, points[picks]) ** 2
    return float(np.maximum(1 - squared / 2, 0).mean())
