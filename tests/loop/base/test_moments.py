"""Times as people read them: in the project's zone, with its name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from loop.base.moments import DAY, MINUTE, SECOND, TIME_OF_DAY, shown


@pytest.mark.parametrize(
    ("month", "zone", "said"),
    [
        (1, "UTC", "2026-01-15 23:30 UTC"),
        (1, "Europe/Rome", "2026-01-16 00:30 CET"),
        (7, "Europe/Rome", "2026-07-16 01:30 CEST"),
        (1, "Asia/Kathmandu", "2026-01-16 05:15 +0545"),
        (7, "America/New_York", "2026-07-15 19:30 EDT"),
    ],
)
def test_a_time_is_that_of_the_place_and_names_its_zone(month: int, zone: str, said: str) -> None:
    moment = datetime(2026, month, 15, 23, 30, 5, tzinfo=UTC)
    assert shown(moment, zone) == said
    assert shown(moment.astimezone(timezone(timedelta(hours=-9))), zone) == said


def test_a_time_is_as_exact_as_it_must_be() -> None:
    moment = datetime(2026, 7, 15, 23, 30, 5, tzinfo=UTC)
    assert [shown(moment, "Asia/Tokyo", form) for form in (MINUTE, SECOND, TIME_OF_DAY, DAY)] == [
        "2026-07-16 08:30 JST",
        "2026-07-16 08:30:05 JST",
        "08:30:05 JST",
        "2026-07-16",
    ]
