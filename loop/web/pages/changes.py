"""The audit log: who changed what."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loop.insights.changes import page_of_changes
from loop.web.site import Site


def routes(site: Site) -> list[Route]:
    def page(request: Request) -> Response:
        found = page_of_changes(
            site.project, request.query_params.get("before", ""), request.query_params.get("subject", "")
        )
        return site.render(request, "changes.html", found=found)

    return [Route("/changes", page)]
