"""/api/rounds and /api/models: what was trained and judged, what is deployed, and what people decide."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import Field

from loop.base.jsonable import plain
from loop.changes import rounds as deciding
from loop.insights.rounds import (
    ModelNode,
    RoundLine,
    RoundView,
    models_view,
    open_line,
    round_lines,
    round_view,
)
from loop.project.project import Project
from loop.web.api.changing import KEYED, IfMatch, check_match, etag_of, once_route
from loop.web.api.faces import PAGE, After, Because, Face, Given, Id, Limit, Number, WithReason
from loop.web.api.problems import Refused
from loop.web.site import Site


class Progress(Face):
    """How far a training is."""

    epoch: int
    epochs: int
    seconds_left: float | None = Field(description="by the epochs so far")
    at: datetime | None


class Round(Face):
    """One round in short."""

    id: int
    status: str
    words: str = Field(description="its status for people")
    open: bool
    base_model: int
    candidate: int | None
    dataset: int | None
    progress: Progress | None
    reason: str = Field(description="the first of its verdict, or what went wrong")
    created_at: datetime
    changed_at: datetime


class Rounds(Face):
    """Newest first."""

    rounds: list[Round]
    open: Round | None = Field(description="the one that is open, of whatever page")
    next: int | None = Field(description="`after` of the next page, null at the end")


class Line(Face):
    """One check of a verdict."""

    name: str
    about: str
    kind: str = Field(description="overall, gaps, class, condition or other")
    measure: str
    status: str = Field(description="pass, fail or unverifiable")
    before: float | None = Field(description="of the deployed model, 0..1")
    after: float | None = Field(description="of the candidate, 0..1")
    low: float | None = Field(description="of the 95 % interval of after - before")
    high: float | None
    frames: int = Field(description="held out, that it rests on")
    objects: int
    groups: int = Field(description="camera-days")
    text: str
    asks: bool = Field(description="whether a person should look")
    address: str = Field(description="of the frames that it is about, nothing where there is no such set")


class Verdict(Face):
    """The worst line first."""

    promote: bool = Field(description="whether the gate passed it")
    needs_approval: bool
    reasons: list[str]
    lines: list[Line]
    left_out: int = Field(description="lines that are not shown")
    frames: int = Field(description="held out, that it rests on")


class Decision(Face):
    """What a person decided."""

    at: datetime
    who: str
    via: str
    what: str
    reason: str


class RoundDetail(Face):
    """One round with all that is known of it."""

    round: Round
    error: str
    cancelling: bool = Field(description="whether it was asked to stop")
    settings: dict[str, Any]
    trained: str = Field(description="what it was really trained with")
    data: dict[str, Any] | None = Field(description="the dataset version that went in")
    verdict: Verdict | None
    decisions: list[Decision] = Field(description="newest first")


class Model(Face):
    """One checkpoint."""

    id: int
    sha256: str
    status: str
    deployed: bool
    parent: int | None = Field(description="the model that it was trained from")
    made_by: list[int] = Field(description="rounds")
    refused: str = Field(description="why the gate or a person said no")
    created_at: datetime
    deployed_at: list[datetime]


class Models(Face):
    """Parents before their children."""

    models: list[Model]
    deployed: int | None = Field(description="the model in production")
    back: int | None = Field(description="the model that a roll back would bring back")


class NewRound(Given):
    """settings: those by which it differs from the project's, such as {"epochs": 5}."""

    settings: dict[str, Any] = Field(default_factory=dict, max_length=50)


class Back(Because):
    """expected: the model in production as far as you know."""

    expected: Number | None = None


def read_rounds(project: Project, after: int | None = None, limit: int = PAGE) -> Rounds:
    behind, now = round_lines(project, limit + 1, after), open_line(project)
    page = behind[:limit]
    return Rounds(
        rounds=[short(line) for line in page],
        open=short(now) if now else None,
        next=page[-1].id if len(behind) > len(page) else None,
    )


def read_round(project: Project, number: int) -> RoundDetail:
    return shown(round_view(project, number))


def read_models(project: Project) -> Models:
    view = models_view(project)
    return Models(
        models=[_model(node) for node in view.tree],
        deployed=view.deployed.id if view.deployed else None,
        back=view.back.id if view.back else None,
    )


def short(line: RoundLine) -> Round:
    return Round.model_validate(line)


def shown(view: RoundView) -> RoundDetail:
    return RoundDetail(
        round=short(view.line),
        error=view.error,
        cancelling=view.cancelling,
        settings={one.name: plain(one.value) for one in view.settings},
        trained=view.trained,
        data=plain(view.data),
        verdict=Verdict.model_validate(view.verdict) if view.verdict else None,
        decisions=[Decision.model_validate(one) for one in view.decisions],
    )


def _model(node: ModelNode) -> Model:
    row = node.model
    return Model(
        id=row.id,
        sha256=row.sha256,
        status=str(row.status),
        deployed=node.deployed,
        parent=row.parent_id,
        made_by=list(node.made_by),
        refused=node.refused,
        created_at=row.created_at,
        deployed_at=list(node.deployed_at),
    )


def routes(site: Site) -> APIRouter:
    router = APIRouter(route_class=once_route(site.project, site.who))

    @router.get("/rounds", tags=["read"])
    def rounds(after: After = None, limit: Limit = PAGE) -> Rounds:
        """Retraining rounds."""
        return read_rounds(site.project, after, limit)

    @router.get("/rounds/{number}", tags=["read"])
    def one_round(number: Id, response: Response) -> RoundDetail:
        """One round with its verdict. Its ETag goes into If-Match of a decision."""
        found = read_round(site.project, number)
        response.headers["ETag"] = etag_of(found)
        return found

    @router.post("/rounds", status_code=201, tags=["change"], openapi_extra=KEYED)
    def start(request: Request, given: NewRound) -> Round:
        """Opens a round; the service does the work."""
        number = deciding.start_round(site.parts, site.who(request), given.settings)
        return short(round_view(site.project, number).line)

    @router.post("/rounds/{number}/cancel", tags=["change"], openapi_extra=KEYED)
    def cancel(request: Request, number: Id, given: Because, if_match: IfMatch = None) -> RoundDetail:
        """Stops a round that is open, a training at its next batch."""
        _check(number, if_match)
        deciding.cancel_round(site.parts, site.who(request), given.reason, number)
        return read_round(site.project, number)

    @router.post("/rounds/{number}/approve", tags=["change"], openapi_extra=KEYED)
    def approve(request: Request, number: Id, given: WithReason, if_match: IfMatch = None) -> RoundDetail:
        """Promotes the candidate of a round that waits for a person."""
        _check(number, if_match)
        deciding.approve(site.parts, site.who(request), number, given.reason)
        return read_round(site.project, number)

    @router.post("/rounds/{number}/reject", tags=["change"], openapi_extra=KEYED)
    def reject(request: Request, number: Id, given: WithReason, if_match: IfMatch = None) -> RoundDetail:
        """The candidate of a round that waits for a person does not go into production."""
        _check(number, if_match)
        deciding.reject(site.parts, site.who(request), number, given.reason)
        return read_round(site.project, number)

    @router.get("/models", tags=["read"])
    def models() -> Models:
        """Checkpoints, and which of them is in production."""
        return read_models(site.project)

    @router.post("/models/roll-back", tags=["change"], openapi_extra=KEYED)
    def roll_back(request: Request, given: Back) -> Models:
        """Brings the former model back."""
        deciding.roll_back(site.parts, site.who(request), given.reason, given.expected)
        return read_models(site.project)

    @router.post("/models/{number}/promote", tags=["change"], openapi_extra=KEYED)
    def promote(request: Request, number: Id, given: WithReason) -> Models:
        """Puts any model into production."""
        row = next((node.model for node in models_view(site.project).tree if node.model.id == number), None)
        if row is None:
            raise Refused(404, "not-known", f"expected the id of a model, got {number}; see /api/models")
        deciding.promote(site.parts, site.who(request), row, given.reason)
        return read_models(site.project)

    def _check(number: int, if_match: str | None) -> None:
        check_match(if_match, etag_of(read_round(site.project, number)))

    return router
