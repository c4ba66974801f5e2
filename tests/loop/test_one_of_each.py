"""Every count has its singular: what reports say of one of each, and of two."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.sources.video import VideoClock
from db.frames import Unplaced
from loop.base.wording import counted, either
from loop.datasets.imported import Problem
from loop.datasets.usable import problem_lines
from loop.ingest.ingest import IngestReport
from loop.ingest.metadata import MetadataReport
from loop.insights.placing import lines_of
from loop.labeling.pull import PullReport
from loop.labeling.push import PushReport
from loop.project.backup import Backup
from loop.project.init import CreateReport
from loop.rounds.preflight import Aim, _advice
from loop.settings.settings import load_settings

FRAMES = load_settings(None).frames.model_copy(update={"pattern": "{camera}/x/{n}.jpg"})
WHEN = datetime(2026, 5, 1, tzinfo=UTC)
ONE_OF_MANY = re.compile(
    r"1 (?:[a-z-]+ )?(frames|images|boxes|classes|files|rows|tasks|labels|answers|models|things|times)"
)
"""1 frames, 1 new frames."""


def video(count: int) -> str:
    clock = VideoClock(0.1)
    for stamp in [0.0, *[None] * count]:
        clock.tick(stamp, None)
    return clock.problem


def said(count: int) -> Sequence[str]:
    """What each report says of so many of everything."""
    few = ["a"] * count
    reports = (
        IngestReport(count, 0, Counter(), count, count, Counter({"gate": count})).lines(),
        MetadataReport({"production": count}, count, few, few, few, count, few).lines(),
        PushReport(1, "http://labels", count, count, count).lines(),
        PullReport(revoked=count, deleted=count, adopted=count, kept=set(range(count)), again=count).lines(),
        PullReport(foreign=count).lines(),
        PullReport(waiting=[WHEN] * count).lines(),
        Backup(Path("b.tar"), WHEN, count, 0, {"frames": count, "models": count}).lines("UTC"),
        CreateReport(
            Path("p"), {"train": count}, count, tuple("ab"[:count]), [], count, count, zoneless=count
        ).lines(),
        problem_lines([Problem(Path("a.txt"), 1, "label", "x")] * count),
        lines_of(Unplaced(count, count, count, ("a.jpg",)), {"production": count}, FRAMES),
        _advice(Aim("night", 1, 0, 0, 0, None, tuple(range(count)), None, tuple(few))),
        [video(count)],
    )
    return [line for report in reports for line in report]


def test_one_is_one() -> None:
    lines = said(1)
    assert not [line for line in lines if ONE_OF_MANY.search(line)]
    for whole in (
        "1 new frame, 0 known already, set aside: none",
        "1 file is still being written and left for later; run `fieldloop ingest` again",
        "1 of them had 16 bits and was stretched to 8, darkest to brightest",
        "1 production frame changed, 1 was known so already, 1 has no row",
        "1 task made, 1 was there already, 1 may still be arriving",
        "1 answer is of a task that is not ours",
        "imported 1 train image with 1 box of 1 class",
        "1 thing was left out, mended or noticed:",
        "of 1 production frame 1 has no camera and 1 no time; 1 is grouped by order of arrival, 50 at a time",
        "1 frame has no time stamp; it counts as 10 a second",
    ):
        assert whole in lines


def test_two_are_two() -> None:
    lines = said(2)
    for whole in (
        "2 new frames, 0 known already, set aside: none",
        "2 files are still being written and left for later; run `fieldloop ingest` again",
        "2 production frames changed, 2 were known so already, 2 have no row",
        "2 tasks made, 2 were there already, 2 may still be arriving",
        "2 answers are of tasks that are not ours",
        "imported 2 train images with 2 boxes of 2 classes",
        "2 things were left out, mended or noticed:",
        "of 2 production frames 2 have no camera and 2 no time; 2 are grouped by order of arrival, 50 at a"
        " time",
        "2 frames have no time stamp; they count as 10 a second",
    ):
        assert whole in lines


@pytest.mark.parametrize(
    ("number", "shown"), [(0, "0 boxes are"), (1, "1 box is"), (2, "2 boxes are"), (21, "21 boxes are")]
)
def test_a_word_goes_with_its_number(number: int, shown: str) -> None:
    assert f"{counted(number, 'box', 'boxes')} {either(number, 'is', 'are')}" == shown
