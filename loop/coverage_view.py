"""What production shows and the training set lacks, gathered from the database: the view that gaps, selection and rounds share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectors.ports import Array, Progress
from connectors.sources.metadata import zone
from db.analysis import (
    StoredDetections,
    embedded_ids,
    load_detections,
)
from db.engine import read
from db.frames import FrameRow, frames
from db.index import open_index
from db.labels import LabelRow, labels
from db.progress import Backlog, backlog
from db.states import Origin
from loop import current
from loop.coverage.conditions import Conditions, load_conditions
from loop.coverage.facets import Facet, daypart_names, measured_facets, metadata_facet, prompt_facet
from loop.coverage.gaps import (
    Candidate,
    Gap,
    candidates_of,
    class_candidates,
    frame_confidence,
    rank_gaps,
)
from loop.coverage.merging import merge_overlapping
from loop.coverage.prompts import assign, smooth_by_sequence
from loop.coverage.regions import (
    Novelty,
    Region,
    TrainingSet,
    find_regions,
    measure_novelty,
    region_candidates,
)
from loop.coverage.strata import Strata, strata_of
from loop.errors import ProjectError
from loop.ingest import UNKNOWN
from loop.settings import Settings
from loop.sides import Side, load_side
from loop.wiring import Parts, resolve

Ints = NDArray[np.int64]
Reals = NDArray[np.float64]
SWITCHES = ("prompts", "metadata", "measured", "regions")


@dataclass(frozen=True, eq=False)
class CoverageView:
    """production and training side by side, their gaps worst first, and one stratum per production frame.

    detections: by production row. embedder, detector: producers whose facts these are; nothing of others is in here.
    backlog: how much of production they have seen. unknown_words: of the conditions' sentences, to the embedder.
    compared: the switches of `gaps` that are on.
    """

    production: Side
    training: Side
    detections: list[StoredDetections]
    classes: tuple[str, ...]
    boxes_per_class: Ints
    facets: list[Facet]
    novelty: Novelty
    regions: list[Region]
    gaps: list[Gap]
    strata: Strata
    embedder: int
    detector: int
    backlog: Backlog
    unknown_words: tuple[str, ...]
    compared: tuple[str, ...]

    @property
    def note(self) -> str:
        """Says so where only a part of production is in here, or a condition's sentence is not understood."""
        unread = (
            f"the embedder does not know the words {', '.join(self.unknown_words)}: conditions that use them mean less than they say"
            if self.unknown_words
            else ""
        )
        return "; ".join(part for part in (current.said(self.backlog), unread) if part)

    def conditions_of(self, row: int) -> dict[str, str]:
        """What is known of a production frame: facet name -> option."""
        found = {}
        for facet in self.facets:
            option = int(facet.production[row])
            if option >= 0:
                found[facet.name] = facet.options[option]
        return found


def build(parts: Parts, progress: Progress) -> CoverageView:
    """Compares everything analyzed by the current models. Raises ProjectError when there is nothing to compare yet."""
    project, settings = parts.project, parts.project.settings
    progress(0, 4, "loading frames")
    both = _load(parts)
    production, training = both.production, both.training
    progress(1, 4, "searching the index")
    index = open_index(project.engine, both.embedder, project.indexes / "training.faiss", _ids(training))
    members = TrainingSet(_ids(training), training.vectors, training.sequence)
    novelty, own = measure_novelty(production.vectors, members, index.search, settings.gaps.neighbors)
    progress(2, 4, "reading conditions")
    conditions = load_conditions(resolve(project, settings.conditions) if settings.conditions else None)
    sentences = conditions.sentences() if settings.gaps.prompts else ()
    texts = dict(zip(sentences, parts.embedder().embed_text(sentences), strict=True)) if sentences else {}
    facets = _facets(parts, conditions, production, training, texts)
    named = _named_vectors(conditions, texts)
    found = (
        find_regions(production.vectors, novelty, own, production.sequence, named)
        if settings.gaps.regions
        else []
    )
    progress(3, 4, "ranking gaps")
    boxes, frames_with = _class_counts(both.labels, training.rows, project.classes)
    scores = class_maxima(both.detections, len(project.classes))
    classes = class_candidates(project.classes, boxes, frames_with, len(training), scores)
    conditioned = [candidate for facet in facets for candidate in candidates_of(facet)]
    gaps = _ranked(settings, both, [*conditioned, *region_candidates(found), *classes])
    progress(4, 4, "done")
    return CoverageView(
        production=production,
        training=training,
        detections=both.detections,
        classes=project.classes,
        boxes_per_class=boxes,
        facets=facets,
        novelty=novelty,
        regions=found,
        gaps=gaps,
        strata=strata_of(gaps, len(production)),
        embedder=both.embedder,
        detector=both.detector,
        backlog=both.backlog,
        unknown_words=parts.embedder().unknown_words(sentences),
        compared=tuple(switch for switch in SWITCHES if getattr(settings.gaps, switch)),
    )


def lines(view: CoverageView) -> list[str]:
    """The gaps for people, worst first."""
    counts = f"{len(view.production)} production frames against {len(view.training)} training frames"
    head = [counts, *([view.note] if view.note else [])]
    if not view.compared:
        off = ", ".join(f"gaps.{switch}" for switch in SWITCHES)
        head.append(f"nothing was compared but the classes: {off} are all off; set one of them to true")
    elif not view.gaps:
        head.append(
            "no gap: production looks like the training set in every condition that was compared "
            f"({', '.join(view.compared)})"
        )
    return [*head, *(_line(place, gap) for place, gap in enumerate(view.gaps, 1))]


def _line(place: int, gap: Gap) -> str:
    interval = f"95 % interval {gap.interval[0]:.1%} to {gap.interval[1]:.1%}, {gap.groups} camera-days"
    certainty = interval if gap.groups > 1 else "one camera-day only: no interval"
    return f"{place:>2}  {gap.why} ({certainty})" + (f"; also {', '.join(gap.also)}" if gap.also else "")


def as_json(view: CoverageView) -> dict[str, Any]:
    """The gaps for programs; frames by path below the store."""
    return {
        "production_frames": len(view.production),
        "production_frames_to_analyze": view.backlog.waiting,
        "note": view.note,
        "training_frames": len(view.training),
        "compared": list(view.compared),
        "gaps": [
            {
                "name": gap.name,
                "kind": gap.kind,
                "why": gap.why,
                "production_share": gap.production_share,
                "training_share": gap.training_share,
                "interval": list(gap.interval),
                "deficit": gap.deficit,
                "confidence_inside": gap.confidence_inside,
                "confidence_elsewhere": gap.confidence_elsewhere,
                "score": gap.score,
                "groups": gap.groups,
                "frames": len(gap.frames),
                "also": list(gap.also),
                "examples": [view.production.rows[row].path for row in gap.frames[:12]],
            }
            for gap in view.gaps
        ],
    }


def class_maxima(detections: Sequence[StoredDetections], classes: int) -> Reals:
    """(N, C) the highest score of each class in each frame, before suppression where it is known."""
    maxima = np.zeros((len(detections), classes))
    for row, found in enumerate(detections):
        if len(found.confidence) and found.class_scores is not None:
            maxima[row] = found.class_scores.max(axis=0)
        elif len(found.confidence):
            np.maximum.at(maxima[row], found.class_id, found.confidence)
    return maxima


@dataclass(frozen=True, eq=False)
class _Both:
    """Both sides as the database has them, with what was found in production and is held true of the training set."""

    embedder: int
    detector: int
    backlog: Backlog
    production: Side
    training: Side
    detections: list[StoredDetections]
    labels: dict[int, LabelRow]


def _load(parts: Parts) -> _Both:
    project, made = parts.project, current.producers(parts)
    with read(project.engine) as session:
        known = labels(session, purpose="train")
        embedded = set(embedded_ids(session, made.embedder).tolist())
        training = [row for row in frames(session, seqs=sorted(known)) if row.seq in embedded]
        seen = [row for row in frames(session, origin=Origin.PRODUCTION) if row.seq in embedded]
        found = load_detections(session, made.detector, [row.seq for row in seen])
        production = [row for row in seen if row.seq in found]
        known_backlog = backlog(session, made.embedder, made.detector)
        _check_sides(production, training, known_backlog)
        return _Both(
            made.embedder,
            made.detector,
            known_backlog,
            load_side(session, production, made.embedder, made.measure),
            load_side(session, training, made.embedder, made.measure),
            [found[row.seq] for row in production],
            known,
        )


def _named_vectors(conditions: Conditions, texts: dict[str, Array]) -> list[tuple[str, Array]]:
    """The first sentence of every option, to name regions by; none without prompts."""
    if not texts:
        return []
    pairs = [pair for group in conditions.groups for pair in zip(group.options, group.prompts, strict=True)]
    return [(option, texts[sentences[0]]) for option, sentences in pairs]


def _ranked(settings: Settings, both: _Both, candidates: Sequence[Candidate]) -> list[Gap]:
    confidence = frame_confidence([each.confidence for each in both.detections])
    ranked = rank_gaps(
        candidates,
        both.production.group,
        confidence,
        min_share=settings.gaps.min_share,
        max_share=settings.gaps.max_share,
        seed=settings.seed,
    )
    return merge_overlapping(ranked, len(both.production))


def _check_sides(
    production: Sequence[FrameRow], training: Sequence[FrameRow], known_backlog: Backlog
) -> None:
    arrived = known_backlog.production
    for rows, what, found, command in (
        (training, "training", "none", "analyze"),
        (
            production,
            "production",
            f"0 of {arrived}" if arrived else "none",
            "analyze" if arrived else "ingest, then analyze",
        ),
    ):
        if not rows:
            raise ProjectError(
                f"expected {what} frames analyzed by the current models, found {found}; run `fieldloop {command}` first"
            )


def _ids(side: Side) -> Ints:
    return np.array([row.seq for row in side.rows], dtype=np.int64)


def _facets(
    parts: Parts, conditions: Conditions, production: Side, training: Side, texts: dict[str, Array]
) -> list[Facet]:
    chosen = parts.project.settings.gaps
    found: list[Facet] = []
    if chosen.metadata:
        local = zone(parts.project.settings.frames.timezone)
        found += [
            _metadata(column, conditions, production, training, local) for column in conditions.metadata
        ]
    if chosen.measured:
        cameras = [_cameras(production), _cameras(training)]
        found += measured_facets(conditions.bins, production.measures, training.measures, *cameras)
    if chosen.prompts:
        scale = parts.embedder().logit_scale
        for group in conditions.groups:
            here, there = (
                smooth_by_sequence(assign(side.vectors, group, texts, scale), group, side.sequence)
                for side in (production, training)
            )
            found.append(prompt_facet(group, here, there))
    return found


def _metadata(column: str, conditions: Conditions, production: Side, training: Side, local: tzinfo) -> Facet:
    values = [_column(column, conditions, side, local) for side in (production, training)]
    return metadata_facet(column, *values)


def _column(column: str, conditions: Conditions, side: Side, local: tzinfo) -> list[str | None]:
    if column == "daypart":
        hours = np.array([_hour(row.captured_at, local) for row in side.rows], dtype=np.float64)
        return daypart_names(hours, conditions.dayparts)
    values = _cameras(side) if column == "camera" else [row.site for row in side.rows]
    return [None if value == UNKNOWN else value for value in values]


def _hour(captured_at: datetime | None, local: tzinfo) -> float:
    if captured_at is None:
        return float("nan")
    clock = captured_at.astimezone(local)
    return clock.hour + clock.minute / 60


def _cameras(side: Side) -> list[str | None]:
    return [row.camera for row in side.rows]


def _class_counts(
    known: dict[int, LabelRow], rows: Sequence[FrameRow], classes: Sequence[str]
) -> tuple[Ints, Ints]:
    """(boxes, frames with one) of each class in the training labels."""
    index = {name: i for i, name in enumerate(classes)}
    boxes, with_one = np.zeros(len(classes), dtype=np.int64), np.zeros(len(classes), dtype=np.int64)
    for row in rows:
        ids = [index[box.class_name] for box in known[row.seq].boxes if box.class_name in index]
        np.add.at(boxes, ids, 1)
        with_one[sorted(set(ids))] += 1
    return boxes, with_one
