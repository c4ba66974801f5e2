"""Days in the project's zone, of a text in an address and of a million frames at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectors.times import zone
from loop.base.arrays import Ints, Reals

NO_DAY = -(2**40)
"""Of a frame of which it is not known when it was taken."""


def seconds_of(text: str, timezone: str, ends: bool = False) -> float:
    """Seconds since 1970 of an ISO day or time; without an offset it is in the zone.

    ends: a day counts to its end.
    """
    if len(text) <= len("2026-11-24"):
        day = date.fromisoformat(text) + timedelta(days=1 if ends else 0)
        return datetime.combine(day, time.min, zone(timezone)).timestamp()
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone(timezone))).timestamp()


def local_days(captured_at: NDArray[Any], timezone: str) -> Ints:
    """(N,) days since 1970 in this zone of times (N,) in seconds since 1970; NO_DAY for NaN."""
    unknown = np.isnan(captured_at)
    if unknown.all():
        return np.full(len(captured_at), NO_DAY, np.int64)
    first, last = float(np.nanmin(captured_at)), float(np.nanmax(captured_at))
    starts, offsets = _offsets(first, last, timezone)
    taken = np.where(unknown, first, captured_at)
    shift = offsets[0] if len(offsets) == 1 else offsets[np.searchsorted(starts, taken, side="right") - 1]
    days: Ints = np.floor((taken + shift) / 86_400).astype(np.int64)
    days[unknown] = NO_DAY
    return days


def _offsets(first: float, last: float, timezone: str) -> tuple[Reals, Reals]:
    """From when on which offset to UTC holds, s: found to the hour, at which clocks are changed."""
    place = zone(timezone)

    def offset(seconds: float) -> float:
        shift = datetime.fromtimestamp(seconds, UTC).astimezone(place).utcoffset()
        return shift.total_seconds() if shift else 0.0

    starts, offsets = [first], [offset(first)]
    hour = first - first % 3600
    for day in np.arange(hour + 86_400, last + 2 * 86_400, 86_400):
        if offset(float(day)) != offsets[-1]:
            for changed in np.arange(day - 86_400, day + 1, 3600):
                if (now := offset(float(changed))) != offsets[-1]:
                    starts.append(float(changed))
                    offsets.append(now)
    return np.array(starts), np.array(offsets)


def months(taken: Sequence[tuple[date, int]]) -> list[tuple[str, date, date, int]]:
    """Name, first day, last day and count of each month."""
    counts: dict[date, int] = {}
    for day, count in taken:
        counts[day.replace(day=1)] = counts.get(day.replace(day=1), 0) + count
    ends = {month: (month + timedelta(days=31)).replace(day=1) - timedelta(days=1) for month in counts}
    return [(f"{month:%Y-%m}", month, ends[month], count) for month, count in counts.items()]
