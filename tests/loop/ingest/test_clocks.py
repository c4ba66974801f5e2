"""Clocks that were wrong for a while are told, and those that were not are left alone."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from connectors.ports import Capture
from connectors.times import unclear_hour
from db.engine import read
from db.frames import days_by_camera
from loop.ingest.clocks import Clocks, DoubtfulDays, doubtful_days, doubtful_lines
from loop.ingest.ingest import ingest
from loop.insights.overview import overview
from loop.insights.placing import unplaced_lines
from tests.fakes import FakeParts, make_project, picture, quiet

NOVEMBER = {date(2026, 11, day): 10 for day in (1, 2, 3)}
RESET = date(2010, 1, 1)


def test_days_of_one_camera_far_from_all_others_are_doubted() -> None:
    days = {"a": NOVEMBER | {RESET: 4, RESET + timedelta(1): 1}, "b": NOVEMBER}
    assert doubtful_days(days) == [DoubtfulDays("a", RESET, date(2010, 1, 2), 5)]
    assert doubtful_lines(days) == [
        "camera a: 5 frames are of 2010-01-01 to 2010-01-02, far from all others; if its clock was wrong,"
        " tell their times with `fieldloop metadata import`"
    ]


def test_a_camera_all_of_whose_days_are_far_is_doubted() -> None:
    days = {"a": {date(2024, 6, 1): 3}, "b": NOVEMBER}
    assert doubtful_days(days) == [DoubtfulDays("a", date(2024, 6, 1), date(2024, 6, 1), 3)]


@pytest.mark.parametrize("first", [date(2026, 1, 1), date(2025, 12, 31)])
def test_days_that_begin_with_the_year_and_stand_alone_are_doubted(first: date) -> None:
    days = {"a": NOVEMBER | {first: 2}, "b": NOVEMBER}
    assert doubtful_days(days) == [DoubtfulDays("a", first, first, 2)]


@pytest.mark.parametrize(
    "days",
    [
        {},
        {"a": {RESET: 5}},
        {"a": NOVEMBER, "b": NOVEMBER},
        {"a": NOVEMBER, "b": {date(2026, 3, 1): 5}},  # another season
        {"a": NOVEMBER | {date(2026, 1, 1): 2}, "b": {date(2026, 1, 20): 5}},  # others are near
        {"a": {date(2024, 2, 1) + timedelta(200 * n): 9 for n in range(6)}},  # every half year
        {"a": {date(2026, 1, 1) + timedelta(n): 9 for n in range(300)}},
    ],
)
def test_pauses_seasons_and_whole_years_are_not_doubted(days: dict[str, dict[date, int]]) -> None:
    assert doubtful_days(days) == []


def seen(times: list[datetime], name: str = "cam/f{:03}.jpg") -> list[str]:
    steps = Clocks()
    keyed = sorted((name.format(number), time) for number, time in enumerate(times))
    for key, time in keyed:
        steps.see(Capture(key, camera="a", captured_at=time))
    return steps.lines()


START = datetime(2026, 11, 1, 8, tzinfo=UTC)
HOURLY = [START + timedelta(hours=n) for n in range(40)]


@pytest.mark.parametrize(("name", "before"), [("cam/f{:03}.jpg", 29), ("cam/f{}.jpg", 3)])
def test_times_that_go_back_while_names_count_up_are_told(name: str, before: int) -> None:
    assert seen(HOURLY, name) == []
    back = [*HOURLY[:30], *(time - timedelta(days=3) for time in HOURLY[30:])]
    (line,) = seen(back, name)
    assert line.startswith(
        f"camera a: its times go back 1 time while names count up, first at {name.format(30)} from"
        f" {HOURLY[before]:%Y-%m-%d %H:%M} to 2026-10-30 14:00 UTC; "
    )


def test_an_hour_set_back_and_names_without_order_are_not_told() -> None:
    assert seen([*HOURLY[:30], *(time - timedelta(hours=2) for time in HOURLY[30:])]) == []
    assert seen([HOURLY[number * 17 % 40] for number in range(40)]) == []
    assert seen([HOURLY[9], *HOURLY[:9]]) == []  # too few to tell


@pytest.mark.parametrize(
    ("time", "unclear"),
    [
        ("2026-10-25T00:30:00+00:00", True),
        ("2026-10-25T01:30:00+00:00", True),
        ("2026-10-25T02:30:00+00:00", False),
        ("2026-10-24T23:30:00+00:00", False),
        ("2026-03-29T01:30:00+00:00", False),
    ],
)
def test_the_hour_that_comes_twice(time: str, unclear: bool) -> None:
    assert unclear_hour(datetime.fromisoformat(time), "Europe/Rome") is unclear
    assert not unclear_hour(datetime.fromisoformat(time), "UTC")
    assert not unclear_hour(None, "Europe/Rome")


def test_ingest_and_status_tell_of_clocks(tmp_path: Path) -> None:
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    for number in range(20):
        time = START + timedelta(hours=number) if number < 15 else datetime(2010, 1, 1, number, tzinfo=UTC)
        said = "2026-10-25T02:30:00" if number == 0 else time.isoformat()
        (incoming / f"{number:03}.jpg").write_bytes(picture(seed=number))
        (incoming / f"{number:03}.json").write_text(json.dumps({"camera": "a", "captured_at": said}))
    project = make_project(tmp_path / "project", incoming, ["frames.timezone=Europe/Rome", "frames.pattern="])
    parts = FakeParts(project)
    report = ingest(parts, quiet, str(incoming))
    assert report.stored == 20
    back, twice = report.notes
    assert "first at 015.jpg from 2026-11-01 22:00 to 2010-01-01 15:00 UTC" in back
    assert twice.startswith("1 frame has a time without a zone in the hour that clocks show twice")
    assert {back, twice} <= set(report.lines())
    with read(project.engine) as session:
        assert days_by_camera(session)["a"][RESET] == 5
    told = (
        "camera a: 5 frames are of 2010-01-01, far from all others; if its clock was wrong, tell their times"
    )
    assert [line[: len(told)] for line in unplaced_lines(project)] == [told]
    assert [line[: len(told)] for line in overview(project).unplaced] == [told]
