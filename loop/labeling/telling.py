"""What was decided here of tasks that stand in Label Studio, and is told there by the next push: those
that were dropped are taken back, those that were moved in the order get their new place.

What is still to be told stands in the database, so nothing is lost while the server is away.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from connectors.ports import LabelBackend
from db.engine import read, write
from db.facts import get_fact, set_fact
from db.states import TaskStatus
from db.tables import utcnow
from db.task_queue import tasks_by_id
from db.tasks import TaskRow
from loop.base.files import chunked
from loop.base.wording import counted, either
from loop.labeling.order import shown_priority

DROPPED_FACT, MOVED_FACT = "tasks_to_take_back", "tasks_to_move"
CHUNK = 500


@dataclass
class Told:
    """taken_back: dropped tasks that are gone over there now. begun: dropped ones that stay, because
    somebody has begun or answered them. moved: those that have a new place in the order.
    """

    taken_back: int = 0
    begun: int = 0
    moved: int = 0

    def __add__(self, other: Told) -> Told:
        return Told(self.taken_back + other.taken_back, self.begun + other.begun, self.moved + other.moved)

    def lines(self) -> list[str]:
        """Nothing where nothing was told."""
        said = [f"{counted(self.taken_back, 'dropped task')} taken back"] if self.taken_back else []
        if self.begun:
            stays = either(self.begun, "stays, because somebody has", "stay, because people have")
            said.append(f"{counted(self.begun, 'dropped task')} {stays} begun: an answer will count")
        if self.moved:
            said.append(f"{counted(self.moved, 'task')} moved in the order")
        return said


def to_take_back(session: Session, ids: Iterable[int]) -> None:
    """These were dropped."""
    _add(session, DROPPED_FACT, ids)


def to_move(session: Session, ids: Iterable[int]) -> None:
    """The place of these in the order has changed."""
    _add(session, MOVED_FACT, ids)


def not_to_take_back(session: Session, ids: Collection[int]) -> None:
    """These are wanted after all."""
    _keep(session, DROPPED_FACT, set(_ids(session, DROPPED_FACT)) - set(ids))


def anything_to_tell(session: Session) -> bool:
    """Whether Label Studio has something to hear."""
    return bool(_ids(session, DROPPED_FACT) or _ids(session, MOVED_FACT))


def tell(engine: Engine, backend: LabelBackend, project_id: int, settle: timedelta, slot: int = 0) -> Told:
    """Tells all of it to the project of a slot; whatever is interrupted is told again. The caller holds
    the lease of the push.

    settle: how long an import may be under way: a task that is not there may come until then.
    """
    told = Told()
    _take_back(engine, backend, project_id, settle, told, slot)
    _move(engine, backend, project_id, told, slot)
    return told


def forget_untold(engine: Engine, slot: int) -> None:
    """There is no project of that slot, so nobody to be told."""
    for fact in (DROPPED_FACT, MOVED_FACT):
        if left := _waiting(engine, fact, slot):
            _heard(engine, fact, {row.id for row in left})


def _take_back(
    engine: Engine, backend: LabelBackend, project_id: int, settle: timedelta, told: Told, slot: int
) -> None:
    for chunk in chunked(_waiting(engine, DROPPED_FACT, slot), CHUNK):
        dropped = [row for row in chunk if row.status is TaskStatus.CANCELLED]
        there = backend.find(project_id, [row.key for row in dropped])
        if there:
            backend.remove(project_id, [number for ids in there.values() for number in ids])
            left = backend.find(project_id, [*there])
            told.begun += len(left)
            told.taken_back += len(there) - len(left)
        late = {row.id for row in dropped if row.key not in there and utcnow() - row.changed_at < settle}
        _heard(engine, DROPPED_FACT, {row.id for row in chunk} - late)


def _move(engine: Engine, backend: LabelBackend, project_id: int, told: Told, slot: int) -> None:
    """One that is not there yet goes there with its new place, unless an import of it is under way."""
    for chunk in chunked(_waiting(engine, MOVED_FACT, slot), CHUNK):
        there = backend.find(project_id, [row.key for row in chunk])
        wanted = {number: shown_priority(row) for row in chunk for number in there.get(row.key, ())}
        if wanted:
            backend.prioritize(project_id, wanted)
        told.moved += len(there)
        late = {row.id for row in chunk if row.key not in there and row.status is TaskStatus.SENT}
        _heard(engine, MOVED_FACT, {row.id for row in chunk} - late)


def _waiting(engine: Engine, fact: str, slot: int) -> list[TaskRow]:
    with read(engine) as session:
        found = tasks_by_id(session, _ids(session, fact))
    return [row for row in found.values() if row.slot == slot]


def _heard(engine: Engine, fact: str, ids: set[int]) -> None:
    with write(engine) as session:
        _keep(session, fact, set(_ids(session, fact)) - ids)


def _ids(session: Session, fact: str) -> list[int]:
    return [int(number) for number in json.loads(get_fact(session, fact) or "[]")]


def _add(session: Session, fact: str, ids: Iterable[int]) -> None:
    _keep(session, fact, {*_ids(session, fact), *ids})


def _keep(session: Session, fact: str, ids: set[int]) -> None:
    set_fact(session, fact, json.dumps(sorted(ids)))
