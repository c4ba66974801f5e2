"""Of several answers to one task, the one in force, and the rule that says so.

A skip counts only where nobody answered. What a person marked as the right one outdoes what others
saw, and that outdoes what nobody looked at. Of one person the latest counts. Where persons
contradict one another no rule decides: a person must.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from connectors.ports import Annotation, Box
from db.states import TaskStatus
from loop.labeling.consensus import same_person
from loop.math.boxes.matching import iou_matrix
from loop.math.quality.agreement import SAME

ONLY, MARKED, LATEST, AGREED, UNSEEN = (
    "only answer",
    "ground truth",
    "latest of its author",
    "others agree",
    "accepted unseen",
)


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the answers to one task come to.

    answer: the one in force, None without answers.
    rule: why that one, "" where it is no label.
    problem: what a person must mend before there is a label, "" for nothing.
    unknown: of the answers that count, the classes that are not ours and what is no box.
    """

    status: TaskStatus
    answer: Annotation | None = None
    rule: str = ""
    problem: str = ""
    unknown: tuple[str, ...] = ()


def rule(given: Sequence[Annotation], judges: bool, spoken: Collection[str] = ()) -> Ruling:
    """What all answers to one task come to.

    judges: the label would judge models, so somebody must have looked at the image.
    spoken: who has answered before what this is another opinion on; theirs count only to be refused.
    """
    standing = [one for one in given if not one.cancelled and one.author not in spoken]
    refused = [one for one in given if not one.cancelled and one.author in spoken]
    if refused and not standing:
        latest = max(refused, key=_time)
        return Ruling(TaskStatus.QUARANTINED, latest, "", same_person(latest.author))
    if not standing:
        skip = max(given, key=_time, default=None)
        return Ruling(TaskStatus.SKIPPED if skip else TaskStatus.CONFIRMED, skip)
    counting = _strongest(standing)
    each = _latest_of_each(counting)
    answer = max(each, key=_time)
    unknown = tuple(sorted({name for one in each for name in one.unknown_classes}))
    problem = in_words(unknown) or _contradiction(each) or _unlooked_at(answer, judges)
    if problem:
        return Ruling(TaskStatus.QUARANTINED, answer, "", problem, unknown)
    return Ruling(TaskStatus.DONE, answer, _name(answer, counting, each))


def same_objects(one: Sequence[Box], other: Sequence[Box], least: float = SAME) -> bool:
    """Whether both show the same objects: each box has a partner of its class that it overlaps with
    by an IoU of `least` or more.
    """
    from scipy.optimize import linear_sum_assignment  # only where persons are compared

    if len(one) != len(other) or not one:
        return len(one) == len(other)
    overlap = iou_matrix([box.xyxy for box in one], [box.xyxy for box in other])
    kinds = np.array([[a.class_name == b.class_name for b in other] for a in one])
    fits = (overlap >= least) & kinds
    return bool(fits[linear_sum_assignment(fits, maximize=True)].all())


def in_words(unknown: Sequence[str]) -> str:
    """What is wrong with names that are not ours and, in brackets, with what is no box; "" for none."""
    shapes = [name[1:-1] for name in unknown if name.startswith("[") and name.endswith("]")]
    names = [name for name in unknown if name[1:-1] not in shapes]
    said = [f"unknown class {', '.join(names)}: choose one that the model knows"] if names else []
    if shapes:
        said.append(f"not an upright box of one class ({', '.join(shapes)}): draw it again")
    return "; ".join(said)


def _strongest(standing: Sequence[Annotation]) -> list[Annotation]:
    marked = [one for one in standing if one.ground_truth]
    seen = [one for one in standing if not one.unseen]
    return marked or seen or [*standing]


def _latest_of_each(counting: Iterable[Annotation]) -> list[Annotation]:
    """The latest answer of each person, in the order of time."""
    return [*{one.author: one for one in sorted(counting, key=_time)}.values()]


def _contradiction(each: Sequence[Annotation]) -> str:
    latest = max(each, key=_time)
    if all(same_objects(one.boxes, latest.boxes) for one in each):
        return ""
    said = {one.external_id: _described(one.boxes) for one in each}
    apart = " in different places" if len(set(said.values())) == 1 else ""
    shown = "; ".join(f"{number} says {text}" for number, text in sorted(said.items()))
    return (
        f"answers contradict one another ({shown}{apart}): delete the wrong ones, or mark the right one as"
        " ground truth"
    )


def _described(boxes: Sequence[Box]) -> str:
    counts = Counter(box.class_name for box in boxes)
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "no object"


def _unlooked_at(answer: Annotation, judges: bool) -> str:
    if not (judges and answer.unseen):
        return ""
    return "accepted unseen, but this frame judges models: look at it and press Update"


def _name(answer: Annotation, counting: Sequence[Annotation], each: Sequence[Annotation]) -> str:
    if answer.ground_truth:
        return MARKED
    if answer.unseen:
        return UNSEEN
    if len(each) > 1:
        return AGREED
    return LATEST if len(counting) > 1 else ONLY


def _time(answer: Annotation) -> tuple[object, int]:
    return answer.updated_at, answer.external_id
