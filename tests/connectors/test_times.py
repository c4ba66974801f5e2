"""Moments are in UTC, whatever was written, and a camera's day is a day of UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from connectors.errors import SourceError
from connectors.times import camera_day, in_utc, zone


def test_the_group_of_a_frame_is_its_camera_and_utc_day() -> None:
    late = datetime(2026, 11, 24, 23, 30, tzinfo=zone("America/New_York"))
    assert camera_day("gate", late) == "gate|2026-11-25"
    assert camera_day("gate", None) == "gate|undated"


def test_only_a_time_without_an_offset_is_read_in_the_assumed_zone() -> None:
    noon = datetime(2026, 7, 1, 12)
    assert in_utc(noon, zone("Europe/Rome")) == datetime(2026, 7, 1, 10, tzinfo=UTC)
    told = noon.replace(tzinfo=timezone(timedelta(hours=-5)))
    assert in_utc(told, zone("Europe/Rome")) == datetime(2026, 7, 1, 17, tzinfo=UTC)


def test_the_hour_that_comes_twice_in_autumn_is_its_first() -> None:
    twice = datetime(2026, 10, 25, 2, 30)
    assert in_utc(twice, zone("Europe/Rome")) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_what_utc_cannot_express_is_an_error() -> None:
    with pytest.raises(ValueError, match="expected a time that UTC can express, got 0001-01-01"):
        in_utc(datetime(1, 1, 1), zone("Asia/Tokyo"))


@pytest.mark.parametrize("name", ["Mars/Base", "", "../etc/passwd"])
def test_an_unknown_zone_is_named(name: str) -> None:
    with pytest.raises(SourceError, match="expected a name such as Europe/Rome or UTC, got"):
        zone(name)
