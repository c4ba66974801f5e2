"""Work that someone asked for once: done in the background, one after the other, on the executor of
selections, with its progress and a line in the ledger.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from apscheduler.schedulers.base import BaseScheduler

from connectors.errors import ConnectorError, LabelStudioDown
from connectors.ports import Progress
from db.errors import StateError
from db.tables import utcnow
from loop.base.errors import LoopError, Waiting
from loop.project.wiring import Parts
from loop.web.site import Submitted

log = logging.getLogger(__name__)
KEPT = 50
LEDGER = "asked"
"""Under which the ledger has all of it."""
Record = Callable[[str, datetime, str, str], None]


class Stopping(BaseException):
    """The service is asked to end; no stage may take it for a failure of its own, so it is no
    Exception.
    """


class Asked:
    """What was asked for since the start; the newest KEPT of it."""

    def __init__(self, parts: Parts, stop: threading.Event, scheduler: BaseScheduler, record: Record) -> None:
        self._parts = parts
        self._stop = stop
        self._scheduler = scheduler
        self._record = record
        self._lock = threading.Lock()
        self._found: dict[int, Submitted] = {}
        self._last = 0

    def submit(self, title: str, work: Callable[[Parts, Progress], str]) -> int:
        with self._lock:
            self._last += 1
            number = self._last
            self._found[number] = Submitted(number, title, "", "", "", None, None)
            ended = [key for key, one in self._found.items() if one.outcome]
            for key in ended[: max(0, len(self._found) - KEPT)]:
                del self._found[key]
        self._scheduler.add_job(self._run, args=[number, work], id=f"{LEDGER} {number}", executor="selection")
        return number

    def submitted(self) -> list[Submitted]:
        """The latest first."""
        with self._lock:
            return [self._found[number] for number in sorted(self._found, reverse=True)]

    def _run(self, number: int, work: Callable[[Parts, Progress], str]) -> None:
        """Never raises."""
        if self._stop.is_set():
            return
        started_at = utcnow()
        title = self._note(number, started_at=started_at, now="begins").title

        def progress(done: int, total: int, what: str) -> None:
            self._note(number, now=f"{done}/{total} {what}" if total else f"{done} {what}")
            if self._stop.is_set():
                raise Stopping

        outcome, detail = self._attempt(title, work, progress)
        self._note(number, now="", outcome=outcome, detail=detail, finished_at=utcnow())
        self._record(LEDGER, started_at, outcome, f"{title}: {detail}" if detail else title)

    def _attempt(
        self, title: str, work: Callable[[Parts, Progress], str], progress: Progress
    ) -> tuple[str, str]:
        try:
            return "done", work(self._parts, progress)
        except Stopping:
            return "stopped", "the service was stopped; ask for it again"
        except (LabelStudioDown, Waiting) as error:
            return "waiting", f"{error}; ask for it again later"
        except (LoopError, ConnectorError, StateError, OSError) as error:
            log.warning("%s failed: %s", title, error)
            return "failed", str(error)
        except Exception as error:
            log.exception("%s failed", title)
            return "failed", f"{type(error).__name__}: {error}"

    def _note(self, number: int, **changes: Any) -> Submitted:
        with self._lock:
            self._found[number] = replace(self._found[number], **changes)
            return self._found[number]
