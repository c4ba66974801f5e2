"""Before a round: what its verdict will be able to show, and what to label so that it shows more."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats
from sqlalchemy.orm import Session

from connectors.ports import Purpose
from db.engine import read
from db.frames import frames
from db.labels import count_labels
from db.lots import held_back, lots, lots_of_labels
from db.models import deployed
from db.slice_members import evaluation_members, members_among
from db.slices import slices
from db.states import OPEN_TASKS, LotStatus, SliceKind
from db.tasks import engaged_frames, tasks
from loop.analysis.producers import Producers, producers
from loop.base.arrays import Ints
from loop.base.wording import counted, either, listed
from loop.gaps.shown import producer_of
from loop.math.evaluation.chance import USUAL
from loop.math.evaluation.compare import Difference, difference_of, group_numbers, least_p
from loop.math.evaluation.pair import alpha_left
from loop.project.project import Project
from loop.project.wiring import Parts
from loop.rounds.judge import HeldOut, held_out
from loop.selection.evaluation_draw import ENOUGH_GROUPS

POWER = 0.8
TOGETHER, EVERYWHERE = "the targeted gaps together", "all held-out frames"
SHOWN = 8
NOTHING_HELD_OUT = (
    "nothing is held out, so no round can be judged; label frames that were chosen to evaluate with"
)


@dataclass(frozen=True)
class Aim:
    """Something that the next round is to mend.

    frames, objects, groups: held out and labeled.
    rise: of AP50 there alone that four rounds of five would show, None where none could be shown.
    queued, files: frames of it that judge and wait for a label, and their names.
    left: frames that could yet be drawn to judge, None for a class, which the draw cannot aim at.
    """

    name: str
    slice_id: int | None
    frames: int
    objects: int
    groups: int
    rise: float | None
    queued: tuple[int, ...] = ()
    left: int | None = None
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Preflight:
    """aims: each target, the worst judged first; together: all of them, or all held-out frames
    where there is no target; None where nothing is held out.
    unseen: classes of which no object is held out, so a candidate that passes waits for a person.
    labels: what is known of the labels that would go in, a line a fact.
    """

    together: Aim | None
    aims: list[Aim]
    unseen: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """For people, a line a fact."""
        if self.together is None:
            return [NOTHING_HELD_OUT, *self.labels]
        aims = [line for aim in self.aims for line in (_line(aim), *_advice(aim))]
        return [_line(self.together), *aims, *_unseen(self.unseen), *self.labels]


def preflight(parts: Parts) -> Preflight:
    """What a round from the deployed model would be judged on, were it opened now.

    No model runs; one is loaded only where nothing was ever analyzed by it. Raises ModelError.
    """
    project = parts.project
    with read(project.engine) as session:
        base = deployed(session)
        if base is None or not count_labels(session, purpose=Purpose.EVALUATION, usable=True):
            return Preflight(None, [], labels=_of_labels(session))
    made = producers(parts)
    held = held_out(project, made, base.id, planned=True)
    alpha = project.settings.gate.alpha
    objects = {name: _objects(held, name, project.classes) for name in held.targets}
    with read(project.engine) as session:
        engaged = engaged_frames(session)
        waiting = [t.frame for t in tasks(session, status=OPEN_TASKS) if t.purpose == Purpose.EVALUATION]
        aims = [
            _with_more(session, made, _aim(project, held, name, [found], alpha), waiting, engaged)
            for name, found in objects.items()
        ]
        told = _of_labels(session)
    every = list(objects.values()) or [np.where(held.weights > 0, _counted(held, None), 0)]
    together = _aim(project, held, TOGETHER if objects else EVERYWHERE, every, alpha)
    ordered = sorted(aims, key=lambda aim: (aim.groups, aim.frames, aim.name))
    waits = project.settings.gate.when_unjudged == "wait"
    unseen = _without_objects(held, project.classes) if waits else ()
    return Preflight(together, ordered, unseen, told)


def _of_labels(session: Session) -> tuple[str, ...]:
    """Of lots of labels that were inspected; nothing where no lot was ever drawn."""
    if not lots(session):
        return ()
    accepted = lots_of_labels(session, (LotStatus.ACCEPTED,))
    known, held = count_labels(session, usable=True), len(held_back(session))
    never = f"{known - len(accepted)} of {counted(known, 'label')} belong to no lot that was accepted"
    if not held:
        return (never,)
    left_out = (
        f"{counted(held, 'label')} of rejected lots {either(held, 'is', 'are')} left out until reviewed"
    )
    return (never, left_out)


def _without_objects(held: HeldOut, classes: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for number, name in enumerate(classes) if not _counted(held, number).any())


def _unseen(classes: Sequence[str]) -> list[str]:
    if not classes:
        return []
    return [
        f"no object of {listed(classes, SHOWN)} is held out, so a candidate that passes waits for a"
        " person; label some that judge"
    ]


def _objects(held: HeldOut, name: str, classes: Sequence[str]) -> Ints:
    """(N,) objects of a target in each frame."""
    if name in held.conditions:
        return np.where(held.conditions[name], _counted(held, None), 0)
    return _counted(held, list(classes).index(name))


def _counted(held: HeldOut, class_id: int | None) -> Ints:
    if class_id is None:
        return np.array([len(truth.class_id) for truth in held.truths], dtype=np.int64)
    return np.array([(truth.class_id == class_id).sum() for truth in held.truths], dtype=np.int64)


def _aim(project: Project, held: HeldOut, name: str, objects: Sequence[Ints], alpha: float) -> Aim:
    """objects: (N,) of each slice, which are tested as one."""
    shown = np.array(objects)
    weights = np.where(shown > 0, held.weights if name == EVERYWHERE else 1.0, 0.0)
    one = difference_of(0.5, 0.5, weights, shown, group_numbers(held.groups))
    inside = held.conditions.get(name)
    frames = one.frames if inside is None else int(inside.sum())
    left = alpha_left(alpha, held.looks[shown.any(axis=0)].astype(np.float64))
    testable = one.groups >= project.settings.gate.min_groups and least_p(one.groups) <= left
    number = next(
        (held.slice_ids[k] for k in (f"condition {name}", f"class {name}") if k in held.slice_ids), None
    )
    return Aim(name, number, frames, one.objects, one.groups, _rise(one, left) if testable else None)


def _rise(one: Difference, alpha: float) -> float | None:
    """The smallest that the test shows with probability POWER, by the normal approximation; None
    where even 1 would not.
    """
    rise = float((stats.norm.isf(alpha) + stats.norm.ppf(POWER)) * USUAL.deviation(one))
    return rise if rise < 1 else None


def _with_more(
    session: Session, made: Producers, aim: Aim, waiting: Sequence[int], engaged: Collection[int]
) -> Aim:
    """With the frames that could be held out yet.

    waiting: frames that judge and have no label yet. engaged: those that were ever asked for.
    """
    if aim.slice_id is None:
        return aim
    (row,) = slices(session, ids=[aim.slice_id])
    producer = producer_of(row.kind, made)
    among = np.array(sorted(waiting), dtype=np.int64)
    queued = tuple(members_among(session, producer, row.id, among).tolist())
    names = {frame.seq: frame.source_key for frame in frames(session, seqs=queued)}
    aim = replace(aim, queued=queued, files=tuple(names[seq] for seq in queued))
    if row.kind is SliceKind.CLASS:
        return aim
    judging = evaluation_members(session, producer, row.id)
    return replace(aim, left=sum(seq not in engaged for seq in judging))


def _line(aim: Aim) -> str:
    if not aim.frames:
        return f"{aim.name}: 0 frames held out, so nothing will be known of it"
    frames, days = counted(aim.frames, "frame"), counted(aim.groups, "camera-day")
    held = f"{frames} of {days} held out, {counted(aim.objects, 'object')}"
    if aim.rise is None:
        return f"{aim.name}: {held}; too few, or asked too often, to show a rise there"
    return f"{aim.name}: {held}; four rounds of five would show a rise of AP50 by {aim.rise:.2f}"


def _advice(aim: Aim) -> list[str]:
    if aim.groups >= ENOUGH_GROUPS:
        return []
    waiting = counted(len(aim.queued), "frame that waits", "frames that wait")
    said = [f"label its {waiting} to judge ({listed(aim.files, SHOWN)})"] if aim.queued else []
    if aim.left:
        said.append(f"`fieldloop select` can draw {aim.left} more")
    if aim.left is None:
        said.append("the draw cannot aim at a class; any more frames that judge may show it")
    if not said:
        said.append("no other frame of it lies on a camera-day that judges; it takes more days of production")
    return [f"  to judge it better: {'; then '.join(said)}"]
