"""Near-duplicates of a project: which frames of a camera show the same again, kept in the database
as frames come in.

What a camera teaches and the clusters of its frames are derived facts: rows by (frame, embedder),
written camera by camera in one transaction each, so that a process may stop anywhere. A new frame
is compared with the leaders of its camera alone, and what was assigned stays. Once a camera has
twice the frames that its threshold was learned from, the threshold is learned anew and all of its
frames are clustered again, as if they had come at once: the work stays proportional to the frames,
and how they came in matters only until then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from connectors.ports import Array, Progress
from db.analysis import load_embeddings
from db.duplicates import (
    NO_LEADER,
    CameraFrames,
    CameraThresholdRow,
    Clustered,
    camera_frames,
    cameras_waiting,
    clusters_of,
    record_clusters,
    threshold,
)
from db.engine import read, write
from db.frames import FrameRow
from loop.base.arrays import Bools, Ints
from loop.math.coverage.frame_arrays import Side, codes_of, sequences
from samplers.engine import near_duplicates as clusters
from samplers.engine.near_duplicates import (
    SAME_VIEW,
    camera_residual,
    connected_groups,
    estimate_threshold,
    reach_of,
)

Number = TypeVar("Number", np.int64, np.float64)
GROWTH = 2
CONTEXT = 64
"""So many of the frames before it tell how much the sequence of a new one moves."""


def update(engine: Engine, embedder: int, progress: Progress | None = None) -> int:
    """Puts every embedded frame that is in no cluster yet into one; how many there were. May be
    stopped at any point.
    """
    with read(engine) as session:
        waiting = cameras_waiting(session, embedder)
    for place, camera in enumerate(waiting):
        if progress is not None:
            progress(place, len(waiting), "cameras: near-duplicates")
        while not _grow(engine, embedder, camera):
            pass
    return sum(waiting.values())


def stored_clusters(engine: Engine, embedder: int, seqs: Ints) -> Ints:
    """(N,) the leader of each of these frames, for thinning, brought up to date first."""
    update(engine, embedder)
    with read(engine) as session:
        known, leader, _ = clusters_of(session, embedder)
    return _by_frame(seqs, known, leader, seqs)


def clusters_of_side(side: Side) -> Ints:
    """(N,) the same for frames that no database knows, all at once."""
    order = np.lexsort((side.seq, side.captured_at))
    found = np.empty(len(side), dtype=np.int64)
    found[order] = clusters.near_duplicates(
        side.vectors[order], side.sequence[order], side.camera[order], side.group[order]
    )
    return found


def leak_groups(engine: Engine, embedder: int, rows: Sequence[FrameRow]) -> dict[int, int]:
    """The connected group of near-duplicates of each of these frames that is embedded, by frame.

    On one camera by the reaches that thinning uses; across cameras only what could be the same
    picture. What could leak into a frame is in its group: leave one side of a group out of a split
    and nothing of it is on both.
    """
    update(engine, embedder)
    with read(engine) as session:
        seqs, vectors = load_embeddings(session, embedder, [row.seq for row in rows])
        known, _, reach = clusters_of(session, embedder, seqs.tolist())
    camera_of = {row.seq: row.camera for row in rows}
    camera = codes_of([camera_of[seq] for seq in seqs.tolist()])
    within = _by_frame(seqs, known, reach, np.full(len(seqs), SAME_VIEW))
    groups = connected_groups(camera_residual(vectors), within, camera)
    return dict(zip(seqs.tolist(), groups.tolist(), strict=True))


def sequences_of(frames: CameraFrames) -> Ints:
    """(n,) see `sequences`."""
    return sequences(frames.sequence, np.zeros(len(frames), dtype=np.int64), frames.group, frames.seconds)


def _grow(engine: Engine, embedder: int, camera: str) -> bool:
    """Clusters the camera's new frames; False where another process was quicker, to be done again."""
    with read(engine) as session:
        known = threshold(session, embedder, camera)
        frames = camera_frames(session, embedder, camera, None if known is None else CONTEXT)
        fresh = int((frames.leader == NO_LEADER).sum())
        if not fresh:
            return True
        if known is not None and known.frames + fresh < GROWTH * known.learned_from:
            made = _joined(session, embedder, frames, known)
        else:
            made = _learned(session, embedder, camera_frames(session, embedder, camera))
    with write(engine) as session:
        return record_clusters(session, embedder, made, 0 if known is None else known.frames)


def _learned(session: Session, embedder: int, frames: CameraFrames) -> Clustered:
    """All frames of the camera anew, by a threshold learned from them."""
    residual = camera_residual(_vectors(session, embedder, frames.seq))
    sequence = sequences_of(frames)
    taught = estimate_threshold(residual, sequence, frames.group)
    reach = reach_of(residual, sequence, frames.group, taught)
    learned = CameraThresholdRow(frames.camera, taught, len(frames), len(frames))
    return Clustered(learned, frames.seq, frames.seq[clusters.leaders(residual, reach)], reach)


def _joined(session: Session, embedder: int, frames: CameraFrames, known: CameraThresholdRow) -> Clustered:
    """The new frames alone, by what the camera taught before."""
    sequence, fresh, leads = sequences_of(frames), frames.leader == NO_LEADER, frames.leader == frames.seq
    around = _around(fresh, sequence)
    needed = np.flatnonzero(leads | around)
    residual = camera_residual(_vectors(session, embedder, frames.seq[needed]))
    fresh, leads, around = fresh[needed], leads[needed], around[needed]
    reach = frames.reach[needed]
    of_sequence = reach_of(
        residual[around], sequence[needed][around], frames.group[needed][around], known.threshold
    )
    reach[fresh] = of_sequence[fresh[around]]
    found = clusters.leaders(residual[fresh], reach[fresh], residual[leads], reach[leads])
    seqs = frames.seq[needed]
    learned = replace(known, frames=known.frames + int(fresh.sum()))
    return Clustered(learned, seqs[fresh], np.concatenate([seqs[leads], seqs[fresh]])[found], reach[fresh])


def _around(fresh: Bools, sequence: Ints) -> Bools:
    """New frames and those of their sequences that are near them in time."""
    count = np.concatenate([[0], np.cumsum(fresh)])
    places = np.arange(len(fresh))
    first, last = np.maximum(places - CONTEXT, 0), np.minimum(places + CONTEXT + 1, len(fresh))
    close = count[last] > count[first]
    same = np.isin(sequence, sequence[fresh & (sequence >= 0)])
    found: Bools = fresh | (close & same)
    return found


def _vectors(session: Session, embedder: int, seqs: Ints) -> Array:
    ids, vectors = load_embeddings(session, embedder, seqs.tolist())
    ordered: Array = vectors[np.searchsorted(ids, seqs)]
    return ordered


def _by_frame(
    seqs: Ints, known: Ints, values: NDArray[Number], otherwise: NDArray[Number]
) -> NDArray[Number]:
    """(N,) the value of each frame; known: ascending."""
    found = otherwise.copy()
    place = np.minimum(np.searchsorted(known, seqs), max(len(known) - 1, 0))
    if len(known):
        there = known[place] == seqs
        found[there] = values[place[there]]
    return found
