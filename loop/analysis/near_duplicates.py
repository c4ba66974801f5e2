"""Near-duplicates of a project: which frames of a camera show the same again, kept in the database
as frames come in.

What a camera teaches and the clusters of its frames are derived facts: rows by (frame, embedder).
Each camera's are written whole, several cameras in a transaction, so that a process may stop
anywhere. A new frame is compared with the leaders of its camera alone: first by some coordinates of
their vectors, packed by camera, then by the whole vectors of those that may be near. What was
assigned stays. Once a camera has twice the frames that its threshold was learned from, the
threshold is learned anew and all of its frames are clustered again, as if they had come at once:
the work stays proportional to the frames, and how they came in matters only until then.
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
    latest_frames,
    new_frames,
    record_clusters,
    threshold,
)
from db.engine import read, write
from db.frames import FrameRow
from db.leaders import Leaders, leaders_by_row, packed_leaders
from loop.base.arrays import Bools, Ints
from loop.math.coverage.frame_arrays import Side, codes_of, sequences
from samplers.engine import near_duplicates as clusters
from samplers.engine.near_duplicates import (
    SAME_VIEW,
    camera_center,
    camera_residual,
    connected_groups,
    estimate_threshold,
    may_lead,
    reach_of,
    telling_coordinates,
)

Number = TypeVar("Number", np.int64, np.float64)
GROWTH = 2
TOGETHER = 64
"""So many cameras are stored in one transaction, or up to one that is learned anew."""
CONTEXT = 64
"""So many of the frames before it tell how much the sequence of a new one moves."""


def update(engine: Engine, embedder: int, progress: Progress | None = None) -> int:
    """Puts every embedded frame that is in no cluster yet into one; how many there were. May be
    stopped at any point.
    """
    with read(engine) as session:
        waiting = cameras_waiting(session, embedder)
    left = list(waiting)
    while left:
        if progress is not None:
            progress(len(waiting) - len(left), len(waiting), "cameras: near-duplicates")
        left = _grown(engine, embedder, left)
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
        side.vectors[order],
        side.sequence[order],
        side.camera[order],
        side.group[order],
        side.captured_at[order],
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


def _grown(engine: Engine, embedder: int, cameras: Sequence[str]) -> list[str]:
    """Clusters the new frames of the first cameras and stores them together; the cameras that are
    left, with those of which another process was quicker.
    """
    made: list[tuple[Clustered, int]] = []
    with read(engine) as session:
        for place, camera in enumerate(cameras, 1):
            found = _clustered(session, embedder, camera)
            made += found
            if place == TOGETHER or any(_learned_now(each) for each, _ in found):
                break
    with write(engine) as session:
        late = [each for each, before in made if not record_clusters(session, embedder, each, before)]
    return [*(each.learned.camera for each in late), *cameras[place:]]


def _clustered(session: Session, embedder: int, camera: str) -> list[tuple[Clustered, int]]:
    """The camera's new frames, and how many it had in clusters before; nothing where none is new."""
    known = threshold(session, embedder, camera)
    new, groups = new_frames(session, embedder, camera)
    if not len(new):
        return []
    if known is None or known.frames + len(new) >= GROWTH * known.learned_from:
        return [(_learned(session, embedder, camera), 0 if known is None else known.frames)]
    return [(_joined(session, embedder, known, new, groups), known.frames)]


def _learned_now(made: Clustered) -> bool:
    return made.learned.learned_from == made.learned.frames


def _learned(session: Session, embedder: int, camera: str) -> Clustered:
    """All frames of the camera anew, by a threshold learned from them."""
    frames = camera_frames(session, embedder, camera)
    vectors = _vectors(session, embedder, frames.seq)
    center = camera_center(vectors)
    residual, sequence = vectors - center, sequences_of(frames)
    taught = estimate_threshold(residual, sequence, frames.group, frames.seconds)
    reach = reach_of(residual, sequence, frames.group, taught)
    lead = clusters.leaders(residual, reach)
    learned = CameraThresholdRow(camera, taught, len(frames), len(frames))
    own = np.unique(lead)
    leaders = Leaders.none(telling_coordinates(residual), center)
    leaders = leaders.and_more(frames.seq[own], frames.group[own], reach[own], vectors[own])
    return Clustered(learned, frames.seq, frames.seq[lead], reach, leaders)


def _joined(session: Session, embedder: int, known: CameraThresholdRow, new: Ints, groups: Ints) -> Clustered:
    """The new frames alone, by what the camera taught before. new, groups: (n,) see `new_frames`."""
    packed = packed_leaders(session, embedder, known.camera)
    leaders = _packed_now(session, embedder, known.camera) if packed is None else packed
    frames = _nearby(session, embedder, known.camera, leaders, new, groups)
    fresh, sequence = frames.leader == NO_LEADER, sequences_of(frames)
    around = np.flatnonzero(_around(fresh, sequence))
    vectors = _vectors(session, embedder, frames.seq[around])
    fresh, group = fresh[around], frames.group[around]
    residual = vectors - leaders.center
    reach = reach_of(residual, sequence[around], group, known.threshold)[fresh]
    seq, residual = frames.seq[around][fresh], residual[fresh]
    may = may_lead(residual[:, leaders.coordinates], reach, leaders.residual(), leaders.reach)
    asked = leaders.seq[may]
    before = _vectors(session, embedder, asked) if len(asked) else residual[:0]
    found = clusters.leaders(residual, reach, before - leaders.center, leaders.reach[may])
    own = np.flatnonzero(found == len(asked) + np.arange(len(seq)))
    grown = leaders.and_more(seq[own], group[fresh][own], reach[own], vectors[fresh][own])
    learned = replace(known, frames=known.frames + len(seq))
    kept = 0 if packed is None else len(leaders)
    return Clustered(learned, seq, np.concatenate([asked, seq])[found], reach, grown, kept)


def _packed_now(session: Session, embedder: int, camera: str) -> Leaders:
    """Leaders that a version before did not pack. Any center serves: distances do not depend on it."""
    seq, group, reach = leaders_by_row(session, embedder, camera)
    vectors = _vectors(session, embedder, seq)
    center = camera_center(vectors)
    return Leaders.none(telling_coordinates(vectors - center), center).and_more(seq, group, reach, vectors)


def _nearby(
    session: Session, embedder: int, camera: str, leaders: Leaders, new: Ints, groups: Ints
) -> CameraFrames:
    """The new frames, and frames of their groups that tell how much their sequences move: leaders,
    and those that came last.
    """
    last, group = latest_frames(session, embedder, camera, CONTEXT)
    known = np.concatenate([last[np.isin(group, groups)], leaders.seq[np.isin(leaders.group, groups)]])
    return camera_frames(session, embedder, camera, np.concatenate([new, known]).tolist())


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
