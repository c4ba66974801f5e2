"""All pages of one project, with the guard before them."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from loop.project.wiring import Parts
from loop.web import static_files
from loop.web.guard import Guard, token_for
from loop.web.pages import changes, collections, gaps_file, models, overview, sign_in
from loop.web.site import Site, Worker, signer_of

PAGES = (overview, gaps_file, models, collections, changes, sign_in)
BODIES: dict[str, int] = {}
"""Bytes of a body by the beginning of its path, where more than bodies.MOST is taken."""


def build_app(parts: Parts, worker: Worker) -> Starlette:
    """The pages of one project. Raises ConfigError when they would listen beyond loopback without a
    token.
    """
    token = token_for(parts.project.settings.web.host)
    signer = signer_of(parts.project, token)
    site = Site(parts, worker, signer)
    routes: list[BaseRoute] = [*static_files.routes()]
    for page in PAGES:
        routes += page.routes(site)

    def ask(request: Request, status: int, wrong: str) -> Response:
        return sign_in.page(site, request, status, wrong)

    guard = Middleware(Guard, token=token, signer=signer, ask=ask, most=BODIES)
    app = Starlette(routes=routes, middleware=[guard])
    app.router.redirect_slashes = False
    return app
