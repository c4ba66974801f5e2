"""Conditions, classes and regions become slices of the database: each keeps its id, its members and
its counts.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from sqlalchemy.orm import Session

from connectors.ports import Progress, Purpose
from db.engine import read, write
from db.facts import claim_fact, get_fact, lock_fact, set_fact
from db.labels import labeled_ids
from db.recorded_slices import COUNTS, Recorded, as_stored, open_recorded, save_recorded
from db.slice_members import (
    Counts,
    Members,
    add_counts,
    add_members,
    any_members,
    load_counts,
    members,
    record_counts,
    record_members,
)
from db.slices import SliceRow, define_slices, slices
from db.states import SliceKind
from loop.analysis.load import StoredFacts, load_frame_boxes, load_side, open_facts
from loop.analysis.producers import Producers
from loop.analysis.producers import producers as producers_of
from loop.base.arrays import Ints
from loop.gaps import collections
from loop.gaps.imported import Imported, imported_frames
from loop.gaps.shown import (
    ABOVE,
    CLASS,
    OF_REGIONS,
    Described,
    Shown,
    counts_of,
    limits_of,
    producer_of,
    region_slice,
    shown_by,
)
from loop.gaps.words import stored_words
from loop.math.coverage.comparison import Comparison, KnownSlices
from loop.math.coverage.facets import slice_key
from loop.math.coverage.frame_arrays import Side
from loop.math.coverage.region_matching import KnownRegion, keys_of_regions
from loop.math.coverage.regions import Region
from loop.project.project import Project
from loop.project.wiring import Parts
from loop.settings.conditions import Conditions

ORDINARY = "ordinary frames"
"""Frames that were drawn to judge and show no gap."""
TRAINING_WORLD = "like the training set (held out)"
"""Frames that judge and came with the training set."""
RECORDED = "slices_recorded"
"""What members and counts were last taken from: where nothing of it changed, nothing is written."""


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


def record(
    project: Project, found: Comparison, imported: Imported, conditions: Conditions, made: Producers
) -> dict[str, int]:
    """Defines every slice of a comparison, and stores who is in it and how many of each group; ids
    by key. What did not change is neither read nor written.
    """
    described = Described.of(found)
    above = limits_of(described)
    conditioned = shown_by(described, found.regions, above, conditions, made)
    beside = imported.side, _shown_by_imported(imported, above, conditions, made)
    with read(project.engine) as session:
        wanted = collections.defined(session)
    gathered = _gathered(project, found, beside, conditioned, made, wanted)
    with write(project.engine) as session:
        token = _last_recorded(session)
        if (changed := collections.defined(session)) != wanted:
            gathered = _gathered(project, found, beside, conditioned, made, changed)
        shown = [*conditioned, *gathered]
        state = _state(found, made, shown)
        ids = define_slices(session, [one.slice for one in shown])
        if token == state:
            return ids
        counts = counts_of(described, shown, ids)
        before = _before(session, _left(project, token, made), found)
        stored = _record_members(session, found, shown, ids, before)
        known = before.counts if before else load_counts(session)
        record_counts(session, counts, _without_retired(session, known))
        set_fact(session, RECORDED, state)
    judged = np.union1d(found.production.seq, imported.side.seq)
    save_recorded(recorded_folder(project), state, Recorded(judged, stored, counts))
    return ids


def _shown_by_imported(
    imported: Imported, above: Mapping[str, float], conditions: Conditions, made: Producers
) -> dict[str, collections.Showing]:
    if imported.described is None:
        return {}
    return _members_by_key(shown_by(imported.described, (), above, conditions, made))


def _without_retired(session: Session, known: Counts) -> Counts:
    """But for retired collections, which keep what was counted of them when they were retired."""
    rows = slices(session, [SliceKind.COLLECTION])
    others = ~np.isin(known.slice_id, [row.id for row in rows if row.retired_at is not None])
    return known if others.all() else Counts(*(getattr(known, name)[others] for name in COUNTS))


def _gathered(
    project: Project,
    found: Comparison,
    beside: tuple[Side, Mapping[str, collections.Showing]],
    shown: Sequence[Shown],
    made: Producers,
    wanted: Sequence[collections.Collection],
) -> list[Shown]:
    taught = collections.taught(project, made, found.training, found.production, wanted)
    return collections.gathered(project, made, found.production, _members_by_key(shown), taught, beside)


def are_recorded(project: Project, made: Producers) -> bool:
    """Whether a comparison by these producers was the last that was recorded."""
    with read(project.engine) as session:
        return _is_of(get_fact(session, RECORDED) or "", made)


def add(project: Project, came_in: Described, conditions: Conditions, made: Producers, around: Side) -> None:
    """Adds frames that came in since the last comparison to the slices that they show, and to what
    is counted. Who is in a region, the next comparison tells.

    around: the frames of their camera-days, these included, by which collections are told.
    """
    with write(project.engine) as session:
        token = _last_recorded(session)
        left = _left(project, token, made)
        counted = np.isin(came_in.seq, any_members(session, _producers(made), came_in.seq))
        if left is not None:
            counted |= np.isin(came_in.seq, left.frames)
        new = came_in.take(np.flatnonzero(~counted))
        above = _class_limits(session, new.classes)
        known = {name: limit for name, limit in above.items() if limit is not None}
        if not _is_of(token, made) or not len(new) or len(known) < len(new.classes):
            return
        shown = shown_by(new, (), known, conditions, made)
        shown += _gathered_of(project, new, shown, made, around, collections.defined(session))
        ids = define_slices(session, [one.slice for one in shown])
        for one in shown:
            if one.slice.kind is not SliceKind.FACET:
                members = Members(new.seq[one.rows], one.strength)
                add_members(session, one.producer, ids[one.slice.key], members)
        add_counts(session, counts_of(new, shown, ids))


def _gathered_of(
    project: Project,
    new: Described,
    shown: Sequence[Shown],
    made: Producers,
    around: Side,
    wanted: Sequence[collections.Collection],
) -> list[Shown]:
    """By the limits that the last comparison taught. Rules look at whole camera-days, since frames of
    a sequence decide together; slices are known of what is new.
    """
    place = np.searchsorted(around.seq, new.seq)
    conditioned = {key: (place[rows], strength) for key, (rows, strength) in _members_by_key(shown).items()}
    row = np.full(len(around), -1)
    row[place] = np.arange(len(new))
    found = []
    for one in collections.gathered(project, made, around, conditioned, wanted):
        own = row[one.rows] >= 0
        found.append(
            replace(one, rows=row[one.rows[own]], strength=one.strength[own], known=one.known[place])
        )
    return found


def hold_collections(session: Session) -> None:
    """Until the transaction ends, nobody else changes a collection or records a comparison: a comparison
    writes definitions as it has read them, so a change between would be lost.
    """
    claim_fact(session, RECORDED, "")
    lock_fact(session, RECORDED)


def record_collection(parts: Parts, slice_id: int, progress: Progress) -> int:
    """Says anew who is in a collection, by its definition as it is stored now; how many are.

    Raises StateError where it is none, ProjectError while nothing is deployed.
    """
    project, made = parts.project, producers_of(parts)
    facts = open_facts(project, made, progress)
    production, _ = facts.production()
    if not len(production):
        return 0
    collections.read_new_sentences(project, made, parts.embedder)
    with read(project.engine) as session:
        training = facts.embedded(np.array(labeled_ids(session, Purpose.TRAIN), dtype=np.int64))
    here, there = (load_side(facts, seqs, lambda: parts.embedder().unlike) for seqs in (production, training))
    boxes = load_frame_boxes(facts, production)
    described = Described(production, here.group, boxes, np.zeros((len(production), 0)), (), ())
    while True:
        with read(project.engine) as session:
            one = collections.one_defined(session, slice_id)
            shown = _stored_members(session, one, production, made)
        taught = collections.taught(project, made, there, here, [one])
        beside = _beside(parts, facts, there, one)
        told = collections.gathered(project, made, here, shown, taught, beside)
        with write(project.engine) as session:
            token = _last_recorded(session)
            if collections.one_defined(session, slice_id) != one:
                continue  # somebody changed it meanwhile
            left = _left(project, token, made)
            kept = _record_gathered(session, described, told, made)
            if left is not None:
                token = f"{_of(made)} {secrets.token_hex(32)}"
                set_fact(session, RECORDED, token)
        if left is not None:
            save_recorded(recorded_folder(project), token, _with(left, *kept))
        return sum(len(each.rows) for each in told if each.slice.key == one.key)


def _beside(
    parts: Parts, facts: StoredFacts, training: Side, one: collections.Collection
) -> tuple[Side, Mapping[str, collections.Showing]]:
    """Imported frames, and of the slices that its rules name those that show them."""
    with read(parts.project.engine) as session:
        asked = collections.slices_asked(session, one.definition)
        known = _class_limits(session, parts.project.classes)
    words = stored_words(parts, facts) if asked else None
    imported = imported_frames(parts, facts, training, words)
    if words is None:
        return imported.side, {}
    above = {name: np.inf if limit is None else limit for name, limit in known.items()}
    return imported.side, _shown_by_imported(imported, above, words.conditions, facts.made)


def _class_limits(session: Session, classes: Sequence[str]) -> dict[str, float | None]:
    """From which score on each class is suspected, as the last comparison told."""
    limits = {row.key: row.definition.get(ABOVE) for row in slices(session, [SliceKind.CLASS])}
    return {name: limits.get(slice_key(CLASS, name)) for name in classes}


def _stored_members(
    session: Session, one: collections.Collection, seqs: Ints, made: Producers
) -> dict[str, collections.Showing]:
    """Of the slices that its rules name, by key: rows of these frames."""
    found = {}
    for row in collections.slices_asked(session, one.definition):
        frames, strength = members(session, producer_of(row.kind, made), row.id)
        there = np.isin(frames, seqs)
        found[row.key] = np.searchsorted(seqs, frames[there]), strength[there]
    return found


def _record_gathered(
    session: Session, described: Described, told: Sequence[Shown], made: Producers
) -> tuple[dict[tuple[int, int], Members], Counts]:
    """What is stored now of these collections, and what is counted of them."""
    ids = define_slices(session, [one.slice for one in told])
    stored = {}
    for one in told:
        if one.slice.kind is SliceKind.COLLECTION:
            now = one.members(described.seq)
            stored[made.measure, ids[one.slice.key]] = record_members(
                session, made.measure, ids[one.slice.key], now
            )
    counts = counts_of(described, told, ids)
    record_counts(session, counts, load_counts(session, slice_ids=ids.values()))
    return stored, counts


def _with(left: Recorded, stored: Mapping[tuple[int, int], Members], counts: Counts) -> Recorded:
    """What a comparison left, and these collections as they are now."""
    own = {key: _among(each, left.frames) for key, each in stored.items()}
    others = ~np.isin(left.counts.slice_id, counts.slice_id)
    columns = {
        name: np.concatenate([getattr(left.counts, name)[others], getattr(counts, name)]) for name in COUNTS
    }
    return Recorded(left.frames, {**left.members, **own}, Counts(**columns))


def _among(found: Members, frames: Ints) -> Members:
    there = np.isin(found.frames, frames)
    return Members(found.frames[there], found.strength[there])


def _members_by_key(shown: Sequence[Shown]) -> dict[str, collections.Showing]:
    """Which rows show each slice but facets, and how clearly."""
    return {one.slice.key: (one.rows, one.strength) for one in shown if one.slice.kind is not SliceKind.FACET}


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
            stored[key] = record_members(session, *key, one.members(seqs), known, judged)
    return stored


def _last_recorded(session: Session) -> str:
    """What the last comparison left, "" before the first. Others that would record wait until the
    transaction ends: each writes what differs from what the one before it left.
    """
    hold_collections(session)
    return get_fact(session, RECORDED) or ""


def _left(project: Project, token: str, made: Producers) -> Recorded | None:
    """What the last comparison left, where it was by these producers: of frames that came in since,
    others have not seen all.
    """
    return open_recorded(recorded_folder(project), token) if _is_of(token, made) else None


def recorded_folder(project: Project) -> Path:
    """Where it is kept what the last comparison left."""
    return project.indexes / "slices"


def _before(session: Session, left: Recorded | None, found: Comparison) -> Recorded | None:
    """What is stored, frames that came in since the last comparison included; None: to be read."""
    if left is None:
        return None
    new = ~np.isin(found.production.seq, left.frames)
    groups = np.unique(found.production.group[new])
    return as_stored(session, left, found.production.seq[new], groups)


def class_slices(rows: Sequence[SliceRow], classes: Sequence[str]) -> dict[int, str]:
    """The class of each of these slices that is of one, by id, whatever it is called."""
    names = {slice_key(CLASS, name): name for name in classes}
    return {row.id: names[row.key] for row in rows if row.key in names}


def _identified(project: Project, embedder: int, found: list[Region]) -> list[Region]:
    """Each with the key and the name of the region that it is; those that are new are made."""
    if not found:
        return []
    with write(project.engine) as session:
        stored = slices(session, [SliceKind.REGION])
        keys = keys_of_regions([region.center for region in found], _known_regions(stored, embedder))
        keyed = [replace(region, key=key) for region, key in zip(found, keys, strict=True)]
        ids = {row.key: row.id for row in stored}
        new = [region_slice(region, embedder) for region in keyed if region.key not in ids]
        ids |= define_slices(session, [OF_REGIONS, *new])
        named = [replace(region, name=f"region {ids[region.key]}{region.said}") for region in keyed]
        define_slices(session, [region_slice(region, embedder) for region in named])
    return named


def _known_regions(stored: Sequence[SliceRow], embedder: int) -> list[KnownRegion]:
    return [
        KnownRegion(row.key, np.array(row.definition["center"], dtype=np.float32))
        for row in stored
        if row.definition.get("embedder") == embedder
    ]


def _state(found: Comparison, made: Producers, shown: Sequence[Shown]) -> str:
    """Changes whenever a member or a count could."""
    digest = hashlib.blake2b(
        repr((made, [(one.slice, len(one.rows)) for one in shown])).encode(), digest_size=32
    )
    rows = [one.rows for one in shown if one.slice.kind is not SliceKind.FACET]
    rows += [one.besides.frames for one in shown if one.besides is not None]
    for each in (found.production.seq, found.production.group, found.training.seq, *rows):
        digest.update(each.tobytes())
    return f"{_of(made)} {digest.hexdigest()}"


def _is_of(token: str, made: Producers) -> bool:
    return token.startswith(f"{_of(made)} ")


def _producers(made: Producers) -> tuple[int, int, int]:
    return made.embedder, made.detector, made.measure


def _of(made: Producers) -> str:
    return f"{made.embedder}/{made.detector}/{made.measure}"
