"""Proposals of a pattern: only what every path bears out."""

from __future__ import annotations

from datetime import UTC

import pytest

from connectors.sources.pattern import compile_pattern
from connectors.sources.pattern_guess import likely_pattern


@pytest.mark.parametrize(
    ("keys", "pattern"),
    [
        (["cam1/a.jpg", "cam2/b.jpg"], "{camera}/*"),
        (
            ["c1/2026-01-02/080102-3.jpg", "c2/2026-01-02/235959.png"],
            "{camera}/{date:%Y-%m-%d}/{time:%H%M%S}*",
        ),
        (["20260102/c1/080102.jpg"], "{date:%Y%m%d}/{camera}/{time:%H%M%S}*"),
        (["c/20260102_080102.jpg"], "{camera}/{date:%Y%m%d}_{time:%H%M%S}*"),
        (["cam_20260102T080102Z.jpg"], "*_{date:%Y%m%d}T{time:%H%M%S}*"),
        (["site/cam/0001.jpg"], "{camera}/*/*"),
        (["/mnt/x/gate/day.mp4#00000012", "/mnt/x/gate/day.mp4#00000040"], "{camera}/*"),
    ],
)
def test_a_pattern_that_all_paths_fit_is_proposed(keys: list[str], pattern: str) -> None:
    assert likely_pattern(keys) == pattern
    assert all(compile_pattern(pattern).facts(key, UTC) for key in keys if "#" not in key)


@pytest.mark.parametrize("keys", [[], ["a.jpg", "b.jpg"], ["a/b.jpg", "c.jpg"], ["99999999_999999.jpg"]])
def test_nothing_is_proposed_where_paths_tell_nothing(keys: list[str]) -> None:
    assert likely_pattern(keys) == ""


def test_numbers_that_are_no_day_and_no_time_are_not_taken_for_one() -> None:
    assert likely_pattern(["c/20261399/000061.jpg", "c/20261398/000001.jpg"]) == "{camera}/*/*"
    assert likely_pattern(["c/20261231/000061.jpg"]) == "{camera}/{date:%Y%m%d}/*"
