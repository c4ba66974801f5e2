"""Production beside the training set, from arrays alone: no database, no network, no model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from connectors.ports import Array
from loop.base.arrays import Bools, Ints, Reals
from loop.math.boxes.frame_boxes import FrameBoxes
from loop.math.coverage.facets import (
    UNKNOWN,
    Facet,
    by_daypart,
    measured_facets,
    metadata_facet,
    prompt_facet,
)
from loop.math.coverage.frame_arrays import Named, Side, Vectors
from loop.math.coverage.frame_slices import FrameSlices, frame_slices_of
from loop.math.coverage.gaps import (
    Candidate,
    Gap,
    LabeledScores,
    by_camera,
    candidates_of,
    class_candidates,
    rank_gaps,
)
from loop.math.coverage.overlap import merge_overlapping
from loop.math.coverage.prompts import Assignment, assign, option_vectors, similarities, smooth_by_sequence
from loop.math.coverage.regions import (
    ALIKE,
    Nearest,
    Novelty,
    Region,
    TrainingSet,
    find_regions,
    independent_groups,
    measure_novelty,
    region_candidates,
    told_apart,
)
from loop.settings.conditions import Conditions, PromptGroup
from samplers.expected_loss import expected_loss, missed_objects

QUARTER = 900.0
"""Seconds."""


class GapSettings(Protocol):
    """What is compared, and from when on a difference is a gap; the section `gaps` of a project's
    settings is such, and the defaults stand there.

    neighbors: training frames that tell how novel a frame is.
    min_share: of production, below which nothing is a gap.
    max_share: of production, above which a condition is usual.
    prompts, metadata, measured, regions: kinds of conditions that are compared.
    """

    neighbors: int
    min_share: float
    max_share: float
    prompts: bool
    metadata: bool
    measured: bool
    regions: bool


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of both sides.

    boxes: by production row.
    labeled: by training row, the class ids of its boxes, (B,) int64 each.
    imported: (M,) bool, training rows that came with the set that was imported.
    seen: what the detector says of labeled frames.
    """

    production: Side
    training: Side
    boxes: FrameBoxes
    labeled: Sequence[Ints]
    imported: Bools
    seen: LabeledScores
    classes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Words:
    """The conditions and their sentences as the embedder reads them.

    vectors: (D,) unit norm by sentence, empty where prompts are off.
    logit_scale: the embedder's own.
    unknown: words it never met.
    similar: (N, T) cosine of vectors (N, D) and texts (T, D).
    """

    conditions: Conditions
    vectors: Mapping[str, Array]
    logit_scale: float
    unknown: tuple[str, ...] = ()
    similar: Callable[[Vectors, Reals], Array] = similarities


def as_found(regions: list[Region]) -> list[Region]:
    """Regions as they were found, numbered by size, where none were known before."""
    return regions


@dataclass(frozen=True, eq=False)
class KnownSlices:
    """What is known of slices.

    names: what users call them, by key.
    retired: keys of those no longer looked for.
    identify: gives regions that were found the keys and names of those they are.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    retired: frozenset[str] = frozenset()
    identify: Callable[[list[Region]], list[Region]] = as_found


@dataclass(frozen=True, eq=False)
class Comparison:
    """Both sides, their gaps worst first, and one slice per production frame.

    scores: (N, C) the highest of each class in each production frame.
    boxes_per_class, frames_per_class: (C,) labeled in the training set.
    missed: (N,) objects that the detector seems to have missed in each production frame, by what
    the training frames nearest to it show.
    """

    production: Side
    training: Side
    boxes: FrameBoxes
    scores: Reals
    classes: tuple[str, ...]
    boxes_per_class: Ints
    frames_per_class: Ints
    facets: list[Facet]
    novelty: Novelty
    regions: list[Region]
    gaps: list[Gap]
    frame_slices: FrameSlices
    missed: Reals

    def conditions_of(self, row: int) -> dict[str, str]:
        """What is known of a production frame: facet name -> option."""
        found = {}
        for facet in self.facets:
            option = int(facet.production[row])
            if option >= 0:
                found[facet.name] = facet.options[option]
        return found


def compare(
    known: Evidence,
    words: Words,
    nearest: Nearest,
    settings: GapSettings,
    local: tzinfo,
    seed: int,
    slices: KnownSlices = KnownSlices(),
) -> Comparison:
    """The comparison that gaps, selection and rounds share.

    nearest: frames of the training set.
    local: the zone in which dayparts are meant.
    slices: what users call them, and which are known already.
    """
    production, training = known.production, known.training
    members = told_apart(
        TrainingSet(training.seq, training.vectors, training.sequence), nearest, settings.neighbors
    )
    group = independent_groups(members, training.group, nearest.training)
    novelty, own = measure_novelty(production.vectors, members, nearest, settings.neighbors)
    facets = facets_of(production, training, words, settings, local)
    named = _named_vectors(words)
    regions = (
        slices.identify(
            find_regions(
                production.vectors,
                novelty,
                own,
                production.sequence,
                named,
                facets,
                unlike=production.doubtful,
            )
        )
        if settings.regions
        else []
    )
    boxes, frames_with = _class_counts(known.labeled, len(known.classes))
    scores = known.boxes.class_maxima(len(known.classes))
    classes = class_candidates(known.classes, boxes, frames_with, len(training), scores, known.seen)
    conditioned = [one for facet in facets for one in candidates_of(facet, group, known.imported)]
    conditioned = [
        by_camera(one, production.camera, training.camera) if one.kind == "measured" else one
        for one in conditioned
    ]
    every = [*conditioned, *region_candidates(regions, group), *classes]
    missed = _missed(known, nearest.production.rows[:, :ALIKE])
    gaps = _ranked(
        known,
        [_called(one, slices) for one in every if one.key not in slices.retired],
        expected_loss(known.boxes.scores, missed=missed),
        settings,
        seed,
    )
    return Comparison(
        production=production,
        training=training,
        boxes=known.boxes,
        scores=scores,
        classes=known.classes,
        boxes_per_class=boxes,
        frames_per_class=frames_with,
        facets=facets,
        novelty=novelty,
        regions=regions,
        gaps=gaps,
        frame_slices=frame_slices_of(gaps, len(production)),
        missed=missed,
    )


def _called(candidate: Candidate, slices: KnownSlices) -> Candidate:
    """By the name that a user gave."""
    name = slices.names.get(candidate.key)
    return replace(candidate, name=name, label=name) if name else candidate


def _named_vectors(words: Words) -> list[tuple[str, Array]]:
    """The first sentence of every option, to name regions by; none without prompts."""
    if not words.vectors:
        return []
    groups = words.conditions.groups
    pairs = [pair for group in groups for pair in zip(group.options, group.prompts, strict=True)]
    return [(option, words.vectors[sentences[0]]) for option, sentences in pairs]


def _ranked(
    known: Evidence, candidates: Sequence[Candidate], loss: Reals, settings: GapSettings, seed: int
) -> list[Gap]:
    ranked = rank_gaps(
        candidates,
        known.production.group,
        loss,
        min_share=settings.min_share,
        max_share=settings.max_share,
        seed=seed,
    )
    return merge_overlapping(ranked, len(known.production))


def _missed(known: Evidence, rows: NDArray[np.integer]) -> Reals:
    """rows: (N, k) the training frames nearest to each production frame, -1 for none."""
    objects = np.array([*(len(ids) for ids in known.labeled), np.inf])
    return missed_objects(known.boxes.scores, objects[rows])


def facets_of(
    production: Side, training: Side, words: Words, settings: GapSettings, local: tzinfo
) -> list[Facet]:
    """Every way of dividing the frames of both sides that the settings ask for."""
    conditions = words.conditions
    found: list[Facet] = []
    if settings.metadata:
        found += [
            _metadata(column, conditions, production, training, local) for column in conditions.metadata
        ]
    if settings.measured:
        cameras = production.by_camera, training.by_camera
        found += measured_facets(
            conditions.bins, production.measures, training.measures, *cameras, training.group
        )
    if settings.prompts and conditions.groups:
        sides = [_assigned(side, conditions.groups, words) for side in (production, training)]
        for group, here, there in zip(conditions.groups, *sides, strict=True):
            found.append(prompt_facet(group, here, there))
    return found


def _assigned(side: Side, groups: Sequence[PromptGroup], words: Words) -> Iterator[Assignment]:
    """One group after another, all in one pass over the vectors. What is doubtful is unknown."""
    texts = [option_vectors(group, words.vectors) for group in groups]
    similar, doubtful = words.similar(side.vectors, np.concatenate(texts)), side.doubtful
    places = np.cumsum([len(rows) for rows in texts])[:-1]
    for group, own in zip(groups, np.split(similar, places, axis=1), strict=True):
        alone = assign(own, group, words.logit_scale, side.unlike)
        together = smooth_by_sequence(alone, group, side.sequence)
        yield replace(together, option=np.where(doubtful, UNKNOWN, together.option))


def _metadata(column: str, conditions: Conditions, production: Side, training: Side, local: tzinfo) -> Facet:
    here, there = (_column(column, conditions, side, local) for side in (production, training))
    return metadata_facet(column, here, there, conditions.daypart_ids if column == "daypart" else None)


def _column(column: str, conditions: Conditions, side: Side, local: tzinfo) -> Named:
    if column == "daypart":
        return by_daypart(hours_of(side.captured_at, local), conditions.dayparts)
    return side.by_camera if column == "camera" else side.by_site


def hours_of(captured_at: Reals, local: tzinfo) -> Reals:
    """(N,) hour and minute of the day in 0..24 where the clock shows `local`, NaN for unknown.

    captured_at: (N,) seconds since 1970, NaN for unknown.
    """
    hours = np.full(len(captured_at), np.nan)
    known = np.isfinite(captured_at)
    # Clocks are put forward and back at whole quarters of an hour: within one, the offset is the same.
    quarters, place = np.unique(np.floor(captured_at[known] / QUARTER), return_inverse=True)
    offsets = np.array([_offset(quarter * QUARTER, local) for quarter in quarters.tolist()], dtype=np.float64)
    minutes = np.floor((captured_at[known] + offsets[place]) / 60) % (24 * 60)
    hours[known] = minutes / 60
    return hours


def _offset(seconds: float, local: tzinfo) -> float:
    offset = datetime.fromtimestamp(seconds, local).utcoffset()
    return offset.total_seconds() if offset else 0.0


def _class_counts(labeled: Sequence[Ints], classes: int) -> tuple[Ints, Ints]:
    """(boxes, frames with one) of each class in the training labels."""
    boxes, with_one = np.zeros(classes, dtype=np.int64), np.zeros(classes, dtype=np.int64)
    for ids in labeled:
        np.add.at(boxes, ids, 1)
        with_one[np.unique(ids)] += 1
    return boxes, with_one
