"""Whether the labels can be trusted: the worst first, and a page for each part."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loop.insights.labels import findings
from loop.web.site import Site

HERE = "/labels"


def routes(site: Site) -> list[Route]:
    def page(request: Request) -> Response:
        return site.render(request, "labels.html", here=HERE, tab=HERE, found=findings(site.project))

    return [Route(HERE, page)]
