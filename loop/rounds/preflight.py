"""Before a round: what its verdict will be able to show, and what to label so that it shows more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats
from sqlalchemy.orm import Session

from connectors.ports import Purpose
from db.engine import read
from db.labels import count_labels
from db.models import deployed
from db.slice_members import evaluation_counts, members_among
from db.slices import SliceRow, slices
from db.states import OPEN_TASKS
from db.tasks import tasks
from loop.analysis.producers import Producers, producers
from loop.base.arrays import Ints
from loop.gaps.shown import producer_of
from loop.gaps.slices import class_slices
from loop.math.evaluation.chance import Chance
from loop.math.evaluation.compare import Difference, difference_of
from loop.math.evaluation.pair import alpha_left
from loop.project.project import Project
from loop.project.wiring import Parts
from loop.rounds.judge import HeldOut, held_out
from loop.selection.evaluation_draw import ENOUGH_GROUPS

USUAL = Chance(by_group=0.1, by_object=1.0)
"""How far chance moves a slice before any models were compared, as in the simulation of the gate."""
POWER = 0.8
TOGETHER = "the targeted gaps together"
NOTHING_HELD_OUT = (
    "nothing is held out, so no round can be judged; label frames that were chosen to evaluate with"
)


@dataclass(frozen=True)
class Aim:
    """Something that the next round is to mend.

    frames, objects, groups: held out and labeled.
    rise: of AP50 that four rounds of five would show, None where none could be shown.
    queued: frames of it that judge and wait for a label.
    left, left_groups: that could yet be drawn to judge.
    """

    name: str
    slice_id: int | None
    frames: int
    objects: int
    groups: int
    rise: float | None
    queued: int = 0
    left: int = 0
    left_groups: int = 0


@dataclass(frozen=True)
class Preflight:
    """aims: each target, the worst judged first; together: all of them, or all held-out frames
    where there is no target; None where nothing is held out.
    """

    together: Aim | None
    aims: list[Aim]

    def lines(self) -> list[str]:
        """For people, a line a fact."""
        if self.together is None:
            return [NOTHING_HELD_OUT]
        return [_line(self.together), *(line for aim in self.aims for line in (_line(aim), *_advice(aim)))]


def preflight(parts: Parts) -> Preflight:
    """What a round from the deployed model would be judged on, were it opened now. No model runs."""
    project, made = parts.project, producers(parts)
    with read(project.engine) as session:
        base = deployed(session)
        if base is None or not count_labels(session, purpose=Purpose.EVALUATION):
            return Preflight(None, [])
    held = held_out(project, made, base.id, planned=True)
    alpha, group = project.settings.gate.alpha, np.unique(held.groups, return_inverse=True)[1]
    objects = {name: _objects(held, name, project.classes) for name in held.targets}
    everything = sum(objects.values()) if objects else _counted(held, None)
    name = TOGETHER if objects else "all held-out frames"
    with read(project.engine) as session:
        aims = [
            _with_more(session, made, _aim(project, held, each, group, alpha), project.classes)
            for each in objects.items()
        ]
    together = _aim(project, held, (name, np.asarray(everything)), group, alpha)
    return Preflight(together, sorted(aims, key=lambda aim: (aim.groups, aim.frames, aim.name)))


def _objects(held: HeldOut, name: str, classes: Sequence[str]) -> Ints:
    """(N,) objects of a target in each frame."""
    if name in held.conditions:
        return np.where(held.conditions[name], _counted(held, None), 0)
    return _counted(held, list(classes).index(name))


def _counted(held: HeldOut, class_id: int | None) -> Ints:
    found = [
        len(t.class_id) if class_id is None else int((t.class_id == class_id).sum()) for t in held.truths
    ]
    return np.array(found, dtype=np.int64)


def _aim(project: Project, held: HeldOut, named: tuple[str, Ints], group: Ints, alpha: float) -> Aim:
    name, objects = named
    one = difference_of(0.5, 0.5, np.ones((1, len(objects))), objects[None], group)
    shown = held.conditions.get(name)
    frames = one.frames if shown is None else int(shown.sum())
    enough = one.groups >= project.settings.gate.min_groups
    left = alpha_left(alpha, held.looks[objects > 0].astype(np.float64))
    ids = [held.slice_ids.get(f"{kind} {name}") for kind in ("condition", "class")]
    number = next((each for each in ids if each is not None), None)
    return Aim(name, number, frames, one.objects, one.groups, _rise(one, left) if enough else None)


def _rise(one: Difference, alpha: float) -> float | None:
    """The smallest that the test shows with probability POWER, by the normal approximation; None
    where even 1 would not.
    """
    rise = float((stats.norm.isf(alpha) + stats.norm.ppf(POWER)) * USUAL.deviation(one))
    return rise if rise < 1 else None


def _with_more(session: Session, made: Producers, aim: Aim, classes: Sequence[str]) -> Aim:
    """With the frames that could be held out yet."""
    if aim.slice_id is None:
        return aim
    (row,) = slices(session, ids=[aim.slice_id])
    open_ones = [t.frame for t in tasks(session, status=OPEN_TASKS) if t.purpose == Purpose.EVALUATION]
    queued = _showing(session, made, row, open_ones)
    frames, groups = evaluation_counts(session, row.id)
    held = 0 if row.id in class_slices([row], classes) else aim.frames
    return replace(aim, queued=queued, left=max(frames - held - queued, 0), left_groups=groups)


def _showing(session: Session, made: Producers, row: SliceRow, seqs: Sequence[int]) -> int:
    among = np.array(sorted(seqs), dtype=np.int64)
    return len(members_among(session, producer_of(row.kind, made), row.id, among))


def _line(aim: Aim) -> str:
    if not aim.frames:
        return f"{aim.name}: 0 frames held out, so nothing will be known of it"
    frames, days = _of(aim.frames, "frame"), _of(aim.groups, "camera-day")
    held = f"{frames} of {days} held out, {_of(aim.objects, 'object')}"
    if aim.rise is None:
        return f"{aim.name}: {held}; too few to show a rise there alone"
    return f"{aim.name}: {held}; a rise of AP50 by {aim.rise:.2f} or more would be shown"


def _advice(aim: Aim) -> list[str]:
    if aim.groups >= ENOUGH_GROUPS:
        return []
    said = [f"label its {_of(aim.queued, 'frame')} that wait to judge"] if aim.queued else []
    if aim.left:
        said.append(f"`fieldloop select` can draw {aim.left} more, of {_of(aim.left_groups, 'camera-day')}")
    if not said:
        said.append("no other frame of it lies on a camera-day that judges; it takes more days of production")
    return [f"  to judge it better: {'; then '.join(said)}"]


def _of(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
