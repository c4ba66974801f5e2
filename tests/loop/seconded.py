"""Frames that two people answered, who disagree on some of them."""

from __future__ import annotations

from connectors.ports import Box
from tests.fakes import FakeParts
from tests.loop.desk import pull, push, rows

HAT, NEAR = Box("helmet", (1.0, 2.0, 9.0, 10.0)), Box("helmet", (1.5, 2.0, 9.5, 10.0))
LOOSE, PERSON = Box("helmet", (1.0, 2.0, 13.0, 10.0)), Box("person", (1.0, 2.0, 9.0, 10.0))
SECOND = ((NEAR,),) * 5 + ((),) * 3 + ((PERSON,),) * 2 + ((LOOSE,),) * 2
"""What the second person drew where the first drew HAT: of twelve frames."""


def answer_twice(parts: FakeParts) -> None:
    """Twelve first and second tasks get their answers; those of third persons, where two contradict each
    other, are sent and wait.
    """
    first = [task for task in rows(parts) if task.slot == 0]
    second = {task.frame: task.key for task in rows(parts) if task.slot == 1}
    for task, boxes in zip(first, SECOND, strict=True):
        parts.server.answer(task.key, [HAT], author="ann@example.org")
        parts.server.answer(second[task.frame], boxes, author="bob@example.org")
    pull(parts)
    push(parts)
