"""Lots: a random sample of labels is inspected by somebody who did not make them, and a plan that was
published before says what holds of all of them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from sqlalchemy.orm import Session

from connectors.ports import Purpose
from db.frames import frames
from db.labels import AnswerRow, LabelRow, answers, labels
from db.lots import (
    IN_FORCE,
    DrawRow,
    LotRow,
    MemberRow,
    add_lot,
    held_back,
    lot_draws,
    lot_members,
    lots,
    lots_of_labels,
    move_lot,
    set_draws,
)
from db.states import OPEN_TASKS, LotStatus, TaskStatus
from db.task_queue import tasks_by_id
from db.tasks import TaskRow
from loop.base.errors import ConfigError
from loop.base.wording import counted, either
from loop.labeling.asking import Ask, ask
from loop.math.quality.acceptance import Decision, Kind, Plan, decide, plan_of
from loop.math.quality.lot_sampling import changes_of, drawn_places, errors_at, places_of

PRIORITY = 0.9
"""Inspections come before most of what is to be labeled: labels wait for them."""
STRATEGY = "inspection"
LOT, AGAIN = "lot", "again"
"""In `label_tasks.about`: the lot, and whether the task does the label of a rejected one again."""
ANNOTATION = "annotation"
BEGUN = (LotStatus.DRAWN, LotStatus.ACCEPTED)


@dataclass(frozen=True)
class Sample:
    """What would be drawn. boxes, places: of all labels. groups: camera-days by annotator.

    frames: that are looked at in each stage. left_out: labels that a lot in force holds already.
    """

    plan: Plan
    labels: int
    boxes: int
    places: int
    groups: int
    frames: tuple[int, int]
    left_out: int


@dataclass(frozen=True)
class Drawn:
    """members: in the order of the arrays. stages: places by position of the member, for each stage."""

    members: list[MemberRow]
    plan: Plan
    stages: tuple[Mapping[int, list[int]], Mapping[int, list[int]]]
    sample: Sample


def drawn(
    session: Session,
    wanted: Collection[int] | None,
    right: float,
    confidence: float,
    kind: Kind,
    seed: int,
) -> Drawn:
    """The sample of a lot, nothing written.

    wanted: frames; None for all whose label a person gave. Labels that a lot in force holds are left out.
    Raises ConfigError where there is no box to inspect.
    """
    source = ANNOTATION if wanted is None else None
    known = labels(session, None if wanted is None else sorted(set(wanted)), source=source, usable=True)
    taken = lots_of_labels(session, BEGUN, known)
    free = {seq: row for seq, row in known.items() if seq not in taken}
    boxes = np.array([len(row.boxes) for row in free.values()], dtype=np.int64)
    if not boxes.sum():
        raise ConfigError(
            f"expected labels with boxes that no lot holds yet, got {len(free)} labels without a box and"
            f" {len(taken)} that a lot holds; label more, or name other frames"
        )
    authors = _authors(session, free.values())
    groups = {row.seq: row.group_key for row in frames(session, seqs=list(free))}
    strata = [f"{groups[seq]}\n{authors[seq]}" for seq in free]
    places = places_of(boxes)
    plan = plan_of(int(boxes.sum()), int(places.sum()), right, confidence, kind)
    stages = drawn_places(plan, places, strata, seed)
    members = [MemberRow(0, seq, row.boxes, row.annotation_id, authors[seq]) for seq, row in free.items()]
    sizes = (len(free), int(boxes.sum()), int(places.sum()), len(set(strata)))
    sample = Sample(plan, *sizes, (len(stages[0]), len(stages[1].keys() - stages[0].keys())), len(taken))
    return Drawn(members, plan, stages, sample)


def begin(session: Session, found: Drawn, name: str, seed: int, who: str) -> int:
    """Stores the lot and puts its first stage before people; its number."""
    number = add_lot(session, name, asdict(found.plan), seed, who, found.members)
    rows = [
        DrawRow(number, found.members[place].frame, stage + 1, chosen, None, None, None)
        for stage, by_frame in enumerate(found.stages)
        for place, chosen in by_frame.items()
    ]
    set_draws(session, rows)
    _ask_for(session, number, 1)
    return number


def decide_lots(session: Session) -> list[str]:
    """What the answers say of each lot by now, also of one that was decided before; a line for each that
    moved. A second stage is asked for, and a rejected lot goes back to the desk.
    """
    return [line for lot in lots(session, IN_FORCE) for line in _followed(session, lot)]


def withdraw_lot(session: Session, number: int) -> list[int]:
    """The lot is given up; its open tasks. Raises ConfigError where it is not under inspection, or where
    something wrong was found in it: another draw of the same labels might be luckier.
    """
    lot = lot_of(session, number)
    wrong = sum(decision(told_plan(lot), lot_draws(session, number))[2])
    if lot.status is LotStatus.DRAWN and wrong:
        raise ConfigError(
            f"expected a lot in which nothing wrong was found so far, got lot {number} with"
            f" {counted(wrong, 'wrong place')}; finish its inspection, for what another draw of its"
            " labels says would be no more than luck"
        )
    if not move_lot(session, number, LotStatus.DRAWN, LotStatus.WITHDRAWN):
        raise ConfigError(
            f"expected a lot that is under inspection, got lot {number}, which is {lot.status};"
            " `fieldloop labels lots` lists them"
        )
    asked = [row.task_id for row in lot_draws(session, number) if row.task_id is not None]
    return [task.id for task in tasks_by_id(session, asked).values() if task.status in OPEN_TASKS]


def lot_of(session: Session, number: int) -> LotRow:
    """Raises ConfigError for a number that is none."""
    found = lots(session, ids=[number])
    if not found:
        raise ConfigError(f"expected the number of a lot, got {number}; `fieldloop labels lots` lists them")
    return found[0]


def told_plan(lot: LotRow) -> Plan:
    """The plan as it was published."""
    return Plan(**lot.plan)


def decision(plan: Plan, draws: Sequence[DrawRow]) -> tuple[Decision, list[int], list[int]]:
    """What the plan says, with the places inspected and wrong in each stage."""
    inspected, wrong = [0, 0], [0, 0]
    for row in draws:
        inspected[row.stage - 1] += row.inspected or 0
        wrong[row.stage - 1] += row.wrong or 0
    return decide(plan, inspected, wrong), inspected, wrong


def by_its_author(task: TaskRow, answer: AnswerRow | None, member: MemberRow) -> bool:
    """Whether whoever made the label looked at it again: that is no inspection."""
    done = task.status is TaskStatus.DONE and answer is not None
    return bool(done and answer and member.author and answer.author == member.author)


def _authors(session: Session, rows: Collection[LabelRow]) -> dict[int, str]:
    """By frame; "" for imported labels."""
    by_id = {row.annotation_id: row.frame for row in rows if row.annotation_id is not None}
    found = {by_id[row.id]: row.author for row in answers(session, ids=list(by_id))}
    return {row.frame: found.get(row.frame, "") for row in rows}


def _followed(session: Session, lot: LotRow) -> list[str]:
    draws = lot_draws(session, lot.id)
    asked = tasks_by_id(session, [row.task_id for row in draws if row.task_id is not None])
    if lot.decided_at is not None and not any(task.changed_at > lot.decided_at for task in asked.values()):
        return []
    held = lot_members(session, lot.id)
    members = {one.frame: one for one in held}
    sizes = places_of(np.array([len(one.boxes) for one in held], dtype=np.int64))
    places = dict(zip(members, sizes.tolist(), strict=True))
    given = {row.id: row for row in answers(session, ids=[t.stands for t in asked.values() if t.stands])}
    now = [_looked_at(row, members[row.frame], places[row.frame], asked, given) for row in draws]
    set_draws(session, [new for new, old in zip(now, draws, strict=True) if new != old])
    _ask_again(session, lot, now, members, asked, given)
    plan = told_plan(lot)
    what, inspected, wrong = decision(plan, now)
    status = LotStatus(what) if what in ("accepted", "rejected") else LotStatus.DRAWN
    due = {"first": 1, "second": 2}.get(what, 0)
    for stage in {row.stage for row in now if row.task_id is None and row.stage <= due}:
        _ask_for(session, lot.id, stage)
    if not (status is not lot.status and move_lot(session, lot.id, lot.status, status)):
        return []
    if status is LotStatus.REJECTED:
        _send_back(session, lot.id, members)
    left = len(held_back(session, lot.id))
    return [f"lot {lot.id} {verdict_text(status, plan, inspected, wrong, left)}"]


def verdict_text(
    status: LotStatus, plan: Plan, inspected: Sequence[int], wrong: Sequence[int], held: int
) -> str:
    """What may be said of a lot, in words. held: labels of it that must be reviewed again."""
    found = counted(sum(inspected), "inspected place")
    bad = f"{sum(wrong)} of {found} {either(sum(wrong), 'is', 'are')} wrong"
    if sum(wrong) > sum(inspected):
        bad = f"{counted(sum(wrong), 'error')} in {found}"
    if status is LotStatus.ACCEPTED:
        claim = f"at least {100 * plan.right:g} % of its boxes are right, with {100 * plan.confidence:g} %"
        return f"accepted: {claim} confidence ({bad})"
    if status is LotStatus.REJECTED:
        left = f"{counted(held, 'label')} must be reviewed again before they train or judge"
        allowed = f"its plan allows {plan.accept}"
        return f"rejected: {bad}, and {allowed}; {left if held else 'all its labels were reviewed again'}"
    if status is LotStatus.WITHDRAWN:
        return f"withdrawn: nothing is known of it ({bad})"
    stage = 2 if plan.second and inspected[0] >= plan.first and sum(wrong) else 1
    of = plan.first if stage == 1 else plan.second
    return f"under inspection: {inspected[stage - 1]} of {of} places of stage {stage} are done; {bad}"


def _looked_at(
    row: DrawRow,
    member: MemberRow,
    places: int,
    asked: Mapping[int, TaskRow],
    given: Mapping[int, AnswerRow],
) -> DrawRow:
    """A task that was skipped or dropped counts as wrong: what nobody can tell is not known to be right."""
    task = asked.get(row.task_id or 0)
    nothing = replace(row, inspected=None, wrong=None)
    if task is None:
        return nothing
    if task.status is TaskStatus.SKIPPED or (task.status is TaskStatus.CANCELLED and task.problem):
        return replace(row, inspected=len(row.places), wrong=len(row.places))
    answer = given.get(task.stands or 0)
    if task.status is not TaskStatus.DONE or answer is None or answer.boxes is None:
        return nothing
    if by_its_author(task, answer, member):
        return nothing
    wrong = errors_at(changes_of(member.boxes, answer.boxes), places)
    return replace(row, inspected=len(row.places), wrong=sum(wrong[place] for place in row.places))


def _ask_for(session: Session, number: int, stage: int) -> None:
    """Those of a stage that nobody was asked for yet. A frame of both stages is looked at once; one that
    has an open inspection of another lot waits for that.
    """
    draws = lot_draws(session, number)
    known = {row.frame: row.task_id for row in draws if row.task_id is not None}
    wanted = [row for row in draws if row.stage == stage and row.task_id is None]
    members = {one.frame: one for one in lot_members(session, number)}
    made = _asked(session, number, [members[row.frame] for row in wanted if row.frame not in known])
    known |= made
    set_draws(session, [replace(row, task_id=known.get(row.frame)) for row in wanted])


def _ask_again(
    session: Session,
    lot: LotRow,
    draws: Sequence[DrawRow],
    members: Mapping[int, MemberRow],
    asked: Mapping[int, TaskRow],
    given: Mapping[int, AnswerRow],
) -> None:
    """Another person, where the author of a label inspected it; anybody, where the task was deleted in
    Label Studio.
    """
    if lot.status is not LotStatus.DRAWN:
        return
    unseen = {
        row.frame
        for row in draws
        if (task := asked.get(row.task_id or 0)) is not None
        and (_is_deleted(task) or by_its_author(task, given.get(task.stands or 0), members[row.frame]))
    }
    made = _asked(session, lot.id, [members[frame] for frame in sorted(unseen)])
    set_draws(session, [replace(row, task_id=made[row.frame]) for row in draws if row.frame in made])


def _is_deleted(task: TaskRow) -> bool:
    """In Label Studio; one that a person dropped says why."""
    return task.status is TaskStatus.CANCELLED and not task.problem


def _asked(session: Session, number: int, members: Sequence[MemberRow]) -> dict[int, int]:
    """Their tasks by frame."""
    asks = [Ask(one.frame, _reason(number, one), PRIORITY, one.boxes, {LOT: number}) for one in members]
    return ask(session, Purpose.INSPECTION, STRATEGY, asks, {LOT: number})


def _reason(number: int, member: MemberRow) -> str:
    but = f" by somebody other than {member.author}" if member.author else ""
    return f"lot {number}: to be inspected{but}; mend what is wrong, add what is missing"


def _send_back(session: Session, number: int, members: Mapping[int, MemberRow]) -> None:
    """Every label that is as it was is reviewed by a task of its own."""
    asks = [
        Ask(
            frame,
            f"lot {number} was rejected: look at this label again, mend it, and submit",
            PRIORITY,
            members[frame].boxes,
            {LOT: number, AGAIN: True},
        )
        for frame in held_back(session, number)
    ]
    ask(session, Purpose.INSPECTION, STRATEGY, asks, {LOT: number, AGAIN: True})
