"""How far people agree who labeled the same frames: figures, questions with pictures, what is not settled."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loop.insights.agreement import HERE, LOW, agreement
from loop.web.pages.frames import ending
from loop.web.site import Site

QUESTIONS, PICTURES, ROWS, TIES = 9, 3, 10, 20
"""Of each kind, what the page shows at most: it stays light however much is disputed."""


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
            questions=found.questions[:QUESTIONS],
            pictures=PICTURES,
            rows=ROWS,
            ties=TIES,
        )

    return [Route(HERE, page)]
