"""The queue of label tasks: what waits for a person, what is on its way, and what came back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from urllib.parse import urlencode

from sqlalchemy.orm import Session

from connectors.ports import Box, Purpose
from db.effort import drawn_boxes
from db.engine import read
from db.facts import get_fact
from db.frames import FrameRow, frames
from db.labels import answers
from db.slices import slices
from db.states import OPEN_TASKS, TaskStatus
from db.task_queue import (
    After,
    Order,
    Wanted,
    aims_of,
    batches_of,
    cameras_of,
    pinned_count,
    task_page,
    tasks_by_id,
)
from db.tasks import TaskRow, task_counts
from loop.base.errors import ConfigError
from loop.insights.effort import effort
from loop.labeling.drawing import drawings
from loop.labeling.mending import NOT_KNOWN
from loop.labeling.order import PINNED, shown_priority
from loop.labeling.project import ADDRESS_FACT
from loop.project.project import Project

PAGE = 42
"""Tasks of one page."""
MOST = 200


@dataclass(frozen=True, slots=True)
class Tab:
    """One part of the queue. named: for people."""

    key: str
    named: str
    status: tuple[TaskStatus, ...]
    order: Order
    pinned: bool | None = None


TABS = {
    tab.key: tab
    for tab in (
        Tab("due", "Due", (TaskStatus.CONFIRMED,), "front"),
        Tab("pinned", "Pinned", OPEN_TASKS, "front", pinned=True),
        Tab("mend", "To mend", (TaskStatus.QUARANTINED,), "recent"),
        Tab("sending", "On their way", (TaskStatus.PENDING, TaskStatus.SENT), "front"),
        Tab("answered", "Answered lately", (TaskStatus.DONE, TaskStatus.SKIPPED), "recent"),
        Tab("dropped", "Dropped lately", (TaskStatus.CANCELLED,), "recent"),
    )
}
STATES = {
    TaskStatus.PENDING: "on its way",
    TaskStatus.SENT: "on its way",
    TaskStatus.CONFIRMED: "due",
    TaskStatus.DONE: "answered",
    TaskStatus.SKIPPED: "skipped",
    TaskStatus.QUARANTINED: "to mend",
    TaskStatus.CANCELLED: "dropped",
}


@dataclass(frozen=True, slots=True)
class QueueQuery:
    """A part of the queue; its address says all of it.

    slice: id of a slice that the tasks were chosen to show, or show.
    after: the id of the task behind which the page begins, 0 for the first page.
    """

    tab: str = "due"
    purpose: str = ""
    batch: int = 0
    camera: str = ""
    slice: int = 0
    after: int = 0
    limit: int = PAGE

    @staticmethod
    def parse(params: Mapping[str, str]) -> QueueQuery:
        """Raises ConfigError for an unknown key or value."""
        known = {field.name: field.default for field in fields(QueueQuery)}
        values: dict[str, str | int] = {}
        for key, text in params.items():
            if key not in known:
                raise ConfigError(
                    f"expected {', '.join(known)} in the address of a queue, got {key!r}; drop it"
                )
            values[key] = _number(key, text) if isinstance(known[key], int) else text
        found = QueueQuery(**values)  # type: ignore[arg-type]
        _check(found)
        return found

    def address(self) -> str:
        """The canonical query string; "" for the first page of what is due."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        return urlencode({f.name: said[f.name] for f in fields(self) if said[f.name] != f.default})

    def but(self, **changes: str | int) -> QueueQuery:
        """The same with these changes, from its first page on."""
        return replace(self, **({"after": 0} | changes))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Named:
    """A slice by its id and its name."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class QueueItem:
    """One task as a person sees it.

    state: in a word, such as due. priority: as labelers get it in order, above 1 where it was hurried
    or pinned. aim: what it was chosen to show. shows: the gaps that it shows. boxes: those that were
    drawn for the labeler, px. url: where it is open in Label Studio, "" where it is not there.
    answered_by: authors of its answers.
    """

    id: int
    frame: int
    file: str
    content_hash: str
    camera: str
    site: str
    captured_at: datetime | None
    width: int
    height: int
    batch: int
    purpose: Purpose
    status: TaskStatus
    state: str
    rank: int
    priority: float
    pinned: bool
    hurried: bool
    reason: str
    component: str
    aim: Named | None
    shows: tuple[Named, ...]
    boxes: tuple[Box, ...]
    problem: str
    task: int | None
    url: str
    answered_by: tuple[str, ...]
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Choices:
    """What the tasks of a tab can be narrowed by."""

    batches: tuple[int, ...]
    cameras: tuple[str, ...]
    slices: tuple[Named, ...]


@dataclass(frozen=True, slots=True)
class QueuePage:
    """One page of the queue.

    counts: tasks by tab, whatever the other conditions. next: the id to go on after, 0 at the end.
    """

    query: QueueQuery
    items: tuple[QueueItem, ...]
    next: int
    counts: dict[str, int]
    choices: Choices


def queue(project: Project, query: QueueQuery) -> QueuePage:
    """One page. Raises ConfigError where its query does not fit."""
    _check(query)
    tab = TABS[query.tab]
    with read(project.engine) as session:
        rows = task_page(session, _wanted(query), tab.order, query.limit + 1, _after(session, query))
        shown = rows[: query.limit]
        more = shown[-1].id if len(rows) > len(shown) else 0
        choices = _choices(session, tab)
        return QueuePage(query, tuple(items_of(session, project, shown)), more, _counts(session), choices)


def queue_items(project: Project, ids: Sequence[int]) -> list[QueueItem]:
    """These tasks, in this order; unknown ones are left out."""
    with read(project.engine) as session:
        found = tasks_by_id(session, ids)
        return items_of(session, project, [found[number] for number in ids if number in found])


def items_of(session: Session, project: Project, rows: Sequence[TaskRow]) -> list[QueueItem]:
    """Tasks with all that a person is shown of them."""
    by_seq = {frame.seq: frame for frame in frames(session, seqs=[row.frame for row in rows])}
    boxes = _boxes(session, project, rows)
    named = _names(session, [n for row in rows for n in (row.slice_id, *row.shows) if n is not None])
    address = get_fact(session, ADDRESS_FACT) or ""
    authors = _authors(session, rows)
    return [
        _item(row, by_seq[row.frame], boxes.get(row.id, ()), named, address, authors.get(row.id, ()))
        for row in rows
    ]


def state_counts(session: Session) -> dict[str, int]:
    """Tasks by tab."""
    return _counts(session)


def _item(
    row: TaskRow,
    frame: FrameRow,
    boxes: tuple[Box, ...],
    named: Mapping[int, Named],
    address: str,
    authors: tuple[str, ...],
) -> QueueItem:
    there = row.external_id is not None and row.status not in (TaskStatus.CANCELLED, TaskStatus.PENDING)
    url = f"{address}/projects/{row.external_project}/data?task={row.external_id}"
    problem = row.problem or (NOT_KNOWN if row.status is TaskStatus.QUARANTINED else "")
    return QueueItem(
        id=row.id,
        frame=row.frame,
        file=frame.source_key,
        content_hash=frame.content_hash,
        camera=frame.camera,
        site=frame.site,
        captured_at=frame.captured_at,
        width=frame.width,
        height=frame.height,
        batch=row.batch_id,
        purpose=row.purpose,
        status=row.status,
        state=STATES[row.status],
        rank=row.rank,
        priority=shown_priority(row),
        pinned=row.pinned,
        hurried=1 < row.priority < PINNED,
        reason=row.reason,
        component=row.component,
        aim=named.get(row.slice_id) if row.slice_id is not None else None,
        shows=tuple(named[number] for number in row.shows if number in named),
        boxes=boxes,
        problem=problem,
        task=row.external_id,
        url=url if there and address else "",
        answered_by=authors,
        changed_at=row.changed_at,
    )


def _boxes(session: Session, project: Project, rows: Sequence[TaskRow]) -> dict[int, tuple[Box, ...]]:
    """By task, the boxes that its labeler is shown, or will be."""
    unsent = [row for row in rows if row.drawn is None]
    above = {one.class_name: one.above for one in effort(project).drawn_from} if unsent else {}
    to_come = drawings(session, project, unsent, above)
    sent = {row.id: drawn_boxes(row.drawn) for row in rows if row.drawn is not None}
    return sent | {number: drawing.boxes for number, drawing in to_come.items()}


def _names(session: Session, ids: Iterable[int]) -> dict[int, Named]:
    return {row.id: Named(row.id, row.name) for row in slices(session, ids=set(ids))}


def _authors(session: Session, rows: Sequence[TaskRow]) -> dict[int, tuple[str, ...]]:
    found: dict[int, dict[str, None]] = {}
    for answer in answers(session, [row.id for row in rows]) if rows else ():
        found.setdefault(answer.task_id, {})[answer.author] = None
    return {task: tuple(names) for task, names in found.items()}


def _counts(session: Session) -> dict[str, int]:
    by_status = task_counts(session)
    counts = {tab.key: sum(by_status[status] for status in tab.status) for tab in TABS.values()}
    return counts | {"pinned": pinned_count(session)}


def _choices(session: Session, tab: Tab) -> Choices:
    """Of open tasks alone: those that were answered are too many to look through at each request."""
    status = OPEN_TASKS
    named = _names(session, aims_of(session, status))
    ordered = sorted(named.values(), key=lambda one: one.name)
    return Choices(tuple(batches_of(session, status)), tuple(cameras_of(session, status)), tuple(ordered))


def _wanted(query: QueueQuery) -> Wanted:
    tab = TABS[query.tab]
    return Wanted(
        tab.status,
        tab.pinned,
        Purpose(query.purpose) if query.purpose else None,
        query.batch or None,
        query.camera or None,
        query.slice or None,
    )


def _after(session: Session, query: QueueQuery) -> After | None:
    if not query.after:
        return None
    row = tasks_by_id(session, [query.after]).get(query.after)
    if row is None:
        raise ConfigError(f"after: expected the id of a task, got {query.after}; go back to the first page")
    return After(row.id, row.priority, row.pinned, row.changed_at)


def _check(query: QueueQuery) -> None:
    if query.tab not in TABS:
        raise ConfigError(f"tab: expected {', '.join(TABS)}, got {query.tab!r}; choose one of them")
    purposes = [str(purpose) for purpose in Purpose]
    if query.purpose and query.purpose not in purposes:
        raise ConfigError(f"purpose: expected {', '.join(purposes)}, got {query.purpose!r}; choose one")
    if not 1 <= query.limit <= MOST:
        raise ConfigError(f"limit: expected 1 to {MOST} tasks of a page, got {query.limit}; choose one")


def _number(key: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise ConfigError(f"{key}: expected a whole number, got {text!r}; correct the address")
    return int(text)
