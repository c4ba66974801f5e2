"""Disagreements as questions for the people who write the guideline, with pictures of both answers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from connectors.ports import Box
from db.frames import FrameRow
from loop.base.wording import counted
from loop.insights.seconded import Seconded
from loop.math.quality.disagreements import Differs, Seen, Topic, seen_objects

MOST, PICTURES = 12, 4
LEAST = 2
"""Objects that are disputed alike, before they are a question."""
ROOM = 0.6
"""Of a box's sides, shown around it."""
TOPICS = {
    Topic.SMALL: "How small may an object be that is still drawn?",
    Topic.OVERLAPPING: "How are objects drawn that cover one another?",
    Topic.OCCLUSION: "When is an object occluded, and is its hidden part drawn?",
    Topic.TRUNCATION: "Is an object drawn that the border cuts, and up to where?",
}


@dataclass(frozen=True)
class Picture:
    """One disputed object.

    crop: x, y, width, height in px of the frame, what to show. answers: what each person drew there.
    said: what is disputed, in words.
    """

    frame: FrameRow
    crop: tuple[float, float, float, float]
    answers: tuple[tuple[str, Box | None], ...]
    said: str


@dataclass(frozen=True)
class Question:
    """What people should settle in the guideline.

    kind: class, missed, box, occlusion, topic or slice. disputed: objects, on so many camera-days.
    weight: what it is ranked by, disputed objects beyond those usual elsewhere.
    evidence: numbers in words.
    """

    kind: str
    text: str
    evidence: str
    disputed: int
    days: int
    weight: float
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class _Case:
    one: Seconded
    seen: Seen

    @property
    def disputed(self) -> bool:
        return self.seen.differs is not Differs.NOT


def questions(found: Sequence[Seconded], slices: Sequence[tuple[str, set[int]]]) -> tuple[Question, ...]:
    """The most disputed first. slices: name and frames of each."""
    cases = [
        _Case(one, seen)
        for one in found
        for seen in seen_objects(one.boxes[0], one.boxes[1], one.frame.width, one.frame.height)
    ]
    asked = [
        *_by_kind(cases),
        *(_more_within("topic", text, cases, _has(topic)) for topic, text in TOPICS.items()),
        *(
            _more_within("slice", f"What holds where frames show {name}?", cases, _shows(frames))
            for name, frames in slices
        ),
    ]
    ranked = sorted((one for one in asked if one is not None), key=lambda one: -one.weight)
    return tuple(ranked[:MOST])


def _by_kind(cases: Sequence[_Case]) -> list[Question]:
    alike: dict[tuple[Differs, tuple[str, ...]], list[_Case]] = defaultdict(list)
    for case in cases:
        if case.disputed:
            alike[case.seen.differs, case.seen.classes].append(case)
    objects = Counter(name for case in cases for name in case.seen.classes)
    found = []
    for (differs, classes), own in alike.items():
        if len(own) < LEAST:
            continue
        of = " or ".join(classes)
        among = sum(objects[name] for name in classes)
        said = f"{len(own)} of {counted(among, 'object')} called {of}"
        found.append(_question(str(differs), _ask(differs, classes), said, own, float(len(own))))
    return found


def _ask(differs: Differs, classes: Sequence[str]) -> str:
    name = classes[0]
    return {
        Differs.MISSED: f"When is a {name} to be drawn?",
        Differs.CLASS: f"Is this a {' or a '.join(classes)}?",
        Differs.LOOSE: f"Where does the box of a {name} end?",
        Differs.HIDDEN: f"When is a {name} occluded, or cut by the border?",
    }[differs]


def _more_within(
    kind: str, text: str, cases: Sequence[_Case], belongs: Callable[[_Case], bool]
) -> Question | None:
    """None where objects within are disputed no more than the others."""
    within = [case for case in cases if belongs(case)]
    others = [case for case in cases if not belongs(case)]
    own = [case for case in within if case.disputed]
    if len(own) < LEAST or not others:
        return None
    usual = sum(case.disputed for case in others) / len(others)
    weight = len(own) - usual * len(within)
    if weight <= 0:
        return None
    said = f"{len(own)} of {counted(len(within), 'object')}; elsewhere {100 * usual:.0f} %"
    return _question(kind, text, said, own, weight)


def _question(kind: str, text: str, said: str, own: Sequence[_Case], weight: float) -> Question:
    days = {case.one.frame.group_key for case in own}
    evidence = f"{said}, on {counted(len(days), 'camera-day')}"
    return Question(kind, text, evidence, len(own), len(days), weight, _pictures(own))


def _pictures(own: Sequence[_Case]) -> tuple[Picture, ...]:
    """Of different frames first, so that a meeting sees more than one scene."""
    each: dict[int, _Case] = {}
    for case in own:
        each.setdefault(case.one.frame.seq, case)
    first = [*each.values()]
    rest = [case for case in own if case not in first]
    return tuple(_picture(case) for case in [*first, *rest][:PICTURES])


def _picture(case: _Case) -> Picture:
    one, seen = case.one, case.seen
    corners = [box.xyxy for box in seen.drawn]
    x1, y1 = min(box[0] for box in corners), min(box[1] for box in corners)
    x2, y2 = max(box[2] for box in corners), max(box[3] for box in corners)
    side = max(x2 - x1, y2 - y1, 16.0) * (1 + 2 * ROOM)
    width, height = min(side, one.frame.width), min(side, one.frame.height)
    left = min(max((x1 + x2 - width) / 2, 0.0), one.frame.width - width)
    top = min(max((y1 + y2 - height) / 2, 0.0), one.frame.height - height)
    return Picture(
        one.frame,
        (left, top, width, height),
        tuple(zip(one.persons[:2], seen.boxes, strict=True)),
        _said(seen),
    )


def _said(seen: Seen) -> str:
    first, second = seen.boxes
    if first is None or second is None:
        return f"{seen.drawn[0].class_name}, drawn by one alone"
    if seen.differs is Differs.CLASS:
        return f"{first.class_name} or {second.class_name}"
    return f"{first.class_name}, {seen.differs}"


def _has(topic: Topic) -> Callable[[_Case], bool]:
    return lambda case: topic in case.seen.topics


def _shows(frames: set[int]) -> Callable[[_Case], bool]:
    return lambda case: case.one.frame.seq in frames
