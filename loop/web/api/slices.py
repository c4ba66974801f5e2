"""GET /api/slices: what frames are divided by, and how many show it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from loop.insights.slices import SliceView, all_slices, one_slice
from loop.project.project import Project
from loop.web.api.changing import etag_of
from loop.web.api.faces import Face, Id
from loop.web.site import Site


class Slice(Face):
    """Frames that share one answer."""

    id: int
    key: str = Field(description="what it is, in a form that lasts")
    kind: str = Field(description="condition, class, region, measured, collection, …")
    name: str = Field(description="for people")
    known: int = Field(description="production frames of which it is known whether they show it")
    inside: int = Field(description="production frames that show it")
    groups: int = Field(description="camera-days with such a frame")
    share: float | None = Field(description="inside / known, null where it is known of no frame")
    created_at: datetime
    retired_at: datetime | None = Field(description="since when it is not looked for")


class Slices(Face):
    """The largest of each kind first."""

    slices: list[Slice]


def read_slices(project: Project, every: bool = False) -> Slices:
    return Slices(slices=[shown(view) for view in all_slices(project, every)])


def shown(view: SliceView) -> Slice:
    return Slice.model_validate(view)


def routes(site: Site) -> APIRouter:
    router = APIRouter(tags=["read"])

    @router.get("/slices")
    def slices(
        every: Annotated[bool, Query(description="those retired, or that no frame shows, too")] = False,
    ) -> Slices:
        """What frames are divided by, with counts."""
        return read_slices(site.project, every)

    @router.get("/slices/{number}")
    def slice_by_id(number: Id, response: Response) -> Slice:
        """One slice. Its ETag goes into If-Match of a change."""
        found = shown(one_slice(site.project, number))
        response.headers["ETag"] = etag_of(found)
        return found

    return router
