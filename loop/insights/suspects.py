"""Labels that look wrong: what pages, API and commands show of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from connectors.ports import Purpose
from db.engine import read
from db.errors import StateError
from db.facts import get_fact
from db.frames import FrameRow, frames
from db.labels import LabelRow, count_labels, labels
from db.states import OPEN_TASKS, SuspectKind
from db.suspects import Place, SuspectRow, newest_run, suspects
from db.task_queue import tasks_by_id
from db.tasks import TaskRow
from loop.base.errors import ConfigError
from loop.base.wording import counted, either
from loop.labeling.project import ADDRESS_FACT
from loop.labeling.suspect_tasks import place_of, question, stands
from loop.math.quality.review_seconds import review_seconds
from loop.project.project import Project

HERE = "/labels/suspects"
PAGE, MOST = 24, 200
LIKELY = 0.5
"""Probability from which a label is more likely wrong than right."""
OPEN, ASKED, DECIDED = "open", "asked", "decided"
STATES = {OPEN: "To look at", ASKED: "Before people", DECIDED: "Decided"}
KINDS = {
    SuspectKind.OVERLOOKED: "overlooked object",
    SuspectKind.CLASS: "wrong class",
    SuspectKind.LOCATION: "bad location",
    SuspectKind.SPURIOUS: "spurious box",
}
ROOM, SMALLEST = 0.75, 96
"""Around a place, a crop shows so much of its longer side on each side; at least so many px in all."""


@dataclass(frozen=True, slots=True)
class SuspectQuery:
    """Which suspects; its address says all of it. after: how many come before the page."""

    state: str = OPEN
    kind: str = ""
    class_name: str = ""
    after: int = 0
    limit: int = PAGE

    @staticmethod
    def parse(params: Mapping[str, str]) -> SuspectQuery:
        """Raises ConfigError for an unknown key or value."""
        known = {NAMES.get(field.name, field.name): field for field in fields(SuspectQuery)}
        values: dict[str, str | int] = {}
        for key, text in params.items():
            if key not in known:
                raise ConfigError(f"expected {', '.join(known)} in the address, got {key!r:.60}; drop it")
            number = isinstance(known[key].default, int)
            values[known[key].name] = _number(key, text) if number else text
        found = SuspectQuery(**values)  # type: ignore[arg-type]
        found.check()
        return found

    def check(self) -> None:
        """Raises ConfigError for a state, a kind or a limit that there is not."""
        _one_of("state", self.state, [*STATES])
        _one_of("kind", self.kind, ["", *KINDS])
        if not 1 <= self.limit <= MOST:
            raise ConfigError(f"limit: expected 1 to {MOST}, got {self.limit}; ask for fewer at once")

    def address(self) -> str:
        """The canonical query string; "" for the first page of what is to look at."""
        said = {NAMES.get(field.name, field.name): field for field in fields(self)}
        told = {key: getattr(self, field.name) for key, field in said.items()}
        return urlencode({key: value for key, value in told.items() if value != said[key].default})

    def url(self) -> str:
        """Of the page."""
        said = self.address()
        return f"{HERE}?{said}" if said else HERE

    def but(self, **changes: str | int) -> SuspectQuery:
        """The same with these changes, from its first page on."""
        return replace(self, **({"after": 0} | changes))  # type: ignore[arg-type]


NAMES = {"class_name": "class"}


@dataclass(frozen=True, slots=True)
class SuspectItem:
    """One suspect. kind: of KINDS. named: the kind for people. question: in a plain line.

    box: the label [class, x1, y1, x2, y2] in px, None where none is there. fix: what it should be, None
    for no box. probability: that the label is wrong. gain: expected errors mended per second of a person;
    seconds: that one needs. state: of STATES. stale: the label is another one by now.
    judges: the label judges models. url: of its task in Label Studio. outcome: what a person decided.
    """

    id: int
    frame: int
    content_hash: str
    file: str
    width: int
    height: int
    camera: str
    captured_at: datetime | None
    kind: SuspectKind
    named: str
    question: str
    box: Place | None
    fix: Place | None
    score: float
    probability: float
    gain: float
    seconds: float
    state: str
    stale: bool
    judges: bool
    task: int | None
    url: str
    outcome: str
    decided_at: datetime | None

    @property
    def window(self) -> tuple[int, int, int, int]:
        """What a crop shows: x, y, width, height in px."""
        return window([place for place in (self.box, self.fix) if place], self.width, self.height)


@dataclass(frozen=True)
class SuspectPage:
    """made_at: when labels were judged last, None before. judges: by what, in words.

    counts: suspects by state, of the kind and class asked for. classes: that suspects name.
    next: `after` of the next page, 0 at the end. settled: of decided ones, how many were wrong, and all.
    """

    made_at: datetime | None
    judges: tuple[str, ...]
    items: list[SuspectItem]
    counts: dict[str, int]
    classes: list[str]
    next: int
    settled: tuple[int, int]


def suspect_page(project: Project, query: SuspectQuery) -> SuspectPage:
    """The part of the suspects that is asked for, the largest expected gain first."""
    query.check()
    with read(project.engine) as session:
        run = newest_run(session)
        rows = suspects(session)
        asked = _tasks(session, rows)
        of_state = {row.id: _state(row, asked) for row in rows}
        wanted = [row for row in rows if _fits(row, query)]
        shown = [row for row in wanted if of_state[row.id] == query.state]
        part = shown[query.after : query.after + query.limit]
        items = _items(session, part, asked)
    decided = [row for row in rows if row.outcome]
    return SuspectPage(
        run.finished_at if run else None,
        tuple(run.judges.get("lines", ())) if run else (),
        items,
        {state: sum(of_state[row.id] == state for row in wanted) for state in STATES},
        sorted({place_of(row)[0] for row in rows}),
        query.after + query.limit if query.after + query.limit < len(shown) else 0,
        (sum(row.outcome == "confirmed" for row in decided), len(decided)),
    )


def worst_first(session: Session, limit: int) -> list[SuspectRow]:
    """The open suspects of the first `limit` frames, the largest gain first, whose labels still stand."""
    rows = suspects(session, decided=False)
    asked = _tasks(session, rows)
    rows = [row for row in rows if _state(row, asked) == OPEN]
    held = labels(session, {row.frame for row in rows})
    chosen = list(dict.fromkeys(row.frame for row in rows if stands(row, held)))[:limit]
    return [row for row in rows if row.frame in set(chosen) and stands(row, held)]


def window(places: Sequence[Place], width: int, height: int) -> tuple[int, int, int, int]:
    """x, y, width and height in px of a square around these places, moved into the picture."""
    x1, y1 = min(place[1] for place in places), min(place[2] for place in places)
    x2, y2 = max(place[3] for place in places), max(place[4] for place in places)
    side = max((1 + 2 * ROOM) * max(x2 - x1, y2 - y1), SMALLEST)
    wide, tall = min(side, width), min(side, height)
    left = min(max((x1 + x2 - wide) / 2, 0), width - wide)
    top = min(max((y1 + y2 - tall) / 2, 0), height - tall)
    return int(left), int(top), max(1, int(wide)), max(1, int(tall))


@dataclass(frozen=True)
class Crop:
    """What a picture of a suspect is made of: the stored file, and x, y, width, height in px."""

    path: Path
    content_hash: str
    window: tuple[int, int, int, int]


def crop_of(project: Project, number: int) -> Crop:
    """Raises StateError where there is no such suspect."""
    with read(project.engine) as session:
        rows = suspects(session, ids=[number])
        if not rows:
            raise StateError(f"expected the number of a suspect, got {number}; look at the list again")
        frame = frames(session, seqs=[rows[0].frame])[0]
    places = [place for place in (rows[0].box, rows[0].fix) if place]
    return Crop(project.store / frame.path, frame.content_hash, window(places, frame.width, frame.height))


def lines(page: SuspectPage) -> list[str]:
    """For people: how labels were judged, and a line for each suspect."""
    if page.made_at is None:
        return ["no label was judged yet; `fieldloop labels suspects --judge` trains what judges them (long)"]
    return [*page.judges, *(_line(item) for item in page.items)] + ([] if page.items else ["none"])


def likely_wrong(session: Session) -> Counter[SuspectKind]:
    """Open suspects that are more likely wrong than right, by kind."""
    rows = suspects(session, decided=False)
    asked = _tasks(session, rows)
    likely = [row for row in rows if row.probability >= LIKELY and _state(row, asked) == OPEN]
    return Counter(row.kind for row in likely)


def in_words(project: Project) -> list[tuple[str, str, float]]:
    """What is wrong: a sentence, what to do, and how bad it is, 0..1."""
    with read(project.engine) as session:
        run = newest_run(session)
        count = likely_wrong(session)
        labeled = count_labels(session)
    if run is None:
        said = "no label was compared with a model that was not trained on it"
        return [(said, "judge them", 0.2)] if labeled else []
    if not (total := count.total()):
        return []
    kinds = ", ".join(f"{number} {KINDS[kind]}" for kind, number in count.most_common())
    are = either(total, "is more likely wrong than right", "are more likely wrong than right")
    return [(f"{counted(total, 'suspect label')} {are} ({kinds})", "look at them", 0.6)]


def _line(item: SuspectItem) -> str:
    told = item.outcome or ("stale" if item.stale else item.state)
    return (
        f"{item.id:>6}  {100 * item.probability:3.0f} %  {item.seconds:3.0f} s  {told:<9} {item.question}"
        f"  frame {item.frame} {item.file}"
    )


def _items(session: Session, rows: Sequence[SuspectRow], asked: Mapping[int, TaskRow]) -> list[SuspectItem]:
    seqs = {row.frame for row in rows}
    pictures = {frame.seq: frame for frame in frames(session, seqs=seqs)}
    held = labels(session, seqs)
    address = get_fact(session, ADDRESS_FACT) or ""
    return [_item(row, pictures[row.frame], held, asked.get(row.task_id or 0), address) for row in rows]


def _item(
    row: SuspectRow, frame: FrameRow, held: Mapping[int, LabelRow], task: TaskRow | None, address: str
) -> SuspectItem:
    there = task is not None and task.external_id is not None and address
    url = f"{address}/projects/{task.external_project}/data?task={task.external_id}" if there and task else ""
    label = held.get(row.frame)
    return SuspectItem(
        row.id,
        row.frame,
        frame.content_hash,
        frame.source_key,
        frame.width,
        frame.height,
        frame.camera,
        frame.captured_at,
        row.kind,
        KINDS[row.kind],
        question([row], frame.width, frame.height),
        row.box,
        row.fix,
        row.score,
        row.probability,
        row.gain,
        review_seconds(row.kind, row.probability),
        _state(row, {task.id: task} if task else {}),
        row.outcome is None and not stands(row, held),
        label is not None and label.purpose == Purpose.EVALUATION,
        task.id if task else None,
        url,
        str(row.outcome or ""),
        row.decided_at,
    )


def _tasks(session: Session, rows: Sequence[SuspectRow]) -> dict[int, TaskRow]:
    return tasks_by_id(session, [row.task_id for row in rows if row.task_id is not None])


def _state(row: SuspectRow, asked: Mapping[int, TaskRow]) -> str:
    if row.outcome is not None:
        return DECIDED
    task = asked.get(row.task_id or 0)
    return ASKED if task is not None and task.status in OPEN_TASKS else OPEN


def _fits(row: SuspectRow, query: SuspectQuery) -> bool:
    names = [place[0] for place in (row.box, row.fix) if place]
    return query.kind in ("", row.kind) and (not query.class_name or query.class_name in names)


def _one_of(key: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ConfigError(
            f"{key}: expected {', '.join(one for one in known if one)}, got {value!r:.60}; choose one of them"
        )


def _number(key: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ConfigError(f"{key}: expected a whole number, got {text!r:.60}; drop it")
    return int(text)
