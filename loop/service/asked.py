"""Work that someone asked for once: done in the background, one after the other, on the executor of
selections, with its progress and a line in the ledger.

It is kept in the database until it ended: what a stop or a kill cut short is begun again at the next start.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import datetime

from apscheduler.schedulers.base import BaseScheduler

from connectors.errors import ConnectorError, LabelStudioDown
from db.engine import read, write
from db.errors import StateError
from db.states import WorkKind
from db.tables import utcnow
from db.work import WorkRow, any_open_work, begin_work, end_work, put_back_work
from loop.base.errors import LoopError, Waiting
from loop.changes.work import KINDS, Run
from loop.project.wiring import Parts

log = logging.getLogger(__name__)
LEDGER = "asked"
"""Under which the ledger has all of it."""
MOST_BEGUN = 3
"""What never ends may be what kills the service."""
Record = Callable[[str, datetime, str, str], None]


class Stopping(BaseException):
    """The service is asked to end; no stage may take it for a failure of its own, so it is no
    Exception.
    """


class Asked:
    """Does what is asked for. kinds: what each kind does."""

    def __init__(
        self,
        parts: Parts,
        stop: threading.Event,
        scheduler: BaseScheduler,
        record: Record,
        kinds: Mapping[WorkKind, Run] = KINDS,
    ) -> None:
        self.kinds = kinds
        self._parts = parts
        self._stop = stop
        self._scheduler = scheduler
        self._record = record
        self._lock = threading.Lock()
        self._now: dict[int, str] = {}
        self._calls = 0

    def take_up(self) -> None:
        """Has the oldest work that did not end done as soon as the executor is free, and so on until none
        is left.
        """
        with read(self._parts.project.engine) as session:
            if self._stop.is_set() or not any_open_work(session):
                return
        with self._lock:
            self._calls += 1
            name = f"{LEDGER} {self._calls}"
        self._scheduler.add_job(self._run, id=name, executor="selection")

    def doing(self) -> dict[int, str]:
        """What is under way, by the number of the work."""
        with self._lock:
            return dict(self._now)

    def _run(self) -> None:
        """Never raises."""
        if self._stop.is_set():
            return
        try:
            with write(self._parts.project.engine) as session:
                work = begin_work(session)
            if work is None:
                return
            self._do(work)
            self.take_up()
        except Exception:
            log.exception("work that was asked for waits for the next start")

    def _do(self, work: WorkRow) -> None:
        started_at = utcnow()
        self._note(work.id, "begins")
        try:
            outcome, detail = self._attempt(work)
        except Stopping:
            with write(self._parts.project.engine) as session:
                put_back_work(session, work.id)
            return
        finally:
            self._note(work.id, "")
        self._record(LEDGER, started_at, outcome, f"{work.title}: {detail}" if detail else work.title)
        with write(self._parts.project.engine) as session:
            end_work(session, work.id, outcome, detail)

    def _attempt(self, work: WorkRow) -> tuple[str, str]:
        def progress(done: int, total: int, what: str) -> None:
            self._note(work.id, f"{done}/{total} {what}" if total else f"{done} {what}")
            if self._stop.is_set():
                raise Stopping

        if work.times_begun > MOST_BEGUN:
            return "stopped", (
                f"expected it to end, but the service was killed each of the {MOST_BEGUN} times it was begun;"
                " see the log, then ask for it again"
            )
        try:
            return "done", self.kinds[work.kind](self._parts, work, progress)
        except (LabelStudioDown, Waiting) as error:
            return "waiting", f"{error}; ask for it again later"
        except (LoopError, ConnectorError, StateError, OSError) as error:
            log.warning("%s failed: %s", work.title, error)
            return "failed", str(error)
        except Exception as error:
            log.exception("%s failed", work.title)
            return "failed", f"{type(error).__name__}: {error}"

    def _note(self, number: int, now: str) -> None:
        with self._lock:
            if now:
                self._now[number] = now
            else:
                self._now.pop(number, None)
