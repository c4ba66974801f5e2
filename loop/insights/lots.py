"""Lots of labels: what their inspections say, which wait, and what was never inspected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from db.engine import read
from db.labels import count_labels
from db.lots import DrawRow, LotRow, held_back, lot_draws, lots, lots_of_labels, member_counts
from db.states import OPEN_TASKS, LotStatus
from db.task_queue import tasks_by_id
from loop.base.errors import ConfigError
from loop.base.wording import counted, either
from loop.insights.frame_list import frame_ids
from loop.insights.frame_query import FrameQuery, frames_url
from loop.labeling.lots import Drawn, decision, drawn, lot_of, told_plan, verdict_text
from loop.math.quality.acceptance import (
    Kind,
    Plan,
    consumer_risk,
    expected_places,
    operating_curve,
    producer_risk,
)
from loop.project.project import Project
from loop.project.wiring import Parts

HERE = "/labels/lots"
KINDS: tuple[Kind, ...] = ("double", "zero")
STAGES = ("first", "second")
MOST = 20
"""Lots that the page shows, the newest first."""
WIDTH, HEIGHT = 260, 120
"""Of the picture of an operating curve, in its own units."""


@dataclass(frozen=True, slots=True)
class Stage:
    """wanted, inspected, wrong: places. frames: to be looked at. waiting: of their tasks, those that are
    open.
    """

    wanted: int
    inspected: int
    wrong: int
    frames: int
    waiting: int


@dataclass(frozen=True, slots=True)
class LotView:
    """One lot. verdict: what may be said of it, in words. held: of its labels, those that are left out until
    they are reviewed again. begun: whether the second stage is under inspection or was.
    """

    id: int
    name: str
    status: LotStatus
    verdict: str
    labels: int
    held: int
    plan: Plan
    stages: tuple[Stage, ...]
    begun: bool
    who: str
    drawn_at: datetime
    decided_at: datetime | None

    @property
    def address(self) -> str:
        """Of its frames."""
        return frames_url(lot=[self.id])

    def lines(self) -> list[str]:
        """For people."""
        said = [f"lot {self.id} ({self.name}): {self.verdict}", f"  {counted(self.labels, 'label')}"]
        for number, stage in enumerate(self.stages, 1):
            wanted = f"{stage.inspected} of {stage.wanted} places inspected on {stage.frames} frames"
            said.append(f"  stage {number}: {wanted}, {stage.wrong} wrong, {stage.waiting} tasks open")
        return [*said, *(f"  {line}" for line in plan_lines(self.plan))]


@dataclass(frozen=True, slots=True)
class LotsPage:
    """left_out: lots that are not shown. never: labels that no accepted lot holds."""

    lots: tuple[LotView, ...]
    left_out: int
    never: int


def lots_page(project: Project, most: int = MOST) -> LotsPage:
    """The newest first."""
    with read(project.engine) as session:
        rows, counts = lots(session), member_counts(session)
        shown = tuple(_view(session, row, counts.get(row.id, 0)) for row in rows[:most])
        return LotsPage(shown, len(rows) - len(shown), never_inspected(session))


def lot_view(project: Project, number: int) -> LotView:
    """Raises ConfigError for a number that is none."""
    with read(project.engine) as session:
        return _view(session, lot_of(session, number), member_counts(session).get(number, 0))


def address_of(frames: str, batch: int) -> str:
    """Of the frames that a person names in one of these ways. Raises ConfigError for both."""
    if frames and batch:
        raise ConfigError("expected frames or a batch, got both; name the batch in the address: batch=3")
    return f"batch={batch}" if batch else frames


def planned(parts: Parts, address: str, kind: str, seed: int) -> Drawn:
    """What would be drawn of the labels of an address, "" for all new ones that people gave. Nothing is
    written. Raises ConfigError.
    """
    chosen = [one for one in KINDS if one == kind]
    if not chosen:
        raise ConfigError(f"plan: expected zero or double, got {kind[:40]!r}; choose one of them")
    settings = parts.project.settings.labels
    wanted = frame_ids(parts, FrameQuery.parse(address)) if address else None
    with read(parts.project.engine) as session:
        return drawn(session, wanted, settings.right, settings.confidence, chosen[0], seed)


def plan_lines(plan: Plan) -> list[str]:
    """What the plan asks for and what it risks, a line a fact."""
    claim = f"{100 * plan.right:g} % of the boxes are right, with {100 * plan.confidence:g} % confidence"
    first = f"inspect {plan.first} of {plan.places} places"
    if plan.second:
        rule = (
            f"accept with none wrong; with 1 to {plan.accept} wrong inspect {plan.second} more and accept"
            f" with at most {plan.accept} wrong in both"
        )
    else:
        rule = f"accept with at most {plan.accept} wrong" if plan.accept else "accept with none wrong"
    return [
        f"{plan.kind} plan: {first}; {rule}",
        f"then at least {claim}; {100 * consumer_risk(plan):.1f} % of lots that just miss it are accepted"
        f" ({plan.risks} risks)",
        f"of lots with a quarter of the allowed errors {100 * producer_risk(plan):.0f} % are turned down, and"
        f" {expected_places(plan):.0f} places are inspected on average",
    ]


def sample_lines(found: Drawn) -> list[str]:
    """For people, before anybody starts."""
    sample = found.sample
    left_out = f"; {sample.left_out} that a lot holds are left out" if sample.left_out else ""
    return [
        f"{counted(sample.labels, 'label')} with {counted(sample.boxes, 'box', 'boxes')} of"
        f" {counted(sample.groups, 'camera-day and annotator', 'camera-days and annotators')}{left_out}",
        *plan_lines(found.plan),
        f"{counted(sample.frames[0], 'frame')} to look at, and {sample.frames[1]} more in a second stage",
    ]


def curve_points(plan: Plan) -> tuple[str, str, str]:
    """Of the picture of its operating curve: the points of a line, and the shares of right boxes at its left
    and right end.
    """
    right, chance = operating_curve(plan)
    left, end = float(right[0]), float(right[-1])
    x = (right - left) / max(end - left, 1e-9) * WIDTH
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, (1 - chance) * HEIGHT, strict=True))
    return points, f"{100 * left:.1f}", f"{100 * end:.1f}"


def in_words(project: Project) -> list[tuple[str, str, float]]:
    """Sentence, what to do, and severity 0..1: rejected lots, lots that wait, labels never inspected."""
    with read(project.engine) as session:
        rejected, waiting = _ids(session, LotStatus.REJECTED), _ids(session, LotStatus.DRAWN)
        held, never = len(held_back(session)), never_inspected(session)
    found = []
    if held:
        text = f"{counted(held, 'label')} of {_named(rejected)} {either(held, 'is', 'are')} left out of"
        found.append((f"{text} datasets and verdicts until reviewed again", "review them", 0.95))
    if waiting:
        verb = either(len(waiting), "waits", "wait")
        found.append((f"{_named(waiting)} {verb} for inspection", "see what is left", 0.4))
    if never:
        text = f"{counted(never, 'label')} {either(never, 'was', 'were')} never inspected"
        found.append((f"{text} in a lot that was accepted", "draw a lot", 0.1))
    return found


def lots_in_need(session: Session) -> list[tuple[str, str]]:
    """Sentence and what to do, of lots that wait for people."""
    rejected, waiting, held = _ids(session, LotStatus.REJECTED), _ids(session, LotStatus.DRAWN), 0
    found = []
    if rejected and (held := len(held_back(session))):
        text = f"{_named(rejected)} failed inspection: {counted(held, 'label')} must be reviewed again"
        found.append((text, "see why"))
    if waiting:
        verb = either(len(waiting), "waits", "wait")
        found.append((f"{_named(waiting)} {verb} for inspection", "see what is left"))
    return found


def never_inspected(session: Session) -> int:
    """Labels that no accepted lot holds."""
    return count_labels(session) - len(lots_of_labels(session, (LotStatus.ACCEPTED,)))


def _ids(session: Session, status: LotStatus) -> list[int]:
    return [row.id for row in lots(session, (status,))]


def _named(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, sorted(numbers)[:5]))
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    return f"{either(len(numbers), 'lot', 'lots')} {shown}{more}"


def _view(session: Session, row: LotRow, labels: int) -> LotView:
    plan, draws = told_plan(row), lot_draws(session, row.id)
    _, inspected, wrong = decision(plan, draws)
    held = len(held_back(session, row.id)) if row.status is LotStatus.REJECTED else 0
    wanted = [plan.first, plan.second] if plan.second else [plan.first]
    stages = tuple(
        _stage(session, [one for one in draws if one.stage == number + 1], size)
        for number, size in enumerate(wanted)
    )
    text = verdict_text(row.status, plan, inspected, wrong, held)
    begun = any(one.stage == 2 and one.task_id is not None for one in draws)
    who = (row.id, row.name, row.status, text, labels, held, plan, stages, begun, row.who)
    return LotView(*who, row.drawn_at, row.decided_at)


def _stage(session: Session, draws: Sequence[DrawRow], wanted: int) -> Stage:
    asked = tasks_by_id(session, [one.task_id for one in draws if one.task_id is not None])
    waiting = sum(task.status in OPEN_TASKS for task in asked.values())
    inspected, wrong = (sum(getattr(one, name) or 0 for one in draws) for name in ("inspected", "wrong"))
    return Stage(wanted, inspected, wrong, len(draws), waiting)
