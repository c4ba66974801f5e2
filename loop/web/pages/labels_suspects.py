"""Labels that look wrong, with pictures: send them to labelers, or say that they are right."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.errors import ImageRejected
from loop.analysis.thumbnails import cropped
from loop.changes.jobs import run_now
from loop.changes.suspects import SuspectsChanged, dismiss, send, send_worst, stop_run, undo
from loop.insights.suspects import HERE, KINDS, STATES, SuspectQuery, crop_of, suspect_page
from loop.web.pages.queue import gathered, numbers, spread
from loop.web.pages.thumbs import FOREVER
from loop.web.site import Site, form_of

JOB = "suspects"


def routes(site: Site) -> list[Route]:
    def page(request: Request) -> Response:
        query = SuspectQuery.parse(request.query_params)
        return site.render(
            request,
            "labels_suspects.html",
            here="/labels",
            tab=HERE,
            page=suspect_page(site.project, query),
            query=query,
            kinds=KINDS,
            states=STATES,
            budget=site.project.settings.labels.suspect_budget,
            job=site.worker.health()["jobs"].get(JOB),
        )

    def picture(request: Request) -> Response:
        return _picture(site, request)

    def sending(request: Request) -> Response:
        chosen = numbers(form_of(request).getlist("suspect"), "suspect")
        return _done(site, request, send(site.project, site.who(request), chosen))

    def sending_worst(request: Request) -> Response:
        return _done(site, request, send_worst(site.project, site.who(request)))

    def dismissing(request: Request) -> Response:
        chosen = numbers(form_of(request).getlist("suspect"), "suspect")
        return _done(site, request, dismiss(site.project, site.who(request), chosen))

    def undoing(request: Request) -> Response:
        changes = spread(str(form_of(request).get("changes", "")))
        return _done(site, request, undo(site.project, site.who(request), changes))

    def running(request: Request) -> Response:
        run_now(site.project, site.worker, site.who(request), JOB)
        return site.done(request, HERE, "All labels are judged anew; this page shows it once that is done.")

    def stopping(request: Request) -> Response:
        stop_run(site.project, site.who(request))
        return site.done(request, HERE, "It stops after this epoch; the next run goes on from there.")

    return [
        Route(HERE, page),
        Route(f"{HERE}/{{number:int}}.webp", picture),
        Route(f"{HERE}/send", sending, methods=["POST"]),
        Route(f"{HERE}/worst", sending_worst, methods=["POST"]),
        Route(f"{HERE}/dismiss", dismissing, methods=["POST"]),
        Route(f"{HERE}/undo", undoing, methods=["POST"]),
        Route(f"{HERE}/run", running, methods=["POST"]),
        Route(f"{HERE}/stop", stopping, methods=["POST"]),
    ]


def _picture(site: Site, request: Request) -> Response:
    """What the label and the fix are of, and some of what is around them."""
    number = request.path_params["number"]
    try:
        found = crop_of(site.project, number)
        tag = f'"{found.content_hash[:32]}-{"-".join(map(str, found.window))}"'
        headers = {"Cache-Control": FOREVER, "ETag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(cropped(found.path, found.window), media_type="image/webp", headers=headers)
    except (OSError, OverflowError, ImageRejected) as error:
        raise HTTPException(404, f"expected the picture of suspect {number}, got none to be read") from error


def _done(site: Site, request: Request, report: SuspectsChanged) -> Response:
    """Back to where the form stood. Label Studio is told now where somebody can."""
    waits = site.soon("push") if report.done and report.what != "dismissed" else ""
    back = str(form_of(request).get("back", ""))
    to = back if back == HERE or back.startswith(f"{HERE}?") else HERE
    said = ". ".join([*report.lines(), *([waits] if waits else [])])
    if not report.undoable:
        return site.done(request, to, said)
    fields = {"changes": gathered(report.changes), "back": to}
    return site.done(request, to, said, f"{HERE}/undo", fields)
