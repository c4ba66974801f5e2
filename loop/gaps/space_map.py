"""The map of the embedding space, kept: frames that come in get a place on it, and it is made anew
once they are many.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from connectors.files import write_atomically
from connectors.ports import Array
from loop.base.arrays import Bools, Ints, Reals
from loop.math.coverage.projection import place_beside
from loop.math.coverage.projection import project as project_plane
from loop.project.project import Project

MOST_ADDED = 0.2
"""Share of the frames on it that were placed later, beyond which a map is made anew."""
DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True, eq=False)
class SpaceMap:
    """frames: (K,) ids.
    plane: (K, 2) in 0..1.
    own: (K,) bool, those that the map was made from.
    made: when.
    """

    frames: Ints
    plane: Reals
    own: Bools
    made: datetime

    @property
    def added(self) -> int:
        """How many frames got their place later."""
        return int((~self.own).sum())


def space_map(project: Project, embedder: int, frames: Ints, vectors: Array, seed: int) -> SpaceMap:
    """The places of these frames, (K,) different ids with vectors (K, D)."""
    path = project.indexes / f"map-{embedder}.npz"
    before = _stored(path)
    found = None if before is None else _extended(before, frames, vectors)
    if found is None or found.added > MOST_ADDED * len(frames):
        every = np.ones(len(frames), dtype=np.bool_)
        found = SpaceMap(frames, project_plane(vectors, seed), every, datetime.now(UTC))
    if before is None or not np.array_equal(before.frames, found.frames):
        _keep(path, found)
    return found


def _extended(before: SpaceMap, frames: Ints, vectors: Array) -> SpaceMap | None:
    """Frames that it knows stay where they are; None where it knows none of them."""
    order = np.argsort(before.frames)
    place = order[np.minimum(np.searchsorted(before.frames, frames, sorter=order), len(order) - 1)]
    known = before.frames[place] == frames
    own = known & before.own[place]
    if not own.any():
        return None
    plane = before.plane[place]
    if not known.all():
        plane[~known] = place_beside(vectors[~known], vectors[own], plane[own])
    return SpaceMap(frames, plane, own, before.made)


def _stored(path: Path) -> SpaceMap | None:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            made = datetime.fromtimestamp(float(file["made"]), UTC)
            found = SpaceMap(file["frames"], file["plane"], file["own"], made)
    except DAMAGED:
        return None
    return found if len(found.frames) and found.plane.shape == (len(found.frames), 2) else None


def _keep(path: Path, found: SpaceMap) -> None:
    file = io.BytesIO()
    made = np.array(found.made.timestamp())
    np.savez(file, frames=found.frames, plane=found.plane, own=found.own, made=made)
    write_atomically(path, file.getvalue())
