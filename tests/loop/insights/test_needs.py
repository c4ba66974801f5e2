"""What needs a person, and that nothing else is said to."""

from __future__ import annotations

import shutil
from collections import namedtuple
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from db.engine import read, write
from db.reports import add_report, close_report
from db.rounds import RoundRow
from db.states import ReportKind, RoundStatus
from loop.analysis.analyze import analyze
from loop.base.moments import lasting
from loop.ingest.ingest import ingest
from loop.insights import needs
from loop.insights.budget import budget
from loop.insights.freshness import OLDEST_S, TICKS, Stage, place
from loop.insights.needs import Need, of_rounds, silent_cameras
from loop.insights.overview import overview, overview_lines, stage_line
from loop.labeling.mending import Mend
from tests.fakes import FakeParts, add_checkpoint, quiet, weights
from tests.loop.desk import push
from tests.loop.judged import label_all

FIRST = date(2026, 3, 2)
NOW = datetime(2026, 5, 7, 13, 30, tzinfo=UTC)  # a Thursday


def kinds(found: list[Need]) -> list[str]:
    """A full disk of the machine that tests run on is none of theirs."""
    return [need.kind for need in found if need.kind != "disk"]


def days(*numbers: int) -> dict[date, int]:
    return {FIRST + timedelta(days=number): 3 for number in numbers}


def judged(status: RoundStatus, *checks: tuple[str, str], reasons: tuple[str, ...] = ()) -> RoundRow:
    verdict = {
        "reasons": list(reasons),
        "checks": [{"name": name, "status": outcome, "text": f"{name} why"} for name, outcome in checks],
    }
    return RoundRow(7, status, {}, 1, 1, 2, verdict, {}, False, None, NOW, NOW)


def test_a_new_project_needs_nobody(parts: FakeParts) -> None:
    view = overview(parts.project)
    assert kinds(view.needs) == []
    assert [stage.until for stage in view.stages[:4]] == [None] * 4
    assert view.stages[4].until is not None


def test_tasks_that_wait_are_said_with_where_to_do_them(chosen: FakeParts) -> None:
    push(chosen)
    (need,) = (one for one in overview(chosen.project).needs if one.kind == "due")
    assert (need.text, need.address) == ("12 tasks wait for an answer", "/queue")
    assert "needs you  12 tasks wait for an answer" in overview_lines(overview(chosen.project))


def test_answers_to_mend_come_before_tasks() -> None:
    mend = [Mend(4, "http://studio/4", "a.jpg", "unknown class hat")] * 2
    found = needs.of_tasks(1, mend)
    assert [need.kind for need in found] == ["mend", "due"]
    assert found[0].text == "2 answers are no label until a person mends them: unknown class hat"
    assert found[1].text == "1 task waits for an answer"


def test_a_candidate_waits_for_approval_and_its_reasons_are_said() -> None:
    row = judged(RoundStatus.AWAITING_APPROVAL, ("gain", "pass"), reasons=("a", "b", "c", "d"))
    (need,) = of_rounds([row])
    assert (need.kind, need.address, need.more) == ("approval", "/rounds/7", ("a", "b", "c"))


def test_rules_that_could_not_be_verified_are_named() -> None:
    checks = (("gain", "pass"), ("no fall: class helmet", "unverifiable"), ("no fall: night", "unverifiable"))
    (need,) = of_rounds([judged(RoundStatus.PROMOTED, *checks)])
    said = "2 rules of round 7 could not be verified: no fall: class helmet, no fall: night"
    assert (need.text, need.more) == (said, ("no fall: class helmet why",))


def test_only_the_newest_verdict_counts() -> None:
    before = judged(RoundStatus.PROMOTED, ("gain", "unverifiable"))
    after = replace(judged(RoundStatus.PROMOTED, ("gain", "pass")), id=8)
    running = replace(before, id=9, verdict=None, status=RoundStatus.TRAINING)
    assert of_rounds([before, after, running]) == []
    assert [need.kind for need in of_rounds([after, before, running])] == ["unverifiable"]


Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(
    ("used", "said"), [(89, ""), (91, "the disk of the project is 91% full, 9.0 GB are left")]
)
def test_a_disk_that_fills_up_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, used: int, said: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**11, used * 10**9, (100 - used) * 10**9))
    assert [need.text for need in needs.of_disk(tmp_path)] == ([said] if said else [])


def test_a_camera_that_fell_silent_is_named() -> None:
    seen = {"gate": days(*range(10)), "yard": days(0, 2, 4, 6, 8), "hall": days(0, 1, 2, 3, 4)}
    (silent,) = silent_cameras(seen)
    assert (silent.camera, silent.last, silent.days) == ("hall", FIRST + timedelta(days=4), 5)
    (need,) = needs.of_cameras(seen)
    assert need.text == "no frame of camera hall for 5 days, the last is of 2026-03-06"
    assert need.address == "/frames?camera=hall&order=newest"


@pytest.mark.parametrize(
    "seen",
    [
        {},
        {"gate": {}},
        {"gate": days(*range(10)), "new": days(0, 1, 2, 3)},  # seen too seldom to know
        {"gate": days(0, 7, 14, 21, 28, 35, 42), "yard": days(*range(53))},  # it pauses that long
        {"gate": days(*range(5)), "yard": days(*range(100))},  # taken down long ago
        {"gate": days(*range(5)), "yard": days(*range(5))},  # all stand still
    ],
)
def test_a_camera_that_keeps_to_its_habits_is_not_silent(seen: dict[str, dict[date, int]]) -> None:
    assert silent_cameras(seen) == []


def test_several_silent_cameras_are_one_need() -> None:
    quiet_ones = {f"cam{number}": days(0, 1, 2, 3, 4) for number in range(7)}
    (need,) = needs.of_cameras(quiet_ones | {"gate": days(*range(12))})
    assert need.text == (
        "7 cameras fell silent: cam0, cam1, cam2, cam3, cam4 and 2 more; the first on 2026-03-06"
    )


def test_mistakes_that_people_reported_wait_until_they_are_closed(analyzed: FakeParts) -> None:
    with write(analyzed.project.engine) as session:
        first = add_report(session, 40, ReportKind.MISSED, "Anna")
        add_report(session, 41, ReportKind.FALSE, "Anna")
    (need,) = (one for one in overview(analyzed.project).needs if one.kind == "reports")
    assert (need.text, need.address) == ("2 reported mistakes wait for a look", "/frames/41")
    with write(analyzed.project.engine) as session:
        close_report(session, 40, first)
    (need,) = (one for one in overview(analyzed.project).needs if one.kind == "reports")
    assert need.text == "1 reported mistake waits for a look"


def test_frames_without_place_and_doubtful_clocks_say_what_to_do() -> None:
    found = needs.of_places(
        ["of 48 frames 6 have no camera", "set frames.pattern"], ["camera a: 3 frames", "b"]
    )
    assert [(need.kind, need.more) for need in found] == [
        ("clock", ("b",)),
        ("unplaced", ("set frames.pattern",)),
    ]
    assert found[1].address == "/frames?camera=unknown"
    assert needs.of_places(["of 48 frames 6 have no time", "x"], [])[0].address == "/frames?time=unknown"


# Freshness and budget


def test_each_stage_tells_how_far_it_has_come(parts: FakeParts) -> None:
    ingest(parts, quiet)
    stages = {stage.name: stage for stage in overview(parts.project).stages}
    assert stages["Last frame"].until is not None
    assert (
        stages["Analyzed until"].until is None or stages["Analyzed until"].until < stages["Last frame"].until
    )
    analyze(parts, quiet)
    stages = {stage.name: stage for stage in overview(parts.project).stages}
    assert stages["Analyzed until"].until == stages["Last frame"].until
    assert stages["Analyzed until"].waits == ""
    candidate = add_checkpoint(parts.project, weights(note="better"))
    from loop.rounds import deploy

    deploy.promote(parts.project, candidate, "by hand")
    stages = {stage.name: stage for stage in overview(parts.project).stages}
    assert stages["Analyzed until"].waits == "74 frames to analyze by the current models"
    assert stages["Model in use since"].what == "by hand"
    line = stage_line(Stage("Last answer", None, waits="3 tasks due"), "UTC")
    assert line == "last answer: nothing yet (3 tasks due)"


def test_ages_stand_in_their_order_between_long_ago_and_now() -> None:
    assert place(0) == place(-5) == 1
    assert place(OLDEST_S) == place(10 * OLDEST_S) == 0
    ages = [place(age_s) for age_s, _ in TICKS]
    assert ages == sorted(ages, reverse=True)
    assert len(set(ages)) == len(TICKS)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-3, "0 s"),
        (0, "0 s"),
        (99, "99 s"),
        (100, "2 min"),
        (5999, "100 min"),
        (6000, "2 h"),
        (172_800, "2 days"),
    ],
)
def test_a_span_is_said_in_its_largest_unit(seconds: float, said: str) -> None:
    assert lasting(seconds) == said


def test_what_is_left_of_the_budget(chosen: FakeParts) -> None:
    label_all(chosen.project)
    ours = chosen.project.settings
    settings = ours.model_copy(
        update={
            "select": ours.select.model_copy(update={"daily_budget": 20}),
            "round": ours.round.model_copy(update={"labels": 50}),
        }
    )

    def at(now: datetime) -> Any:
        with read(chosen.project.engine) as session:
            return budget(session, settings, [], now)

    today = at(datetime.now(UTC))
    assert (today.daily, today.used, today.left, today.wanted) == (20, 12, 8, 50)
    assert 0 < today.fresh <= today.labels_this_week
    later = at(datetime.now(UTC) + timedelta(days=8))
    assert (later.used, later.left, later.labels_this_week) == (0, 20, 0)
    assert later.fresh == today.fresh
    assert at(NOW).ends_at == datetime(2026, 5, 8, tzinfo=UTC)
    assert replace(today, used=25).left == 0
