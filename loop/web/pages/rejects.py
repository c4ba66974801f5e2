"""Files that were rejected."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loop.insights.rejects import rejected
from loop.web.site import Site


def routes(site: Site) -> list[Route]:
    def page(request: Request) -> Response:
        asked = request.query_params
        found = rejected(site.project, asked.get("code", ""), asked.get("before", ""))
        return site.render(request, "rejects.html", found=found)

    return [Route("/rejects", page)]
