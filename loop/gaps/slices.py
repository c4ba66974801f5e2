"""Conditions, classes and regions become slices of the database: each keeps its id, its members and
its counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from sqlalchemy.orm import Session

from db.engine import read, write
from db.facts import get_fact, set_fact
from db.recorded_slices import COUNTS, Recorded, open_recorded, save_recorded
from db.slices import (
    Counts,
    Members,
    NewSlice,
    SliceRow,
    define_slices,
    forget_counts,
    forget_members,
    record_counts,
    record_members,
    slices,
)
from db.states import SliceKind
from loop.analysis.producers import Producers
from loop.base.arrays import Bools, Ints, Reals
from loop.math.coverage.comparison import Comparison, KnownSlices
from loop.math.coverage.facets import UNKNOWN, Facet, slice_key
from loop.math.coverage.gaps import suspected
from loop.math.coverage.region_matching import KnownRegion, keys_of_regions
from loop.math.coverage.regions import Region
from loop.project.project import Project
from loop.settings.conditions import Conditions
from samplers.expected_loss import expected_loss

CLASS = "class"
OF_CLASSES = NewSlice(CLASS, SliceKind.FACET, CLASS)
OF_REGIONS = NewSlice("region", SliceKind.FACET, "region")
"""Every frame is asked for both, so that the share of a class or a region is one of all frames."""
ORDINARY = "ordinary frames"
"""Frames that were drawn to judge and show no gap."""
RECORDED = "slices_recorded"
"""What members and counts were last taken from: where nothing of it changed, nothing is written."""


@dataclass(frozen=True, eq=False)
class Shown:
    """A slice and the production frames that show it. producer: whose word it is. rows: (K,) int64.
    strength: (K,).

    known: (N,) bool, frames of which it is known. judged: rows of which it is said anew; the others
    stay as they were.
    """

    slice: NewSlice
    producer: int
    rows: Ints
    strength: Reals
    known: Bools
    judged: Ints | None = None


def known_slices(project: Project, embedder: int) -> KnownSlices:
    """What is stored of slices; regions that are found are given theirs, in the embedder's own
    space.
    """
    with read(project.engine) as session:
        rows = slices(session)

    def identify(found: list[Region]) -> list[Region]:
        return _identified(project, embedder, found)

    return KnownSlices(
        {row.key: row.given_name for row in rows if row.given_name},
        frozenset(row.key for row in rows if row.retired_at is not None),
        identify,
    )


def record(project: Project, found: Comparison, conditions: Conditions, made: Producers) -> dict[str, int]:
    """Defines every slice of a comparison, and stores who is in it and how many of each group; ids
    by key. What did not change is neither read nor written.
    """
    shown = shown_by(found, conditions, made)
    state = _state(found, made, shown)
    folder = project.indexes / "slices"
    with write(project.engine) as session:
        ids = define_slices(session, [one.slice for one in shown])
        token = get_fact(session, RECORDED)
        if token == state:
            return ids
        before = open_recorded(folder, token)
        held = None if before is None else _without_new(session, before, found)
        stored = _record_members(session, found, shown, ids, before)
        counts = counts_of(found, shown, ids)
        record_counts(session, counts, held)
        set_fact(session, RECORDED, state)
    save_recorded(folder, state, Recorded(found.production.seq, stored, counts))
    return ids


def _record_members(
    session: Session,
    found: Comparison,
    shown: Sequence[Shown],
    ids: dict[str, int],
    before: Recorded | None,
) -> dict[tuple[int, int], Members]:
    """By producer and slice."""
    seqs, stored = found.production.seq, {}
    for one in shown:
        if one.slice.kind is not SliceKind.FACET:
            key = one.producer, ids[one.slice.key]
            judged = None if one.judged is None else seqs[one.judged]
            known = before.members.get(key) if before else None
            stored[key] = record_members(session, *key, Members(seqs[one.rows], one.strength), known, judged)
    return stored


def _without_new(session: Session, before: Recorded, found: Comparison) -> Counts:
    """What is counted as it was left. What was written since, of frames that came in, is forgotten."""
    new = ~np.isin(found.production.seq, before.frames)
    groups = np.unique(found.production.group[new])
    forget_members(session, found.production.seq[new])
    forget_counts(session, groups)
    same = ~np.isin(before.counts.group, groups)
    return Counts(*(getattr(before.counts, name)[same] for name in COUNTS))


def producer_of(kind: SliceKind, made: Producers) -> int:
    """Whose word it is that a frame shows a slice of this kind."""
    match kind:
        case SliceKind.PROMPT | SliceKind.REGION:
            return made.embedder
        case SliceKind.CLASS:
            return made.detector
        case SliceKind.FACET | SliceKind.METADATA | SliceKind.MEASURED:
            return made.measure
        case SliceKind.COLLECTION | SliceKind.JOINT:
            raise ValueError(f"expected a kind of slice that a model decides, got {kind}")


def class_slices(rows: Sequence[SliceRow], classes: Sequence[str]) -> dict[int, str]:
    """The class of each of these slices that is of one, by id, whatever it is called."""
    names = {slice_key(CLASS, name): name for name in classes}
    return {row.id: names[row.key] for row in rows if row.key in names}


def shown_by(found: Comparison, conditions: Conditions, made: Producers) -> list[Shown]:
    """Every slice that the comparison knows, facets first."""
    definitions = _definitions(conditions)
    # Several limits of one measurement are several facets here, and one way of dividing frames there.
    facets = {facet.key: _of_facet(facet, made) for facet in found.facets}
    options = [one for facet in found.facets for one in _of_options(facet, definitions, made)]
    asked = [OF_CLASSES, OF_REGIONS] if found.regions else [OF_CLASSES]
    every = [_of_all(new, found, made) for new in asked]
    return [*facets.values(), *every, *options, *_of_classes(found, made), *_of_regions(found, made)]


def counts_of(found: Comparison, shown: Sequence[Shown], ids: dict[str, int]) -> Counts:
    """Of every group and slice that a frame of it shows, and of every facet that is known of one."""
    groups, group = np.unique(found.production.group, return_inverse=True)
    confidence, loss = found.boxes.mean_confidence(), expected_loss(found.boxes.scores)
    parts = []
    for one in shown:
        inside = np.bincount(group[one.rows], minlength=len(groups))
        place = np.flatnonzero(inside)
        known = np.bincount(group[one.known], minlength=len(groups))
        sums = [
            np.bincount(group[one.rows], each[one.rows], len(groups))[place] for each in (confidence, loss)
        ]
        number = np.full(len(place), ids[one.slice.key])
        parts.append((groups[place], number, known[place], inside[place], *sums))
    empty = tuple(np.zeros(0, dtype=np.int64) for _ in range(6))
    columns = [np.concatenate(each) for each in zip(empty, *parts, strict=True)]
    return Counts(*columns[:4], *(each.astype(np.float64) for each in columns[4:]))


def _identified(project: Project, embedder: int, found: list[Region]) -> list[Region]:
    """Each with the key and the name of the region that it is; those that are new are made."""
    if not found:
        return []
    with write(project.engine) as session:
        stored = slices(session, [SliceKind.REGION])
        keys = keys_of_regions([region.center for region in found], _known_regions(stored, embedder))
        keyed = [replace(region, key=key) for region, key in zip(found, keys, strict=True)]
        ids = {row.key: row.id for row in stored}
        new = [_region(region, embedder) for region in keyed if region.key not in ids]
        ids |= define_slices(session, [OF_REGIONS, *new])
        named = [replace(region, name=f"region {ids[region.key]}{region.said}") for region in keyed]
        define_slices(session, [_region(region, embedder) for region in named])
    return named


def _known_regions(stored: Sequence[SliceRow], embedder: int) -> list[KnownRegion]:
    return [
        KnownRegion(row.key, np.array(row.definition["center"], dtype=np.float32))
        for row in stored
        if row.definition.get("embedder") == embedder
    ]


def _region(region: Region, embedder: int) -> NewSlice:
    center = [round(float(value), 4) for value in region.center]
    definition = {"embedder": embedder, "center": center}
    return NewSlice(region.key, SliceKind.REGION, region.name, OF_REGIONS.key, definition)


def _definitions(conditions: Conditions) -> dict[str, dict[str, object]]:
    """What decides who shows each condition, by key."""
    found: dict[str, dict[str, object]] = {}
    for group in conditions.groups:
        own, *options = group.ids
        for option, sentences in zip(options, group.prompts, strict=True):
            found[slice_key(own, option)] = {"sentences": list(sentences), "none_below": group.none_below}
    for bin_ in conditions.bins:
        limit = {"of": bin_.measure, bin_.side: bin_.quantile, "per_camera": bin_.per_camera}
        found[slice_key(bin_.measure, bin_.id or bin_.name)] = limit
    for name, start, end in conditions.dayparts:
        found[slice_key("daypart", conditions.daypart_ids.get(name, name))] = {"hours": [start, end]}
    return found


def _of_facet(facet: Facet, made: Producers) -> Shown:
    known = facet.production != UNKNOWN
    rows = np.flatnonzero(known)
    new = NewSlice(facet.key, SliceKind.FACET, facet.name)
    return Shown(new, producer_of(SliceKind(facet.kind), made), rows, np.ones(len(rows)), known)


def _of_all(facet: NewSlice, found: Comparison, made: Producers) -> Shown:
    rows = np.arange(len(found.production))
    return Shown(facet, made.detector, rows, np.ones(len(rows)), np.ones(len(rows), dtype=np.bool_))


def _of_options(facet: Facet, definitions: dict[str, dict[str, object]], made: Producers) -> list[Shown]:
    known = facet.production != UNKNOWN
    found = []
    for index, (option, key) in enumerate(zip(facet.options, facet.keys, strict=True)):
        rows = np.flatnonzero(facet.production == index)
        kind, name = SliceKind(facet.kind), f"{facet.name}: {option}"
        new = NewSlice(key, kind, name, facet.key, definitions.get(key, {}))
        found.append(Shown(new, producer_of(SliceKind(facet.kind), made), rows, facet.strength[rows], known))
    return found


def _of_classes(found: Comparison, made: Producers) -> list[Shown]:
    score = found.boxes.class_maxima(len(found.classes))
    every = np.ones(len(score), dtype=np.bool_)
    shown = []
    for index, name in enumerate(found.classes):
        rows = np.flatnonzero(suspected(score[:, index]))
        new = NewSlice(slice_key(CLASS, name), SliceKind.CLASS, f"class: {name}", OF_CLASSES.key)
        shown.append(Shown(new, producer_of(SliceKind.CLASS, made), rows, score[rows, index], every))
    return shown


def _of_regions(found: Comparison, made: Producers) -> list[Shown]:
    """A frame is in one region at most. One that is unlike training no more, since it was labeled,
    stays in its own.
    """
    every = np.ones(len(found.production), dtype=np.bool_)
    anew = (
        np.flatnonzero(np.any([region.inside for region in found.regions], axis=0)) if found.regions else None
    )
    return [
        Shown(
            _region(region, made.embedder),
            producer_of(SliceKind.REGION, made),
            np.flatnonzero(region.inside),
            region.typical[region.inside],
            every,
            anew,
        )
        for region in found.regions
    ]


def _state(found: Comparison, made: Producers, shown: Sequence[Shown]) -> str:
    """Changes whenever a member or a count could."""
    digest = hashlib.sha256(repr((made, [(one.slice, len(one.rows)) for one in shown])).encode())
    for seqs in (found.production.seq, found.training.seq):
        digest.update(seqs.tobytes())
    return digest.hexdigest()
