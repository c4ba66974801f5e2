"""Tasks that ask a person about labels that look wrong, and what the answers say of the suspicion."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Protocol

from sqlalchemy.orm import Session

from connectors.ports import Box, Purpose
from db.frames import FrameRow, frames
from db.labels import LabelRow, answers, labels
from db.states import OPEN_TASKS, SuspectKind, SuspectOutcome, TaskStatus
from db.suspects import Place, SuspectRow, decide, put_before, suspects
from db.tasks import TaskRow, tasks
from loop.labeling.asking import Ask, ask
from loop.labeling.ruling import same_objects
from loop.math.boxes.matching import iou_matrix
from loop.math.quality.agreement import SAME

LABEL = "label"
"""In `label_tasks.about`: the boxes of the label that is asked about."""
NEAR = 0.3
"""IoU from which a box is near the place of a suspect."""
UNMOVED = 0.98
"""IoU from which a box lies where it lay: what Label Studio gives back differs by rounding alone."""
SHOWN = 3
"""So many suspects of a frame are said in one line."""
GONE, ASKED = "its label is another one by now", "it stands before people already"
Refused = str


def send(session: Session, rows: Sequence[SuspectRow]) -> tuple[dict[int, int], dict[int, Refused]]:
    """Puts these suspects before people, one task a frame, the frames in the order of the first of each;
    the tasks by suspect, and by suspect why it stays.

    The fix is drawn, but on frames that judge models: what judges a model must not be drawn by one.
    """
    refused = _refused(session, rows)
    of_frame: dict[int, list[SuspectRow]] = defaultdict(list)
    for row in rows:
        if row.id not in refused:
            of_frame[row.frame].append(row)
    held = labels(session, of_frame)
    pictures = {frame.seq: frame for frame in frames(session, seqs=of_frame)}
    asks = [_ask(found, held[seq], pictures[seq]) for seq, found in of_frame.items()]
    made = ask(session, Purpose.SUSPECT, "suspects", asks, {"suspects": sum(map(len, of_frame.values()))})
    for seq, found in of_frame.items():
        put_before(session, [row.id for row in found], made[seq])
    return {row.id: made[row.frame] for found in of_frame.values() for row in found}, refused


def settle_suspects(session: Session, task: TaskRow) -> None:
    """What the answer in force says of the suspects that the task asks about; nothing where none is."""
    rows = suspects(session, tasks=[task.id])
    answer = answers(session, ids=[task.stands])[0].boxes if task.stands else None
    if task.status is not TaskStatus.DONE:
        answer = None
    before = [_box(one) for one in task.about.get(LABEL) or ()]
    for row in rows:
        outcome = None if answer is None else outcome_of(row, before, answer)
        if outcome != row.outcome:
            decide(session, [row.id], outcome)


def outcome_of(row: SuspectRow, before: Sequence[Box], after: Sequence[Box]) -> SuspectOutcome:
    """Confirmed where the label changed at the place of the suspect, as suspected or otherwise; refuted
    where it was left as it was. A box that was moved within SAME counts for a bad location alone.
    """
    least = UNMOVED if row.kind is SuspectKind.LOCATION else SAME
    left = same_objects(_near(row, before), _near(row, after), least)
    return SuspectOutcome.REFUTED if left else SuspectOutcome.CONFIRMED


def question(rows: Sequence[Placed], width: int, height: int) -> str:
    """What is asked about a frame, in one line."""
    asked = [f"{_question(row)} ({_where(place_of(row), width, height)})" for row in rows[:SHOWN]]
    more = [f"and {len(rows) - SHOWN} more"] if len(rows) > SHOWN else []
    return " ".join([*asked, *more])


class Placed(Protocol):
    """A suspect, stored or not. box: the label, None where none is there. fix: what it should be."""

    @property
    def kind(self) -> SuspectKind: ...

    @property
    def box(self) -> Place | None: ...

    @property
    def fix(self) -> Place | None: ...


def place_of(row: Placed) -> Place:
    """Where it is: the label, or what should be one."""
    place = row.box or row.fix
    assert place is not None
    return place


def fixed(boxes: Sequence[Box], rows: Sequence[SuspectRow]) -> list[Box]:
    """The boxes of a label with the suspected fixes in them."""
    gone = [_box(row.box) for row in rows if row.box]
    kept = [box for box in boxes if not any(_same_place(box, one) for one in gone)]
    return kept + [_box(row.fix) for row in rows if row.fix]


def _question(row: Placed) -> str:
    place = place_of(row)
    match row.kind:
        case SuspectKind.OVERLOOKED:
            return f"{place[0]} here has no box?"
        case SuspectKind.SPURIOUS:
            return f"no {place[0]} here, though it is labeled?"
        case SuspectKind.CLASS:
            return f"{row.fix[0] if row.fix else 'another class'} here is labeled {place[0]}?"
        case SuspectKind.LOCATION:
            return f"box of {place[0]} here is badly placed?"


def _where(place: Place, width: int, height: int) -> str:
    across = _third(float(place[1] + place[3]) / 2 / width, "left", "middle", "right")
    down = _third(float(place[2] + place[4]) / 2 / height, "top", "middle", "bottom")
    return across if across == down else f"{down} {across}"


def _third(share: float, low: str, middle: str, high: str) -> str:
    return low if share < 1 / 3 else high if share > 2 / 3 else middle


def _ask(rows: Sequence[SuspectRow], label: LabelRow, frame: FrameRow) -> Ask:
    judges = label.purpose == Purpose.EVALUATION
    return Ask(
        frame=frame.seq,
        reason=question(rows, frame.width, frame.height),
        priority=max(row.probability for row in rows),
        draw=label.boxes if judges else fixed(label.boxes, rows),
        about={LABEL: [[box.class_name, *box.xyxy] for box in label.boxes]},
    )


def _refused(session: Session, rows: Sequence[SuspectRow]) -> dict[int, Refused]:
    seqs = {row.frame for row in rows}
    held = labels(session, seqs)
    open_now = tasks(session, status=OPEN_TASKS, frames=seqs)
    asked = {task.frame for task in open_now if task.purpose is Purpose.SUSPECT}
    found = {}
    for row in rows:
        if row.outcome is not None:
            found[row.id] = "a person decided it already"
        elif row.frame in asked:
            found[row.id] = ASKED
        elif row.frame not in held or not stands(row, held):
            found[row.id] = GONE
    return found


def stands(row: SuspectRow, held: Mapping[int, LabelRow]) -> bool:
    """Whether the label still is as the suspect says."""
    if (label := held.get(row.frame)) is None:
        return False
    if row.box:
        return any(_same_place(box, _box(row.box)) for box in label.boxes)
    place = _box(place_of(row))
    return not any(box.class_name == place.class_name and _iou(box, place) >= SAME for box in label.boxes)


def _near(row: SuspectRow, boxes: Sequence[Box]) -> list[Box]:
    places = [_box(place) for place in (row.box, row.fix) if place]
    return [box for box in boxes if any(_iou(box, place) >= NEAR for place in places)]


def _same_place(box: Box, other: Box) -> bool:
    return box.class_name == other.class_name and _iou(box, other) >= UNMOVED


def _iou(box: Box, other: Box) -> float:
    return float(iou_matrix([box.xyxy], [other.xyxy])[0, 0])


def _box(place: Place) -> Box:
    name, x1, y1, x2, y2 = place
    return Box(str(name), (float(x1), float(y1), float(x2), float(y2)))
