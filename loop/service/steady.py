"""A scheduler whose intervals do not care about the clock on the wall.

APScheduler writes down the wall time at which a job is due. Set back by two hours, the clock would
keep every job waiting for two hours.
"""

from __future__ import annotations

import logging
import time
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
    """Once the wall clock is set, jobs of an interval are due at once, and those of a date at the next
    date by the new time.
    """

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
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
            due = (
                now if isinstance(job.trigger, IntervalTrigger) else job.trigger.get_next_fire_time(None, now)
            )
            job.modify(next_run_time=due)


def _offset() -> float:
    return time.time() - time.monotonic()
