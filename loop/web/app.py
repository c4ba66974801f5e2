"""A few read-only pages over `loop.insights.overview`. `loop.web.guard` says who may see them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jinja2 import Environment
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route

from loop.base.errors import ProjectError
from loop.base.jsonable import plain
from loop.insights.overview import overview, round_line
from loop.project.project import Project
from loop.project.training_settings import trained_line
from loop.web.api.app import PLACE, build_api
from loop.web.environment import page_environment
from loop.web.guard import Guard, token_for

Health = Callable[[], dict[str, Any]]
"""At least {"ok": bool, "problems": [sentence], "notes": [sentence], "jobs": {name: service.State},
"label_studio": url}; asked at every request.
"""


def build_app(project: Project, health: Health) -> Starlette:
    """The pages of one project. Raises ConfigError when they would listen beyond loopback without a
    token.
    """
    token = token_for(project.settings.web.host)
    pages = page_environment(project.settings.frames.timezone)

    def status(request: Request) -> Response:
        return _page(pages, "status.html", project, health)

    def models(request: Request) -> Response:
        return _page(pages, "models.html", project, health)

    def gaps(request: Request) -> Response:
        path = project.pages / "gaps.html"
        if path.is_file():
            return FileResponse(path, media_type="text/html")
        return _page(pages, "no_gaps.html", project, health, 404)

    def healthz(request: Request) -> Response:
        answer = health()
        return JSONResponse(plain(answer), 200 if answer["ok"] else 503)

    def api_status(request: Request) -> Response:
        state = {"service_state": plain(health())}
        try:
            return JSONResponse(plain(overview(project)) | state)
        except ProjectError as error:
            return JSONResponse({"error": str(error)} | state, 503)

    routes = [
        Route("/", status),
        Route("/models", models),
        Route("/gaps", gaps),
        Route("/healthz", healthz),
        Route("/api/status", api_status),
        Mount(PLACE, build_api(project)),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Guard, token=token)])


def _page(
    pages: Environment, name: str, project: Project, health: Health, status_code: int = 200
) -> HTMLResponse:
    try:
        view = overview(project)
    except ProjectError as error:
        shown = {"view": {"name": project.settings.name}, "health": health(), "why": str(error)}
        return HTMLResponse(pages.get_template("unreadable.html").render(shown), 503)
    text = pages.get_template(name).render(
        view=view, health=health(), round_line=round_line, trained_line=trained_line
    )
    return HTMLResponse(text, status_code)
