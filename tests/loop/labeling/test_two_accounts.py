"""Two accounts answer, change, delete and skip at once in the real Label Studio while pulls go on: history
is kept, the rules that are written down decide, and the database ends as the server stands.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from db.engine import read
from db.labels import answers, labels
from db.states import TaskStatus
from loop.labeling import pull as pulling
from tests.fakes import FakeParts, quiet
from tests.loop.desk import pull, rows
from tests.studio import Colleague, Studio, drawn

pytestmark = [pytest.mark.slow, pytest.mark.studio]
SEED, STEPS = 18, 120
LEFT, RIGHT = (1.0, 2.0, 9.0, 10.0), (20.0, 12.0, 30.0, 22.0)
CHOICES: Sequence[Sequence[tuple[float, float, float, float]]] = ([], [LEFT], [LEFT], [RIGHT], [LEFT, RIGHT])
Call = Callable[..., Any]
State = tuple[int, bool, str]
"""Of an answer: its number, whether it is a skip, its boxes."""


@pytest.fixture
def colleague(label_studio: Studio) -> Iterator[Colleague]:
    made = Colleague.join(label_studio, "at-once@example.org")
    yield made
    made.client.close()


def test_history_is_kept_and_the_written_rules_decide(
    real: FakeParts, label_studio: Studio, colleague: Colleague
) -> None:
    dice, seen = random.Random(SEED), set[State]()
    accounts: list[tuple[Call, list[int]]] = [(label_studio.call, []), (colleague.call, [])]
    numbers = [task.external_id or 0 for task in rows(real)]
    acts = [0, 0, 0, 0]
    for _ in range(STEPS):
        call, own = dice.choice(accounts)
        acts[step(dice, call, own, numbers)] += 1
        if dice.random() < 0.15:
            pull(real)
            seen |= {state_of(one) for task in standing(real, label_studio) for one in task["annotations"]}
    assert min(acts) > 5, "all of it was done"
    pull(real)
    at_end = standing(real, label_studio)
    seen |= {state_of(one) for task in at_end for one in task["annotations"]}
    with read(real.project.engine) as session:
        stored = answers(session, [task.id for task in rows(real)])
    assert seen - {state(row.external_id, row.cancelled, row.result) for row in stored} == set()
    as_it_stands(real, at_end)
    before = rows(real)
    assert pulling.pull(real, quiet, everything=True).answers == {}
    assert rows(real) == before, "a fresh reading of the server changes nothing"


def step(dice: random.Random, call: Call, own: list[int], numbers: Sequence[int]) -> int:
    """One account answers a task (0), skips one (1), changes an answer of its own (2) or deletes it (3)."""
    act = dice.choices(range(4), [4, 2, 3, 2])[0] if own else dice.choice((0, 1))
    body = {"result": regions(dice), "was_cancelled": act == 1, "lead_time": 2.0}
    if act < 2:
        own.append(int(call("POST", f"tasks/{dice.choice(numbers)}/annotations/", json=body)["id"]))
    elif act == 2:
        call("PATCH", f"annotations/{dice.choice(own)}/", json=body)
    else:
        call("DELETE", f"annotations/{own.pop(dice.randrange(len(own)))}/")
    return act


def regions(dice: random.Random) -> list[dict[str, Any]]:
    return [drawn("helmet", corners, (32, 24)) for corners in dice.choice(CHOICES)]


def standing(parts: FakeParts, studio: Studio) -> list[dict[str, Any]]:
    """All tasks as the server holds them now."""
    params = {"project": rows(parts)[0].external_project, "fields": "all", "page_size": 100}
    found: list[dict[str, Any]] = studio.call("GET", "tasks", params=params)["tasks"]
    return found


def state_of(answer: Mapping[str, Any]) -> State:
    return state(answer["id"], answer["was_cancelled"], answer["result"])


def state(number: int, cancelled: bool, result: Sequence[Mapping[str, Any]]) -> State:
    return number, cancelled, json.dumps(sorted(places(result)))


def places(result: Sequence[Mapping[str, Any]]) -> list[tuple[float, ...]]:
    return [
        tuple(round(region["value"][name], 3) for name in ("x", "y", "width", "height")) for region in result
    ]


def as_it_stands(parts: FakeParts, tasks: Sequence[Mapping[str, Any]]) -> None:
    """Each task has the status and the label that docs/howto/own-label-studio.md promises: the latest
    answer of each person; no label where they contradict each other; a skip where nobody answered.
    """
    ours = {task.external_id: task for task in rows(parts)}
    with read(parts.project.engine) as session:
        held = labels(session, [task.frame for task in ours.values()])
    found = set()
    for task in tasks:
        row, given = ours[task["id"]], task["annotations"]
        latest = {one["completed_by"]: one for one in sorted(given, key=time_of) if not one["was_cancelled"]}
        said = {json.dumps(sorted(places(one["result"]))) for one in latest.values()}
        if not latest:
            wanted = TaskStatus.SKIPPED if given else TaskStatus.CONFIRMED
        else:
            wanted = TaskStatus.DONE if len(said) == 1 else TaskStatus.QUARANTINED
        assert row.status is wanted, task["id"]
        found.add(wanted)
        assert (row.frame in held) == (wanted is TaskStatus.DONE)
        if wanted is TaskStatus.DONE:
            corners = sorted(tuple(round(v, 1) for v in box.xyxy) for box in held[row.frame].boxes)
            (text,) = said
            assert len(corners) == len(json.loads(text))
            assert set(corners) <= {LEFT, RIGHT}
    assert len(found) > 1, "the seed leads to different ends"


def time_of(answer: Mapping[str, Any]) -> tuple[str, int]:
    return answer["updated_at"], answer["id"]
