"""What the cameras of a project repeat: thresholds, clusters, and what would leak from one side of
the split to the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectors.ports import Array, Progress
from db.analysis import load_embeddings
from db.duplicates import CameraFrames, CameraThresholdRow, camera_frames, thresholds
from db.engine import read
from db.frames import frames
from loop.analysis import near_duplicates, producers
from loop.base.arrays import Ints, Reals
from loop.base.errors import ProjectError
from loop.base.wording import counted
from loop.project.project import Project
from samplers.engine.near_duplicates import camera_residual, squared_ratio

PROBES = 300
PAIRS = 3
CLUSTERS = 8
BLOCK = 512
NUMBERS = 10_000_000
Found = tuple[float, int, int]
"""Squared share of the limit, and two rows."""


@dataclass(frozen=True)
class Pair:
    """Two frames of a camera by seq.

    files: as their source names them.
    distance: between embeddings.
    reach: within which they are near-duplicates.
    same_sequence: they were taken in one sequence.
    """

    left: int
    right: int
    distance: float
    reach: float
    same_sequence: bool
    files: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class Cluster:
    """Frames that count as one, in order of time.

    days: over how many groups they are spread.
    files: as their source names them.
    """

    camera: str
    frames: tuple[int, ...]
    days: int
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shot:
    """A frame as a page shows it.

    path: of the stored image.
    file: as its source names it.
    """

    seq: int
    path: Path
    file: str
    captured_at: datetime | None


@dataclass(frozen=True)
class CameraRepeats:
    """leaking: pairs that could leak, one held out and the other not; leaking_frames: those that
    are not.

    inside, outside: pairs that are just near-duplicates, and that just are none.
    """

    learned: CameraThresholdRow
    clusters: int
    leaking: int
    leaking_frames: int
    inside: tuple[Pair, ...]
    outside: tuple[Pair, ...]

    @property
    def redundancy(self) -> float:
        """Frames per cluster."""
        return self.learned.frames / max(self.clusters, 1)


@dataclass(frozen=True)
class Survey:
    """cameras: the most redundant first.
    biggest: clusters, the largest first.
    """

    cameras: tuple[CameraRepeats, ...]
    biggest: tuple[Cluster, ...]

    @property
    def frames(self) -> int:
        return sum(camera.learned.frames for camera in self.cameras)

    @property
    def clusters(self) -> int:
        return sum(camera.clusters for camera in self.cameras)

    @property
    def leaking(self) -> int:
        return sum(camera.leaking for camera in self.cameras)

    @property
    def leaking_frames(self) -> int:
        return sum(camera.leaking_frames for camera in self.cameras)

    def lines(self) -> list[str]:
        """For people."""
        if not self.cameras:
            return ["no frame is embedded yet; run `fieldloop analyze` first"]
        return [
            self.summary(),
            *(_line(camera) for camera in self.cameras),
            *(_told(c) for c in self.biggest[:3]),
        ]

    def summary(self) -> str:
        shown = (
            f"{counted(self.frames, 'frame')} of {counted(len(self.cameras), 'camera')} show"
            f" {counted(self.clusters, 'different view')}"
        )
        return shown + (
            f"; {counted(self.leaking_frames, 'frame')} outside the evaluation groups"
            f" {'is a near-duplicate' if self.leaking_frames == 1 else 'are near-duplicates'} of one inside"
            if self.leaking_frames
            else ""
        )


def shots(project: Project, seqs: Sequence[int]) -> list[Shot]:
    """Those frames, in order of seq."""
    with read(project.engine) as session:
        return [
            Shot(row.seq, project.store / row.path, row.source_key, row.captured_at)
            for row in frames(session, seqs=seqs)
        ]


def survey(project: Project, progress: Progress) -> Survey:
    """Everything that is embedded, brought up to date first. Raises ProjectError before the first
    analysis.
    """
    with read(project.engine) as session:
        embedder = producers.known_embedder(session, project)
    if embedder is None:
        raise ProjectError(
            "expected frames analyzed by the current models, found none; run `fieldloop analyze` first"
        )
    near_duplicates.update(project.engine, embedder, progress)
    with read(project.engine) as session:
        cameras = thresholds(session, embedder)
    found: list[CameraRepeats] = []
    biggest: list[Cluster] = []
    for place, learned in enumerate(cameras.values()):
        progress(place, len(cameras), "cameras: pairs")
        with read(project.engine) as session:
            placed = camera_frames(session, embedder, learned.camera).placed()
            ids, vectors = load_embeddings(session, embedder, placed.seq.tolist())
        found.append(_camera(learned, placed, camera_residual(vectors[np.searchsorted(ids, placed.seq)])))
        biggest = sorted([*biggest, *_clusters(placed)], key=lambda c: -len(c.frames))[:CLUSTERS]
    return _with_files(
        project, Survey(tuple(sorted(found, key=lambda each: -each.redundancy)), tuple(biggest))
    )


def _with_files(project: Project, found: Survey) -> Survey:
    """With the names of all frames that it names."""
    pairs = [pair for each in found.cameras for pair in (*each.inside, *each.outside)]
    seqs = {seq for cluster in found.biggest for seq in cluster.frames}
    seqs |= {seq for pair in pairs for seq in (pair.left, pair.right)}
    with read(project.engine) as session:
        names = {row.seq: row.source_key for row in frames(session, seqs=sorted(seqs))}

    def named(of: tuple[Pair, ...]) -> tuple[Pair, ...]:
        return tuple(replace(pair, files=(names[pair.left], names[pair.right])) for pair in of)

    return Survey(
        tuple(replace(one, inside=named(one.inside), outside=named(one.outside)) for one in found.cameras),
        tuple(replace(one, files=tuple(names[seq] for seq in one.frames)) for one in found.biggest),
    )


def as_json(found: Survey) -> dict[str, Any]:
    """For programs; frames by seq and by the names of their files."""
    return {
        "frames": found.frames,
        "clusters": found.clusters,
        "leaking_pairs": found.leaking,
        "leaking_frames": found.leaking_frames,
        "cameras": [
            {
                "camera": each.learned.camera,
                "threshold": each.learned.threshold,
                "learned_from": each.learned.learned_from,
                "frames": each.learned.frames,
                "clusters": each.clusters,
                "frames_per_cluster": each.redundancy,
                "leaking_pairs": each.leaking,
                "leaking_frames": each.leaking_frames,
                "just_inside": list(each.inside),
                "just_outside": list(each.outside),
            }
            for each in found.cameras
        ],
        "biggest": list(found.biggest),
    }


def _line(camera: CameraRepeats) -> str:
    known = camera.learned
    taught = (
        f"within {known.threshold:.3f}"
        if known.threshold
        else "copies only: nothing to learn a threshold from"
    )
    leaks = f", {counted(camera.leaking, 'pair')} across the split" if camera.leaking else ""
    views = (
        f"{counted(known.frames, 'frame'):>14}, {counted(camera.clusters, 'view'):>13},"
        f" {camera.redundancy:.1f} frames each"
    )
    return f"  {known.camera:<20} {views} ({taught}{leaks})"


def _told(cluster: Cluster) -> str:
    days = f" over {counted(cluster.days, 'day')}" if cluster.days > 1 else ""
    return f"  the same {len(cluster.frames)} times{days}: {cluster.camera}, {cluster.files[0]} and on"


def _clusters(frames: CameraFrames) -> list[Cluster]:
    _, code, sizes = np.unique(frames.leader, return_inverse=True, return_counts=True)
    found = []
    for place in np.argsort(-sizes, kind="stable")[:CLUSTERS]:
        rows = np.flatnonzero(code == place)
        if len(rows) > 1:
            days = len(np.unique(frames.group[rows]))
            found.append(Cluster(frames.camera, tuple(frames.seq[rows].tolist()), days))
    return found


def _camera(learned: CameraThresholdRow, frames: CameraFrames, residual: Array) -> CameraRepeats:
    pairs, leaky = _leaks(frames, residual)
    inside, outside = _boundary(frames, residual)
    return CameraRepeats(learned, len(np.unique(frames.leader)), pairs, leaky, inside, outside)


def _leaks(frames: CameraFrames, residual: Array) -> tuple[int, int]:
    """(pairs that could leak, one of them held out; frames in them that are not)."""
    held, others = np.flatnonzero(frames.held_out), np.flatnonzero(~frames.held_out)
    pairs, leaky = 0, np.zeros(len(others), dtype=bool)
    for _, ratio in _ratios(residual, frames.reach, held, others, either=True):
        pairs += int((ratio <= 1).sum())
        leaky |= (ratio <= 1).any(axis=0)
    return pairs, int(leaky.sum())


def _boundary(frames: CameraFrames, residual: Array) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    """Pairs of evenly spread frames with any other, nearest to the limit on either side, each frame
    once.

    Inside those of different sequences come first: within one it is the largest step that sets the
    limit.
    """
    probes = np.unique(np.linspace(0, len(frames) - 1, PROBES).astype(np.int64))
    sequence = near_duplicates.sequences_of(frames)
    within: list[Found] = []
    across: list[Found] = []
    outside: list[Found] = []
    for rows, ratio in _ratios(residual, frames.reach, probes, np.arange(len(frames))):
        ratio[np.arange(len(rows)), rows] = np.nan
        same = (sequence[rows][:, None] == sequence) & (sequence >= 0)
        within += _closest(np.where((ratio <= 1) & same, ratio, np.nan), rows, 1)
        across += _closest(np.where((ratio <= 1) & ~same, ratio, np.nan), rows, 1)
        outside += _closest(np.where(ratio > 1, ratio, np.nan), rows, -1)
    inside = [*sorted(across, reverse=True), *sorted(within, reverse=True)]
    return _pairs(frames, sequence, inside), _pairs(frames, sequence, sorted(outside))


def _closest(ratio: NDArray[np.float32], rows: Ints, sign: int) -> list[Found]:
    """The best of each row."""
    value = np.where(np.isnan(ratio), -np.inf, sign * ratio)
    best = value.argmax(axis=1)
    top = value[np.arange(len(rows)), best]
    return [
        (float(sign * v), int(r), int(b)) for v, r, b in zip(top, rows, best, strict=True) if np.isfinite(v)
    ]


def _pairs(frames: CameraFrames, sequence: Ints, found: list[Found]) -> tuple[Pair, ...]:
    used: set[int] = set()
    kept: list[Pair] = []
    for ratio, one, other in found:
        if len(kept) < PAIRS and used.isdisjoint((one, other)):
            used |= {one, other}
            kept.append(_pair(frames, sequence, ratio, min(one, other), max(one, other)))
    return tuple(kept)


def _pair(frames: CameraFrames, sequence: Ints, ratio: float, left: int, right: int) -> Pair:
    reach = float(min(frames.reach[left], frames.reach[right]))
    same = bool(sequence[left] == sequence[right] >= 0)
    return Pair(int(frames.seq[left]), int(frames.seq[right]), ratio**0.5 * reach, reach, same)


def _ratios(
    residual: Array, reach: Reals, left: Ints, right: Ints, either: bool = False
) -> Iterator[tuple[Ints, NDArray[np.float32]]]:
    vectors = residual[right]
    step = min(BLOCK, max(NUMBERS // max(len(right), 1), 1))
    for start in range(0, len(left), step):
        rows = left[start : start + step]
        yield rows, squared_ratio(residual[rows], reach[rows], vectors, reach[right], either=either)
