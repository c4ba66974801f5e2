"""What production shows and the training set lacks, gathered from the database: the view that gaps,
selection and rounds share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from connectors.ports import Detections, Embedder, Progress, Purpose
from connectors.times import zone
from db.analysis import embedded_ids
from db.engine import read
from db.frames import FrameRow, frames
from db.index import open_index
from db.labels import LabelRow, labels
from db.progress import Backlog, backlog
from db.states import Origin
from loop.analysis import producers
from loop.analysis.load import StoredDetections, load_frame_boxes, load_side
from loop.analysis.producers import Producers
from loop.base.arrays import Ints
from loop.base.errors import ProjectError
from loop.gaps import slices
from loop.math.coverage.comparison import Comparison, Evidence, GapSettings, Words, compare
from loop.math.coverage.gaps import Gap
from loop.project.wiring import Parts, resolve
from loop.settings.conditions import Conditions, load_conditions
from loop.settings.settings import Settings

SWITCHES = ("prompts", "metadata", "measured", "regions")
FEW_UNLIKE = 0.02
"""Up to this share it goes unsaid: an embedder that can tell errs on one known frame in a hundred."""


@dataclass(frozen=True, eq=False)
class CoverageView(Comparison):
    """The comparison of what the current models have analyzed.

    frames, training_frames: the rows of `production` and of `training` as they are stored.
    detections: by production row.
    made: producers whose facts these are; nothing of others is in here.
    backlog: how much of production they have seen. unknown_words: of the conditions' sentences, to
    the embedder.
    compared: the switches of `gaps` that are on. slice_ids: by key, of every slice that is in here.
    """

    frames: list[FrameRow]
    training_frames: list[FrameRow]
    detections: Sequence[Detections]
    made: Producers
    slice_ids: dict[str, int]
    backlog: Backlog
    unknown_words: tuple[str, ...]
    compared: tuple[str, ...]

    @property
    def embedder(self) -> int:
        return self.made.embedder

    @property
    def detector(self) -> int:
        return self.made.detector

    @property
    def note(self) -> str:
        """Says so where only a part of production is in here, where a condition's sentence is not
        understood, or of which frames no sentence says anything.
        """
        unread = (
            f"the embedder does not know the words {', '.join(self.unknown_words)}: conditions that use them"
            " mean less than they say"
            if self.unknown_words
            else ""
        )
        return "; ".join(
            part for part in (producers.said(self.backlog), unread, self._unknown_frames()) if part
        )

    def _unknown_frames(self) -> str:
        if "prompts" not in self.compared or self.unlike.mean() <= FEW_UNLIKE:
            return ""
        return (
            f"{self.unlike.mean():.0%} of production frames are unlike anything that this CLIP was trained"
            " on: conditions by prompts say nothing about them; take real CLIP (embedder.model ViT-B-32 with"
            " embedder.pretrained laion2b_s34b_b79k, or embedder.model a folder with its weights), then run"
            " `fieldloop analyze`"
        )


def build(parts: Parts, progress: Progress) -> CoverageView:
    """Compares everything analyzed by the current models. Raises ProjectError when there is nothing
    to compare yet.
    """
    project, settings = parts.project, parts.project.settings
    progress(0, 3, "loading frames")
    loaded = _load(parts)
    progress(1, 3, "reading conditions")
    words = _words(parts)
    progress(2, 3, "comparing")
    training = loaded.evidence.training.seq
    index = open_index(project.engine, loaded.made.embedder, project.indexes / "training.faiss", training)
    local = zone(settings.frames.timezone)
    known = slices.known_slices(project, loaded.made.embedder)
    found = compare(loaded.evidence, words, index.search, gap_settings(settings), local, settings.seed, known)
    slice_ids = slices.record(project, found, words.conditions, loaded.made)
    progress(3, 3, "done")
    return CoverageView(
        **vars(found),
        frames=loaded.frames,
        training_frames=loaded.training_frames,
        detections=StoredDetections(project.engine, loaded.made.detector, found.production.seq),
        made=loaded.made,
        slice_ids=slice_ids,
        backlog=loaded.backlog,
        unknown_words=words.unknown,
        compared=tuple(switch for switch in SWITCHES if getattr(settings.gaps, switch)),
    )


def words_of(embedder: Embedder, conditions: Conditions, settings: Settings) -> Words:
    """The conditions as the embedder reads them."""
    sentences = conditions.sentences() if settings.gaps.prompts else ()
    vectors = dict(zip(sentences, embedder.embed_text(sentences), strict=True)) if sentences else {}
    return Words(
        conditions, vectors, embedder.logit_scale, embedder.unknown_words(sentences), embedder.unlike
    )


def gap_settings(settings: Settings) -> GapSettings:
    """The section `gaps` of a project's settings."""
    return GapSettings(**settings.gaps.model_dump())


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
        "production_frames_unlike": int(view.unlike.sum()),
        "note": view.note,
        "training_frames": len(view.training),
        "compared": list(view.compared),
        "gaps": [
            {
                "slice_id": view.slice_ids[gap.key],
                "name": gap.name,
                "kind": gap.kind,
                "why": gap.why,
                "production_share": gap.production_share,
                "training_share": gap.training_share,
                "training_known": gap.training_known,
                "interval": list(gap.interval),
                "deficit": gap.deficit,
                "confidence_inside": gap.confidence_inside,
                "confidence_elsewhere": gap.confidence_elsewhere,
                "score": gap.score,
                "groups": gap.groups,
                "frames": len(gap.frames),
                "also": list(gap.also),
                "examples": [view.frames[row].path for row in gap.frames[:12]],
            }
            for gap in view.gaps
        ],
    }


@dataclass(frozen=True, eq=False)
class _Loaded:
    evidence: Evidence
    frames: list[FrameRow]
    training_frames: list[FrameRow]
    made: Producers
    backlog: Backlog


def _load(parts: Parts) -> _Loaded:
    project, made = parts.project, producers.producers(parts)
    with read(project.engine) as session:
        known = labels(session, purpose=Purpose.TRAIN)
        embedded = set(embedded_ids(session, made.embedder).tolist())
        training = [row for row in frames(session, seqs=sorted(known)) if row.seq in embedded]
        seen = [row for row in frames(session, origin=Origin.PRODUCTION) if row.seq in embedded]
        wanted = np.array([row.seq for row in seen], dtype=np.int64)
        looked_at, boxes = load_frame_boxes(session, made.detector, wanted)
        with_boxes = set(looked_at.tolist())
        production = [row for row in seen if row.seq in with_boxes]
        known_backlog = backlog(session, made.embedder, made.detector)
        _check_sides(production, training, known_backlog)
        evidence = Evidence(
            load_side(session, production, made.embedder, made.measure),
            load_side(session, training, made.embedder, made.measure),
            boxes,
            _class_ids(known, training, project.classes),
            project.classes,
        )
    return _Loaded(evidence, production, training, made, known_backlog)


def _words(parts: Parts) -> Words:
    project, settings = parts.project, parts.project.settings
    conditions = load_conditions(resolve(project, settings.conditions) if settings.conditions else None)
    return words_of(parts.embedder(), conditions, settings)


def _class_ids(known: dict[int, LabelRow], rows: Sequence[FrameRow], classes: Sequence[str]) -> list[Ints]:
    """By training frame, the class of each of its boxes."""
    index = {name: i for i, name in enumerate(classes)}
    return [
        np.array(
            [index[box.class_name] for box in known[row.seq].boxes if box.class_name in index], dtype=np.int64
        )
        for row in rows
    ]


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
                f"expected {what} frames analyzed by the current models, found {found}; run `fieldloop"
                f" {command}` first"
            )
