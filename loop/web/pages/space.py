"""The map of the embedding space: points for the script, a drawing for everybody, names for regions."""

from __future__ import annotations

import hashlib

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from loop.base.jsonable import plain
from loop.base.moments import shown
from loop.changes.slices import give_name
from loop.insights.slices import one_slice
from loop.insights.space import LAYERS, map_points, map_view, point_frame
from loop.web.pages.thumbs import picture
from loop.web.site import Site, WorkKind, form_of

ASKED_AGAIN = "private, no-cache"


def routes(site: Site) -> list[Route]:
    def page(request: Request) -> Response:
        return site.render(request, "map.html", here="/coverage", view=map_view(site.parts), layers=LAYERS)

    def points(request: Request) -> Response:
        found = map_points(site.parts)
        body = b"" if found is None else found.body()
        headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"', "Cache-Control": ASKED_AGAIN}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="application/octet-stream", headers=headers)

    def about(request: Request) -> Response:
        found = point_frame(site.project, request.path_params["seq"])
        if found is None:
            return PlainTextResponse("expected the id of a frame", 404)
        zone = site.project.settings.frames.timezone
        when = shown(found.captured_at, zone) if found.captured_at else "no time"
        return JSONResponse(plain(found) | {"when": when})

    def thumb(request: Request) -> Response:
        found = point_frame(site.project, request.path_params["seq"])
        return picture(request, site.project, "" if found is None else found.content_hash)

    def name(request: Request) -> Response:
        number, given = request.path_params["id"], form_of(request).get("name")
        if not isinstance(given, str):
            raise HTTPException(422, "expected a name, got none; give one in the field name")
        before = one_slice(site.project, number).name
        named = give_name(site.project, site.who(request), number, given)
        said, undo = f"The region is called {named.name}.", f"/map/regions/{number}/name"
        return site.done(request, "/map", said, undo, {"name": before})

    def anew(request: Request) -> Response:
        site.ask(request, WorkKind.MAP, "a new map of the frames")
        return site.done(request, "/map", "A new map is being made; it takes up to some minutes.")

    return [
        Route("/map", page),
        Route("/map.bin", points),
        Route("/map/frames/{seq:number}", about),
        Route("/map/frames/{seq:number}.webp", thumb),
        Route("/map/regions/{id:number}/name", name, methods=["POST"]),
        Route("/map/anew", anew, methods=["POST"]),
    ]
