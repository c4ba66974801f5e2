"""What labeling costs, and what drawn boxes do to it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loop.insights.effort import HERE, KINDS, effort, longest
from loop.insights.effort_words import (
    drawn_text,
    objects_line,
    rule_text,
    saved_line,
    seconds_text,
    times_text,
)
from loop.math.quality.drawn_boxes import NEVER
from loop.web.site import Site

ROWS, CLASSES = 9, 20
"""Of each kind, and classes with their confidence, that the page shows at most: it stays light."""


def routes(site: Site) -> list[Route]:
    def page(request: Request) -> Response:
        found = effort(site.project)
        parts = [(kind, rows) for kind in KINDS if (rows := found.of(kind))]
        return site.render(
            request,
            "labels_effort.html",
            here="/labels",
            tab=HERE,
            view=found,
            parts_of=parts,
            rows=ROWS,
            classes=CLASSES,
            longest=longest(found),
            never=NEVER,
            rule=rule_text(),
            times=times_text(),
            drawn_text=drawn_text,
            seconds_said=seconds_text(found.seconds),
            objects=objects_line(found.objects),
            saved=saved_line(found.saved),
        )

    return [Route(HERE, page)]
