"""/api/collections: edge cases that people gather, and what they do with them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field, model_validator

from loop.changes import collections as changing
from loop.changes.collection_definitions import by_examples, by_sentence, by_set
from loop.insights.collections import all_collections, one_collection
from loop.project.project import Project
from loop.project.wiring import Parts
from loop.settings.collections import Definition
from loop.settings.types import MOST_FRAMES
from loop.web.api.changing import KEYED, Work, once_route
from loop.web.api.faces import Face, Given, Id, Number
from loop.web.api.jobs import taken_on
from loop.web.site import Site

NAME, SENTENCE, ADDRESS, FRAMES = 200, 500, 4000, 20_000


class Collection(Face):
    """Frames that are gathered by rule, sentence or example. It is a slice of that number."""

    id: int
    name: str
    built_in: bool
    how: str = Field(description="rules, sentence or examples")
    words: list[str] = Field(description="each rule for people")
    note: str = Field(description="what was measured of it on other frames")
    inside: int = Field(description="production frames in it")
    known: int = Field(description="production frames of which that is known")
    share: float | None
    groups: int = Field(description="camera-days that show it")
    growth: list[tuple[date, int]] = Field(description="frames in it by UTC day")
    labeled: int = Field(description="production frames in it that have a label")
    labeled_share: float | None
    examples: list[int]
    excluded: list[int]
    judged: bool = Field(description="whether rounds judge it")
    tab: bool = Field(description="whether it is a tab in Label Studio")
    quota: float | None = Field(description="of each batch: a share below 1, or a number of frames")
    quota_by_settings: bool = Field(description="whether select.quotas says so, else people do")
    created_at: datetime
    retired_at: datetime | None


class Collections(Face):
    """The largest first."""

    collections: list[Collection]


class NewCollection(Given):
    """A name, and one of an address, a sentence or frames."""

    name: str = Field(min_length=1, max_length=NAME)
    address: str | None = Field(None, max_length=ADDRESS, description="of a set of frames")
    sentence: str | None = Field(None, min_length=1, max_length=SENTENCE)
    frames: list[Number] | None = Field(None, min_length=1, max_length=FRAMES)

    @model_validator(mode="after")
    def one_of_them(self) -> NewCollection:
        given = [one for one in (self.address, self.sentence, self.frames) if one is not None]
        if len(given) != 1:
            raise ValueError("one of address, sentence and frames")
        return self


class CollectionChange(Given):
    """What is to be different; what is left out stays."""

    name: str | None = Field(None, max_length=NAME)
    judged: bool | None = None
    tab: bool | None = None
    quota: float | None = Field(
        None, ge=0, le=MOST_FRAMES, description="a share below 1, or a number of frames; 0 for none"
    )
    retired: bool | None = None


class Examples(Given):
    """Frames that are in, that are so no longer, and that are never in."""

    add: list[Number] = Field(default_factory=list, max_length=FRAMES)
    remove: list[Number] = Field(default_factory=list, max_length=FRAMES)
    exclude: list[Number] = Field(default_factory=list, max_length=FRAMES)


def read_collections(project: Project, every: bool = False) -> Collections:
    return Collections(
        collections=[Collection.model_validate(one) for one in all_collections(project, every)]
    )


def routes(site: Site) -> APIRouter:
    router = APIRouter(route_class=once_route(site.project, site.who))

    @router.get("/collections", tags=["read"])
    def collections(
        every: Annotated[bool, Query(description="those that are retired too")] = False,
    ) -> Collections:
        """Collections with their members and growth."""
        return read_collections(site.project, every)

    @router.get("/collections/{number}", tags=["read"])
    def collection(number: Id) -> Collection:
        """One collection."""
        return Collection.model_validate(one_collection(site.project, number))

    @router.post("/collections", status_code=202, tags=["change"], openapi_extra=KEYED)
    def make(request: Request, response: Response, given: NewCollection) -> Work:
        """Makes a collection; its frames are gathered in the background, see /api/work."""
        definition = _definition(site.parts, given)
        work = changing.make_soon(site.parts, site.who(request), given.name, definition)
        return taken_on(site, response, work)

    @router.patch("/collections/{number}", tags=["change"], openapi_extra=KEYED)
    def change(request: Request, number: Id, given: CollectionChange) -> Collection:
        """Names a collection, retires or restores it, gives it a quota, has it judged, or made a tab in
        Label Studio: all that is asked for, or nothing. What is restored is gathered in the background.
        """
        who, wanted = site.who(request), changing.Different(**given.model_dump())
        if changing.change(site.parts, who, number, wanted, soon=True):
            site.worker.take_up()
        return Collection.model_validate(one_collection(site.project, number))

    @router.post("/collections/{number}/examples", status_code=202, tags=["change"], openapi_extra=KEYED)
    def examples(request: Request, response: Response, number: Id, given: Examples) -> Work:
        """Changes what is in it by hand; its frames are gathered in the background, see /api/work."""
        one_collection(site.project, number)
        changed = changing.Examples(frozenset(given.add), frozenset(given.remove), frozenset(given.exclude))
        work = changing.change_examples_soon(site.parts, site.who(request), number, changed)
        return taken_on(site, response, work)

    return router


def _definition(parts: Parts, given: NewCollection) -> Definition:
    """Raises ConfigError."""
    if given.sentence is not None:
        return by_sentence(parts, given.sentence)
    if given.frames is not None:
        return by_examples(parts, given.frames)
    return by_set(parts, given.address or "")
