"""Bounds for the connections of the pages: their number, and the time and size of what they ask.

One request each, at most MOST at once. A full house makes room for a new one by ending the oldest
that has not asked anything yet, so that whoever holds many open keeps nobody out.
"""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST = 64
AT_ONCE = 64
"""Connections that are taken in before the ones before them were looked at."""
REQUEST_S = 10.0
"""Until a request is there as a whole."""
ANSWER_S = 60.0
"""Until its answer is read as a whole."""
HEADER_BYTES = 16_384


class Bounded(H11Protocol):
    """Ends a connection that asks or reads too slowly. See MOST."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.begun = self.loop.time()
        self.loop.call_later(REQUEST_S, self._end_if_silent)
        self.loop.call_later(ANSWER_S, transport.abort)
        others: set[Any] = self.connections
        if len(others) > MOST:
            silent = [other for other in others if other.is_silent()]
            oldest = min(silent or others, key=lambda other: other.begun)
            others.discard(oldest)  # which it is told only later, and by then several may have come
            oldest.transport.abort()

    def is_silent(self) -> bool:
        """Whether no whole request came."""
        return self.cycle is None

    def _end_if_silent(self) -> None:
        if self.is_silent():
            self.transport.abort()


def server(app: ASGIApp) -> uvicorn.Server:
    """A server of the pages; its errors are logged, what strangers send is not."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=Bounded,
            ws="none",
            lifespan="off",
            log_level="error",
            access_log=False,
            backlog=AT_ONCE,
            h11_max_incomplete_event_size=HEADER_BYTES,
        )
    )
