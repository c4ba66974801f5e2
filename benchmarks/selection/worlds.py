"""Embeddings to choose from: what production looks like, what has no structure, and what is nothing
but copies.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

DIM = 512
CLUSTERS = 300
BURST = 16
COPIES = 100
STRAYS = 0.001
CHUNK = 1 << 16
SEED = 1

Floats = NDArray[np.float32]


def world_of(folder: Path, name: str, rows: int, part: int = 0, dtype: str = "float32") -> Path:
    """The file of a world, made when it is not there."""
    return write_world(folder / f"{name}-{rows}-{part}-{dtype}.npy", name, rows, part, dtype)


def write_world(path: Path, name: str, rows: int, part: int = 0, dtype: str = "float32") -> Path:
    """(rows, 512) unit vectors as an .npy file; one that is there stays. Parts of a world have the
    same clusters.

    clustered: 300 clusters of Zipf sizes, bursts of 16 rows that hardly differ, one row in a
    thousand like nothing else. isotropic: no structure. copies: rows / 100 of the clustered ones,
    each a hundred times, in no order.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        return path
    unfinished = path.with_suffix(".part")
    out: NDArray[Any] = open_memmap(unfinished, mode="w+", dtype=dtype, shape=(rows, DIM))  # type: ignore[no-untyped-call]
    start = 0
    for chunk in _chunks(name, rows, np.random.default_rng([SEED, part])):
        out[start : start + len(chunk)] = chunk
        start += len(chunk)
    del out
    return unfinished.rename(path)


def _chunks(name: str, rows: int, rng: np.random.Generator) -> Iterator[Floats]:
    if name == "copies":
        few = np.concatenate(list(_chunks("clustered", -(-rows // COPIES), rng)))
        order = rng.permutation(rows) // COPIES
        yield from (few[order[start : start + CHUNK]] for start in range(0, rows, CHUNK))
        return
    middles = unit(np.random.default_rng(SEED).standard_normal((CLUSTERS, DIM), dtype=np.float32))
    share = 1 / np.arange(1, CLUSTERS + 1)
    for start in range(0, rows, CHUNK):
        size = min(CHUNK, rows - start)
        chunk = rng.standard_normal((size, DIM), dtype=np.float32)
        yield unit(chunk) if name == "isotropic" else _bursts(chunk, middles, share / share.sum(), rng)


def _bursts(noise: Floats, middles: Floats, share: NDArray[np.float64], rng: np.random.Generator) -> Floats:
    """Rows of unit normal noise become bursts in clusters, with strays among them."""
    size, width = len(noise), noise.shape[1]
    bursts = -(-size // BURST)
    of_burst = rng.standard_normal((bursts, width), dtype=np.float32) * np.float32(0.75 / width**0.5)
    of_burst += middles[rng.choice(len(middles), bursts, p=share)]
    stray = rng.random(size) < STRAYS
    noise[~stray] *= np.float32(0.25 / width**0.5)
    noise[~stray] += np.repeat(of_burst, BURST, axis=0)[:size][~stray]
    return unit(noise)


def unit(rows: Floats) -> Floats:
    rows /= np.sqrt(np.einsum("nd,nd->n", rows, rows))[:, None]
    return rows
