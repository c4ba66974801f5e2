"""A few read-only pages over `loop.insights`. They listen on loopback; anywhere else they ask for a token."""

from __future__ import annotations

import hmac
import ipaddress
import os
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
)
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from loop.errors import ConfigError
from loop.insights import overview, round_line
from loop.jsonable import plain
from loop.project import Project

TOKEN = "FIELDLOOP_WEB_TOKEN"  # noqa: S105
COOKIE = "fieldloop_token"
LOOPBACK_NAMES = {"localhost", "127.0.0.1", "[::1]", "::1", "testserver"}

Health = Callable[[], dict[str, Any]]


def build_app(project: Project, health: Health) -> Starlette:
    """The pages of one project. `health()` answers at least {"ok": bool}; it is asked at every /healthz.

    Raises ConfigError when it would listen beyond loopback without a token.
    """
    token = required_token(project.settings.web.host, os.environ.get(TOKEN, ""))
    pages = Environment(loader=PackageLoader("loop.web"), autoescape=select_autoescape())

    def status(request: Request) -> Response:
        return _page(pages, "status.html", project, health=health())

    def models(request: Request) -> Response:
        return _page(pages, "models.html", project)

    def gaps(request: Request) -> Response:
        path = project.pages / "gaps.html"
        if not path.is_file():
            return PlainTextResponse(
                "no gaps page yet: run `fieldloop gaps`, or wait for the next selection", 404
            )
        return FileResponse(path, media_type="text/html")

    def healthz(request: Request) -> Response:
        answer = health()
        return JSONResponse(answer, 200 if answer["ok"] else 503)

    def api_status(request: Request) -> Response:
        return JSONResponse(plain(overview(project)) | {"service": health()})

    routes = [
        Route("/", status),
        Route("/models", models),
        Route("/gaps", gaps),
        Route("/healthz", healthz),
        Route("/api/status", api_status),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Guard, token=token)])


def required_token(host: str, token: str) -> str:
    """The token that every request must carry, "" on loopback. Raises ConfigError beyond loopback without one."""
    if is_loopback(host):
        return ""
    if len(token) < 16:
        raise ConfigError(
            f"web.host: expected a loopback address, or a token of 16 characters or more in {TOKEN} beside it; got {host!r} "
            f"and {'a shorter one' if token else 'none'}; make one with `openssl rand -hex 16`"
        )
    return token


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Guard:
    """Refuses requests without the token; on loopback, requests for another host's name (DNS rebinding)."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app = app
        self.token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = self._refusal(Request(scope))
        await (answer or self.app)(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        if not self.token:
            known = (request.url.hostname or "") in LOOPBACK_NAMES
            return None if known else PlainTextResponse("expected a request to localhost", 421)
        if hmac.compare_digest(request.query_params.get("token", "").encode(), self.token.encode()):
            entered = RedirectResponse(request.url.path, 303)
            entered.set_cookie(COOKIE, self.token, httponly=True, samesite="strict")
            return entered
        given = request.headers.get("authorization", "").removeprefix("Bearer ") or request.cookies.get(
            COOKIE, ""
        )
        if hmac.compare_digest(given.encode(), self.token.encode()):
            return None
        return PlainTextResponse(
            f"expected the token of {TOKEN}: open /?token=... once, or send Authorization: Bearer", 401
        )


def _page(pages: Environment, name: str, project: Project, **more: Any) -> HTMLResponse:
    view = overview(project)
    text = pages.get_template(name).render(view=view, data=asdict(view), round_line=round_line, **more)
    return HTMLResponse(
        text,
        headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:"},
    )
