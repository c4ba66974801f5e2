"""A few read-only pages over `loop.insights.overview`. They listen on loopback; anywhere else they ask for a token."""

from __future__ import annotations

import hmac
import ipaddress
import os
from collections.abc import Callable
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
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from loop.base.errors import ConfigError
from loop.base.jsonable import plain
from loop.insights.overview import overview, round_line
from loop.project.project import Project

TOKEN = "FIELDLOOP_WEB_TOKEN"  # noqa: S105
COOKIE = "fieldloop_token"
SHORTEST_TOKEN = 16
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

Health = Callable[[], dict[str, Any]]
"""At least {"ok": bool, "jobs": {name: service.State}, "label_studio": url}; asked at every request."""


def build_app(project: Project, health: Health) -> Starlette:
    """The pages of one project. Raises ConfigError when they would listen beyond loopback without a token."""
    token = token_for(project.settings.web.host)
    pages = Environment(loader=PackageLoader("loop.web"), autoescape=select_autoescape())

    def status(request: Request) -> Response:
        return _page(pages, "status.html", project, health)

    def models(request: Request) -> Response:
        return _page(pages, "models.html", project, health)

    def gaps(request: Request) -> Response:
        path = project.pages / "gaps.html"
        if path.is_file():
            return FileResponse(path, media_type="text/html")
        return _page(pages, "no_gaps.html", project, health, 404)

    def healthz(request: Request) -> Response:
        answer = health()
        return JSONResponse(plain(answer), 200 if answer["ok"] else 503)

    def api_status(request: Request) -> Response:
        return JSONResponse(plain(overview(project)) | {"service_state": plain(health())})

    routes = [
        Route("/", status),
        Route("/models", models),
        Route("/gaps", gaps),
        Route("/healthz", healthz),
        Route("/api/status", api_status),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Guard, token=token)])


def token_for(host: str) -> str:
    """The token that every request must carry, "" on loopback. Raises ConfigError beyond loopback without one."""
    token = os.environ.get(TOKEN, "")
    if is_loopback(host):
        return ""
    if len(token) < SHORTEST_TOKEN:
        raise ConfigError(
            f"web.host: expected a loopback address, or a token of {SHORTEST_TOKEN} characters or more in {TOKEN} beside it; "
            f"got {host!r} and {'a shorter one' if token else 'none'}; make one with `openssl rand -hex 16`"
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
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            answer = self._refusal(Request(scope))
            await (answer or self.app)(scope, receive, _with_headers(send))

    def _refusal(self, request: Request) -> Response | None:
        if not self.token:
            return (
                None if _asks_loopback(request) else PlainTextResponse("expected a request to localhost", 421)
            )
        if self._fits(request.query_params.get("token", "")):
            entered = RedirectResponse("/" + request.url.path.lstrip("/\\"), 303)
            entered.set_cookie(COOKIE, self.token, httponly=True, samesite="lax")
            return entered
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self._fits(bearer) or self._fits(request.cookies.get(COOKIE, "")):
            return None
        return PlainTextResponse(
            f"expected the token of {TOKEN}: open /?token=... once, or send Authorization: Bearer ...", 401
        )

    def _fits(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode())


def _asks_loopback(request: Request) -> bool:
    try:
        return is_loopback(request.url.hostname or "")
    except ValueError:
        return False


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            ours = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
            message["headers"] = [*message.get("headers", []), *ours]
        await send(message)

    return sending


def _page(
    pages: Environment, name: str, project: Project, health: Health, status_code: int = 200
) -> HTMLResponse:
    text = pages.get_template(name).render(view=overview(project), health=health(), round_line=round_line)
    return HTMLResponse(text, status_code)
