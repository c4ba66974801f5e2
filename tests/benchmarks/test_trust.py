"""The simulation of trust: that it runs, and that what is kept of it holds."""

from __future__ import annotations

import json

import pytest

from benchmarks.trust import RESULTS, cases, measured, table

KEPT = json.loads(RESULTS.read_text(encoding="utf-8"))["cases"]


def test_every_case_is_measured_before_and_now() -> None:
    found = measured(2)["cases"]
    assert isinstance(found, list)
    assert [each["case"] for each in found] == [case.name for case in cases()]
    assert [list(each) for each in found] == [["case", "aim", "before", "now"]] * len(found)


def test_the_table_has_a_line_for_each_case_that_was_kept() -> None:
    head, _, *rows = table().splitlines()
    assert head == "| case | aim | before | now |"
    assert [row.split(" | ")[0] for row in rows] == [f"| {each['case']}" for each in KEPT]


@pytest.mark.parametrize("row", KEPT, ids=lambda row: row["case"])
def test_what_is_aimed_at_holds(row: dict[str, object]) -> None:
    now = row["now"]
    assert isinstance(now, dict)
    if "at most" in str(row["aim"]):
        assert now["positive"] <= 0.05
    else:
        assert now["positive"] > 0.5
        assert 0 < now["mean"] < 0.5
