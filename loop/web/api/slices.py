"""GET /api/slices: what frames are divided by, and how many show it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from loop.changes import slices as changing
from loop.insights.slices import SliceView, all_slices, one_slice
from loop.project.project import Project
from loop.web.api.changing import KEYED, IfMatch, check_match, etag_of, once_route
from loop.web.api.faces import Face, Given, Id
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


class SliceChange(Given):
    """What is to be different; what is left out stays."""

    name: str | None = Field(None, max_length=200, description="nothing takes back what a user gave")
    retired: bool | None = Field(None, description="whether it is no longer looked for")


def read_slices(project: Project, every: bool = False) -> Slices:
    return Slices(slices=[shown(view) for view in all_slices(project, every)])


def shown(view: SliceView) -> Slice:
    return Slice.model_validate(view)


def routes(site: Site) -> APIRouter:
    router = APIRouter(route_class=once_route(site.project, site.who))

    @router.get("/slices", tags=["read"])
    def slices(
        every: Annotated[bool, Query(description="those retired, or that no frame shows, too")] = False,
    ) -> Slices:
        """What frames are divided by, with counts."""
        return read_slices(site.project, every)

    @router.get("/slices/{number}", tags=["read"])
    def slice_by_id(number: Id, response: Response) -> Slice:
        """One slice. Its ETag goes into If-Match of a change."""
        found = shown(one_slice(site.project, number))
        response.headers["ETag"] = etag_of(found)
        return found

    @router.patch("/slices/{number}", tags=["change"], openapi_extra=KEYED)
    def change(
        request: Request, response: Response, number: Id, given: SliceChange, if_match: IfMatch = None
    ) -> Slice:
        """Names a slice, retires it, or restores it."""
        check_match(if_match, etag_of(shown(one_slice(site.project, number))))
        who = site.who(request)
        if given.name is not None:
            changing.give_name(site.project, who, number, given.name)
        if given.retired is not None:
            (changing.retire if given.retired else changing.restore)(site.project, who, number)
        found = shown(one_slice(site.project, number))
        response.headers["ETag"] = etag_of(found)
        return found

    return router
