"""Models and rounds, as they stand."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loop.insights.overview import overview
from loop.project.training_settings import trained_line
from loop.web.site import Site


def routes(site: Site) -> list[Route]:
    def page(request: Request) -> Response:
        view = overview(site.project)
        return site.render(request, "models.html", view=view, trained_line=trained_line)

    return [Route("/models", page)]
