"""What production shows and the training set lacks: gaps, all shares, two axes crossed, two dates."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from loop.base.errors import ConfigError
from loop.changes.slices import give_name, restore, retire
from loop.insights.coverage import SHOWN_AS, compared, coverage, crossed
from loop.insights.slices import one_slice
from loop.web.site import Site, WorkKind, form_of

HERE = "/coverage"
LOOKING = "production compared with the training set"
GAPS_A_PAGE = 10
FEW_OPTIONS = 4
"""Of a facet, shown before it is opened."""


def routes(site: Site) -> list[Route]:
    def page(request: Request) -> Response:
        found = coverage(site.project)
        start = _number(request, "start") or 0
        looked = site.newest(WorkKind.COMPARE)
        running = [looked] if looked is not None and not looked.outcome else []
        every = () if found is None else found.gaps
        gaps, last = every[start : start + GAPS_A_PAGE], start + GAPS_A_PAGE >= len(every)
        pages = {
            "newer": f"{HERE}?start={max(start - GAPS_A_PAGE, 0)}" if start else "",
            "older": "" if last else f"{HERE}?start={start + GAPS_A_PAGE}",
        }
        return site.render(
            request, "coverage.html", here=HERE, view=found, gaps=gaps, pages=pages, running=running
        )

    def shares(request: Request) -> Response:
        found, key = coverage(site.project), request.query_params.get("facet", "")
        facets = () if found is None else found.facets
        if key:
            facets = tuple(facet for facet in facets if facet.key == key)
        few = None if key else FEW_OPTIONS
        listed = [(facet, facet.options[:few]) for facet in facets]
        return site.render(request, "shares.html", here=HERE, view=found, facets=listed, asked=key)

    def crossing(request: Request) -> Response:
        asked = [request.query_params.get(key, "") for key in ("rows", "columns", "as")]
        found = crossed(site.project, *asked)
        return site.render(request, "crossed.html", here=HERE, view=found, shown_as=SHOWN_AS)

    def comparing(request: Request) -> Response:
        then, now = (_number(request, key) for key in ("then", "now"))
        found = compared(site.project, then, now)
        return site.render(request, "compared.html", here=HERE, view=found)

    def look(request: Request) -> Response:
        site.ask(request, WorkKind.COMPARE, LOOKING)
        return site.done(request, HERE, "Production is being compared; it takes up to some minutes.")

    def name(request: Request) -> Response:
        number, given = request.path_params["id"], form_of(request).get("name")
        if not isinstance(given, str):
            raise HTTPException(422, "expected a name, got none; give one in the field name")
        before = one_slice(site.project, number).name
        named = give_name(site.project, site.who(request), number, given)
        undo = f"{HERE}/slices/{number}/name"
        return site.done(request, HERE, f"{before} is called {named.name} now.", undo, {"name": before})

    def retiring(request: Request) -> Response:
        found = retire(site.project, site.who(request), request.path_params["id"])
        said = f"{found.name} is retired: the next comparison looks for it no more."
        if found.kind == "collection":
            said = f"{said} A quota that it had is dropped."
        return site.done(request, HERE, said, f"{HERE}/slices/{found.id}/restore")

    def restoring(request: Request) -> Response:
        found = restore(site.project, site.who(request), request.path_params["id"])
        said = f"{found.name} is looked for again from the next comparison on."
        return site.done(request, HERE, said, f"{HERE}/slices/{found.id}/retire")

    return [
        Route(HERE, page),
        Route(f"{HERE}/shares", shares),
        Route(f"{HERE}/crossed", crossing),
        Route(f"{HERE}/compared", comparing),
        Route(f"{HERE}/look", look, methods=["POST"]),
        Route(f"{HERE}/slices/{{id:number}}/name", name, methods=["POST"]),
        Route(f"{HERE}/slices/{{id:number}}/retire", retiring, methods=["POST"]),
        Route(f"{HERE}/slices/{{id:number}}/restore", restoring, methods=["POST"]),
        Route("/gaps", _moved),
    ]


def _moved(request: Request) -> Response:
    return RedirectResponse(HERE, 308)


def _number(request: Request, key: str) -> int | None:
    text = request.query_params.get(key, "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise ConfigError(
            f"coverage: {key}: expected a whole number, got {text[:80]!r}; follow a link of the page"
        )
    return int(text)
