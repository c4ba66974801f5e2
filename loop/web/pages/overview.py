"""The page that a team opens in the morning; and the same for programs."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from loop.base.errors import ProjectError
from loop.base.jsonable import plain
from loop.insights.overview import overview, round_line
from loop.web.site import Site


def routes(site: Site) -> list[Route]:
    def page(request: Request) -> Response:
        try:
            view = overview(site.project)
        except ProjectError as error:
            return site.render(request, "unreadable.html", 503, why=str(error))
        return site.render(request, "overview.html", view=view, round_line=round_line)

    def healthz(request: Request) -> Response:
        answer = site.worker.health()
        return JSONResponse(plain(answer), 200 if answer["ok"] else 503)

    def api_status(request: Request) -> Response:
        state = {"service_state": plain(site.worker.health())}
        try:
            return JSONResponse(plain(overview(site.project)) | state)
        except ProjectError as error:
            return JSONResponse({"error": str(error)} | state, 503)

    return [Route("/", page), Route("/healthz", healthz), Route("/api/status", api_status)]
