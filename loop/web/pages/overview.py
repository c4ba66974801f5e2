"""The page that a team opens in the morning, and what it does with jobs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from loop.base.jsonable import plain
from loop.base.wording import counted, either
from loop.changes import jobs
from loop.insights.freshness import TICKS, Stage, place
from loop.insights.overview import overview, round_line
from loop.web.site import Site

SHORT = 70
"""Letters of a headline."""
CLAUSE = re.compile(r"[:;] ")
FIRST = 5
"""Needs that are shown at once."""
RUN, PAUSE, RESUME = "run", "pause", "resume"
DONE = {RUN: "{} runs as soon as its turn comes.", PAUSE: "{} is paused.", RESUME: "{} runs again."}
DO = {RUN: jobs.run_now, PAUSE: jobs.pause, RESUME: jobs.resume}
UNDO = {PAUSE: RESUME, RESUME: PAUSE}


@dataclass(frozen=True)
class Aged:
    """A stage on the scale of ages. place: 0..1, 1 for now; None before its first time."""

    stage: Stage
    place: float | None


def routes(site: Site) -> list[Route]:
    def page(request: Request) -> Response:
        view, health, now = overview(site.project), site.worker.health(), datetime.now(UTC)
        return site.render(
            request,
            "overview.html",
            view=view,
            health=health,
            round_line=round_line,
            sentence=sentence(health, len(view.needs)),
            unwell=unwell(health),
            first=view.needs[:FIRST],
            rest=view.needs[FIRST:],
            aged=[aged(stage, now) for stage in view.stages],
            ticks=[(place(age_s), name) for age_s, name in TICKS],
            submitted=site.submitted(),
            now=now,
        )

    def changing(what: str) -> Callable[[Request], Response]:
        def change(request: Request) -> Response:
            job = request.path_params["job"]
            DO[what](site.project, site.worker, site.who(request), job)
            undo = f"/jobs/{job}/{UNDO[what]}" if what in UNDO else ""
            return site.done(request, "/#jobs", DONE[what].format(job), undo)

        return change

    def healthz(request: Request) -> Response:
        answer = site.worker.health()
        return JSONResponse(plain(answer), 200 if answer["ok"] else 503)

    def readyz(request: Request) -> Response:
        checks = site.worker.ready()
        ready = not any(checks.values())
        return JSONResponse({"ready": ready, "checks": checks}, 200 if ready else 503)

    return [
        Route("/", page),
        *(Route(f"/jobs/{{job}}/{what}", changing(what), methods=["POST"]) for what in DONE),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
    ]


def sentence(health: Mapping[str, Any], needs: int) -> str:
    """How it stands, in one line."""
    problems = health["problems"]
    if not health["ok"]:
        first = headline(problems[0]) if problems else "the service says so"
        more = len(problems) - 1
        return f"Not well: {first}" + (f"; and {more} more" if more > 0 else "")
    if needs:
        return f"All runs; {counted(needs, 'thing')} {either(needs, 'needs', 'need')} a person"
    return "All is well, and nothing needs a person"


def headline(problem: str) -> str:
    """A problem in short: as many of its clauses as fit in one line."""
    if len(problem) <= SHORT:
        return problem
    ends = [found.start() for found in CLAUSE.finditer(problem, 0, SHORT)]
    return problem[: ends[-1]] if ends else f"{problem[:SHORT].rsplit(' ', 1)[0]} …"


def unwell(health: Mapping[str, Any]) -> list[str]:
    """The problems in full, where the headline does not say all of them."""
    problems = list(health["problems"])
    return problems if problems[1:] or [headline(one) for one in problems] != problems else []


def aged(stage: Stage, now: datetime) -> Aged:
    return Aged(stage, place((now - stage.until).total_seconds()) if stage.until else None)
