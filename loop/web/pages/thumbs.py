"""Thumbnails by the hash of their picture's content: what was fetched once is never asked for again."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from loop.analysis.thumbnails import thumbnail
from loop.project.project import Project
from loop.web.site import Site

FOREVER = "private, max-age=31536000, immutable"
"""Private: what cameras see is for whoever is signed in."""


def routes(site: Site) -> list[Route]:
    def answer(request: Request) -> Response:
        return picture(request, site.project, request.path_params["hash"])

    return [Route("/thumbs/{hash}.webp", answer)]


def picture(request: Request, project: Project, sha256: str) -> Response:
    """The thumbnail of this hash, or why there is none."""
    tag = f'"{sha256}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"Cache-Control": FOREVER, "ETag": tag})
    data = thumbnail(project, sha256)
    if data is None:
        return PlainTextResponse("expected the content hash of a stored picture that can be decoded", 404)
    return Response(data, media_type="image/webp", headers={"Cache-Control": FOREVER, "ETag": tag})
