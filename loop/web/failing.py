"""What is shown where a page cannot be: what was expected, what was found, what to do next."""

from __future__ import annotations

import logging
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from loop.insights.failures import failure_of
from loop.web.addresses import is_of_programs, path_of, within
from loop.web.api.problems import answer, kind_of
from loop.web.site import Site

log = logging.getLogger(__name__)
TITLES = {
    400: "This cannot be read",
    404: "There is no such page",
    405: "This page takes no such request",
    409: "This does not fit how things stand",
    503: "The project cannot be read",
}
LOST = "expected a page of this address, found none; the pages are listed above"
UNEXPECTED = (
    "something went wrong that nobody expected; the log of the service has the details (logs/serve.log)"
)


def told_by(site: Site) -> Callable[[Request, Exception], Response]:
    """What every error of the pages becomes."""

    def told(request: Request, error: Exception) -> Response:
        found = failure_of(error)
        if found is None:
            log.error("%s %s failed", request.method, path_of(request), exc_info=error)
            return failed(site, request, 500, UNEXPECTED)
        return failed(site, request, found.status, found.text)

    return told


def http_failed(site: Site, request: Request, error: HTTPException) -> Response:
    """Addresses that are none, methods that a page does not take."""
    text = LOST if error.status_code == 404 and error.detail == "Not Found" else str(error.detail)
    answer = failed(site, request, error.status_code, text)
    answer.headers.update(error.headers or {})
    return answer


def failed(site: Site, request: Request, status: int, text: str) -> Response:
    if is_of_programs(path_of(request)):
        return answer(status, kind_of(status), text)
    title = TITLES.get(status, "This did not work")
    values = {"title": title, "why": text, "back": _back(request), "lost": status == 404}
    return site.render(request, "failed.html", status, **values)


def _back(request: Request) -> str:
    """The page whose form this was, "" where it is not known."""
    before = urlsplit(request.headers.get("referer", ""))
    if request.method == "GET" or before.netloc != request.headers.get("host"):
        return ""
    return within(before.path, before.query)
