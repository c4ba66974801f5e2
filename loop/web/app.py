"""All pages of one project, with the guard before them."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount

from loop.project.wiring import Parts
from loop.web import static_files
from loop.web.api.app import PLACE, bodies, build_api
from loop.web.catching import Catching
from loop.web.failing import http_failed, told_by
from loop.web.guard import Guard, token_for
from loop.web.pages import (
    bias,
    changes,
    collections,
    coverage,
    frame,
    frames,
    labels,
    labels_agreement,
    labels_effort,
    labels_guideline,
    labels_lots,
    labels_suspects,
    overview,
    queue,
    rejects,
    rounds,
    sign_in,
    space,
    thumbs,
)
from loop.web.site import Site, Worker, signer_of

PAGES = (
    bias,
    changes,
    collections,
    coverage,
    frame,
    frames,
    labels,
    labels_agreement,
    labels_effort,
    labels_guideline,
    labels_lots,
    labels_suspects,
    overview,
    queue,
    rejects,
    rounds,
    sign_in,
    space,
    thumbs,
)


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
    routes.append(Mount(PLACE, build_api(site)))

    def ask(request: Request, status: int, wrong: str) -> Response:
        return sign_in.page(site, request, status, wrong)

    def lost(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return http_failed(site, request, error)

    app = Starlette(
        routes=routes,
        middleware=[
            Middleware(Guard, token=token, signer=signer, ask=ask, most=bodies(site) | frames.bodies(site)),
            Middleware(Catching, told=told_by(site)),
        ],
        exception_handlers={HTTPException: lost},
    )
    app.router.redirect_slashes = False
    return app
