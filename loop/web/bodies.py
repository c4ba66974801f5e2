"""Bodies of requests: bounded before anything looks at them, and forms read once."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.datastructures import FormData, Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive, Scope

MOST = 1_000_000
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
FIELDS = 20_000


class TooLarge(HTTPException):
    """The body is larger than its route takes."""

    def __init__(self, most: int) -> None:
        super().__init__(413, f"expected a body of at most {most} bytes, got a larger one; send less at once")


def declared(scope: Scope) -> int:
    """The length that the request gives, 0 where it gives none."""
    length = Headers(scope=scope).get("content-length", "0")
    return int(length) if length.isascii() and length.isdigit() else 0


def bounded(receive: Receive, most: int) -> Receive:
    """Raises TooLarge once more than `most` bytes came."""
    came = 0

    async def receiving() -> Message:
        nonlocal came
        message = await receive()
        came += len(message.get("body", b""))
        if came > most:
            raise TooLarge(most)
        return message

    return receiving


def is_form(scope: Scope) -> bool:
    return Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower() in FORMS


async def form_and_again(scope: Scope, receive: Receive) -> tuple[FormData, Receive]:
    """The fields of a form, and its body for whoever reads it again. Raises TooLarge, HTTPException
    for what is no form, and ClientDisconnect where the browser went away before all was there.
    """
    body = b"".join([part async for part in _parts(receive)])

    async def again() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    form = await Request(scope, again).form(max_fields=FIELDS, max_part_size=max(len(body), 1))
    return form, again


async def _parts(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        yield message.get("body", b"")
        more = message.get("more_body", False)
