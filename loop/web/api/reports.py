"""/api/frames/NUMBER/reports and /api/desk: what people do with frames."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request
from pydantic import Field

from loop.changes import frames as changing
from loop.web.api.changing import KEYED, once_route
from loop.web.api.faces import Face, Given, Id, Number
from loop.web.site import Site

CLASS = 200


class NewReport(Given):
    """A mistake of a model."""

    kind: Literal["missed", "false", "class", "box", "other"] = Field(
        description="an object without a box, a box without an object, another class, a bad box, or the note"
    )
    class_name: str = Field("", alias="class", max_length=CLASS)
    box: list[float] | None = Field(None, min_length=4, max_length=4, description="x1, y1, x2, y2 in px")
    note: str = Field("", max_length=changing.LONGEST_NOTE)
    model: Number | None = Field(None, description="whose mistake it is; the deployed model's where null")


class Reported(Face):
    """The number of the report."""

    id: int


class Closed(Face):
    """changed: whether it was otherwise before."""

    changed: bool


class Sending(Given):
    """Frames that are to be labeled, in this order."""

    frames: list[Number] = Field(min_length=1, max_length=changing.MOST_SENT)
    why: str = Field("", max_length=400)


class SentFrames(Face):
    """What came of it."""

    batch: int | None = Field(description="null where none went")
    frames: list[int]
    left_out: dict[str, int] = Field(description="why others did not go, with how many")


def routes(site: Site) -> APIRouter:
    router = APIRouter(route_class=once_route(site.project, site.who), tags=["change"])

    @router.post("/frames/{seq}/reports", status_code=201, openapi_extra=KEYED)
    def report(request: Request, seq: Id, given: NewReport) -> Reported:
        """Reports a mistake of a model."""
        number = changing.report_error(
            site.project,
            site.who(request),
            seq,
            given.kind,
            class_name=given.class_name,
            box=given.box,
            text=given.note,
            model_id=given.model,
        )
        return Reported(id=number)

    @router.post("/frames/{seq}/reports/{number}/close", openapi_extra=KEYED)
    def close(request: Request, seq: Id, number: Id) -> Closed:
        """The report needs nobody any more."""
        return Closed(changed=changing.close_error(site.project, site.who(request), seq, number))

    @router.post("/frames/{seq}/reports/{number}/reopen", openapi_extra=KEYED)
    def reopen(request: Request, seq: Id, number: Id) -> Closed:
        """Takes `close` back."""
        changed = changing.close_error(site.project, site.who(request), seq, number, again=True)
        return Closed(changed=changed)

    @router.post("/desk", openapi_extra=KEYED)
    def send(request: Request, given: Sending) -> SentFrames:
        """Puts frames that somebody picked before the labelers."""
        sent = changing.send_to_desk(site.project, site.who(request), given.frames, given.why)
        return SentFrames.model_validate(sent)

    return router
