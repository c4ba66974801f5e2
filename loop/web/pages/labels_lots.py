"""Random inspections of labels: what a plan asks for, the lots that were drawn, and what they say."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loop.base.errors import ConfigError
from loop.changes.lots import draw, withdraw
from loop.insights.lots import (
    HEIGHT,
    HERE,
    KINDS,
    WIDTH,
    curve_points,
    lots_page,
    plan_lines,
    planned,
    sample_lines,
)
from loop.web.pages.queue import numbers
from loop.web.site import Site, form_of


def routes(site: Site) -> list[Route]:
    def page(request: Request) -> Response:
        asked = request.query_params
        kind, address = asked.get("plan", ""), asked.get("frames", "").strip()
        found, wrong = None, ""
        if kind:
            try:
                found = planned(site.parts, address, kind, 0)
            except ConfigError as error:
                wrong = str(error)
        return site.render(
            request,
            "labels_lots.html",
            here="/labels",
            tab=HERE,
            page=lots_page(site.project),
            settings=site.project.settings.labels,
            kinds=KINDS,
            kind=kind or KINDS[0],
            address=address,
            found=found,
            wrong=wrong,
            sample_lines=sample_lines,
            plan_lines=plan_lines,
            curve_points=curve_points,
            size=(WIDTH, HEIGHT),
        )

    def drawing(request: Request) -> Response:
        form = form_of(request)
        address, kind = str(form.get("frames", "")).strip(), str(form.get("plan", ""))
        made = draw(site.parts, site.who(request), address, kind)
        waits = site.soon("push")
        said = ". ".join([f"Lot {made.lot} is drawn", made.said[-1], *([waits] if waits else [])])
        return site.done(request, HERE, said, f"{HERE}/withdraw", {"lot": str(made.lot)})

    def withdrawing(request: Request) -> Response:
        (number,) = numbers([str(form_of(request).get("lot", ""))], "lot")
        said = withdraw(site.project, site.who(request), number)
        site.soon("push")
        return site.done(request, HERE, said[:1].upper() + said[1:])

    return [
        Route(HERE, page),
        Route(f"{HERE}/draw", drawing, methods=["POST"]),
        Route(f"{HERE}/withdraw", withdrawing, methods=["POST"]),
    ]
