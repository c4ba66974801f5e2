"""The map of the embedding space as it is kept in the project: read at once, made by `space_map`."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from connectors.files import write_atomically
from connectors.ports import Array
from loop.base.arrays import Bools, Ints
from loop.project.project import Project

DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True, eq=False)
class SpaceMap:
    """frames: (K,) ids, ascending.
    plane: (K, 2) float32 in 0..1.
    own: (K,) bool, those that were there when the map was made.
    landmark: (K,) bool, those that it was made from.
    made: when.
    """

    frames: Ints
    plane: Array
    own: Bools
    landmark: Bools
    made: datetime

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def added(self) -> int:
        """How many frames got their place later."""
        return int((~self.own).sum())

    def rows(self, frames: Ints) -> tuple[Ints, Bools]:
        """(N,) the row of each of these frames, and whether it is on the map at all."""
        if not len(self.frames):
            return np.zeros(len(frames), np.int64), np.zeros(len(frames), np.bool_)
        rows = np.minimum(np.searchsorted(self.frames, frames), len(self.frames) - 1)
        return rows, self.frames[rows] == frames

    def take(self, rows: Ints | Bools) -> SpaceMap:
        """Those of these rows."""
        return SpaceMap(self.frames[rows], self.plane[rows], self.own[rows], self.landmark[rows], self.made)


def kept_map(project: Project, embedder: int) -> SpaceMap | None:
    """The map as it was last kept; None where there is none yet."""
    return stored_map(map_path(project, embedder))


def map_path(project: Project, embedder: int) -> Path:
    """Where the map of this embedder is kept."""
    return project.indexes / f"map-{embedder}" / "places.npz"


def stored_map(path: Path) -> SpaceMap | None:
    """None where there is none, or a damaged one."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            made = datetime.fromtimestamp(float(file["made"]), UTC)
            arrays = (file["frames"], file["plane"], file["own"], file["landmark"])
    except DAMAGED:
        return None
    found = SpaceMap(*arrays, made)
    whole = all(len(array) == len(found) for array in arrays) and found.plane.shape[1:] == (2,)
    return found if len(found) and whole else None


def keep_map(path: Path, found: SpaceMap) -> None:
    """In place of what was there, at once."""
    file = io.BytesIO()
    made = np.array(found.made.timestamp())
    np.savez(
        file,
        frames=found.frames,
        plane=found.plane.astype(np.float32),
        own=found.own,
        landmark=found.landmark,
        made=made,
    )
    write_atomically(path, file.getvalue())
