"""What labeling costs, and what drawn boxes do to it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loop.insights.effort import (
    HERE,
    KINDS,
    drawn_line,
    effort,
    objects_line,
    rule_text,
    saved_line,
    times_text,
)
from loop.web.site import Site


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
            longest=max((row.seconds_per_task or 0 for row in (found.whole, *found.rows)), default=0),
            rule=rule_text(),
            times=times_text(),
            drawn_line=drawn_line,
            objects=objects_line(found.objects),
            saved=saved_line(found.saved),
        )

    return [Route(HERE, page)]
