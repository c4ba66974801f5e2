"""/api/labels/lots: random inspections of labels."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field

from loop.changes.lots import draw, withdraw
from loop.insights.lots import LotView, lot_view, lots_page, plan_lines, planned, sample_lines
from loop.web.api.changing import KEYED, once_route
from loop.web.api.faces import Because, Face, Given, Id, face_of
from loop.web.site import Site

LONGEST = 400
Kind = Literal["double", "zero"]


class Plan(Face):
    """How many places are inspected, and how many of them may be wrong."""

    kind: str
    risks: str = Field(description="hypergeometric or binomial")
    places: int
    limit: int = Field(description="the fewest wrong places with which the claim does not hold")
    first: int = Field(description="places that are inspected first")
    second: int = Field(description="and in a second stage, where some of the first are wrong")
    accept: int = Field(description="wrong places with which the lot is accepted, at most")
    right: float
    confidence: float


class Planned(Face):
    """What would be drawn."""

    plan: Plan
    labels: int
    boxes: int
    places: int
    groups: int = Field(description="camera-days by annotator")
    frames: tuple[int, int] = Field(description="to look at, and more of them in a second stage")
    left_out: int = Field(description="labels that a lot holds already")
    text: list[str]


class Stage(Face):
    """Places of one stage."""

    wanted: int
    inspected: int
    wrong: int
    frames: int
    waiting: int = Field(description="tasks that are open")


class Lot(Face):
    """Labels of which a random sample is inspected."""

    id: int
    name: str
    status: str = Field(description="drawn, accepted, rejected or withdrawn")
    verdict: str = Field(description="what may be said of it, in words")
    labels: int
    held: int = Field(description="labels that are left out until they are reviewed again")
    address: str = Field(description="of its frames")
    plan: Plan
    plan_text: list[str]
    stages: list[Stage]
    who: str
    drawn_at: datetime
    decided_at: datetime | None


class Lots(Face):
    """All lots."""

    lots: list[Lot] = Field(description="the newest first")
    left_out: int
    never_inspected: int = Field(description="labels that no accepted lot holds")


class LotWanted(Given):
    """Labels to be inspected."""

    frames: str = Field("", max_length=LONGEST, description="an address of frames; all new labels when empty")
    plan: Kind = "double"


def routes(site: Site) -> APIRouter:
    router = APIRouter(route_class=once_route(site.project, site.who))

    @router.get("/labels/lots", tags=["labels"])
    def lots() -> Lots:
        """Lots, and what may be said of them."""
        page = lots_page(site.project)
        shown = [_lot(one) for one in page.lots]
        return Lots(lots=shown, left_out=page.left_out, never_inspected=page.never)

    @router.get("/labels/lots/plan", tags=["labels"])
    def plan(
        frames: Annotated[str, Query(max_length=LONGEST)] = "", plan: Annotated[Kind, Query()] = "double"
    ) -> Planned:
        """What would be inspected, before anybody starts. Nothing is drawn."""
        found = planned(site.parts, frames.strip(), plan, 0)
        return face_of(Planned, found.sample, plan=face_of(Plan, found.plan), text=sample_lines(found))

    @router.get("/labels/lots/{lot}", tags=["labels"])
    def one(lot: Id) -> Lot:
        """One lot."""
        return _lot(lot_view(site.project, lot))

    @router.post("/labels/lots", tags=["change"], openapi_extra=KEYED)
    def drawing(request: Request, given: LotWanted) -> Lot:
        """Draws a random sample of these labels and puts it before inspectors."""
        made = draw(site.parts, site.who(request), given.frames.strip(), given.plan)
        site.soon("push")
        return _lot(lot_view(site.project, made.lot))

    @router.post("/labels/lots/{lot}/withdraw", tags=["change"], openapi_extra=KEYED)
    def withdrawing(request: Request, lot: Id, given: Because) -> Lot:
        """Gives up an inspection; nothing is claimed of the labels."""
        withdraw(site.project, site.who(request), lot, given.reason)
        site.soon("push")
        return _lot(lot_view(site.project, lot))

    return router


def _lot(view: LotView) -> Lot:
    stages = [face_of(Stage, one) for one in view.stages]
    plan = face_of(Plan, view.plan)
    return face_of(Lot, view, plan=plan, plan_text=plan_lines(view.plan), stages=stages)
