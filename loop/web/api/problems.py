"""What the API answers where it refuses: problem bodies (RFC 9457, 2023) with what was expected, what
was found, and what to do next.
"""

from __future__ import annotations

import errno
import logging
import re
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from connectors.errors import ImageRejected
from loop.changes.once import OtherRequest, OutcomeUnknown, UnderWay
from loop.ingest.inbox import HashDiffers, NoInbox
from loop.insights.failures import failure_of
from loop.web.addresses import path_of
from loop.web.catching import Catching

log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
UNREAD = "There was an error parsing the body"
"""What FastAPI says of JSON that it cannot read at all."""
FULL = {errno.ENOSPC, errno.EDQUOT}
SAID = re.compile(r"expected (?P<expected>.+?),? (?:got|found):? (?P<got>.+?)(?:; (?P<next>.+))?$", re.DOTALL)
UNFORESEEN = (
    "expected an answer, got an error that nobody foresaw; the log of the service has it (logs/serve.log)"
)
SHOWN = 200
"""Characters of a wrong value that are said again."""


class Problem(BaseModel):
    """Why a request was refused."""

    type: str = Field(description="urn:fieldloop:problem: and a word for programs; see the table of problems")
    title: str = Field(description="the same for all problems of a type")
    status: int = Field(description="the HTTP status")
    detail: str = Field(description="the whole sentence for people")
    expected: str | None = Field(None, description="what would have been right")
    got: str | None = Field(None, description="what came or was found")
    next: str | None = Field(None, description="what to do")


class Refused(Exception):
    """A request that is answered with a problem."""

    def __init__(self, status: int, kind: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.headers = headers


def answer(status: int, kind: str, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The problem as a response. kind: the last word of its type."""
    said = SAID.search(detail)
    problem = Problem(
        type=f"urn:fieldloop:problem:{kind}",
        title=kind.replace("-", " "),
        status=status,
        detail=detail,
        **(said.groupdict() if said else {}),
    )
    content = problem.model_dump(exclude_none=True)
    return JSONResponse(content, status, dict(headers or {}), media_type=MEDIA_TYPE)


def kind_of(status: int) -> str:
    """The kind of a refusal of which only the status is known."""
    named = {413: "too-large", 429: "too-many"}
    return named.get(status) or HTTPStatus(status).phrase.lower().replace(" ", "-")


def problem_of(error: Exception) -> tuple[int, str, str] | None:
    """(status, kind, detail) of what the house raises, None for what nobody foresaw."""
    if isinstance(error, OSError):
        status, kind = (507, "disk-full") if error.errno in FULL else (503, "cannot-write")
        return status, kind, _NOT_WRITTEN.format(error.strerror or error)
    if isinstance(error, ImageRejected):
        status, kind = (413, "too-large") if error.code == "oversized" else (422, "no-frame")
        return status, kind, str(error) if "; " in str(error) else f"{error}; {_WHOLE}"
    if own := next((found for one, found in _OWN.items() if isinstance(error, one)), None):
        return *own, str(error)
    found = failure_of(error)
    return (*_SAID[found.status], found.text) if found else None


_NOT_WRITTEN = (
    "expected room and leave to write, got: {}; nothing was kept, mend it and send the request again"
)
_WHOLE = "send the whole file as the body, as the camera wrote it"
_JSON = "expected JSON in UTF-8"
_OWN: dict[type[Exception], tuple[int, str]] = {
    HashDiffers: (422, "hash-differs"),
    NoInbox: (409, "no-folder"),
    OtherRequest: (422, "key-used"),
    OutcomeUnknown: (409, "outcome-unknown"),
    UnderWay: (409, "under-way"),
}
_SAID = {400: (422, "invalid"), 404: (404, "not-known"), 409: (409, "not-now"), 503: (503, "unavailable")}
"""(status, kind) by the status that a page would have."""


def answer_problems(app: FastAPI) -> None:
    """Makes every refusal of `app` a problem body."""
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_middleware(Catching, told=_told)


def _told(request: Request, error: Exception) -> JSONResponse:
    """What the house raises; what nobody foresaw goes into the log as well."""
    found = problem_of(error)
    if found is None:
        log.error("%s %s failed", request.method, path_of(request), exc_info=error)
    return answer(*(found or (500, "failed", UNFORESEEN)))


def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refused)
    return answer(error.status, error.kind, str(error), error.headers)


def _invalid(request: Request, error: Exception) -> JSONResponse:
    """The first thing that is wrong; what it says of others may follow from it."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        why = f"{first['ctx']['error']} at character {first['loc'][-1]}"
        return answer(422, "invalid", f"body: {_JSON}, got {why}; see {_openapi(request)}")
    if first["loc"] == ("body",) and isinstance(first.get("input"), bytes):
        kind = request.headers.get("content-type", "")[:SHOWN] or "none"
        said = f"Content-Type: expected application/json, got {kind}; send that header with the body"
        return answer(415, "unsupported-media-type", said)
    place = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    wanted = str(first["msg"]).replace("Input should be", "").replace("Value error,", "").strip()
    got = "nothing" if first["type"] == "missing" else repr(first.get("input"))
    short = got if len(got) <= SHOWN else f"{got[:SHOWN]} …"
    return answer(422, "invalid", f"{place}: expected {wanted}, got {short}; see {_openapi(request)}")


def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    kind = kind_of(error.status_code)
    if error.detail == UNREAD:
        said = f"body: {_JSON}, got a body that cannot be read as such; see {_openapi(request)}"
        return answer(error.status_code, kind, said)
    if error.detail != HTTPStatus(error.status_code).phrase:
        return answer(error.status_code, kind, str(error.detail), error.headers)
    asked = f"{request.method} {request.url.path}"
    said = f"expected a request that the API knows, got {asked}; see {_openapi(request)}"
    return answer(error.status_code, kind, said, error.headers)


def _openapi(request: Request) -> str:
    return f"{request.scope.get('root_path', '')}/openapi.json"
