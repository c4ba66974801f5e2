"""How far persons who labeled the same frames agree: in all, by class, pair of persons and slice, and
what their disagreements ask of the guideline.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import numpy as np
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from db.engine import read
from db.facts import get_fact
from db.gathered import tasks_stamp
from db.slice_members import CHANGED, members_of
from db.slices import SliceRow, slices
from db.states import SliceKind
from loop.base.wording import counted, either
from loop.insights.agreement_questions import Question, questions
from loop.insights.frame_facts import known_producers
from loop.insights.frame_query import CONTESTED, TWICE, frames_url
from loop.insights.seconded import Seconded, answered_by_one, seconded
from loop.labeling.consensus import Opinion
from loop.math.quality.agreement import Compared, compare
from loop.math.quality.agreement_figures import Figure, Figures, figures
from loop.project.project import Project

HERE = "/labels/agreement"
LOW = 0.667
"""Alpha below which no conclusion is to be drawn from data (Krippendorff 2004)."""
FEWEST = 3
"""Tasks of a slice, below which it is no row."""
SHOWN_SLICES = 20
_kept: WeakKeyDictionary[Engine, tuple[str, Agreement]] = WeakKeyDictionary()
KINDS = (SliceKind.METADATA, SliceKind.MEASURED, SliceKind.PROMPT, SliceKind.COLLECTION)


@dataclass(frozen=True)
class Row:
    """One line of figures. what: all, class, people or slice. url: of its frames, "" for none."""

    what: str
    name: str
    figures: Figures
    url: str = ""


@dataclass(frozen=True)
class Tie:
    """One frame that people contradict each other on. state: what it waits for."""

    frame: int
    file: str
    judges: bool
    state: str


@dataclass(frozen=True)
class Agreement:
    """all: of all tasks. rows: by class, people and slice, the least agreement first.

    ties: what is not settled. by_one: tasks that count for no second opinion.
    """

    all: Row
    rows: tuple[Row, ...]
    questions: tuple[Question, ...]
    ties: tuple[Tie, ...]
    by_one: int
    ties_url: str = frames_url(label=CONTESTED)

    def of(self, what: str) -> list[Row]:
        return [row for row in self.rows if row.what == what]


def agreement(project: Project) -> Agreement:
    """Of the first and the second answer to each frame that has both. Third answers are left out: they
    are asked for only where two contradict each other.

    Kept in memory for as long as no task and no member of a slice changes.
    """
    with read(project.engine) as session:
        asks = project.settings.labels.ask_occlusion
        stamp = json.dumps([*tasks_stamp(session), get_fact(session, CHANGED), asks])
        kept = _kept.get(project.engine)
        if kept is not None and kept[0] == stamp:
            return kept[1]
        found = seconded(session)
        by_one = len(answered_by_one(session))
        inside = _slices(session, project, [one.frame.seq for one in found])
    made = _told_of(found, by_one, inside, asks)
    _kept[project.engine] = stamp, made
    return made


def _told_of(
    found: Sequence[Seconded], by_one: int, inside: Sequence[tuple[SliceRow, set[int]]], asks: bool
) -> Agreement:
    """asks: whether labelers are asked for occlusion; where nobody is, nothing is known of it."""
    marked = asks or any(box.occluded or box.truncated for one in found for each in one.boxes for box in each)
    compared = [
        _Pair(one, day, compare(one.boxes[0], one.boxes[1]))
        for one, day in zip(found, _days(found), strict=True)
    ]
    rows = [
        *_by_class(compared),
        *_by_people(compared),
        *(
            _row("slice", each.name, _of(compared, within), frames_url(label=TWICE, slice=each.id))
            for each, within in inside
        ),
    ]
    whole, *rows = (
        row if marked else _unmarked(row)
        for row in (_row("all", "all", compared, frames_url(label=TWICE)), *rows)
    )
    return Agreement(
        whole,
        tuple(sorted(rows, key=_worst)),
        questions(found, [(each.name, within) for each, within in inside]),
        tuple(_tie(one) for one in found if one.contested),
        by_one,
    )


def in_words(project: Project) -> list[tuple[str, str, float]]:
    """What is wrong: a sentence, what to do, and how bad it is, 0..1."""
    found = agreement(project)
    said = []
    alpha = found.all.figures.alpha
    if _is_low(alpha):
        text = (
            f"Two people agree little beyond chance: K-alpha {_told(alpha)},"
            f" below {LOW} no conclusion should rest on such labels"
        )
        said.append((text, "see what they disagree on", 0.7))
    else:
        low = [row for row in found.of("class") if _is_low(row.figures.alpha)]
        for row in low[:3]:
            text = f"Two people agree little beyond chance on {row.name}: K-alpha {_told(row.figures.alpha)}"
            said.append((text, "see what they disagree on", 0.6))
    judging = sum(tie.judges for tie in found.ties)
    if found.ties:
        judge = f", {judging} of which {either(judging, 'judges', 'judge')} models" if judging else ""
        text = f"{counted(len(found.ties), 'frame')} on which people contradict each other{judge}"
        said.append((text, "settle them", 0.5 if judging else 0.4))
    if found.by_one:
        they = either(found.by_one, "was", "were")
        text = f"{counted(found.by_one, 'task')} for another person {they} answered by the same one"
        said.append((text, "delete these answers", 0.4))
    return said


def lines(found: Agreement) -> list[str]:
    """For the terminal: figures, then questions."""
    if not found.all.figures.tasks:
        return [
            "nobody has answered a second time yet; labels.second_share says how many tasks two people get"
        ]
    rows = [found.all, *found.rows]
    said = [
        f"{row.name if row.what == 'all' else f'{row.what} {row.name}'}: {_line(row.figures)}" for row in rows
    ]
    asked = [f"{one.text} ({one.evidence})" for one in found.questions]
    return [
        *said,
        f"{len(found.ties)} not settled, {found.by_one} answered by one person twice",
        *([] if not asked else ["questions for the guideline:", *asked]),
    ]


def _line(one: Figures) -> str:
    return (
        f"K-alpha {_told(one.alpha)}, IoU {_told(one.iou)}, missed {_told(one.miss_rate)}, class"
        f" {_told(one.conflict_rate)}, sides stray {_told(one.spread)}, occlusion {_told(one.hidden_rate)};"
        f" {counted(one.tasks, 'task')}, {counted(one.days, 'camera-day')}"
    )


def _told(one: Figure) -> str:
    if one.value is None:
        return "unknown"
    if one.low is None or one.high is None:
        return f"{one.value:.2f} (interval unknown)"
    return f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f})"


def _is_low(alpha: Figure) -> bool:
    return alpha.high is not None and alpha.high < LOW


def _worst(row: Row) -> tuple[bool, float]:
    value = row.figures.alpha.value
    return value is None, value or 0.0


@dataclass(frozen=True)
class _Pair:
    """Two answers, compared. day: a number of their camera-day."""

    one: Seconded
    day: int
    compared: Compared


def _row(what: str, name: str, pairs: Sequence[_Pair], url: str = "") -> Row:
    told = figures([pair.compared for pair in pairs], [pair.day for pair in pairs])
    return Row(what, name, told, url)


def _unmarked(row: Row) -> Row:
    return replace(row, figures=replace(row.figures, hidden_rate=Figure(None)))


def _of(pairs: Sequence[_Pair], frames: set[int]) -> list[_Pair]:
    return [pair for pair in pairs if pair.one.frame.seq in frames]


def _by_class(pairs: Sequence[_Pair]) -> list[Row]:
    showing: dict[str, list[_Pair]] = {}
    for pair in pairs:
        for name in {box.class_name for boxes in pair.one.boxes[:2] for box in boxes}:
            own = compare(pair.one.boxes[0], pair.one.boxes[1], name)
            showing.setdefault(name, []).append(replace(pair, compared=own))
    return [_row("class", name, own) for name, own in sorted(showing.items())]


def _by_people(pairs: Sequence[_Pair]) -> list[Row]:
    both: dict[tuple[str, ...], list[_Pair]] = {}
    for pair in pairs:
        both.setdefault(tuple(sorted(pair.one.persons[:2])), []).append(pair)
    return [_row("people", " and ".join(names), own) for names, own in sorted(both.items())]


def _slices(session: Session, project: Project, seqs: list[int]) -> list[tuple[SliceRow, set[int]]]:
    """Slices that enough of these frames show, the most shown first, and which frames do."""
    known = known_producers(session, project)
    shown = members_of(session, np.array(seqs, np.int64))
    result = []
    for one in slices(session, KINDS):
        made = known.of(one.kind)
        members = None if made is None or one.retired_at else shown.get((made, one.id))
        if members is not None and len(members.frames) >= FEWEST:
            result.append((one, set(members.frames.tolist())))
    return sorted(result, key=lambda pair: -len(pair[1]))[:SHOWN_SLICES]


def _days(found: Sequence[Seconded]) -> list[int]:
    numbers: dict[str, int] = {}
    return [numbers.setdefault(one.frame.group_key, len(numbers)) for one in found]


def _tie(one: Seconded) -> Tie:
    if one.told is Opinion.OPEN:
        state = "three people contradict one another: review it"
    elif one.asked:
        state = "a third person is asked"
    else:
        state = "a third person will be asked"
    return Tie(one.frame.seq, one.frame.source_key, one.judges, state)
