"""Rounds and models: what was trained from what, how it was judged, and what is deployed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy.orm import Session

from db.changes import ChangeRow, changes
from db.engine import read
from db.models import DeploymentRow, ModelRow, deployed, deployments, models, previous_deployment
from db.rounds import (
    RoundBrief,
    brief_of,
    count_rounds,
    dataset,
    dataset_batches,
    dataset_counts,
    open_round,
    round_briefs,
    round_by_id,
)
from db.states import OPEN_ROUNDS, ModelStatus, Origin, Role, RoundStatus
from loop.datasets.freeze import LOTS, NEVER_INSPECTED
from loop.gaps.slices import TRAINING_WORLD
from loop.insights.frame_query import YES, FrameQuery
from loop.math.evaluation.verdict import NO_FALL
from loop.project.project import Project
from loop.project.training_curve import Curve, training_curves
from loop.project.training_settings import trained_line
from loop.settings.settings import RoundSettings

STRICT = ", mAP50-95"
HELD_OUT = FrameQuery(role=str(Role.EVALUATION), labeled=YES)
"""The frames that judge."""
LINES = 200
"""Lines of a verdict that are shown; the others are counted."""
DECISIONS = 20
ROUNDS, MODELS = 30, 30
"""So many of the newest are listed."""
TRAINED = "trained"
STATUS_WORDS = {
    RoundStatus.FREEZING: "freezing its dataset",
    RoundStatus.TRAINING: "training",
    RoundStatus.JUDGING: "judging",
    RoundStatus.AWAITING_APPROVAL: "waits for a person",
    RoundStatus.PROMOTED: "promoted",
    RoundStatus.REJECTED: "rejected",
    RoundStatus.CANCELLED: "cancelled",
    RoundStatus.FAILED: "failed",
}
Kind = Literal["overall", "gaps", "class", "condition", "other"]


@dataclass(frozen=True, slots=True)
class VerdictLine:
    """One check of a verdict.

    about: what of, such as class helmet. measure: AP50, mAP50-95, or "" where it is no AP.
    before, after: of the deployed model and of the candidate, 0..1; None where they are not known.
    low, high: 95 % interval of after - before; None where it is not known.
    frames, objects, groups: held-out ones that it rests on.
    asks: a person should look.
    address: query string of the frames it is about, "" where there is no such set.
    """

    name: str
    about: str
    kind: Kind
    measure: str
    status: str
    before: float | None
    after: float | None
    low: float | None
    high: float | None
    frames: int
    objects: int
    groups: int
    text: str
    asks: bool
    slice_id: int | None
    address: str

    @property
    def change(self) -> float | None:
        """after - before."""
        return None if self.before is None or self.after is None else self.after - self.before

    @property
    def word(self) -> str:
        """Its status for people."""
        if self.status == "unverifiable":
            return "not known"
        words = {"better": ("better", "not shown"), "latency": ("held", "rose")}
        good, bad = words.get(self.name.split(" ")[0], ("held", "fell"))
        return good if self.status == "pass" else bad


@dataclass(frozen=True, slots=True)
class VerdictView:
    """A verdict, the worst line first.

    promote: the gate passed it. frames: how many held-out frames it rests on.
    left_out: lines that are not among `lines`.
    """

    promote: bool
    needs_approval: bool
    reasons: tuple[str, ...]
    lines: tuple[VerdictLine, ...]
    left_out: int
    frames: int


@dataclass(frozen=True, slots=True)
class ProgressView:
    """How far a training is. seconds_left: by the epochs so far, None where none tells it."""

    epoch: int
    epochs: int
    seconds_left: float | None
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of a round. usual: what the project's settings say now. changed: it differs."""

    name: str
    value: Any
    usual: Any

    @property
    def changed(self) -> bool:
        return bool(self.value != self.usual)


@dataclass(frozen=True, slots=True)
class DataView:
    """The dataset that went in.

    images: frames by split. passes: images of one epoch, repeats counted. boxes: by split and class.
    batches: frames that came by each batch, newest first. untrained: classes without a box to train on.
    lots: accepted lots that it holds. never_inspected: labels of no such lot; None where it is not known.
    """

    id: int
    name: str
    path: str
    created_at: datetime
    images: dict[str, int]
    passes: int
    boxes: dict[str, dict[str, int]]
    batches: tuple[tuple[int, int], ...]
    untrained: tuple[str, ...]
    lots: tuple[int, ...] = ()
    never_inspected: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person did: what, who, when, and why, "" where nobody said."""

    at: datetime
    who: str
    via: str
    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class RoundLine:
    """One round in a list. words: its status for people. reason: the first that stands in its verdict,
    or what went wrong.
    """

    id: int
    status: RoundStatus
    words: str
    open: bool
    base_model: int
    candidate: int | None
    dataset: int | None
    progress: ProgressView | None
    reason: str
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class RoundView:
    """One round with all that is known of it.

    cancelling: it was asked to stop. trained: what it was really trained with, "" where that is not
    known. curves: by epoch. decisions: newest first.
    """

    line: RoundLine
    error: str
    cancelling: bool
    settings: tuple[Setting, ...]
    trained: str
    data: DataView | None
    verdict: VerdictView | None
    curves: tuple[Curve, ...]
    decisions: tuple[Decision, ...]


@dataclass(frozen=True, slots=True)
class ModelNode:
    """A model in the tree of models.

    depth: 0 for one that the team brought. made_by: the rounds that gave it. refused: why the gate or a
    person said no, "" where none did. deployed_at: every time it went into production.
    """

    model: ModelRow
    depth: int
    made_by: tuple[int, ...]
    refused: str
    deployed_at: tuple[datetime, ...]

    @property
    def deployed(self) -> bool:
        return self.model.status is ModelStatus.DEPLOYED


@dataclass(frozen=True, slots=True)
class ModelsView:
    """All models and rounds.

    tree: a model before those trained from it; of many, the newest and those that the deployed one came
    from. deployments: newest first. back: the model that a roll back would bring back, None where there is
    none. rounds: the newest first. open: the one that is open. models_left, rounds_left: how many more
    there are.
    """

    tree: tuple[ModelNode, ...]
    deployed: ModelRow | None
    deployments: tuple[DeploymentRow, ...]
    back: ModelRow | None
    rounds: tuple[RoundLine, ...]
    open: RoundLine | None
    models_left: int
    rounds_left: int


@dataclass(frozen=True, slots=True)
class Production:
    """deployed: the model in production. back: the one that a roll back would bring back."""

    deployed: ModelRow | None
    back: ModelRow | None


def production(project: Project) -> Production:
    """What is deployed, and what was before."""
    with read(project.engine) as session:
        return Production(deployed(session), previous_deployment(session))


def models_view(project: Project) -> ModelsView:
    """Everything that `/rounds` shows."""
    with read(project.engine) as session:
        known, history = models(session), deployments(session)
        now, back = deployed(session), previous_deployment(session)
        shown = _shown(known, now)
        past = round_briefs(session, ROUNDS, [model.id for model in shown])
        many = count_rounds(session)
    lines = [round_line_of(row) for row in past]
    newest = lines[:ROUNDS]
    return ModelsView(
        tuple(tree(shown, past, history)),
        now,
        tuple(reversed(history)),
        back,
        tuple(newest),
        next((line for line in newest if line.open), None),
        len(known) - len(shown),
        many - len(newest),
    )


def round_lines(project: Project, limit: int, before: int | None = None) -> list[RoundLine]:
    """The newest rounds, or the newest with a smaller number than `before`; newest first."""
    with read(project.engine) as session:
        return [round_line_of(row) for row in round_briefs(session, limit, before=before)]


def open_line(project: Project) -> RoundLine | None:
    """The round that is open, None where all have ended."""
    with read(project.engine) as session:
        row = open_round(session)
    return round_line_of(brief_of(row)) if row else None


def _shown(known: Sequence[ModelRow], now: ModelRow | None) -> list[ModelRow]:
    by_id = {model.id: model for model in known}
    wanted = {model.id for model in known[-MODELS:]}
    step = now
    while step is not None:
        wanted.add(step.id)
        step = by_id.get(step.parent_id) if step.parent_id is not None else None
    return [model for model in known if model.id in wanted]


def round_view(project: Project, number: int) -> RoundView:
    """Raises StateError when there is none of that number."""
    with read(project.engine) as session:
        row = round_by_id(session, number)
        data = _data(session, row.dataset_id) if row.dataset_id is not None else None
        noted = changes(session, DECISIONS, subject=subject_of(number))
    curves = training_curves(project.rounds / str(number))
    return RoundView(
        round_line_of(brief_of(row)),
        row.error or "",
        row.cancel_requested and row.status in OPEN_ROUNDS,
        tuple(settings_of(row.settings, project.settings.round)),
        trained_line(row.settings),
        data,
        verdict_view(row.verdict) if row.verdict else None,
        tuple(curves),
        tuple(_decision(one) for one in noted),
    )


def subject_of(number: int) -> str:
    """How the audit log calls a round."""
    return f"round {number}"


def round_line_of(row: RoundBrief) -> RoundLine:
    """A round in one line."""
    return RoundLine(
        row.id,
        row.status,
        STATUS_WORDS[row.status],
        row.status in OPEN_ROUNDS,
        row.base_model_id,
        row.candidate_id,
        row.dataset_id,
        progress_of(row),
        row.error or row.reason,
        row.created_at,
        row.changed_at,
    )


def progress_of(row: RoundBrief) -> ProgressView | None:
    """Of a round that trains, or was trained; None where no epoch is over."""
    told = row.progress
    if not told.get("epoch"):
        return None
    left = _seconds_left(told) if row.status is RoundStatus.TRAINING else None
    return ProgressView(told["epoch"], told["epochs"], left, _moment(told.get("at")))


def settings_of(settings: Mapping[str, Any], usual: RoundSettings) -> list[Setting]:
    """What a round was opened with, beside what the project's settings say now."""
    now = usual.model_dump()
    return [Setting(name, value, now.get(name)) for name, value in settings.items() if name != TRAINED]


def verdict_view(verdict: Mapping[str, Any]) -> VerdictView:
    """A stored verdict, the worst line first."""
    held = HELD_OUT.but(origin=str(Origin.PRODUCTION)) if verdict.get("production_only") else HELD_OUT
    lines = sorted((verdict_line(check, held) for check in verdict["checks"]), key=_badness)
    return VerdictView(
        bool(verdict["promote"]),
        bool(verdict.get("needs_approval")),
        tuple(verdict["reasons"]),
        tuple(lines[:LINES]),
        max(len(lines) - LINES, 0),
        len(verdict.get("frames", ())),
    )


def verdict_line(check: Mapping[str, Any], held: FrameQuery = HELD_OUT) -> VerdictLine:
    """One check as it was stored, also by an earlier version.

    held: all frames that its overall lines are about.
    """
    about = check["name"].removeprefix(NO_FALL).removesuffix(STRICT)
    known = check.get("before") is not None or check.get("objects", 0) > 0
    measure = "mAP50-95" if check["name"].endswith(STRICT) else "AP50"
    kind = _kind(about)
    return VerdictLine(
        check["name"],
        about,
        kind,
        measure if known else "",
        check["status"],
        check.get("before"),
        check.get("after"),
        check.get("low"),
        check.get("high"),
        check.get("frames", 0),
        check.get("objects", 0),
        check.get("groups", 0),
        check["text"],
        bool(check.get("asks")),
        check.get("slice_id"),
        _address(kind, about, check.get("slice_id"), held),
    )


def tree(
    known: Sequence[ModelRow], past: Sequence[RoundBrief], history: Sequence[DeploymentRow]
) -> list[ModelNode]:
    """Models in preorder: each before those that were trained from it, oldest first."""
    ids = {model.id for model in known}
    children: dict[int | None, list[ModelRow]] = {}
    for model in known:
        children.setdefault(model.parent_id if model.parent_id in ids else None, []).append(model)
    found: list[ModelNode] = []
    waiting = [(model, 0) for model in reversed(children.get(None, []))]
    while waiting:
        model, depth = waiting.pop()
        found.append(_node(model, depth, past, history))
        waiting += [(child, depth + 1) for child in reversed(children.get(model.id, []))]
    return found


def _node(
    model: ModelRow, depth: int, past: Sequence[RoundBrief], history: Sequence[DeploymentRow]
) -> ModelNode:
    made = [row for row in past if row.candidate_id == model.id]
    times = tuple(step.at for step in history if step.model_id == model.id)
    return ModelNode(model, depth, tuple(row.id for row in made), _refused(model, made), times)


def _refused(model: ModelRow, made: Sequence[RoundBrief]) -> str:
    if model.status is not ModelStatus.REJECTED:
        return ""
    judged = [row for row in made if row.promote is not None]
    if not judged:
        return "its round was ended"
    return "by a person" if judged[0].promote else f"by the gate: {judged[0].reason}"


def _data(session: Session, number: int) -> DataView:
    row = dataset(session, number)
    summary = row.summary
    return DataView(
        row.id,
        row.manifest_sha256[:12],
        row.path,
        row.created_at,
        dataset_counts(session, number),
        int(summary.get("passes", 0)),
        summary.get("boxes", {}),
        tuple(dataset_batches(session, number)),
        tuple(summary.get("untrained", ())),
        tuple(summary.get(LOTS, ())),
        summary.get(NEVER_INSPECTED),
    )


def _decision(row: ChangeRow) -> Decision:
    return Decision(row.at, row.who, row.via, row.what, str(row.after.get("reason") or ""))


def _badness(line: VerdictLine) -> tuple[int, float, str]:
    """What failed, then what a person should look at, then what is not known, then what held."""
    order = {"fail": 0, "unverifiable": 2, "pass": 3}[line.status] - (line.asks and line.status != "fail")
    return order, line.change if line.change is not None else 0.0, line.name


def _kind(about: str) -> Kind:
    if about in ("overall", "better overall"):
        return "overall"
    if about in ("better on the gaps", "the targeted gaps", "all but the targeted gaps"):
        return "gaps"
    if about.startswith("class "):
        return "class"
    return "condition" if about.startswith("condition ") else "other"


def _address(kind: Kind, about: str, slice_id: int | None, held: FrameQuery) -> str:
    if kind == "overall":
        return held.address()
    if about == f"condition {TRAINING_WORLD}":
        return HELD_OUT.but(origin=str(Origin.IMPORTED)).address()
    if kind == "class":
        return HELD_OUT.but(class_name=about.removeprefix("class ")).address()
    return HELD_OUT.but(slice=slice_id).address() if slice_id is not None else ""


def _seconds_left(told: Mapping[str, Any]) -> float | None:
    """By the epochs of this process; those of one that was stopped say nothing of the time between."""
    begun, first, at = _moment(told.get("begun")), told.get("begun_after"), _moment(told.get("at"))
    if begun is None or at is None or first is None or told["epoch"] <= first:
        return None
    left: float = (told["epochs"] - told["epoch"]) / (told["epoch"] - first)
    return left * (at - begun).total_seconds()


def _moment(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None


def worst(lines: Iterable[VerdictLine]) -> VerdictLine | None:
    """The first of the lines that says a number of both models; None where none does."""
    return next((line for line in lines if line.change is not None), None)
