"""/api/queue: the label tasks, and what people do with them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field

from loop.changes import tasks
from loop.changes.tasks import Report
from loop.insights.queue import MOST, PAGE, QueueItem, QueueQuery, queue
from loop.project.project import Project
from loop.web.api.changing import KEYED, once_route
from loop.web.api.faces import LARGEST, Because, Drawn, Face, Given, Number
from loop.web.site import Site

Tab = Literal["due", "pinned", "mend", "sending", "answered", "dropped"]


class Named(Face):
    """A slice."""

    id: int
    name: str


class Task(Face):
    """One label task."""

    id: int
    frame: int
    file: str
    content_hash: str
    camera: str
    site: str
    captured_at: datetime | None
    batch: int
    purpose: str
    status: str
    state: str = Field(description="status in a word for people")
    rank: int = Field(description="place in its batch")
    priority: float = Field(description="larger comes first; above 1 it was hurried or pinned")
    pinned: bool
    hurried: bool
    reason: str = Field(description="why it was chosen")
    component: str = Field(description="which part of the strategy chose it")
    aim: Named | None = Field(description="what it was chosen to show")
    shows: list[Named] = Field(description="gaps that it shows")
    boxes: list[Drawn] = Field(description="drawn for the labeler")
    problem: str = Field(description="what a person must mend")
    url: str = Field(description="where it is open in Label Studio, nothing where it is not there")
    answered_by: list[str]
    changed_at: datetime


class Tasks(Face):
    """A part of the queue."""

    tasks: list[Task]
    counts: dict[str, int] = Field(description="tasks of each tab")
    next: int | None = Field(description="`after` of the next page, null at the end")


class Chosen(Because):
    """Which tasks."""

    tasks: list[Number] = Field(min_length=1, max_length=tasks.MOST)


class Which(Given):
    """Which tasks."""

    tasks: list[Number] = Field(min_length=1, max_length=tasks.MOST)


class Undone(Given):
    """Which changes are taken back."""

    changes: list[Number] = Field(min_length=1, max_length=tasks.MOST)


class Changed(Face):
    """What came of it."""

    what: str
    done: list[int] = Field(description="tasks that were changed")
    changes: list[int] = Field(description="numbers in the audit log, by which it is undone")
    refused: dict[int, str] = Field(description="tasks that stay as they are, and why")


def read_queue(project: Project, query: QueueQuery) -> Tasks:
    page = queue(project, query)
    return Tasks(tasks=[shown(item) for item in page.items], counts=page.counts, next=page.next or None)


def shown(item: QueueItem) -> Task:
    return Task.model_validate(item)


def routes(site: Site) -> APIRouter:
    router = APIRouter(route_class=once_route(site.project, site.who))

    @router.get("/queue", tags=["read"])
    def read(
        tab: Tab = "due",
        purpose: Literal["", "train", "evaluation"] = "",
        batch: Annotated[int, Query(ge=0, le=LARGEST, description="0 for all")] = 0,
        camera: Annotated[str, Query(max_length=200)] = "",
        slice: Annotated[int, Query(ge=0, le=LARGEST, description="0 for all")] = 0,
        after: Annotated[int, Query(ge=0, le=LARGEST, description="`next` of the page before")] = 0,
        limit: Annotated[int, Query(ge=1, le=MOST, description="how many at most")] = PAGE,
    ) -> Tasks:
        """Label tasks, those that come first at the front."""
        query = QueueQuery(tab, purpose, batch, camera, slice, after, limit)
        return read_queue(site.project, query)

    @router.post("/queue/drop", tags=["change"], openapi_extra=KEYED)
    def drop(request: Request, given: Chosen) -> Changed:
        """Nobody is asked to label these any more."""
        return _told(tasks.drop(site.project, site.who(request), given.tasks, given.reason))

    @router.post("/queue/pin", tags=["change"], openapi_extra=KEYED)
    def pin(request: Request, given: Which) -> Changed:
        """These come first, whatever is chosen later."""
        return _told(tasks.pin(site.project, site.who(request), given.tasks))

    @router.post("/queue/unpin", tags=["change"], openapi_extra=KEYED)
    def unpin(request: Request, given: Which) -> Changed:
        """These come in their turn again."""
        return _told(tasks.pin(site.project, site.who(request), given.tasks, pinned=False))

    @router.post("/queue/hurry", tags=["change"], openapi_extra=KEYED)
    def hurry(request: Request, given: Which) -> Changed:
        """These come before all that are open now, behind the pinned ones."""
        return _told(tasks.hurry(site.project, site.who(request), given.tasks))

    @router.post("/queue/undo", tags=["change"], openapi_extra=KEYED)
    def undo(request: Request, given: Undone) -> Changed:
        """Takes changes of tasks back, unless they were changed again since."""
        return _told(tasks.undo(site.project, site.who(request), given.changes))

    return router


def _told(report: Report) -> Changed:
    return Changed.model_validate(report)
