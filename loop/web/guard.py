"""Who may see and change what the pages show.

On loopback: everybody who asks for loopback. Elsewhere: whoever gave the token, which is exchanged
for a session cookie. Everywhere: what a browser sends to change something must come from our own
page and carry the form token of its session; programs that send the token itself need neither.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import replace

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from loop.base.errors import ConfigError
from loop.web import bodies
from loop.web.addresses import asked_of, host_of, is_of_programs, path_of, within
from loop.web.api.problems import answer, kind_of
from loop.web.attempts import Attempts
from loop.web.origins import SAFE, comes_from_browser, comes_from_elsewhere
from loop.web.session import SECONDS, Session, Signer, cleaned_name, new_session

TOKEN = "FIELDLOOP_WEB_TOKEN"  # noqa: S105
SHORTEST_TOKEN = 16
SIGN_IN = "/sign-in"
STATIC = "/static/"
SESSION, FORM = "fieldloop.session", "fieldloop.form"
FORM_FIELD, FORM_HEADER, NAME_HEADER = "csrf", "x-csrf-token", "x-fieldloop-name"
CONTENT_SECURITY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY,
    # Not no-referrer: with it, browsers call the origin of our own forms "null".
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
"""Of every answer that does not say otherwise itself."""
AGAIN = (
    '<!doctype html><meta http-equiv="refresh" content="0"><link rel="icon" href="data:,">'
    "<title>fieldloop</title>"
)
"""A page that loads itself again."""
Ask = Callable[[Request, int, str], Response]
"""Makes the sign-in page: the request, the status, what was wrong."""


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
    """Stands before all routes.

    token: "" on loopback.
    ask: the sign-in page.
    most: bytes of a body by the beginning of its path, where it is not bodies.MOST.
    """

    def __init__(
        self, app: ASGIApp, token: str, signer: Signer, ask: Ask, most: Mapping[str, int] | None = None
    ) -> None:
        self.app = app
        self.token = token
        self.signer = signer
        self.ask = ask
        self.most = dict(most or {})
        self.attempts = Attempts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        kept = self.signer.session_of(request.cookies.get(self.signer.cookie, ""))
        session = kept or new_session()
        scope[SESSION] = session
        fresh = not kept and not _arrives_from_elsewhere(request)
        sending = _with_headers(send, self._set_cookie(request, session) if fresh else "")
        most = self._most(path_of(request))
        try:
            if bodies.declared(scope) > most:
                raise bodies.TooLarge(most)
            receive = bodies.bounded(receive, most)
            if refused := self._refusal(request, session):
                return await _said(request, refused)(scope, receive, sending)
            if request.method not in SAFE:
                if bodies.is_form(scope) and not is_of_programs(path_of(request)):
                    scope[FORM], receive = await bodies.form_and_again(scope, receive)
                if refused := self._forged(request, session):
                    return await _said(request, refused)(scope, receive, sending)
                if path_of(request) == SIGN_IN:
                    return await self._enter(request, session)(scope, receive, sending)
            await self.app(scope, receive, sending)
        except ClientDisconnect:
            return  # nobody is left to read an answer
        except HTTPException as error:
            refused = _plain(error.status_code, str(error.detail))
            await _said(request, refused)(scope, receive, sending)

    def _most(self, path: str) -> int:
        found = [(len(start), most) for start, most in self.most.items() if path.startswith(start)]
        return max(found)[1] if found else bodies.MOST

    def _refusal(self, request: Request, session: Session) -> Response | None:
        """Why this request is not answered at all, None where it is."""
        if not self.token and not _asks_loopback(request):
            return _plain(421, "expected a request to localhost")
        if self.signer.cookie not in request.cookies and _arrives_from_elsewhere(request):
            return HTMLResponse(AGAIN)
        if not self.token or path_of(request) == SIGN_IN or path_of(request).startswith(STATIC):
            return None
        if request.method in SAFE and (given := request.query_params.get("token", "")):
            return self._judged(request, given) or self._entered(
                request, asked_of(request), new_session(True, session.name)
            )
        if given := _bearer(request):
            request.scope[SESSION] = new_session(True, request.headers.get(NAME_HEADER, "bearer"))
            return self._judged(request, given)
        return None if session.entered else self._unknown(request)

    def _unknown(self, request: Request) -> Response:
        if not is_of_programs(path_of(request)) and "text/html" in request.headers.get("accept", ""):
            return self.ask(request, 401, "")
        return _plain(
            401, f"expected the token of {TOKEN}: sign in at {SIGN_IN}, or send Authorization: Bearer ..."
        )

    def _judged(self, request: Request, given: str) -> Response | None:
        """The refusal of a wrong token, None for the right one."""
        address = request.client.host if request.client else ""
        if wait := self.attempts.wait_s(address):
            said = f"too many wrong tokens were sent; expected a pause, try again in {wait} s"
            refused = _plain(429, said)
            if path_of(request) == SIGN_IN:
                refused = self.ask(request, 429, said)
            refused.headers["Retry-After"] = str(wait)
            return refused
        if hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode()):
            self.attempts.was_right(address)
            return None
        self.attempts.was_wrong(address)
        said = f"expected the token of {TOKEN}, got another; whoever started the service has it"
        return self.ask(request, 401, said) if path_of(request) == SIGN_IN else _plain(401, said)

    def _forged(self, request: Request, session: Session) -> Response | None:
        """Why something that changes things is refused, None where it is ours."""
        if _bearer(request) and self.token:
            return None
        if elsewhere := comes_from_elsewhere(request):
            return _plain(403, f"expected a form of these pages, got one that comes from {elsewhere!r}")
        if not comes_from_browser(request) and is_of_programs(path_of(request)):
            return None
        given = request.headers.get(FORM_HEADER) or _field(request, FORM_FIELD)
        if self.signer.fits(session, given):
            return None
        return _plain(403, "expected the token of this form, got none or an old one; open its page again")

    def _enter(self, request: Request, session: Session) -> Response:
        """What the sign-in form leads to: a new session, or the same one under another name."""
        name, to = _field(request, "name"), _field(request, "next")
        if session.entered or not self.token:
            return self._entered(request, to, replace(session, name=cleaned_name(name)))
        refused = self._judged(request, _field(request, "token"))
        return refused or self._entered(request, to, new_session(True, name))

    def _entered(self, request: Request, to: str, session: Session) -> Response:
        answer = RedirectResponse(within(to), 303)
        answer.headers.append("set-cookie", self._set_cookie(request, session))
        return answer

    def _set_cookie(self, request: Request, session: Session) -> str:
        made = Response()
        made.set_cookie(
            self.signer.cookie,
            self.signer.cookie_of(session),
            max_age=SECONDS,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return made.headers["set-cookie"]


def session_of(request: Request) -> Session:
    found: Session = request.scope[SESSION]
    return found


def form_of(request: Request) -> FormData:
    """The fields that a form sent, read by the guard."""
    found: FormData = request.scope.get(FORM, FormData())
    return found


def _field(request: Request, name: str) -> str:
    value = form_of(request).get(name, "")
    return value if isinstance(value, str) else ""


def _bearer(request: Request) -> str:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""


def _plain(status: int, text: str) -> Response:
    return PlainTextResponse(text, status)


def _said(request: Request, refused: Response) -> Response:
    """The same refusal, to a program as a problem body."""
    if not (is_of_programs(path_of(request)) and isinstance(refused, PlainTextResponse)):
        return refused
    wait = {name: refused.headers[name] for name in ("retry-after",) if name in refused.headers}
    return answer(refused.status_code, kind_of(refused.status_code), bytes(refused.body).decode(), wait)


def _asks_loopback(request: Request) -> bool:
    return is_loopback(host_of(request))


def _arrives_from_elsewhere(request: Request) -> bool:
    """A link on another site led here; strict cookies are kept back until the page is loaded again."""
    return (
        request.method == "GET"
        and request.headers.get("sec-fetch-site") == "cross-site"
        and request.headers.get("sec-fetch-mode") == "navigate"
    )


def _sets_session(headers: list[tuple[bytes, bytes]], set_cookie: str) -> bool:
    ours = set_cookie.partition("=")[0].encode() + b"="
    return any(name == b"set-cookie" and value.startswith(ours) for name, value in headers)


def _with_headers(send: Send, set_cookie: str) -> Send:
    """Adds HEADERS; and to a page the cookie of a new session, unless the answer sets one itself."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            given: list[tuple[bytes, bytes]] = list(message.get("headers", []))
            said = {name.lower() for name, _ in given}
            ours: list[tuple[bytes, bytes]] = [
                (name.lower().encode(), value.encode())
                for name, value in HEADERS.items()
                if name.lower().encode() not in said
            ]
            page = any(name == b"content-type" and value.startswith(b"text/html") for name, value in given)
            if set_cookie and page and not _sets_session(given, set_cookie):
                ours.append((b"set-cookie", set_cookie.encode()))
            message["headers"] = [*given, *ours]
        await send(message)

    return sending
