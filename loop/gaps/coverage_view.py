"""What production shows and the training set lacks, gathered from the database: the view that gaps,
selection and rounds share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np

from connectors.ports import Detections, Progress, Purpose
from connectors.times import zone
from db.engine import read
from db.frames import FrameRow
from db.labels import LabelRow, labels
from db.progress import Backlog, count_damaged
from loop.analysis import producers
from loop.analysis.load import (
    StoredFacts,
    StoredRows,
    load_frame_boxes,
    load_side,
    nearest,
    open_facts,
    stored_detections,
    stored_frames,
)
from loop.analysis.producers import Producers
from loop.base.arrays import Bools, Ints
from loop.base.errors import ProjectError
from loop.base.wording import counted
from loop.gaps import coverage_facts, slices
from loop.gaps.closing import Closing, closing, labels_that_count
from loop.gaps.collections import read_new_sentences
from loop.gaps.imported import imported_frames
from loop.gaps.words import stored_words
from loop.math.coverage.comparison import Comparison, Evidence, compare
from loop.math.coverage.gaps import Gap, LabeledScores
from loop.math.coverage.regions import Nearest
from loop.math.statistics.shares import ENOUGH_DAYS
from loop.project.project import Project
from loop.project.wiring import Parts
from loop.project.zones import unclear_line

SHOWN = "shown: production has more of it than chance explains"
SUSPECTED = (
    "suspected: it may be chance, or a mistake of the detector; more days, more cameras, or a few labels"
    " will tell"
)
CLOSING = "frames were chosen for these:"
SWITCHES = ("prompts", "metadata", "measured", "regions")
EXAMPLES = 6
"""Frames of each gap that pages show."""
FEW_UNLIKE = 0.02
"""Up to this share it goes unsaid: an embedder that can tell errs on one known frame in a hundred."""


@dataclass(frozen=True, eq=False)
class CoverageView(Comparison):
    """The comparison of what the current models have analyzed.

    frames, training_frames: the rows of `production` and of `training` as they are stored.
    detections: by production row.
    in_pool: (N,) production frames that may train; the others judge.
    made: producers whose facts these are; nothing of others is in here.
    backlog: how much of production they have seen.
    unknown_words: of the conditions' sentences, to the embedder.
    compared: the switches of `gaps` that are on.
    closing: how far what frames were chosen for is closed.
    slice_ids: by key, of every slice that is in here.
    unclear_zone: why time of day is not compared, where it is not.
    """

    frames: StoredRows[FrameRow]
    training_frames: StoredRows[FrameRow]
    detections: StoredRows[Detections]
    in_pool: Bools
    made: Producers
    slice_ids: dict[str, int]
    backlog: Backlog
    unknown_words: tuple[str, ...]
    compared: tuple[str, ...]
    closing: list[Closing]
    unclear_zone: str = ""

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
            part
            for part in (producers.said(self.backlog), unread, self._unknown_frames(), self.unclear_zone)
            if part
        )

    def _unknown_frames(self) -> str:
        unlike = self.production.unlike.mean()
        if "prompts" not in self.compared or unlike <= FEW_UNLIKE:
            return ""
        doubtful, known = self.production.doubtful.mean(), 1 - self.training.doubtful.mean()
        others = (
            f", and what they say of the other frames of the same cameras is too doubtful to be used"
            f" ({doubtful:.0%} in all)"
            if doubtful > unlike
            else ""
        )
        nor = f", and about {1 - known:.0%} of the training set" if known < 0.5 else ""
        return (
            f"{unlike:.0%} of production frames are unlike anything that this CLIP was trained"
            f" on: conditions by prompts say nothing about them{others}{nor}; take real CLIP (embedder.model"
            " ViT-B-32 with embedder.pretrained laion2b_s34b_b79k, or embedder.model a folder with its"
            " weights), then run `fieldloop analyze`"
        )


def build(parts: Parts, progress: Progress) -> CoverageView:
    """Compares everything analyzed by the current models. Raises ProjectError when there is nothing
    to compare yet.
    """
    project, settings = parts.project, parts.project.settings
    progress(0, 3, "loading frames")
    loaded = _load(parts, progress)
    progress(1, 3, "reading conditions")
    words = stored_words(parts, loaded.facts)
    progress(2, 3, "comparing")
    local = zone(settings.frames.timezone)
    known = slices.known_slices(project, loaded.made.embedder)
    read_new_sentences(project, loaded.made, parts.embedder)
    found = compare(loaded.evidence, words, loaded.nearest, settings.gaps, local, settings.seed, known)
    imported = imported_frames(parts, loaded.facts, found.training, words)
    slice_ids = slices.record(project, found, imported, words.conditions, loaded.made)
    counting = labels_that_count(project, found, loaded.made)
    view = CoverageView(
        **vars(found),
        frames=stored_frames(project.engine, found.production.seq),
        training_frames=stored_frames(project.engine, found.training.seq),
        detections=stored_detections(project.engine, loaded.made.detector, found.production.seq),
        in_pool=loaded.in_pool,
        made=loaded.made,
        slice_ids=slice_ids,
        backlog=loaded.backlog,
        unknown_words=words.unknown,
        compared=tuple(switch for switch in SWITCHES if getattr(settings.gaps, switch)),
        closing=closing(project, found, counting),
        unclear_zone=_unclear_zone(project),
    )
    about = {"note": view.note, "waiting": view.backlog.waiting, "compared": list(view.compared)}
    said = {
        gap.key: {"certainty": certainty(view, gap), "examples": examples}
        for gap, examples in zip(view.gaps, _examples(view), strict=True)
    }
    coverage_facts.record(project, view, slice_ids, view.closing, counting, said, about)
    progress(3, 3, "done")
    return view


def _examples(view: CoverageView) -> list[list[dict[str, Any]]]:
    """Of each gap, the clearest frames of different groups."""
    rows = [gap.frames[:EXAMPLES] for gap in view.gaps]
    taken = iter(view.frames.take(np.concatenate([np.zeros(0, np.int64), *rows])))
    return [
        [
            {"seq": f.seq, "content_hash": f.content_hash, "file": f.source_key}
            for f in islice(taken, len(own))
        ]
        for own in rows
    ]


def _unclear_zone(project: Project) -> str:
    with read(project.engine) as session:
        return unclear_line(session, project.settings.frames.timezone)


def lines(view: CoverageView) -> list[str]:
    """The gaps for people: those that are shown, worst first, then those that are suspected."""
    sides = counted(len(view.production), "production frame"), counted(len(view.training), "training frame")
    counts = " against ".join(sides)
    head = [counts, *([view.note] if view.note else [])]
    if not view.compared:
        off = ", ".join(f"gaps.{switch}" for switch in SWITCHES)
        head.append(f"nothing was compared but the classes: {off} are all off; set one of them to true")
    elif not view.gaps:
        head.append(
            "no gap: production looks like the training set in every condition that was compared "
            f"({', '.join(view.compared)})"
        )
    numbered = list(enumerate(view.gaps, 1))
    for shown, title in ((True, SHOWN), (False, SUSPECTED)):
        listed = [_line(view, place, gap) for place, gap in numbered if gap.shown == shown]
        head += [title, *listed] if listed else []
    return [*head, *([CLOSING, *(f"    {one.line}" for one in view.closing)] if view.closing else [])]


def _line(view: CoverageView, place: int, gap: Gap) -> str:
    return f"{place:>2}  {gap.why} ({certainty(view, gap)})" + (
        f"; also {', '.join(gap.also)}" if gap.also else ""
    )


def certainty(view: CoverageView, gap: Gap) -> str:
    """How well the share of production is known, for people."""
    days = counted(gap.groups, _unit(view, gap))
    if gap.interval is None:
        rare = gap.groups < ENOUGH_DAYS
        return f"{days}: too few to tell how common it is" if rare else f"{days}, nearly all of their frames"
    return f"95 % interval {gap.interval[0]:.1%} to {gap.interval[1]:.1%}, {days}"


def _unit(view: CoverageView, gap: Gap) -> str:
    """Frames that tell no time are in groups that are no days."""
    dated = np.isfinite(view.production.captured_at[gap.frames]).all()
    return "camera-day" if dated else "undated group"


def as_json(view: CoverageView) -> dict[str, Any]:
    """The gaps for programs; frames by path below the store, and as their source names them."""
    return {
        "production_frames": len(view.production),
        "production_frames_to_analyze": view.backlog.waiting,
        "production_frames_unlike": int(view.production.unlike.sum()),
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
                "shown": gap.shown,
                "interval": None if gap.interval is None else list(gap.interval),
                "deficit": gap.deficit,
                "expected_loss_inside": gap.loss_inside,
                "expected_loss_elsewhere": gap.loss_elsewhere,
                "score": gap.score,
                "groups": gap.groups,
                "frames": len(gap.frames),
                "also": list(gap.also),
                "examples": [frame.path for frame in view.frames.take(gap.frames[:12])],
                "example_files": [frame.source_key for frame in view.frames.take(gap.frames[:12])],
            }
            for gap in view.gaps
        ],
        "closing": [asdict(one) for one in view.closing],
    }


@dataclass(frozen=True, eq=False)
class _Loaded:
    evidence: Evidence
    nearest: Nearest
    in_pool: Bools
    facts: StoredFacts
    backlog: Backlog

    @property
    def made(self) -> Producers:
        return self.facts.made


def _load(parts: Parts, progress: Progress) -> _Loaded:
    project, made = parts.project, producers.producers(parts)
    facts = open_facts(project, made, progress)
    with read(project.engine) as session:
        known = labels(session)
    trained = [seq for seq, row in known.items() if row.purpose == Purpose.TRAIN]
    training = facts.embedded(np.array(sorted(trained), dtype=np.int64))
    production, unseen = facts.production()
    waiting = Backlog(len(production) + _waiting(project, unseen), len(production))
    _check_sides(production, training, waiting)
    evidence = Evidence(
        load_side(facts, production, lambda: parts.embedder().unlike),
        load_side(facts, training, lambda: parts.embedder().unlike),
        load_frame_boxes(facts, production),
        _class_ids(known, training, project.classes),
        facts.imported(training),
        _labeled_scores(facts, known, project.classes),
        project.classes,
    )
    near = nearest(facts, production, training, project.settings.gaps.neighbors, progress)
    return _Loaded(evidence, near, facts.in_pool(production), facts, waiting)


def _waiting(project: Project, unseen: Ints) -> int:
    """How many of these frames can be decoded."""
    if not len(unseen):
        return 0
    with read(project.engine) as session:
        return len(unseen) - count_damaged(session, unseen.tolist())


def _class_ids(known: dict[int, LabelRow], seqs: Ints, classes: Sequence[str]) -> list[Ints]:
    """By training frame, the class of each of its boxes."""
    index = {name: i for i, name in enumerate(classes)}
    return [
        np.array(
            [index[box.class_name] for box in known[seq].boxes if box.class_name in index], dtype=np.int64
        )
        for seq in seqs.tolist()
    ]


def _labeled_scores(facts: StoredFacts, known: dict[int, LabelRow], classes: Sequence[str]) -> LabeledScores:
    seqs = facts.detected(np.array(sorted(known), dtype=np.int64))
    has = np.zeros((len(seqs), len(classes)), dtype=np.bool_)
    for row, ids in enumerate(_class_ids(known, seqs, classes)):
        has[row, ids] = True
    scores = load_frame_boxes(facts, seqs).class_maxima(len(classes))
    return LabeledScores(scores, has, facts.groups(seqs), ~facts.imported(seqs))


def _check_sides(production: Ints, training: Ints, known_backlog: Backlog) -> None:
    arrived = known_backlog.production
    for seqs, what, found, command in (
        (training, "training", "none", "analyze"),
        (
            production,
            "production",
            f"0 of {arrived}" if arrived else "none",
            "analyze" if arrived else "ingest, then analyze",
        ),
    ):
        if not len(seqs):
            raise ProjectError(
                f"expected {what} frames analyzed by the current models, found {found}; run `fieldloop"
                f" {command}` first"
            )
