"""GET /api/changes: the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from loop.insights.changes import ChangeQuery, page_of_changes
from loop.project.project import Project
from loop.web.api.faces import PAGE, After, Face, Limit
from loop.web.site import Site


class Change(Face):
    """Who changed what."""

    id: int
    at: datetime
    who: str
    via: str = Field(description="page, api or command")
    what: str = Field(description="in the past tense, such as model promoted")
    subject: str = Field(description="such as model 3")
    before: dict[str, Any] = Field(description="what of it was different")
    after: dict[str, Any]


class Changes(Face):
    """Newest first."""

    changes: list[Change]
    next: int | None = Field(description="`after` of the next page, null at the end")


def read_changes(
    project: Project, query: ChangeQuery = ChangeQuery(), after: int | None = None, limit: int = PAGE
) -> Changes:
    found = page_of_changes(project, query, "" if after is None else str(after), limit)
    rows = [Change.model_validate(row) for row in found.changes]
    return Changes(changes=rows, next=found.older)


def routes(site: Site) -> APIRouter:
    router = APIRouter(tags=["read"])

    @router.get("/changes")
    def changes(
        after: After = None,
        who: Annotated[str, Query(max_length=120, description="by this person or program alone")] = "",
        what: Annotated[str, Query(max_length=40, description="of this kind, such as model promoted")] = "",
        subject: Annotated[str, Query(max_length=200, description="of this alone, such as model 3")] = "",
        limit: Limit = PAGE,
    ) -> Changes:
        """Who changed what, and what it was before."""
        return read_changes(site.project, ChangeQuery(who, what, subject), after, limit)

    return router
