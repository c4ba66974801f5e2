"""The audit log: who changed what."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loop.insights.changes import ChangeQuery, choices_of_changes, page_of_changes
from loop.web.site import Site


def routes(site: Site) -> list[Route]:
    def page(request: Request) -> Response:
        asked = request.query_params
        query = ChangeQuery(*(asked.get(key, "") for key in ("who", "what", "subject")))
        found = page_of_changes(site.project, query, asked.get("before", ""))
        choices = choices_of_changes(site.project)
        return site.render(request, "changes.html", found=found, query=query, choices=choices)

    return [Route("/changes", page)]
