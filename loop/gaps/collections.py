"""Which frames are in which collections: by the rules of each, by its examples, and by what the
training set teaches of usual frames.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, assert_never

import numpy as np
from sqlalchemy.orm import Session

from connectors.ports import Array, Embedder
from connectors.times import zone
from db.analysis import load_embeddings, producer
from db.engine import read, write
from db.errors import StateError
from db.frame_columns import corners_view, synced
from db.sentences import load_sentences, record_sentences
from db.slice_members import Members
from db.slices import NewSlice, SliceRow, slice_by_id, slices
from db.states import Origin, SliceKind
from loop.analysis.load import load_corners
from loop.analysis.producers import LOGIT_SCALE, Producers
from loop.base.arrays import Bools, Ints, Reals
from loop.gaps.shown import Shown, of_all
from loop.gaps.words import read_sentences
from loop.math.coverage.box_cases import (
    Corners,
    box_counts,
    oddness,
    overlapped_share,
    touching_share,
    usual_ratios,
)
from loop.math.coverage.facets import slice_key
from loop.math.coverage.frame_arrays import Side, Vectors
from loop.math.coverage.likeness import Likeness, likeness
from loop.math.coverage.prompts import assign, option_vectors, similarities, smooth_by_sequence
from loop.math.coverage.usual_values import spreads_above, usual_values
from loop.project.project import Project
from loop.settings.collections import (
    Address,
    AllOf,
    Crowd,
    Definition,
    Measured,
    OfSlice,
    Orientation,
    Overlap,
    Rule,
    Sentence,
    Touching,
    as_stored,
    built_in,
    definition_of,
    flat,
    stored_rule,
)
from loop.settings.conditions import PromptGroup

COLLECTION = "collection"
OF_COLLECTIONS = NewSlice(COLLECTION, SliceKind.FACET, COLLECTION)
"""Every frame is asked for each, so that the share of a collection is one of all frames."""
SAYS_NOTHING = ("a photo", "a scene", "an image")
"""What a sentence competes with."""
EXAMPLES = "examples"
OTHERS = 4000
"""Frames drawn at random that examples are told from."""
Inside = tuple[Bools, Reals]
"""(N,) who is in, and how clearly."""
Showing = tuple[Ints, Reals]
"""(K,) rows of frames that show a slice, and how clearly."""


@dataclass(frozen=True)
class Collection:
    """One as it is defined. name: as it was defined, whatever a user calls it."""

    key: str
    name: str
    definition: Definition
    retired: bool = False

    def as_slice(self) -> NewSlice:
        return NewSlice(
            self.key, SliceKind.COLLECTION, self.name, OF_COLLECTIONS.key, as_stored(self.definition)
        )


def defined(session: Session) -> list[Collection]:
    """Those that are stored and those that are built in, with the rules that these have now."""
    stored = {row.key: _stored(row) for row in slices(session, [SliceKind.COLLECTION])}
    ours = {}
    for name, definition in built_in().items():
        key = slice_key(COLLECTION, name)
        was = stored.get(key)
        if was is None:
            ours[key] = Collection(key, name, definition)
        else:
            ours[key] = replace(was, definition=replace(was.definition, rules=definition.rules))
    return list((ours | {key: one for key, one in stored.items() if key not in ours}).values())


def one_defined(session: Session, slice_id: int) -> Collection:
    """Raises StateError where that is no collection."""
    row = slice_by_id(session, slice_id)
    if row.kind is not SliceKind.COLLECTION:
        raise StateError(
            f"expected the number of a collection, got {slice_id}, a slice of kind {row.kind};"
            " `fieldloop collections` lists them"
        )
    return next(one for one in defined(session) if one.key == row.key)


def _stored(row: SliceRow) -> Collection:
    return Collection(
        row.key, row.defined_name, definition_of(row.definition), retired=row.retired_at is not None
    )


def slices_asked(session: Session, definition: Definition) -> list[SliceRow]:
    """The slices that its rules name."""
    keys = {rule.key for rule in flat(definition.rules) if isinstance(rule, OfSlice)}
    numbers = {
        int(number)
        for rule in flat(definition.rules)
        if isinstance(rule, Address)
        for number in (*rule.values("slice"), *rule.values("not_slice"))
    }
    return [row for row in slices(session) if row.key in keys or row.id in numbers]


def sentences_of(found: Sequence[Collection]) -> tuple[str, ...]:
    """What an embedder has to read for these, each once."""
    asked = [rule.text for one in found for rule in flat(one.definition.rules) if isinstance(rule, Sentence)]
    return tuple(dict.fromkeys([*asked, *SAYS_NOTHING])) if asked else ()


def read_new_sentences(project: Project, made: Producers, embedder: Callable[[], Embedder]) -> None:
    """Lets the embedder read what it has not read yet; it is asked for only then."""
    with read(project.engine) as session:
        asked = sentences_of(defined(session))
        known = load_sentences(session, made.embedder, asked)
    if new := [text for text in asked if text not in known]:
        fresh = read_sentences(embedder(), new)
        with write(project.engine) as session:
            record_sentences(session, made.embedder, fresh)


def gathered(
    project: Project,
    made: Producers,
    side: Side,
    shown: Mapping[str, Showing],
    found: Sequence[Collection],
    beside: tuple[Side, Mapping[str, Showing]] | None = None,
) -> list[Shown]:
    """Every collection that is not retired with the frames that are in it, their facet first.

    side: N production frames. shown: which of them show each other slice, by key.
    beside: the same of imported frames.
    """
    every = np.arange(len(side))
    looked = _Looked(project, made, side, shown)
    there = None if beside is None else _Looked(project, made, *beside, origin=Origin.IMPORTED)
    known = np.ones(len(side), dtype=np.bool_)
    told = [of_all(OF_COLLECTIONS, every, made)]
    for one in found:
        if not one.retired:
            rows, strength = _rows_inside(looked, one.definition)
            besides = None
            if there is not None:
                others, clearly = _rows_inside(there, one.definition)
                besides = Members(there.side.seq[others], clearly)
            told.append(Shown(one.as_slice(), made.measure, rows, strength, known, besides=besides))
    return told


def taught(
    project: Project, made: Producers, training: Side, production: Side, found: Sequence[Collection]
) -> list[Collection]:
    """The same with what training and production teach of limits. What examples teach is kept as long
    as they and the embedder are the same.
    """
    looked = _Looked(project, made, training, {})
    return [
        one if one.retired else replace(one, definition=_taught(looked, production, one.definition))
        for one in found
    ]


@dataclass(frozen=True, eq=False)
class _Looked:
    """What rules look at."""

    project: Project
    made: Producers
    side: Side
    shown: Mapping[str, Showing]
    origin: Origin = Origin.PRODUCTION

    @cached_property
    def key_of(self) -> dict[int, str]:
        """The key of each slice by its id."""
        with read(self.project.engine) as session:
            return {row.id: row.key for row in slices(session)}

    @cached_property
    def corners(self) -> Corners:
        stored = synced(self.project.engine, self.project.indexes, corners_view(self.made.detector))
        return load_corners(stored, self.side.seq)


def _rows_inside(looked: _Looked, definition: Definition) -> Showing:
    inside, strength = _inside(looked, definition)
    rows = np.flatnonzero(inside)
    return rows, strength[rows]


def _inside(looked: _Looked, definition: Definition) -> Inside:
    seqs = looked.side.seq
    inside, strength = np.zeros(len(seqs), dtype=np.bool_), np.zeros(len(seqs))
    every = [_by_rule(looked, rule, definition.learned) for rule in definition.rules]
    if definition.examples and definition.alike and EXAMPLES in definition.learned:
        every.append(_alike(looked, definition.learned[EXAMPLES]))
    for holds, clearly in every:
        inside |= holds
        strength += np.where(holds, clearly, 0.0)
    picked = np.isin(seqs, definition.examples)
    inside |= picked
    strength[picked] = np.maximum(strength[picked], 1.0)
    inside &= ~np.isin(seqs, definition.excluded)
    return inside, strength


def _by_rule(looked: _Looked, rule: Rule, every: Mapping[str, Any]) -> Inside:
    side, learned = looked.side, every.get(_key(rule))
    nobody = np.zeros(len(side), dtype=np.bool_), np.zeros(len(side))
    match rule:
        case OfSlice(key):
            return _showing(looked.shown[key], len(side)) if key in looked.shown else nobody
        case Measured():
            return _beyond(side, rule, learned) if learned else nobody
        case Crowd(at_least):
            counts = box_counts(looked.corners)
            return counts >= at_least, counts / at_least
        case Overlap(covered, share):
            hidden = overlapped_share(looked.corners, covered)
            return (hidden > 0) & (hidden >= share), hidden
        case Touching(gap, share):
            cut = touching_share(looked.corners, gap)
            return (cut > 0) & (cut >= share), cut
        case Orientation(spreads):
            usual = {int(number): (middle, spread) for number, (middle, spread) in (learned or {}).items()}
            far = oddness(looked.corners, usual)
            return far >= spreads, far / spreads
        case Sentence(text):
            return _described(looked, text)
        case Address():
            return _at_address(looked, rule)
        case AllOf(rules):
            inside, strength = zip(*(_by_rule(looked, each, every) for each in rules), strict=True)
            return np.logical_and.reduce(inside), np.minimum.reduce(strength)
        case _:
            assert_never(rule)


def _showing(found: Showing, size: int) -> Inside:
    rows, clearly = found
    inside, strength = np.zeros(size, dtype=np.bool_), np.zeros(size)
    inside[rows], strength[rows] = True, clearly
    return inside, strength


def _at_address(looked: _Looked, rule: Address) -> Inside:
    side, timezone = looked.side, looked.project.settings.frames.timezone
    inside = np.ones(len(side), dtype=np.bool_)
    if origins := rule.values("origin"):
        inside &= looked.origin in origins
    for key, named in (("camera", side.by_camera), ("site", side.by_site)):
        if wanted := rule.values(key):
            inside &= np.array([name in wanted for name in named.names], dtype=np.bool_)[named.code]
    for since in rule.values("from"):
        inside &= side.captured_at >= _seconds(since, timezone)
    for until in rule.values("to"):
        inside &= side.captured_at < _seconds(until, timezone, ends=True)
    for key, wanted_inside in (("slice", True), ("not_slice", False)):
        for number in rule.values(key):
            rows, _ = looked.shown.get(looked.key_of.get(int(number), ""), (np.zeros(0, np.int64), None))
            shows = np.zeros(len(side), dtype=np.bool_)
            shows[rows] = True
            inside &= shows == wanted_inside
    return inside, inside.astype(np.float64)


def _seconds(text: str, timezone: str, ends: bool = False) -> float:
    """Since 1970; of a day its begin in the zone, or with `ends` its end."""
    moment = datetime.fromisoformat(text)
    if ends and len(text) <= len("2026-11-24"):
        moment += timedelta(days=1)
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone(timezone))).timestamp()


def _beyond(side: Side, rule: Measured, learned: Mapping[str, Any]) -> Inside:
    if rule.measure not in side.measures:
        return np.zeros(len(side), dtype=np.bool_), np.zeros(len(side))
    usual = {camera: (middle, spread) for camera, (middle, spread) in learned.items()}
    far = spreads_above(side.measures[rule.measure], side.by_camera, usual)
    far = far if rule.side == "above" else -far
    return far >= rule.spreads, far / rule.spreads


def _described(looked: _Looked, text: str) -> Inside:
    """Zero-shot, as conditions are told: by all frames of a sequence together, against sentences that
    say nothing. What is unlike all that the embedder knows is described by none.
    """
    made, side = looked.made, looked.side
    group = PromptGroup(text, (text,), ((text,),), background=SAYS_NOTHING)
    with read(looked.project.engine) as session:
        read_before = load_sentences(session, made.embedder, (text, *SAYS_NOTHING))
        scale = producer(session, made.embedder).details.get(LOGIT_SCALE)
    if len(read_before) < 1 + len(SAYS_NOTHING) or scale is None:
        return np.zeros(len(side), dtype=np.bool_), np.zeros(len(side))
    texts = option_vectors(group, {sentence: row.vector for sentence, row in read_before.items()})
    alone = assign(similarities(side.vectors, texts), group, float(scale), side.unlike)
    together = smooth_by_sequence(alone, group, side.sequence)
    return (together.option == 0) & ~side.doubtful, together.probability[:, 0]


def _alike(looked: _Looked, learned: Mapping[str, Any]) -> Inside:
    if learned["embedder"] != looked.made.embedder:
        return np.zeros(len(looked.side), dtype=np.bool_), np.zeros(len(looked.side))
    told = Likeness(np.array(learned["toward"]), learned["offset"], learned["limit"], learned["found"])
    near = told.of(looked.side.vectors)
    return near > told.limit, near


def _taught(looked: _Looked, production: Side, definition: Definition) -> Definition:
    learned = {_key(rule): what for rule in flat(definition.rules) if (what := _of_training(looked, rule))}
    if definition.examples and definition.alike:
        learned[EXAMPLES] = _of_examples(looked, production, definition)
    return replace(definition, learned={key: what for key, what in learned.items() if what})


def _of_training(looked: _Looked, rule: Rule) -> Any:
    training = looked.side
    if isinstance(rule, Measured) and rule.measure in training.measures:
        usual = usual_values(training.measures[rule.measure], training.by_camera)
        return {camera: list(each) for camera, each in usual.items()}
    if isinstance(rule, Orientation):
        return {str(number): list(usual) for number, usual in usual_ratios(looked.corners).items()}
    return None


def _of_examples(looked: _Looked, production: Side, definition: Definition) -> dict[str, Any] | None:
    """What the examples teach; what they taught before where they are the same."""
    known = definition.learned.get(EXAMPLES)
    asked = {"embedder": looked.made.embedder, "of": sorted(definition.examples)}
    if known and {name: known.get(name) for name in asked} == asked:
        return dict(known)
    with read(looked.project.engine) as session:
        seqs, vectors = load_embeddings(session, looked.made.embedder, definition.examples)
    others = _at_random(production.seq, production.vectors, seqs, looked.project.settings.seed)
    if not len(seqs) or len(others) < 2:
        return None
    found = likeness(vectors, _bursts(production, seqs), others)
    toward = [float(f"{value:.6g}") for value in found.toward]
    return asked | {"toward": toward, "offset": found.offset, "limit": found.limit, "found": found.found}


def _at_random(seqs: Ints, vectors: Vectors, examples: Ints, seed: int) -> Array:
    rows = np.flatnonzero(~np.isin(seqs, examples))
    drawn = np.random.default_rng([seed, 4]).permutation(rows)[:OTHERS]
    return vectors[np.sort(drawn)]


def _bursts(production: Side, seqs: Ints) -> Ints:
    """(E,) the sequence of each example; one of none, or that is no production frame, is alone."""
    place = np.searchsorted(production.seq, seqs).clip(max=max(len(production) - 1, 0))
    there = production.seq[place] == seqs
    sequence = np.where(there, production.sequence[place], -1)
    alone = -1 - np.arange(len(seqs))
    return np.where(sequence < 0, alone, sequence)


def _key(rule: Rule) -> str:
    return json.dumps(stored_rule(rule), sort_keys=True)
