"""An error of an app becomes an answer, before its own answer has begun."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Catching:
    """What is raised once an answer began, and the end of a connection, goes on.

    told: the answer to an error.
    """

    def __init__(self, app: ASGIApp, told: Callable[[Request, Exception], Response]) -> None:
        self.app = app
        self.told = told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except ClientDisconnect:
            raise
        except Exception as error:
            if begun or scope["type"] != "http":
                raise
            await self.told(Request(scope), error)(scope, receive, send)
