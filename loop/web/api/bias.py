"""/api/bias: classes that are tied to places, as it was last looked at, and what is decided of them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import Field

from loop.changes import bias as changing
from loop.gaps.bias import kept
from loop.gaps.bias_report import Tie, sentence
from loop.project.project import Project
from loop.web.api.changing import KEYED, once_route
from loop.web.api.faces import Face, Given, face_of
from loop.web.site import Site


class Wanted(Face):
    """Frames that would loosen a tie."""

    text: str
    wanted: int
    available: int = Field(description="unlabeled production frames that seem to be such")
    address: str = Field(description="of these")


class Finding(Face):
    """A class that is tied to a place."""

    id: str
    text: str = Field(description="in words")
    class_name: str
    kind: str = Field(description="camera, site, scene or a facet")
    place: str
    more: bool = Field(description="whether the place shows more of the class than others do, or less")
    v: float = Field(description="bias-corrected Cramer's V")
    q: float = Field(description="share of false findings at this limit")
    odds: float = Field(description="log-odds against elsewhere")
    interval: tuple[float, float] | None = Field(description="95 %, of the log-odds")
    frames: int
    showing: int
    others: int
    others_showing: int
    collect: list[Wanted]
    targeted: bool = Field(description="whether selection looks for frames that loosen it")
    choice: str = Field(description="wanted or ignored where a person decided")
    reason: str


class Place(Face):
    """How many labeled objects of a place the detector finds."""

    kind: str
    place: str
    address: str
    objects: int
    found: int
    recall: float
    elsewhere: float | None
    bounds: tuple[float, float] | None = Field(description="of the difference, all places together")
    shown: bool = Field(description="whether chance does not explain it")


class Bias(Face):
    """What was found last."""

    made_at: datetime | None = Field(description="null before it was looked at")
    findings: list[Finding]
    recalls: list[Place]
    lacking: list[str] = Field(description="what could not be told, and why")


class TieDecision(Given):
    """What is to be done about a tie."""

    tie: str = Field(min_length=1, max_length=500, description="its id")
    choice: Literal["wanted", "ignored", ""]
    reason: str = Field("", max_length=changing.LONGEST_REASON, description="why it is ignored")


def read_bias(project: Project) -> Bias:
    found = kept(project)
    if found is None:
        return Bias(made_at=None, findings=[], recalls=[], lacking=[])
    made_at, report = found
    return Bias(
        made_at=made_at,
        findings=[_finding(tie) for tie in report.shown],
        recalls=[face_of(Place, row, address=row.query) for row in report.recalls],
        lacking=list(report.lacking),
    )


def _finding(tie: Tie) -> Finding:
    collect = [face_of(Wanted, one, address=one.query) for one in tie.collect]
    return face_of(Finding, tie, text=sentence(tie), collect=collect)


def routes(site: Site) -> APIRouter:
    router = APIRouter(route_class=once_route(site.project, site.who))

    @router.get("/bias", tags=["read"])
    def bias() -> Bias:
        """Classes that are tied to places, and what to collect."""
        return read_bias(site.project)

    @router.post("/bias/decisions", tags=["change"], openapi_extra=KEYED)
    def decide(request: Request, given: TieDecision) -> Bias:
        """Has a tie loosened by the next batches, lets it be for a reason, or leaves it as it is found."""
        changing.decide(site.project, site.who(request), given.tie, given.choice, given.reason)
        return read_bias(site.project)

    return router
