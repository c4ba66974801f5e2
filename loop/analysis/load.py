"""What is known of many frames, from views of the database that are mapped into memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from connectors.ports import Array, Detections, Progress
from connectors.times import zone
from db.analysis import load_detections
from db.columns import Column, Columns, forget_others, locked
from db.engine import read
from db.frame_columns import ORIGINS, ROLES, boxes_view, frames_view, measures_view, synced, vectors_view
from db.frames import UNKNOWN, FrameRow, frames
from db.index import open_index
from db.neighbors import Found, NearestFrames
from db.states import Origin, Role
from loop.analysis.producers import Producers
from loop.base.arrays import Bools, Ints, Reals
from loop.math.boxes.frame_boxes import FrameBoxes
from loop.math.coverage.box_cases import Corners
from loop.math.coverage.comparison import hours_of
from loop.math.coverage.frame_arrays import BLOCK, Named, Side, Vectors, blocks, doubted_cameras, sequences_of
from loop.math.coverage.prompts import similarities
from loop.math.coverage.regions import ALIKE, MOST_NEIGHBORS, Near, Nearest
from loop.project.project import Project
from loop.project.training_metadata import kept_metadata
from loop.project.zones import NOT_CHOSEN, UNKNOWN_ZONE, read_again, training_zone
from samplers.ragged import Ragged

Row = TypeVar("Row")
Unlike = Callable[[Array], Bools]


@dataclass(frozen=True, eq=False)
class StoredFacts:
    """Views of all frames, and of what the producers that count now found in them."""

    project: Project
    made: Producers
    frames: Columns
    vectors: Columns
    boxes: Columns
    measures: Columns

    def production(self) -> tuple[Ints, Ints]:
        """Ids, ascending, of production frames that embedder and detector have seen, and of those
        they have not.
        """
        if not len(self.frames):
            return (nobody := np.zeros(0, np.int64)), nobody
        every = self.frames["frame"][self.frames["origin"] == ORIGINS.index(Origin.PRODUCTION)]
        seen = _among(every, self.vectors) & _among(every, self.boxes)
        return np.sort(every[seen]), np.sort(every[~seen])

    def all_imported(self) -> Ints:
        """Ids, ascending, of imported frames that embedder and detector have seen."""
        if not len(self.frames):
            return np.zeros(0, np.int64)
        every = self.frames["frame"][self.frames["origin"] == ORIGINS.index(Origin.IMPORTED)]
        return np.sort(every[_among(every, self.vectors) & _among(every, self.boxes)]).astype(np.int64)

    def in_pool(self, seqs: Ints) -> Bools:
        """Which of these frames may train; the others judge."""
        found: Bools = self.frames["role"][self.frames.places(seqs)] == ROLES.index(Role.POOL)
        return found

    def beside(self, production: Ints, seqs: Ints) -> Ints:
        """Those of `production` that are of the same camera-days as some of `seqs`, ascending."""
        group = self.frames["group"][self.frames.places(production)]
        days = np.unique(self.frames["group"][self.frames.places(seqs)])
        return production[np.isin(group, days)]

    def imported(self, seqs: Ints) -> Bools:
        """Which of these frames came with the training set that was imported."""
        found: Bools = self.frames["origin"][self.frames.places(seqs)] == ORIGINS.index(Origin.IMPORTED)
        return found

    def groups(self, seqs: Ints) -> Ints:
        """(N,) id of the group of each of these frames."""
        return self.frames["group"][self.frames.places(seqs)].astype(np.int64)

    def detected(self, seqs: Ints) -> Ints:
        """Those of these frames that the detector has seen."""
        return seqs[_among(seqs, self.boxes)]

    def embedded(self, seqs: Ints) -> Ints:
        """Those of these frames that the embedder has seen."""
        return seqs[_among(seqs, self.vectors)]


def open_facts(project: Project, made: Producers, progress: Progress | None = None) -> StoredFacts:
    """Brought up to date with the database."""
    views = frames_view(), vectors_view(made.embedder), boxes_view(made.detector), measures_view(made.measure)
    return StoredFacts(
        project, made, *(synced(project.engine, project.indexes, view, progress) for view in views)
    )


def load_side(facts: StoredFacts, seqs: Ints, unlike: Callable[[], Unlike]) -> Side:
    """Everything known of these frames; each must have been embedded. unlike: see `unlike_of`."""
    places = facts.frames.places(seqs)
    of = {name: facts.frames[name][places] for name in ("camera", "site", "sequence", "group", "captured_at")}
    camera, cameras = _named(of["camera"], facts.frames.notes["camera"])
    site, sites = _named(of["site"], facts.frames.notes["site"])
    taken, about = _times(facts, places, of["captured_at"])
    named = Named(of["sequence"].astype(np.int64), (*facts.frames.notes["sequence"], None))
    group = of["group"].astype(np.int64)
    return Side(
        seqs,
        StoredVectors(facts.vectors, seqs),
        _Measures(facts.measures, seqs),
        camera,
        cameras,
        site,
        sites,
        about,
        sequences_of(named, camera, group, taken),
        group,
        unlike_of(facts, seqs, unlike),
        _doubted(facts, cameras, unlike),
    )


def _times(facts: StoredFacts, places: NDArray[np.integer] | slice, stamps: Reals) -> tuple[Reals, Reals]:
    """(N,) seconds since 1970 at which each frame was taken, and about which.

    An imported frame that a pattern put at noon of its day has no time: that is neither a time of
    day nor a burst. Without one it was taken about when its training set was, where that was said.
    Nothing is known of when imported frames were taken where their times and those of production
    were read in zones that cannot be compared.
    """
    timezone = facts.project.settings.frames.timezone
    with read(facts.project.engine) as session:
        said = kept_metadata(session)
        meant = training_zone(session, timezone)
    imported = facts.frames["origin"][places] == ORIGINS.index(Origin.IMPORTED)
    taken = stamps
    if said.days_alone:
        hours = hours_of(stamps, zone(NOT_CHOSEN if meant == timezone else timezone))
        noon = (hours == 12) & (stamps % 60 == 0)
        taken = np.where(imported & noon, np.nan, stamps)
    about = _compared(taken, imported, meant)
    if said.time is None:
        return taken, about
    return taken, np.where(imported & np.isnan(about), said.time.timestamp(), about)


def _compared(taken: Reals, imported: Bools, meant: str) -> Reals:
    """(N,) the same, those of imported frames as production's are read. meant: see `training_zone`."""
    if not meant:
        return taken
    if meant == UNKNOWN_ZONE:
        return np.where(imported, np.nan, taken)
    dated = np.flatnonzero(imported & ~np.isnan(taken))
    about = np.array(taken)
    about[dated] = [read_again(seconds, meant) for seconds in taken[dated].tolist()]
    return about


def _doubted(facts: StoredFacts, cameras: tuple[str | None, ...], unlike: Callable[[], Unlike]) -> Bools:
    """(C,) see `doubted_cameras`, by all frames of each that were embedded."""
    every = facts.vectors.ids
    names = facts.frames.notes["camera"]
    camera = facts.frames["camera"][facts.frames.places(every)].astype(np.int64)
    strange = unlike_of(facts, every, unlike)
    counts = np.bincount(camera, minlength=len(names)), np.bincount(camera[strange], minlength=len(names))
    named = np.array([name != UNKNOWN for name in names], dtype=np.bool_)
    doubted = dict(zip(names, doubted_cameras(*counts, named).tolist(), strict=True))
    return np.array([name is not None and doubted[name] for name in cameras], dtype=np.bool_)


def load_frame_boxes(facts: StoredFacts, seqs: Ints) -> FrameBoxes:
    """What the detector found in these frames; it must have seen each. Scores of classes are known
    where they are of every frame with a box.
    """
    found, places = facts.boxes, facts.boxes.places(seqs)
    counts = found["count"][places]
    scored = "class_scores" in found and found["scored"][places][counts > 0].all()
    every = np.concatenate([np.zeros(1, np.int64), np.cumsum(found["count"], dtype=np.int64)])

    def ragged(name: str, dtype: type) -> Ragged:
        if isinstance(places, slice):
            own = every[places.start : places.stop + 1]
            return Ragged(found[name][own[0] : own[-1]].astype(dtype), own - own[0])
        taken = Ragged(found[name], every).take(places)
        return taken.with_values(taken.values.astype(dtype))

    return FrameBoxes(
        ragged("confidence", np.float32),
        ragged("class_id", np.int64),
        ragged("class_scores", np.float32) if scored else None,
    )


def load_corners(stored: Columns, seqs: Ints) -> Corners:
    """Where the boxes of these frames lie, by a view of `corners_view`; a frame that the detector has
    not seen has none.
    """
    there = _among(seqs, stored)
    if not there.any():
        nothing = Ragged(np.zeros((0, 4), np.float32), np.zeros(len(seqs) + 1, np.int64))
        sides = np.ones(len(seqs), np.int64)
        return Corners(nothing, np.zeros(0, np.int64), np.zeros(0), sides, sides)
    places = stored.places(seqs[there])
    every = np.concatenate([np.zeros(1, np.int64), np.cumsum(stored["count"], dtype=np.int64)])
    rows = np.arange(len(stored))[places]
    width, height = np.ones(len(seqs), np.int64), np.ones(len(seqs), np.int64)
    width[there], height[there] = stored["width"][places], stored["height"][places]
    taken = {name: Ragged(stored[name], every).take(rows) for name in ("xyxy", "class_id", "confidence")}
    counts = np.zeros(len(seqs), np.int64)
    counts[there] = taken["xyxy"].lengths
    start = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    return Corners(
        Ragged(taken["xyxy"].values, start),
        taken["class_id"].values.astype(np.int64),
        taken["confidence"].values.astype(np.float64),
        width,
        height,
    )


def unlike_of(facts: StoredFacts, seqs: Ints, unlike: Callable[[], Unlike]) -> Bools:
    """(N,) which of these frames are unlike all that the embedder was trained on; `unlike` is asked
    of those alone of which it is not known yet.
    """
    folder = facts.project.indexes / f"unlike-{facts.made.embedder}"
    asked = lru_cache(1)(unlike)
    told = _derived(facts, folder, folder.name, seqs, Column("|i1"), lambda vectors: asked()(vectors))
    return told.astype(np.bool_)


def similarities_of(facts: StoredFacts, vectors: Vectors, texts: Reals) -> Array:
    """(N, T) float32 cosine of stored vectors and texts (T, D), computed once for each frame as long
    as the texts are the same. Others are computed anew.
    """
    if not isinstance(vectors, StoredVectors):
        return similarities(vectors, texts)
    folder = facts.project.indexes / f"texts-{facts.made.embedder}"
    stamp = hashlib.sha256(texts.astype("<f4").tobytes()).hexdigest()
    column = Column("<f4", (len(texts),))
    return _derived(facts, folder, stamp, vectors.seqs, column, lambda part: similarities(part, texts))


def _derived(
    facts: StoredFacts,
    folder: Path,
    stamp: str,
    seqs: Ints,
    column: Column,
    of: Callable[[Array], NDArray[Any]],
) -> NDArray[Any]:
    """(N, ...) what follows from the vector of each of these frames, kept in a column."""
    with locked(folder):
        known = Columns(folder, f"{stamp} of vectors {facts.vectors.made}")
        ids = known.ids
        if not np.array_equal(ids, seqs) and len(new := np.setdiff1d(seqs, ids)):
            parts = [of(part) for _, part in blocks(StoredVectors(facts.vectors, new))]
            known.append(
                {"frame": new, "value": np.concatenate(parts)}, {"frame": Column("<i8"), "value": column}
            )
    forget_others(folder)
    values: NDArray[Any] = known["value"][known.places(seqs)]
    return values


def nearest(facts: StoredFacts, production: Ints, training: Ints, k: int, progress: Progress) -> Nearest:
    """The training frames nearest to the frames of either side; searched for where that is new.

    k: how many are wanted at least.
    training: (M,) ids, ascending.
    """
    project, embedder, wanted = facts.project, facts.made.embedder, max(k, ALIKE)

    def frames_near(kind: str, count: int) -> NearestFrames:
        return NearestFrames(
            project.indexes / f"{kind}-{embedder}",
            count,
            training,
            lambda seqs: StoredVectors(facts.vectors, seqs)[:],
            lambda: open_index(project.engine, embedder, project.indexes / "training.faiss", training),
            facts.vectors.made,
        )

    def near(found: Found) -> Near:
        most = len(training)  # of a smaller training set, none stand behind all that are
        return Near(found.similarity[:, :most], found.rows[:, :most])

    here = frames_near("nearest", wanted).of(production, progress)
    there = frames_near("nearest-own", wanted + MOST_NEIGHBORS).of(training, progress)
    return Nearest(near(here), near(there))


class StoredVectors:
    """Vectors (N, D) float32 of these frames, read from their file when they are asked for.

    Only so much of the file is mapped at a time, so that what was read takes no memory any more.
    """

    def __init__(self, stored: Columns, seqs: Ints) -> None:
        self._stored, self._size, self.seqs = stored, len(seqs), seqs
        self._places = stored.places(seqs)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, rows: NDArray[np.integer] | Bools | slice, /) -> Array:
        if isinstance(rows, slice):
            start, stop, step = rows.indices(self._size)
            if step == 1 and isinstance(self._places, slice):
                first = self._places.start
                return self._stored.part("vector", first + start, first + stop).astype(np.float32)
            rows = np.arange(start, stop, step)
        if rows.dtype == np.bool_:
            rows = np.flatnonzero(rows)
        if isinstance(self._places, slice):
            return self._taken(rows + self._places.start)
        return self._taken(self._places[rows])

    def _taken(self, places: NDArray[np.integer]) -> Array:
        (length,) = self._stored.columns["vector"].shape
        found = np.empty((len(places), length), dtype=np.float32)
        order = np.argsort(places, kind="stable")
        ordered = places[order]
        for start in range(0, len(self._stored), BLOCK):
            low, high = np.searchsorted(ordered, [start, start + BLOCK])
            if high > low:
                part = self._stored.part("vector", start, start + BLOCK)
                found[order[low:high]] = part[ordered[low:high] - start]
        return found


class StoredRows(Sequence[Row], Generic[Row]):
    """Rows of the database for these frames, fetched when they are asked for."""

    def __init__(self, seqs: Ints, fetch: Callable[[list[int]], dict[int, Row]]) -> None:
        self._seqs, self._fetch = seqs, fetch

    def __len__(self) -> int:
        return len(self._seqs)

    @overload
    def __getitem__(self, row: int) -> Row: ...
    @overload
    def __getitem__(self, row: slice) -> list[Row]: ...
    def __getitem__(self, row: int | slice) -> Row | list[Row]:
        if isinstance(row, slice):
            return self.take(np.arange(len(self))[row])
        return self.take(np.array([row]))[0]

    def __iter__(self) -> Iterator[Row]:
        return iter(self[:])

    def take(self, rows: Ints) -> list[Row]:
        """Those of these rows, in their order, all at once."""
        seqs = self._seqs[rows].tolist()
        found = self._fetch(seqs)
        return [found[seq] for seq in seqs]


def stored_frames(engine: Engine, seqs: Ints) -> StoredRows[FrameRow]:
    def fetch(wanted: list[int]) -> dict[int, FrameRow]:
        with read(engine) as session:
            return {row.seq: row for row in frames(session, seqs=wanted)}

    return StoredRows(seqs, fetch)


def stored_detections(engine: Engine, detector: int, seqs: Ints) -> StoredRows[Detections]:
    def fetch(wanted: list[int]) -> dict[int, Detections]:
        with read(engine) as session:
            return load_detections(session, detector, wanted)

    return StoredRows(seqs, fetch)


def _among(seqs: Ints, stored: Columns) -> Bools:
    ids = stored.ids
    return np.ones(len(seqs), np.bool_) if np.array_equal(ids, seqs) else np.isin(seqs, ids)


def _named(codes: NDArray[Any], names: Sequence[str]) -> tuple[Ints, tuple[str | None, ...]]:
    """Codes of names in order, None for what nobody knows."""
    shown = np.unique(codes)
    order = sorted(shown.tolist(), key=lambda code: names[code])
    place = np.zeros(len(names), dtype=np.int64)
    place[order] = np.arange(len(order))
    return place[codes], tuple(None if names[code] == UNKNOWN else names[code] for code in order)


class _Measures(Mapping[str, Reals]):
    """(N,) of each measurement of these frames, NaN where nothing is known; read when it is asked
    for, since few of them are.
    """

    def __init__(self, stored: Columns, seqs: Ints) -> None:
        self._stored, self._there = stored, _among(seqs, stored)
        self._places = stored.places(seqs[self._there])
        self._names = tuple(stored.notes.get("names", ()))

    def __getitem__(self, name: str) -> Reals:
        if name not in self._names:
            raise KeyError(name)
        values = np.full(len(self._there), np.nan)
        values[self._there] = self._stored[f"measure-{self._names.index(name)}"][self._places]
        return values

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._names))

    def __len__(self) -> int:
        return len(self._names)
