"""A scheduler whose intervals do not care about the clock on the wall.

APScheduler writes down the wall time at which a job is due. Set back by two hours, the clock would
keep every job waiting for two hours.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

log = logging.getLogger(__name__)
STEP_S = 2.0
"""A difference between wall clock and monotonic clock that is a step, and no drift or slewing."""
LOOK_S = 5.0
"""At most until the clock is looked at again: set back while jobs were handed out, it would have the
next look wait for as long as it was set back.
"""


class SteadyScheduler(BackgroundScheduler):  # type: ignore[misc]
    """Once the wall clock is set, or the machine slept, jobs of an interval are due at once, and those
    of a date at the next date by the new time.

    passed: whether a job runs now, by its name, whose date the clock leapt over.
    """

    def __init__(self, passed: Callable[[str], bool], **options: object) -> None:
        super().__init__(**options)
        self._passed = passed
        self._offset = _offset()

    def _process_jobs(self) -> float | None:
        offset = _offset()
        stepped, self._offset = offset - self._offset, offset
        if abs(stepped) >= STEP_S:
            log.warning("the clock was set by %+.0f s; every job is scheduled anew", stepped)
            self._place_anew()
        wait: float | None = super()._process_jobs()
        return None if wait is None else min(wait, LOOK_S)

    def _place_anew(self) -> None:
        now = datetime.now(UTC)
        for job in self.get_jobs():
            leapt_over = job.next_run_time is not None and job.next_run_time <= now
            at_once = isinstance(job.trigger, IntervalTrigger) or (leapt_over and self._passed(job.id))
            job.modify(next_run_time=now if at_once else job.trigger.get_next_fire_time(None, now))


def _offset() -> float:
    return time.time() - time.monotonic()
