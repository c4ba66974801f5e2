"""Everything that is known of one frame, for its page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy.orm import Session

from connectors.ports import Box, Detections, Purpose
from db.analysis import load_detections, load_measurements
from db.changes import ChangeRow, changes
from db.engine import read
from db.errors import StateError
from db.frames import FrameRow, frames
from db.labels import LabelRow, answers, labels
from db.models import ModelRow, deployed, models
from db.reports import ReportRow, reports
from db.rounds import datasets_of
from db.slice_members import slices_of
from db.slices import slices
from db.states import Origin, SliceKind, TaskStatus
from db.tasks import TaskRow, tasks
from loop.analysis.producers import known_detector
from loop.base.wording import counted
from loop.insights.frame_facts import Known, known_producers
from loop.insights.frame_query import FrameQuery
from loop.insights.frame_tiles import FrameTile, tiles
from loop.insights.frames import FrameSets
from loop.insights.model_errors import errors_of
from loop.math.boxes.drawn import predicted_boxes
from loop.project.project import Project

NEIGHBORS = 6
MODELS = 2
ORIGINS = {
    SliceKind.METADATA: "where and when it was taken",
    SliceKind.MEASURED: "measured in the picture",
    SliceKind.PROMPT: "a sentence, by the embedder",
    SliceKind.CLASS: "suspected by the detector",
    SliceKind.REGION: "near in the embedding space",
    SliceKind.COLLECTION: "gathered by people or a rule",
    SliceKind.JOINT: "several at once",
}
"""By whose word a frame shows a slice of each kind."""
WORDS = {
    TaskStatus.PENDING: "waits to be sent to Label Studio",
    TaskStatus.SENT: "sent to Label Studio",
    TaskStatus.CONFIRMED: "waits for a person in Label Studio",
    TaskStatus.DONE: "answered",
    TaskStatus.SKIPPED: "skipped by a person",
    TaskStatus.QUARANTINED: "answered with what a person must mend",
    TaskStatus.CANCELLED: "withdrawn",
}


@dataclass(frozen=True)
class ModelView:
    """What a model is stored to have seen in a frame.

    kind: "deployed" or "candidate".
    missed, false, other_class: boxes against the label; None where there is no label to compare with.
    """

    model: ModelRow
    kind: str
    boxes: tuple[Box, ...]
    missed: int | None
    false: int | None
    other_class: int | None

    @property
    def verdict(self) -> str:
        """For people; "" where there is nothing to compare with."""
        if self.missed is None or self.false is None or self.other_class is None:
            return ""
        parts = [
            *([f"{counted(self.missed, 'object')} missed"] if self.missed else []),
            *([f"{counted(self.false, 'false box', 'false boxes')}"] if self.false else []),
            *([f"{self.other_class} of another class"] if self.other_class else []),
        ]
        return ", ".join(parts) or "right"


@dataclass(frozen=True)
class ShownSlice:
    """A slice that a frame shows. strength: larger is clearer. origin: by whose word."""

    id: int
    name: str
    kind: SliceKind
    strength: float
    origin: str
    retired: bool


@dataclass(frozen=True)
class Event:
    """One thing that happened to a frame. link: where it is told in full, "" for nowhere."""

    at: datetime | None
    text: str
    link: str = ""


@dataclass(frozen=True)
class FrameView:
    """One frame.

    frame: as stored. label: what is held to be true of it, None for nothing.
    models: the deployed model and the newest candidate that have seen it.
    production, training: the frames most like it.
    measured: image statistics by name. before, after: its neighbors in the set it was opened from.
    """

    frame: FrameRow
    label: LabelRow | None
    models: tuple[ModelView, ...]
    slices: tuple[ShownSlice, ...]
    production: tuple[FrameTile, ...]
    training: tuple[FrameTile, ...]
    history: tuple[Event, ...]
    reports: tuple[ReportRow, ...]
    measured: dict[str, float]
    task: TaskRow | None
    before: int | None = None
    after: int | None = None


def frame_view(sets: FrameSets, seq: int, query: FrameQuery | None = None) -> FrameView:
    """query: the set that the frame was opened from. Raises StateError where there is no such frame."""
    project = sets.project
    with read(project.engine) as session:
        row = stored_frame(session, seq)
        label = labels(session, [seq]).get(seq)
        asked = tasks(session, frames=[seq])
        known = known_producers(session, project)
        seen = _models(session, project, seq, label)
        shown = _slices(session, seq, known)
        history = _history(session, row, label, asked, seen)
        told = tuple(reports(session, frame=seq))
        measured = load_measurements(session, known.measure, [seq]).get(seq, {}) if known.measure else {}
    before, after = sets.neighbors(sets.find(query), seq) if query is not None else (None, None)
    production, training = _nearest(sets, row, known)
    task = asked[-1] if asked else None
    return FrameView(
        row, label, seen, shown, production, training, history, told, measured, task, before, after
    )


def stored_frame(session: Session, seq: int) -> FrameRow:
    """Raises StateError where there is no frame of that number."""
    found = frames(session, seqs=[seq]) if 0 <= seq < 2**62 else []
    if not found:
        raise StateError(f"expected the number of a frame, got {seq}; `fieldloop frames` lists them")
    return found[0]


@dataclass(frozen=True)
class StoredPicture:
    """Where the picture of a frame is stored, and what its content hashes to."""

    path: Path
    content_hash: str


def picture_of(project: Project, seq: int) -> StoredPicture:
    """Raises StateError where there is no such frame."""
    with read(project.engine) as session:
        row = stored_frame(session, seq)
    return StoredPicture(project.store / row.path, row.content_hash)


def _models(session: Session, project: Project, seq: int, label: LabelRow | None) -> tuple[ModelView, ...]:
    """The deployed model, and the newest that is not, of those that saw the frame."""
    now = deployed(session)
    others = [row for row in reversed(models(session)) if now is None or row.id > now.id]
    found: list[ModelView] = []
    for row in ([now] if now else []) + others:
        made = known_detector(session, project.settings, row.sha256)
        boxes = load_detections(session, made, [seq]).get(seq) if made is not None else None
        if boxes is not None and len(found) < MODELS:
            kind = "deployed" if now is not None and row.id == now.id else "candidate"
            found.append(_model_view(project, row, kind, boxes, label))
    return tuple(found)


def _model_view(
    project: Project, row: ModelRow, kind: str, seen: Detections, label: LabelRow | None
) -> ModelView:
    drawn = tuple(predicted_boxes(seen, project.classes))
    if label is None:
        return ModelView(row, kind, drawn, None, None, None)
    return ModelView(row, kind, drawn, *errors_of(label.boxes, seen, project.classes).counts)


def _slices(session: Session, seq: int, known: Known) -> tuple[ShownSlice, ...]:
    made = [number for number in (known.embedder, known.detector, known.measure) if number is not None]
    strengths = slices_of(session, seq, made)
    rows = slices(session, ids=strengths) if strengths else []
    found = [
        ShownSlice(
            row.id,
            row.name,
            row.kind,
            strengths[row.id],
            ORIGINS.get(row.kind, ""),
            row.retired_at is not None,
        )
        for row in rows
    ]
    order = list(SliceKind)
    return tuple(sorted(found, key=lambda one: (one.retired, order.index(one.kind), -one.strength)))


def _history(
    session: Session,
    row: FrameRow,
    label: LabelRow | None,
    asked: Sequence[TaskRow],
    seen: Sequence[ModelView],
) -> tuple[Event, ...]:
    """What happened, oldest first; the picture itself comes first of all."""
    events = [Event(row.captured_at, "taken")] if row.captured_at else []
    how = "came with the training set" if row.origin == Origin.IMPORTED else "taken in"
    events.append(Event(row.ingested_at, f"{how} as {row.source_key}"))
    for task in asked:
        chance = " by chance, to judge models" if task.purpose == Purpose.EVALUATION else ""
        events.append(Event(task.created_at, f"chosen{chance} in batch {task.batch_id}: {task.reason}"))
        events.append(
            Event(task.changed_at, WORDS.get(task.status, str(task.status)), f"/queue?batch={task.batch_id}")
        )
    for answer in answers(session, [task.id for task in asked]):
        did = "skipped" if answer.cancelled else "answered"
        events.append(Event(answer.updated_at, f"{did} by {answer.author}"))
    if label is not None:
        boxes = counted(len(label.boxes), "box", "boxes") if label.boxes else "nothing to see, verified"
        rule = f", by the rule {label.rule}" if label.rule else ""
        events.append(Event(label.updated_at, f"labeled to {_purpose(label)}: {boxes}{rule}"))
    for number, split, made_at in datasets_of(session, row.seq):
        text = f"in dataset version {number}, {split}"
        events.append(Event(made_at, text, FrameQuery().but(dataset=number, split=split).url()))
    for change in reversed(changes(session, 20, subject=f"frame {row.seq}")):
        events.append(Event(change.at, _said(change), f"/changes?subject=frame+{row.seq}"))
    for one in seen:
        if one.verdict:
            events.append(Event(None, f"{one.kind} model {one.model.id} on it: {one.verdict}", "/rounds"))
    dated = sorted((event for event in events if event.at), key=lambda event: event.at or row.ingested_at)
    return (*dated, *(event for event in events if event.at is None))


def _purpose(label: LabelRow) -> str:
    return "judge models" if label.purpose == Purpose.EVALUATION else "train on"


def _said(change: ChangeRow) -> str:
    return f"{change.what} by {change.who}"


def _nearest(
    sets: FrameSets, row: FrameRow, known: Known
) -> tuple[tuple[FrameTile, ...], tuple[FrameTile, ...]]:
    """The production frames and the training frames most like it."""
    if known.embedder is None or not row.embedded_by:
        return (), ()
    production = sets.nearest(row.seq, NEIGHBORS)
    training = sets.nearest(row.seq, NEIGHBORS, training=True)
    return tuple(tiles(sets.project, production)), tuple(tiles(sets.project, training))
