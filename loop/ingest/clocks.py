"""Clocks of cameras that were wrong for a while, by the times that their frames show.

A time before 2002 or in the future cannot be, see connectors.times. One in between may be wrong all
the same: nothing is changed here, a person is told.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from connectors.ports import Capture
from connectors.times import unclear_hour
from db.frames import UNKNOWN
from loop.base.wording import counted

FAR = timedelta(days=365)
"""Between the days of most frames and those of others."""
ALONE = timedelta(days=30)
"""Without a frame of any camera, before and after days that begin with a year."""
BACK = timedelta(hours=2)
"""More than any zone's clock is set back."""
FEWEST_STEPS, MOST_BACK = 10, 0.05
"""From one frame to the next in the order of their names, and the share of them that go back, where
names count up at all.
"""
SHOWN = 5
Days = Mapping[str, Mapping[date, int]]
"""Frames by camera and UTC day."""


@dataclass(frozen=True, slots=True)
class DoubtfulDays:
    """Days of one camera that are far from all others."""

    camera: str
    first: date
    last: date
    frames: int


def doubtful_days(days: Days) -> list[DoubtfulDays]:
    """What is more than a year from where most frames are; and days of one camera that begin with a
    year, as a clock does that lost its time, with a month around them without a frame of any.
    """
    all_days = Counter[date]()
    for of_camera in days.values():
        all_days.update(of_camera)
    stretches = list(_stretches(all_days, FAR))
    if not stretches:
        return []
    usual = set(max(stretches, key=lambda stretch: sum(all_days[day] for day in stretch)))
    return [
        DoubtfulDays(camera, stretch[0], stretch[-1], sum(of_camera[day] for day in stretch))
        for camera, of_camera in sorted(days.items())
        for stretch in _stretches(of_camera, ALONE)
        if stretch[0] not in usual or _begins_a_year_alone(stretch, all_days)
    ]


def doubtful_lines(days: Days) -> list[str]:
    """These for people, and what to do."""
    found = doubtful_days(days)
    said = [
        f"camera {one.camera}: {counted(one.frames, 'frame is', 'frames are')} of {_span(one)}, far from all"
        " others; if its clock was wrong, tell their times with `fieldloop metadata import`"
        for one in found[:SHOWN]
    ]
    more = len(found) - SHOWN
    return [*said, f"and {more} more cameras or times like these"] if more > 0 else said


def _span(one: DoubtfulDays) -> str:
    return f"{one.first}" if one.first == one.last else f"{one.first} to {one.last}"


def _stretches(days: Mapping[date, int], gap: timedelta) -> Iterator[list[date]]:
    """The days in order, parted where more than `gap` lies between two."""
    stretch: list[date] = []
    for day in sorted(days):
        if stretch and day - stretch[-1] > gap:
            yield stretch
            stretch = []
        stretch.append(day)
    if stretch:
        yield stretch


def _begins_a_year_alone(stretch: Sequence[date], all_days: Mapping[date, int]) -> bool:
    # The last of December in UTC is the first of January east of Greenwich.
    if (stretch[0].month, stretch[0].day) not in {(1, 1), (12, 31)}:
        return False
    others = [day for day in all_days if not stretch[0] <= day <= stretch[-1]]
    return bool(others) and all(day < stretch[0] - ALONE or day > stretch[-1] + ALONE for day in others)


@dataclass(slots=True)
class Clocks:
    """Watches the new frames, in the order of names, for times of one camera that go back though names
    count up, and for times in an hour that clocks show twice.

    timezone: of times without a zone.
    """

    timezone: str = "UTC"
    twice: int = 0
    _last: dict[tuple[str, str], tuple[tuple[int, ...], datetime]] = field(default_factory=dict)
    _steps: Counter[tuple[str, str]] = field(default_factory=Counter)
    _back: dict[tuple[str, str], list[tuple[str, datetime, datetime]]] = field(default_factory=dict)

    def see(self, capture: Capture) -> None:
        """One frame; they come in the order of their keys."""
        self.twice += capture.zone_assumed and unclear_hour(capture.captured_at, self.timezone)
        if capture.captured_at is None or "#" in capture.key:
            return
        shape, numbers = re.sub(r"\d+", "#", capture.key), tuple(map(int, re.findall(r"\d+", capture.key)))
        series = capture.camera or UNKNOWN, shape
        before, self._last[series] = self._last.get(series), (numbers, capture.captured_at)
        if before is None or numbers <= before[0]:
            return
        self._steps[series] += 1
        if before[1] - capture.captured_at > BACK:
            self._back.setdefault(series, []).append((capture.key, before[1], capture.captured_at))

    def lines(self) -> list[str]:
        """What was seen, for people."""
        back = [
            f"camera {series[0]}: its times go back {counted(len(found), 'time')} while names count up, first"
            f" at {found[0][0]} from {found[0][1]:%Y-%m-%d %H:%M} to {found[0][2]:%Y-%m-%d %H:%M} UTC; if its"
            " clock was wrong, tell the times with `fieldloop metadata import`"
            for series, found in sorted(self._back.items())
            if self._steps[series] >= FEWEST_STEPS and len(found) <= MOST_BACK * self._steps[series] + 1
        ]
        autumn = (
            f"{counted(self.twice, 'frame has', 'frames have')} a time without a zone in the hour that clocks"
            " show twice as they are set back; it counts as the first of the two"
        )
        return [*back[:SHOWN], *([autumn] if self.twice else [])]
