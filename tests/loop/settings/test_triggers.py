"""Triggers mean what cron and their users mean by them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from apscheduler.triggers.base import BaseTrigger

from loop.base.errors import ConfigError
from loop.settings.triggers import parse_date, parse_trigger

SUNDAY = datetime(2026, 11, 1, tzinfo=UTC)


def weekdays(expression: str) -> str:
    """The days on which it fires within one week, Monday first."""
    trigger = parse_trigger("schedule.select", f"0 6 * * {expression}")
    assert trigger is not None
    fired = {moment.strftime("%a") for moment in firings(trigger, SUNDAY, 7)}
    return " ".join(day for day in ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun") if day in fired)


def firings(trigger: BaseTrigger, start: datetime, days: int) -> list[datetime]:
    found: list[datetime] = []
    moment = trigger.get_next_fire_time(None, start)
    while moment < start + timedelta(days=days):
        found.append(moment)
        moment = trigger.get_next_fire_time(moment, moment + timedelta(seconds=1))
    return found


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), (" 5m ", 300), ("2h", 7200), ("1d", 86400), ("10 s", 10)]
)
def test_intervals(text: str, seconds: int) -> None:
    trigger = parse_trigger("schedule.ingest", text)
    assert trigger is not None
    first = trigger.get_next_fire_time(None, SUNDAY)
    assert trigger.get_next_fire_time(first, first) - first == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "  "])
def test_never(text: str) -> None:
    assert parse_trigger("schedule.ingest", text) is parse_date("round.at", text) is None


@pytest.mark.parametrize(
    ("expression", "days"),
    [
        ("0", "Sun"),
        ("6", "Sat"),
        ("7", "Sun"),
        ("1-5", "Mon Tue Wed Thu Fri"),
        ("5-7", "Fri Sat Sun"),
        ("0,3", "Wed Sun"),
        ("*/2", "Tue Thu Sat Sun"),
        ("mon-wed", "Mon Tue Wed"),
        ("*", "Mon Tue Wed Thu Fri Sat Sun"),
    ],
)
def test_weekdays_count_as_cron_counts_them(expression: str, days: str) -> None:
    assert weekdays(expression) == days


@pytest.mark.parametrize(
    ("expression", "days"),
    [
        ("0 6 13 * 5", [6, 13, 20, 27]),
        ("0 6 1,15 * mon", [1, 2, 9, 15, 16, 23, 30]),
        ("0 6 */10 * 0", [1]),
        ("0 6 1-10 * *", list(range(1, 11))),
        ("0 6 4 * 3", [4, 11, 18, 25]),
    ],
)
def test_day_and_weekday_are_either_as_in_cron_unless_one_begins_with_a_star(
    expression: str, days: list[int]
) -> None:
    trigger = parse_date("round.at", expression)
    assert trigger is not None
    assert firings(trigger, SUNDAY, 30) == [datetime(2026, 11, day, 6, tzinfo=UTC) for day in days]


@pytest.mark.parametrize("text", ["0 6 32 * 5", "0 6 13 13 5", "0 6 13 * 8"])
def test_nonsense_beside_day_and_weekday_is_named_too(text: str) -> None:
    with pytest.raises(ConfigError, match=r"round\.at: expected a five-field cron expression"):
        parse_date("round.at", text)


def test_the_example_of_the_configuration_is_a_saturday() -> None:
    trigger = parse_date("round.at", "0 2 * * 6")
    assert trigger is not None
    assert trigger.get_next_fire_time(None, SUNDAY) == datetime(2026, 11, 7, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["0s", "soon", "5", "²s", "* * *", "61 * * * *", "0 2 * * 8", "0 2 * * 5-2", "99999999999d", "-5s"],
)
def test_nonsense_is_named_with_its_key(text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_trigger("schedule.select", text)
    message = str(raised.value)
    assert message.startswith('schedule.select: expected "30s", "5m", "2h", "1d", a five-field cron')
    assert repr(text) in message


def test_a_date_is_no_interval() -> None:
    with pytest.raises(ConfigError, match=r"round\.at: expected a five-field cron expression .* got '5m'"):
        parse_date("round.at", "5m")
