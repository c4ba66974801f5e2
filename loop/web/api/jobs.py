"""/api/jobs: what the service does on its schedule, and work that was asked for once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import Field

from connectors.ports import Progress
from loop.base.errors import Waiting
from loop.changes import jobs as changing
from loop.changes.frames import select_within
from loop.insights.frame_list import within_of
from loop.insights.frame_query import FrameQuery
from loop.project.wiring import Parts
from loop.web.api.changing import KEYED, once_route
from loop.web.api.faces import Face, Given
from loop.web.site import Site

Name = Annotated[str, Path(pattern=r"^[a-z_]{1,40}$")]
LARGEST_BUDGET = 100_000
TITLE = 200


class Job(Face):
    """One job of the schedule."""

    title: str = Field(description="what pages call it, nothing for its name")
    now: str = Field(description="what it does, nothing while it waits")
    outcome: str = Field(description="of its last run that did something or could not")
    detail: str
    checked_at: datetime | None = Field(description="of its last run at all")
    paused_at: datetime | None = Field(description="since when a person keeps it from running")
    next_at: datetime | None


class Work(Face):
    """Work that someone asked for once."""

    id: int
    title: str
    now: str = Field(description="what it does, nothing while it waits or once it ended")
    outcome: str = Field(description="nothing until it ends; done, failed, waiting or stopped then")
    detail: str
    started_at: datetime | None
    finished_at: datetime | None


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
        work=[Work.model_validate(one) for one in site.worker.submitted()],
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
    def select(request: Request, given: NewSelection) -> Work:
        """Chooses a batch from the frames of an address, in the background; see /api/jobs for what came
        of it.
        """
        query, who = FrameQuery.parse(given.address), site.who(request)
        within_of(site.parts, query)

        def work(parts: Parts, progress: Progress) -> str:
            report = select_within(parts, who, query, progress, given.budget)
            if report.busy:
                raise Waiting("another process is selecting for this project; ask again when it is done")
            return "; ".join(report.lines())

        return submitted(site, f"select from {query.address() or 'all frames'}"[:TITLE], work)

    return router


def submitted(site: Site, title: str, work: Callable[[Parts, Progress], str]) -> Work:
    """The work as it was taken on."""
    number = site.worker.submit(title, work)
    return next(Work.model_validate(one) for one in site.worker.submitted() if one.id == number)
