"""The page that asks for the token and a name. The guard looks at what its form sends."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from loop.web.addresses import asked_of, path_of
from loop.web.guard import SIGN_IN, session_of, token_for
from loop.web.site import Site


def routes(site: Site) -> list[Route]:
    def ask(request: Request) -> Response:
        return page(site, request)

    def leave(request: Request) -> Response:
        if session_of(request).entered:
            site.signer.ended.add(session_of(request).id)
        answer = RedirectResponse(SIGN_IN, 303)
        answer.delete_cookie(site.signer.cookie, httponly=True, samesite="strict")
        return answer

    return [Route(SIGN_IN, ask), Route("/sign-out", leave, methods=["POST"])]


def page(site: Site, request: Request, status: int = 200, wrong: str = "") -> Response:
    """The form; it leads to where the request wanted to go."""
    needs_token = bool(token_for(site.project.settings.web.host)) and not session_of(request).entered
    wanted = request.query_params.get("next") or ("/" if path_of(request) == SIGN_IN else asked_of(request))
    values = {"needs_token": needs_token, "bare": needs_token, "leaves": session_of(request).entered}
    return site.render(request, "sign_in.html", status, wanted=wanted, wrong=wrong, **values)
