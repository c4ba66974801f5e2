"""The simulation of agreement: that it runs, and that what is kept of it recovers what was planted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.agreement import PAGE, RESULTS, measured, page

KEPT = json.loads(RESULTS.read_text(encoding="utf-8"))
ROWS = [
    pytest.param(case, row, id=f"{case['people']['name']} {case['days']} {row['figure']}")
    for case in KEPT["cases"]
    for row in case["figures"]
]


def test_every_case_is_measured() -> None:
    found: Any = measured(worlds=2, days=(6,), truth_days=20)["cases"]
    assert [case["people"]["name"] for case in found] == ["careful", "careless"]
    assert [row["figure"] for row in found[0]["figures"]] == [
        row["figure"] for row in KEPT["cases"][0]["figures"]
    ]


@pytest.mark.parametrize(("case", "row"), ROWS)
def test_what_was_planted_is_recovered(case: dict[str, Any], row: dict[str, Any]) -> None:
    assert KEPT["worlds"] == 300
    assert row["mean"] == pytest.approx(row["planted"], rel=0.1, abs=0.01)
    if case["people"]["name"] == "careful" and row["held"] is not None and case["days"] >= 20:
        assert row["held"] >= 0.92


def test_the_page_is_made_of_the_result() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()
