"""The page that a team opens in the morning."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from loop.base.jsonable import plain
from loop.insights.overview import overview, round_line
from loop.web.site import Site


def routes(site: Site) -> list[Route]:
    def page(request: Request) -> Response:
        view = overview(site.project)
        return site.render(request, "overview.html", view=view, round_line=round_line)

    def healthz(request: Request) -> Response:
        answer = site.worker.health()
        return JSONResponse(plain(answer), 200 if answer["ok"] else 503)

    def readyz(request: Request) -> Response:
        checks = site.worker.ready()
        ready = not any(checks.values())
        return JSONResponse({"ready": ready, "checks": checks}, 200 if ready else 503)

    return [Route("/", page), Route("/healthz", healthz), Route("/readyz", readyz)]
