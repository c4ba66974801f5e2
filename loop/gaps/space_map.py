"""The map of the embedding space, kept: frames that come in get a place on it, and it is made anew
once they are many, turned so that what was on it lies about where it was.
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from connectors.ports import Array, Progress, Purpose
from db.columns import forget_others, locked
from db.engine import read
from db.frame_columns import synced, vectors_view
from db.labels import labeled_ids
from loop.analysis.load import StoredVectors
from loop.base.arrays import Bools, Ints, Reals
from loop.gaps.kept_map import SpaceMap, keep_map, map_path, stored_map
from loop.math.coverage.frame_arrays import Vectors
from loop.math.coverage.projection import aligned, place_beside, sample_rows
from loop.math.coverage.projection import project as project_plane
from loop.project.project import Project

MOST = 200_000
"""Frames on a map. Of more, as many, which stay the same as long as they can."""
LANDMARKS = 5000
"""Frames that a map is made from; all others lie beside the landmarks that they look like."""
MOST_ADDED = 0.2
"""Share of the frames on it that were placed later, beyond which a map is made anew."""
AT_ONCE = 1024
"""Frames that are placed at a time."""


def map_of(project: Project, embedder: int, progress: Progress, anew: bool = False) -> SpaceMap:
    """The map of all frames that the embedder has seen, brought up to date and kept.

    anew: it is made from the frames of now, whatever it was made from.
    """
    stored = synced(project.engine, project.indexes, vectors_view(embedder), progress)
    every = np.sort(stored.ids)
    if not len(every):
        nobody = np.zeros(0, np.bool_)
        return SpaceMap(every, np.zeros((0, 2), np.float32), nobody, nobody, datetime.now(UTC))
    with read(project.engine) as session:
        first = np.isin(every, labeled_ids(session, Purpose.TRAIN))
    (trained, others) = np.flatnonzero(first), np.flatnonzero(~first)
    rows = np.sort(np.concatenate(sample_rows([trained, others], [every[trained], every[others]], MOST)))
    frames = every[rows]
    vectors = StoredVectors(stored, frames)
    return space_map(project, embedder, frames, vectors, project.settings.seed, first[rows], progress, anew)


def space_map(
    project: Project,
    embedder: int,
    frames: Ints,
    vectors: Vectors,
    seed: int,
    trained: Bools | None = None,
    progress: Progress = lambda done, total, what: None,
    anew: bool = False,
) -> SpaceMap:
    """The places of these frames, (K,) different ids, ascending, with vectors (K, D).

    trained: (K,) bool, frames of the training set, of which there are as many landmarks as of the
    others, where there are as many.
    """
    path = map_path(project, embedder)
    with locked(path.parent):
        before = stored_map(path)
        found = None if anew or before is None else _extended(before, frames, vectors, progress)
        if found is None or found.added > MOST_ADDED * len(frames):
            of = np.zeros(len(frames), np.bool_) if trained is None else trained
            found = _made_anew(before, frames, vectors, seed, of, progress)
        if before is None or not np.array_equal(before.frames, found.frames) or before.made != found.made:
            keep_map(path, found)
    forget_others(path.parent)
    return found


def _extended(before: SpaceMap, frames: Ints, vectors: Vectors, progress: Progress) -> SpaceMap | None:
    """Frames that it knows stay where they are; None where it knows no landmark of them, or so few
    that it would be made anew.
    """
    rows, known = before.rows(frames)
    landmark, own = known & before.landmark[rows], known & before.own[rows]
    if not landmark.any() or np.count_nonzero(~own) > MOST_ADDED * len(frames):
        return None
    plane = before.plane[rows]
    _place(plane, np.flatnonzero(~known), landmark, vectors, progress)
    return SpaceMap(frames, plane, own, landmark, before.made)


def _made_anew(
    before: SpaceMap | None, frames: Ints, vectors: Vectors, seed: int, trained: Bools, progress: Progress
) -> SpaceMap:
    parts = [np.flatnonzero(trained), np.flatnonzero(~trained)]
    chosen = np.concatenate(sample_rows(parts, [frames[rows] for rows in parts], LANDMARKS))
    landmark = np.zeros(len(frames), np.bool_)
    landmark[chosen] = True
    progress(0, len(frames), "frames placed on the map")
    plane = np.zeros((len(frames), 2), np.float32)
    plane[landmark] = _plane_of(before, frames[landmark], vectors[landmark], seed)
    _place(plane, np.flatnonzero(~landmark), landmark, vectors, progress)
    return SpaceMap(frames, plane, np.ones(len(frames), np.bool_), landmark, datetime.now(UTC))


def _plane_of(before: SpaceMap | None, frames: Ints, vectors: Array, seed: int) -> Reals:
    """Where there was a map, its places are where points begin, and it is turned to lie as that did."""
    if before is None or np.count_nonzero(before.rows(frames)[1]) < 2:
        return project_plane(vectors, seed)
    rows, known = before.rows(frames)
    start = before.plane[rows].astype(np.float64)
    start[~known] = place_beside(vectors[~known], vectors[known], start[known])
    return aligned(project_plane(vectors, seed, start), start[known], known)


def _place(plane: Array, rows: Ints, landmark: Bools, vectors: Vectors, progress: Progress) -> None:
    """Gives these rows of `plane` a place beside the landmarks, some at a time."""
    if not len(rows):
        return
    known, places = vectors[landmark], plane[landmark].astype(np.float64)
    for start in range(0, len(rows), AT_ONCE):
        part = rows[start : start + AT_ONCE]
        plane[part] = place_beside(vectors[part], known, places)
        progress(len(plane) - len(rows) + start + len(part), len(plane), "frames placed on the map")
