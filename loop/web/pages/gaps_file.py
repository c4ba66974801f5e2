"""The gaps as the last selection wrote them, one file with a style of its own."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from loop.web.site import Site

OWN_STYLE = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def routes(site: Site) -> list[Route]:
    def page(request: Request) -> Response:
        path = site.project.pages / "gaps.html"
        if path.is_file():
            headers = {"Content-Security-Policy": OWN_STYLE}
            return FileResponse(path, media_type="text/html", headers=headers)
        return site.render(request, "no_gaps.html", 404)

    return [Route("/gaps", page)]
