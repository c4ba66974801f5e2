"""Who may see the pages: on loopback everybody who asks for loopback, elsewhere the token's owner."""

from __future__ import annotations

import hmac
import ipaddress
import os

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from loop.base.errors import ConfigError

TOKEN = "FIELDLOOP_WEB_TOKEN"  # noqa: S105
COOKIE = "fieldloop_token"
SHORTEST_TOKEN = 16
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Connection": "close",
}


def token_for(host: str) -> str:
    """The token that every request must carry, "" on loopback.

    Raises ConfigError beyond loopback without one.
    """
    token = os.environ.get(TOKEN, "")
    if is_loopback(host):
        return ""
    if len(token) < SHORTEST_TOKEN:
        raise ConfigError(
            f"web.host: expected a loopback address, or a token of {SHORTEST_TOKEN} characters or more in"
            f" {TOKEN} beside it; got {host!r} and {'a shorter one' if token else 'none'}; make one with"
            " `openssl rand -hex 16`"
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
    """Refuses requests without the token, and on loopback those for another host (DNS rebinding)."""

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
