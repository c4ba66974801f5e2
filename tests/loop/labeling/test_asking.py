"""Tasks that look at a label again."""

from __future__ import annotations

from connectors.ports import Box, Purpose
from db.engine import read, write
from db.tasks import tasks
from loop.labeling.asking import Ask, ask
from tests.fakes import FakeParts
from tests.loop.desk import push


def test_a_frame_is_asked_about_once_with_the_boxes_that_are_drawn(pushed: FakeParts) -> None:
    with read(pushed.project.engine) as session:
        frame = tasks(session)[0].frame
    wanted = Ask(
        frame, "helmet is overlooked?", 0.9, [Box("helmet", (1.0, 2.0, 30.0, 40.0))], {"suspects": [7]}
    )
    with write(pushed.project.engine) as session:
        made = ask(session, Purpose.SUSPECT, "suspects", [wanted], {"run": 1})
    with write(pushed.project.engine) as session:
        assert ask(session, Purpose.SUSPECT, "suspects", [wanted], {"run": 2}) == {}
    with read(pushed.project.engine) as session:
        (task,) = [task for task in tasks(session) if task.purpose is Purpose.SUSPECT]
    assert (made, task.about["suspects"]) == ({frame: task.id}, [7])
    push(pushed)
    (sent,) = [one.task for one in pushed.server.tasks if one.task.key == task.key]
    assert [(box.class_name, box.xyxy) for box in sent.predictions] == [("helmet", (1.0, 2.0, 30.0, 40.0))]
