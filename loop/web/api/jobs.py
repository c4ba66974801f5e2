"""/api/jobs: what the service does on its schedule, and work that was asked for once."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import Field

from loop.changes import jobs as changing
from loop.insights.frame_list import within_of
from loop.insights.frame_query import FrameQuery
from loop.web.api.changing import KEYED, Work, address_of_work, once_route
from loop.web.api.faces import Face, Given, Id
from loop.web.site import Site, WorkKind

Name = Annotated[str, Path(pattern=r"^[a-z_]{1,40}$")]
LARGEST_BUDGET = 100_000


class Job(Face):
    """One job of the schedule."""

    title: str = Field(description="what pages call it, nothing for its name")
    now: str = Field(description="what it does, nothing while it waits")
    outcome: str = Field(description="of its last run that did something or could not")
    detail: str
    checked_at: datetime | None = Field(description="of its last run at all")
    paused_at: datetime | None = Field(description="since when a person keeps it from running")
    next_at: datetime | None


class Jobs(Face):
    """What the service does."""

    ok: bool
    problems: list[str]
    jobs: dict[str, Job]
    work: list[Work] = Field(description="the latest first")


class NewSelection(Given):
    """What a batch is chosen from."""

    address: str = Field(max_length=4000, description="of a set of frames, such as slice=12&camera=gate")
    budget: int | None = Field(None, ge=1, le=LARGEST_BUDGET, description="frames; null for select.budget")


def read_jobs(site: Site) -> Jobs:
    health = site.worker.health()
    return Jobs(
        ok=health["ok"],
        problems=health["problems"],
        jobs={name: Job.model_validate(state) for name, state in health["jobs"].items()},
        work=[Work.model_validate(one) for one in site.submitted()],
    )


def routes(site: Site) -> APIRouter:
    router = APIRouter(route_class=once_route(site.project, site.who))

    @router.get("/jobs", tags=["read"])
    def jobs() -> Jobs:
        """What the service does now, and what came of it last."""
        return read_jobs(site)

    @router.post("/jobs/{name}/run", tags=["change"], openapi_extra=KEYED)
    def run_now(request: Request, name: Name) -> Jobs:
        """Runs a job now."""
        changing.run_now(site.project, site.worker, site.who(request), name)
        return read_jobs(site)

    @router.post("/jobs/{name}/pause", tags=["change"], openapi_extra=KEYED)
    def pause(request: Request, name: Name) -> Jobs:
        """Keeps a job from running, over restarts, until it is resumed."""
        changing.pause(site.project, site.worker, site.who(request), name)
        return read_jobs(site)

    @router.post("/jobs/{name}/resume", tags=["change"], openapi_extra=KEYED)
    def resume(request: Request, name: Name) -> Jobs:
        """Takes `pause` back."""
        changing.resume(site.project, site.worker, site.who(request), name)
        return read_jobs(site)

    @router.post("/selections", status_code=202, tags=["change"], openapi_extra=KEYED)
    def select(request: Request, response: Response, given: NewSelection) -> Work:
        """Chooses a batch from the frames of an address, in the background; see /api/work."""
        query = FrameQuery.parse(given.address)
        within_of(site.parts, query)
        title = f"select from {query.address() or 'all frames'}"
        work = site.ask(request, WorkKind.SELECT, title, address=query.address(), budget=given.budget)
        return taken_on(site, response, work)

    @router.get("/work/{number}", tags=["read"])
    def work(number: Id) -> Work:
        """What came of work that was asked for, or how far it is."""
        return Work.model_validate(site.work(number))

    return router


def taken_on(site: Site, response: Response, number: int) -> Work:
    """The work that was asked for; the answer says where it is looked up."""
    site.worker.take_up()
    response.headers["Location"] = address_of_work(number)
    return Work.model_validate(site.work(number))
