"""What all changes of the API share: they happen once under a key, and overwrite nobody's work."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Annotated, Any

from fastapi import Header, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field

from loop.changes.audit import Who
from loop.changes.once import Answer, claim, fingerprint_of, forget, keep, own_key, under
from loop.insights.work import one_submitted
from loop.project.project import Project
from loop.web.api.faces import Face
from loop.web.api.problems import Refused

KEY, LONGEST_KEY = "Idempotency-Key", 200
REPLAYED = "Idempotency-Replayed"
IfMatch = Annotated[
    str | None, Header(description="the ETag that was read; when it is another by now, nothing is changed")
]
Handler = Callable[[Request], Coroutine[Any, Any, Response]]
_KEY = {
    "name": KEY,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY},
    "description": "any text that is new for each change; the same request under it gets the same answer",
}
KEYED = {"parameters": [_KEY]}
"""What the description of the API says of routes that change something."""


class Work(Face):
    """Work that someone asked for once. It is done even when the service stops before."""

    id: int
    kind: str
    title: str
    who: str
    now: str = Field(description="what it does, nothing while it waits or once it ended")
    outcome: str = Field(description="nothing until it ends; done, failed, waiting or stopped then")
    detail: str
    asked_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


def address_of_work(number: int) -> str:
    return f"/api/work/{number}"


def once_route(project: Project, who: Callable[[Request], Who]) -> type[APIRoute]:
    """The class of routes that change something in this project. who: asks, each with keys of their own."""

    class OnceRoute(APIRoute):
        def get_route_handler(self) -> Handler:
            return _once(project, who, super().get_route_handler())

    return OnceRoute


def _once(project: Project, who: Callable[[Request], Who], handler: Handler) -> Handler:
    async def handled(request: Request) -> Response:
        given = request.headers.get(KEY)
        if given is None or request.method in ("GET", "HEAD"):
            return await handler(request)
        if not 0 < len(given) <= LONGEST_KEY:
            raise Refused(
                422,
                "invalid",
                f"{KEY}: expected 1 to {LONGEST_KEY} characters, got {len(given)}; make one with `uuidgen`",
            )
        key = own_key(who(request).name, given)
        asked = fingerprint_of(request.method, str(request.url.path), request.url.query, await request.body())
        known = await run_in_threadpool(claim, project, key, asked)
        if known is not None:
            return await run_in_threadpool(_again, project, known)
        try:
            with under(key):
                answer = await handler(request)
        except BaseException:
            await run_in_threadpool(forget, project, key)
            raise
        body = bytes(answer.body).decode()
        await run_in_threadpool(keep, project, key, Answer(answer.status_code, body))
        return answer

    return handled


def _again(project: Project, known: Answer) -> Response:
    """What was answered before; of work, where it was stopped before it answered, the work as it stands."""
    body, number, headers = known.body, known.work, {REPLAYED: "true"}
    if number is not None:
        body = Work.model_validate(one_submitted(project, number)).model_dump_json()
    elif known.status == 202:
        number = json.loads(body)["id"]
    if number is not None:
        headers["Location"] = address_of_work(number)
    return Response(body, known.status, headers, "application/json")


def etag_of(value: BaseModel) -> str:
    """Of what was read, by its content."""
    text = json.dumps(value.model_dump(mode="json"), sort_keys=True)
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:16]}"'


def check_match(if_match: str | None, now: str) -> None:
    """Raises Refused where somebody read another version than there is now."""
    if if_match is None or if_match.strip() == "*" or now in {tag.strip() for tag in if_match.split(",")}:
        return
    raise Refused(
        412, "changed-meanwhile", f"If-Match: expected {now}, got {if_match:.200}; read it again, then decide"
    )
