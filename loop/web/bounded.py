"""Bounds for the connections of the pages: their number, and the time and size of what they ask.

A connection may ask again, since a page with many pictures is slow otherwise; one that asks nothing
for IDLE_S is ended. At most MOST at once: a full house makes room for a new one by ending the one
that has been idle longest, so that whoever holds many open keeps nobody out.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST = 64
AT_ONCE = 64
"""Connections that are taken in before the ones before them were looked at."""
REQUEST_S = 10.0
"""Until a request is there as a whole: from the beginning of the connection, or from its first byte."""
ANSWER_S = 60.0
"""Until its answer is read as a whole."""
IDLE_S = 15.0
"""Between two requests."""
HEADER_BYTES = 16_384


class Phase(Enum):
    """asking: a request is not there yet as a whole; answered: it is, and its answer not yet; idle: in
    between.
    """

    ASKING, ANSWERED, IDLE = range(3)


class Bounded(H11Protocol):
    """Ends a connection that asks or reads too slowly. See MOST.

    begun: when its phase began.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._ends: asyncio.TimerHandle | None = None
        self._enter(Phase.ASKING)
        others: set[Any] = self.connections
        if len(others) > MOST:
            silent = [other for other in others if other.is_silent()]
            oldest = min(silent or others, key=lambda other: other.begun)
            others.discard(oldest)  # which it is told only later, and by then several may have come
            oldest.transport.abort()

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._enter(Phase.IDLE if self.cycle.response_complete else Phase.ANSWERED)
        elif self.phase is Phase.IDLE:
            self._enter(Phase.ASKING)

    def on_response_complete(self) -> None:
        before = self.cycle
        self._enter(Phase.IDLE)
        super().on_response_complete()
        if self.cycle is not before:
            self._enter(Phase.ANSWERED)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._ends is not None:
            self._ends.cancel()
        super().connection_lost(exc)

    def is_silent(self) -> bool:
        """Whether it waits for nothing of ours."""
        return self.phase is not Phase.ANSWERED and not self.transport.get_write_buffer_size()

    def _enter(self, phase: Phase) -> None:
        lasts_s = {Phase.ASKING: REQUEST_S, Phase.ANSWERED: ANSWER_S, Phase.IDLE: IDLE_S}[phase]
        self.phase, self.begun = phase, self.loop.time()
        if self._ends is not None:
            self._ends.cancel()
        self._ends = self.loop.call_later(lasts_s, self.transport.abort)


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
            timeout_keep_alive=2 * int(IDLE_S),
            h11_max_incomplete_event_size=HEADER_BYTES,
        )
    )
