"""How far people agree who labeled the same frames: figures, questions with pictures, what is not settled."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loop.insights.agreement import HERE, LOW, agreement
from loop.web.pages.frames import ending
from loop.web.site import Site


def routes(site: Site) -> list[Route]:
    def page(request: Request) -> Response:
        found = agreement(site.project)
        share = site.project.settings.labels.second_share
        return site.render(
            request,
            "labels_agreement.html",
            here="/labels",
            tab=HERE,
            found=found,
            share=share,
            low=LOW,
            ending=ending,
        )

    return [Route(HERE, page)]
