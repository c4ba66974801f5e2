"""When a job runs: intervals, and cron expressions as cron itself reads them."""

from __future__ import annotations

import re
from datetime import UTC

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from loop.base.errors import ConfigError

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST_S = 366 * 86400
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")


def parse_trigger(key: str, text: str) -> BaseTrigger | None:
    """ "30s", "5m", "2h", "1d" or a five-field cron expression in UTC; None for "". Raises
    ConfigError.
    """
    text = text.strip()
    if not text:
        return None
    try:
        return _interval(text) or _cron(text)
    except ValueError as error:
        raise ConfigError(
            f'{key}: expected "30s", "5m", "2h", "1d", a five-field cron expression or "" for never, got'
            f" {text!r} ({error})"
        ) from error


def parse_date(key: str, text: str) -> BaseTrigger | None:
    """A five-field cron expression in UTC; None for "". Raises ConfigError."""
    text = text.strip()
    if not text:
        return None
    try:
        return _cron(text)
    except ValueError as error:
        raise ConfigError(
            f'{key}: expected a five-field cron expression such as "0 2 * * 6" or "" for never, got {text!r}'
            f" ({error})"
        ) from error


def _interval(text: str) -> BaseTrigger | None:
    found = re.fullmatch(r"([0-9]+)\s*([smhd])", text)
    if found is None:
        return None
    seconds = int(found[1]) * UNITS[found[2]]
    if not 0 < seconds <= LONGEST_S:
        raise ValueError("expected between 1 second and 366 days")
    return IntervalTrigger(seconds=seconds, timezone=UTC)


def _cron(text: str) -> BaseTrigger:
    fields = text.split()
    if len(fields) != 5:
        return CronTrigger.from_crontab(text, timezone=UTC)
    minute, hour, day, month, weekday = fields
    weekday = ",".join(_weekdays(part) for part in weekday.split(","))
    if day.startswith("*") or fields[4].startswith("*"):
        return _all_of(minute, hour, day, month, weekday)
    return OrTrigger([_all_of(minute, hour, day, month, "*"), _all_of(minute, hour, "*", month, weekday)])


def _all_of(*fields: str) -> BaseTrigger:
    """Fires when every field fits; cron itself is content with day or weekday where both are
    restricted (crontab(5)).
    """
    return CronTrigger.from_crontab(" ".join(fields), timezone=UTC)


def _weekdays(part: str) -> str:
    """Numbers as names: cron counts from Sunday, and APScheduler 3 from Monday."""
    found = re.fullmatch(r"(\*|[0-9]+)(?:-([0-9]+))?(?:/([0-9]+))?", part)
    if found is None or part == "*":
        return part
    whole = found[1] == "*"
    first = 0 if whole else int(found[1])
    last = 6 if whole else int(found[2] or (6 if found[3] else first))
    step = int(found[3] or 1)
    if not 0 <= first <= last <= 7 or step < 1:
        raise ValueError(f"expected days of the week from 0 to 7, got {part!r}")
    return ",".join(dict.fromkeys(WEEKDAYS[day] for day in range(first, last + 1, step)))
