"""Times of frames: a zone by its name, moments in UTC, and the day a camera's frame belongs to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from connectors.errors import SourceError


def zone(name: str) -> tzinfo:
    """The time zone of an IANA name. Raises SourceError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise SourceError(f"timezone: expected a name such as Europe/Rome or UTC, got {name!r}") from error


def in_utc(moment: datetime, assumed: tzinfo) -> datetime:
    """The moment in UTC; one without an offset is read in the assumed zone.

    Raises ValueError near the years 1 and 9999.
    """
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=assumed)).astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"expected a time that UTC can express, got {moment}") from error


EARLIEST = datetime(2002, 1, 1, tzinfo=UTC)
"""Clocks that lost their time begin again at 1970, 1980, 2000 or 2001."""
AHEAD = timedelta(days=1)


def plausible(moment: datetime, now: datetime) -> bool:
    """Whether a camera can have taken a picture then, whatever its zone. Both are aware."""
    return EARLIEST <= moment <= now + AHEAD


def unclear_hour(moment: datetime | None, name: str) -> bool:
    """Whether clocks of the zone of this name show the moment's hour twice, as they are set back."""
    if moment is None:
        return False
    shown = moment.astimezone(zone(name))
    before, after = (shown.replace(fold=fold).utcoffset() for fold in (0, 1))
    return before != after


def since_1970(number: float) -> datetime:
    """The time of a number since 1970, by its size in seconds, milliseconds or microseconds.

    Raises ValueError.
    """
    seconds = number / (1_000_000 if number >= 1e14 else 1_000 if number >= 1e11 else 1)
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError) as error:
        raise ValueError(f"expected seconds since 1970, got {number}") from error


def camera_day(camera: str, captured_at: datetime | None) -> str:
    """The group a frame belongs to: its camera and its UTC day, such as "gate-3|2026-11-24"."""
    day = captured_at.astimezone(UTC).strftime("%Y-%m-%d") if captured_at else "undated"
    return f"{camera}|{day}"
