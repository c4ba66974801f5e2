"""From a person's hands in the real Label Studio into our labels and the frozen manifest: the
boxes, every one and no other.
"""

from __future__ import annotations

from typing import Any

import pytest

from connectors.ports import Box
from db.engine import read
from db.labels import LabelRow, labels
from db.rounds import open_round
from db.states import TaskStatus
from db.tasks import TaskRow, tasks
from loop.analysis.producers import producers
from loop.labeling.push import label_tasks
from loop.rounds import freeze, rounds
from tests.fakes import CLASSES, FakeParts
from tests.loop.desk import pull
from tests.studio import Person, Studio, drawn

pytestmark = [pytest.mark.slow, pytest.mark.studio]

MOVED = (1.0, 2.0, 9.0, 11.0)
DRAWN = (20.0, 4.0, 30.0, 20.0)
Shown = list[tuple[str, tuple[float, ...], str]]


def test_what_people_do_is_what_is_trained_on(real: FakeParts, label_studio: Studio) -> None:
    person = Person(label_studio)
    shown = predicted(real)
    accepted, moved, removed, added = [task for task in shown if shown[task]][:4]
    left = [task for task in shown if task not in (accepted, moved, removed, added)]
    skipped, emptied, malformed, flat = left
    person.accept(number(accepted))
    person.move(number(moved), 0, MOVED, size(real, moved))
    person.remove(number(removed), 0)
    person.add(number(added), "helmet", DRAWN, size(real, added))
    person.skip(number(skipped))
    person.empty(number(emptied))
    person.submit(number(malformed), [spoiled("x", "abc")])
    person.submit(number(flat), [spoiled("width", 0)])

    report = pull(real)
    assert report.answers == {TaskStatus.DONE: 5, TaskStatus.SKIPPED: 1, TaskStatus.QUARANTINED: 2}
    assert sorted(report.to_mend) == sorted(
        [
            (
                f"task {malformed.external_id}: not an upright box of one class (person box whose x is"
                " 'abc'; expected a number): draw it again"
            ),
            (
                f"task {flat.external_id}: not an upright box of one class (person box without area"
                " inside the image: x 10, y 10, width 0, height 50 (percent)): draw it again"
            ),
        ]
    )
    name, xyxy, _ = shown[moved][0]
    expected: dict[int, Shown] = {
        accepted.frame: shown[accepted],
        moved.frame: [(name, MOVED, "prediction-changed"), *shown[moved][1:]],
        removed.frame: shown[removed][1:],
        added.frame: [*shown[added], ("helmet", DRAWN, "manual")],
        emptied.frame: [],
    }
    assert xyxy != MOVED
    held = labeled(real)
    assert {frame: [box[0::2] for box in in_order(held[frame])] for frame in held} == {
        frame: [box[0::2] for box in boxes] for frame, boxes in expected.items()
    }
    for frame, boxes in expected.items():
        for got, wanted in zip(in_order(held[frame]), boxes, strict=True):
            assert got[1] == pytest.approx(wanted[1], abs=0.01)
    assert frozen(real) == {
        frame: [(CLASSES.index(box.class_name), *box.xyxy) for box in label.boxes]
        for frame, label in held.items()
    }


def predicted(parts: FakeParts) -> dict[TaskRow, Shown]:
    """What every task shows, those with boxes first."""
    with read(parts.project.engine) as session:
        known = tasks(session)
    made = label_tasks(parts.project, known)
    shown = {row: [as_shown(box) for box in task.predictions] for row, task in zip(known, made, strict=True)}
    return dict(sorted(shown.items(), key=lambda item: not item[1]))


def as_shown(box: Box) -> tuple[str, tuple[float, ...], str]:
    return box.class_name, box.xyxy, box.origin


def in_order(label: LabelRow) -> Shown:
    return [as_shown(box) for box in label.boxes]


def number(task: TaskRow) -> int:
    assert task.external_id is not None
    return task.external_id


def size(parts: FakeParts, task: TaskRow) -> tuple[int, int]:
    (made,) = label_tasks(parts.project, [task])
    return made.width, made.height


def spoiled(side: str, value: object) -> dict[str, Any]:
    """A person's box of which one number is something else, as a script may send it."""
    region = drawn("person", (10.0, 10.0, 60.0, 60.0), (100, 100))
    return region | {"value": region["value"] | {side: value}}


def labeled(parts: FakeParts) -> dict[int, LabelRow]:
    with read(parts.project.engine) as session:
        return labels(session, source="annotation")


def frozen(parts: FakeParts) -> dict[int, list[tuple[float, ...]]]:
    """The boxes that the manifest holds of the frames that people answered."""
    rounds.start(parts)
    with read(parts.project.engine) as session:
        row = open_round(session)
        asked = {task.frame for task in tasks(session)}
    assert row is not None
    manifest = freeze.build_manifest(parts.project, producers(parts).embedder, row)
    assert not [dropped for dropped in manifest.dropped if dropped[0] in asked]
    return {entry.frame: list(entry.boxes) for entry in manifest.entries if entry.frame in asked}
