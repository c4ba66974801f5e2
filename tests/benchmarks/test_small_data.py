"""The page of what holds on small data is what the results say."""

from __future__ import annotations

import json

import pytest

from benchmarks import gaps
from benchmarks.small_data import DOCUMENT, document

KEPT = json.loads(gaps.RESULTS.read_text(encoding="utf-8"))


def test_the_page_is_made_of_the_results() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document()


def test_every_kind_of_world_is_simulated() -> None:
    assert len(list(gaps.false_gaps(1))) == len(KEPT["false gaps"])
    assert [row["found"] for row in gaps.power(1)] == [
        pytest.approx(row["found"], abs=1) for row in KEPT["power"]
    ]
    assert len(list(gaps.intervals(1))) == len(KEPT["intervals"])


@pytest.mark.parametrize("row", KEPT["ranking"], ids=lambda row: row["world"])
def test_the_order_agrees_with_what_is_lost(row: dict[str, object]) -> None:
    aim = 0.6 if row["world"] == "equal shares" else 0.8
    assert row["now"] >= aim  # type: ignore[operator]


@pytest.mark.parametrize("row", KEPT["power"], ids=lambda row: f"{row['days']} days, {row['share']}")
def test_as_many_gaps_are_found_as_by_exchanging_frames(row: dict[str, float]) -> None:
    noise = 3 * (0.5 / row["runs"]) ** 0.5
    assert row["found"] >= row["exchanged"] - noise
