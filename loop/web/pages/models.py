"""Models and rounds, as they stand."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loop.base.errors import ProjectError
from loop.insights.overview import overview
from loop.project.training_settings import trained_line
from loop.web.site import Site


def routes(site: Site) -> list[Route]:
    def page(request: Request) -> Response:
        try:
            view = overview(site.project)
        except ProjectError as error:
            return site.render(request, "unreadable.html", 503, why=str(error))
        return site.render(request, "models.html", view=view, trained_line=trained_line)

    return [Route("/models", page)]
