"""What the API answers where it refuses: problem bodies (RFC 9457, 2023) with what was expected, what
was found, and what to do next.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from connectors.errors import ConnectorError, ImageRejected, LabelStudioDown
from loop.base.errors import ConfigError, LoopError, ProjectError, PurposeError
from loop.base.state_errors import AWAY, CHANGED, NOT_THERE, reason_of
from loop.changes.once import OtherRequest, UnderWay
from loop.ingest.inbox import HashDiffers, NoInbox

MEDIA_TYPE = "application/problem+json"
FULL = {errno.ENOSPC, errno.EDQUOT}
SAID = re.compile(r"expected (?P<expected>.+?),? (?:got|found):? (?P<got>.+?)(?:; (?P<next>.+))?$", re.DOTALL)
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


def problem_of(error: Exception) -> tuple[int, str] | None:
    """(status, kind) of what the house raises, None for what nobody foresaw."""
    if isinstance(error, OSError):
        return (507, "disk-full") if error.errno in FULL else (503, "cannot-write")
    if isinstance(error, ImageRejected):
        return (413, "too-large") if error.code == "oversized" else (422, "no-frame")
    return next((found for kind, found in _PROBLEMS.items() if isinstance(error, kind)), None)


_PROBLEMS: dict[type[Exception], tuple[int, str]] = {
    HashDiffers: (422, "hash-differs"),
    OtherRequest: (422, "key-used"),
    UnderWay: (409, "under-way"),
    NoInbox: (409, "no-folder"),
    ConfigError: (422, "invalid"),
    PurposeError: (422, "invalid"),
    ProjectError: (503, "project-unreadable"),
    LoopError: (409, "not-now"),
    LabelStudioDown: (503, "label-studio-down"),
    ConnectorError: (502, "label-studio"),
    **dict.fromkeys(NOT_THERE, (404, "not-known")),
    **dict.fromkeys(CHANGED, (409, "changed-meanwhile")),
    **dict.fromkeys(AWAY, (503, "database")),
}
"""The first that fits."""


def answer_problems(app: FastAPI) -> None:
    """Makes every refusal of `app` a problem body."""
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    foreseen: tuple[type[Exception], ...] = (OSError, *_PROBLEMS, ImageRejected)
    for kind in foreseen:
        app.add_exception_handler(kind, _foreseen)
    app.add_exception_handler(Exception, _unforeseen)


def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refused)
    return answer(error.status, error.kind, str(error), error.headers)


def _foreseen(request: Request, error: Exception) -> JSONResponse:
    status, kind = problem_of(error) or (500, "failed")
    return answer(status, kind, _sentence(error))


def _sentence(error: Exception) -> str:
    if isinstance(error, AWAY):
        return reason_of(error)
    if not isinstance(error, OSError):
        return str(error)
    what = error.strerror or error
    return (
        f"expected room and leave to write, got: {what}; nothing was kept, mend it and send the request again"
    )


def _invalid(request: Request, error: Exception) -> JSONResponse:
    """The first thing that is wrong; what it says of others may follow from it."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    wanted = str(first["msg"]).replace("Input should be", "").replace("Value error,", "").strip()
    got = "nothing" if first["type"] == "missing" else repr(first.get("input"))
    short = got if len(got) <= SHOWN else f"{got[:SHOWN]} …"
    return answer(422, "invalid", f"{place}: expected {wanted}, got {short}; see {_openapi(request)}")


def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    kind = kind_of(error.status_code)
    if error.detail != HTTPStatus(error.status_code).phrase:
        return answer(error.status_code, kind, str(error.detail), error.headers)
    asked = f"{request.method} {request.url.path}"
    said = f"expected a request that the API knows, got {asked}; see {_openapi(request)}"
    return answer(error.status_code, kind, said, error.headers)


def _unforeseen(request: Request, error: Exception) -> JSONResponse:
    said = "expected an answer, got an error that nobody foresaw; it stands in the log of the service"
    return answer(500, "failed", said)


def _openapi(request: Request) -> str:
    return f"{request.scope.get('root_path', '')}/openapi.json"
