"""Where a set of frames lies on the map of the embedding space, as a small drawing."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from db.engine import read
from loop.analysis.producers import embedder_of_vectors
from loop.base.arrays import Ints
from loop.gaps.kept_map import SpaceMap, kept_map, map_path
from loop.insights.frames import FrameSet
from loop.project.project import Project

SIDE = 300
"""The drawing is so many steps wide and high."""
OTHERS, OWN = 220, 320
"""Points that are drawn: of all frames, and of the set."""

_maps: dict[Path, tuple[tuple[int, int, int], SpaceMap]] = {}
_reading = threading.Lock()


@dataclass(frozen=True)
class SetOnMap:
    """own, others: points as a path of SVG on SIDE x SIDE. placed: frames of the set on the map."""

    own: str
    others: str
    placed: int


def set_on_map(project: Project, found: FrameSet) -> SetOnMap | None:
    """None where there is no map yet."""
    with read(project.engine) as session:
        embedder = embedder_of_vectors(session, project)
    kept = None if embedder is None else _kept(project, embedder)
    if kept is None or not len(kept):
        return None
    rows = found.table.locate(kept.frames)
    inside = np.flatnonzero((rows >= 0) & found.mask[rows])
    return SetOnMap(
        _path(kept, _some(inside, OWN)), _path(kept, _some(np.arange(len(kept)), OTHERS)), len(inside)
    )


def _kept(project: Project, embedder: int) -> SpaceMap | None:
    """The map, read again when it was kept anew."""
    path = map_path(project, embedder)
    try:
        found = path.stat()
    except OSError:
        return None
    stamp = found.st_ino, found.st_mtime_ns, found.st_size
    with _reading:
        if path in _maps and _maps[path][0] == stamp:
            return _maps[path][1]
        kept = kept_map(project, embedder)
        _maps.clear()
        if kept is not None:
            _maps[path] = stamp, kept
        return kept


def _some(rows: Ints, most: int) -> Ints:
    """At most so many, evenly spread."""
    if len(rows) <= most:
        return rows
    chosen: Ints = rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]
    return chosen


def _path(kept: SpaceMap, rows: Ints) -> str:
    """A dot each: a line of no length with round ends."""
    steps = np.unique(np.rint(kept.plane[rows] * SIDE).astype(np.int64), axis=0)
    return "".join(f"M{x} {y}h0" for x, y in steps.tolist())
