"""The order in which labelers get their tasks: pinned ones, then those that were hurried, then by worth.

Label Studio orders by one number, so each kind has a range of it.
"""

from __future__ import annotations

from db.tasks import TaskRow

HURRIED, PINNED = 1.0, 2.0
"""A batch gives priorities up to 1; one above it was hurried, one above 2 is pinned."""
STEP = 0.001


def shown_priority(task: TaskRow) -> float:
    """What Label Studio orders by: 0..1, 1..2 where it was hurried, 2..4 where it is pinned."""
    return task.priority + (PINNED if task.pinned else 0.0)


def hurried_priority(front: float, place: int = 0) -> float:
    """Before all that are open now; of several that are hurried at once the first one first.

    front: the highest priority of the open tasks. place: from the last one of them, 0.
    """
    return min(max(front, HURRIED) + STEP * (place + 1), PINNED - STEP)
