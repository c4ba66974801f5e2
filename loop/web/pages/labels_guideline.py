"""The guideline: what labelers see, what it leaves open, its versions and the answers given by each."""

from __future__ import annotations

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loop.insights.guideline import HERE, guideline_view
from loop.web.site import Site

SHOWN = 40_000
"""Characters of HTML that the page shows at most: it stays light."""
VERSIONS = 50
"""Of the guideline, the newest first."""


def routes(site: Site) -> list[Route]:
    def page(request: Request) -> Response:
        found = guideline_view(site.project)
        light = found.html if len(found.html) <= SHOWN else ""
        seen = Markup(light)  # noqa: S704 -- escaped by loop.base.markdown, which makes all of its tags
        return site.render(
            request, "labels_guideline.html", here="/labels", tab=HERE, found=found, seen=seen, most=VERSIONS
        )

    return [Route(HERE, page)]
