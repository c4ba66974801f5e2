"""Tasks that stand in Label Studio and not in the database: those of a state that was restored over.

A task is named after its frame's content, so its answers find their frame again.
"""

from __future__ import annotations

import re

from sqlalchemy.orm import Session

from connectors.ports import Purpose
from db.facts import get_fact, set_fact
from db.frames import frame_by_hash
from db.states import TaskStatus
from db.tasks import NewTask, TaskRow, add_tasks, create_batch, move, queue_batch, task_by_key
from loop.labeling.project import slot_of

KEY = re.compile(rf"([0-9a-f]{{20}})-b[0-9]+-({'|'.join(Purpose)})")
BATCH_FACT = "adopted_batch"
STRATEGY = "taken back"


def may_be_ours(key: str) -> bool:
    """Whether a task has the name that this project would give it."""
    return KEY.fullmatch(key) is not None


def adopt(session: Session, external_project: int, external_id: int, key: str) -> TaskRow | None:
    """The task of an answer that we know nothing of, made from its name.

    None where its frame is not in the project, or has another open task.
    """
    named = KEY.fullmatch(key)
    frame = named and frame_by_hash(session, named[1])
    if not named or frame is None:
        return None
    slot = slot_of(session, external_project)
    task = NewTask(
        frame, Purpose(named[2]), key, 0, 0.0, "stood in Label Studio already", STRATEGY, slot=slot
    )
    if not add_tasks(session, _batch(session), [task]):
        return None
    made = task_by_key(session, key)
    assert made is not None
    there = {"external_project": external_project, "external_id": external_id}
    move(session, [made.id], TaskStatus.PENDING, TaskStatus.CONFIRMED, **there)
    return task_by_key(session, key)


def _batch(session: Session) -> int:
    known = get_fact(session, BATCH_FACT)
    if known:
        return int(known)
    made = create_batch(session, STRATEGY, 0, 0, {})
    queue_batch(session, made)
    set_fact(session, BATCH_FACT, str(made))
    return made
