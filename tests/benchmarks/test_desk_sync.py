"""The page on keeping many tasks in step with Label Studio: made from its file, and what it promises."""

from __future__ import annotations

import json
import statistics

import pytest

from benchmarks.desk_sync import AIM_S, CHANGED, DOCUMENT, RESULTS, document

KEPT = json.loads(RESULTS.read_text(encoding="utf-8"))
SECONDS = {one["what"]: one["each"] for one in KEPT["seconds"]}


def test_the_page_is_made_from_the_file() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(KEPT)


def test_a_pull_of_some_answers_costs_little_more_than_an_empty_one() -> None:
    changed, empty = SECONDS[f"pull of {CHANGED} answers"], SECONDS["empty pull"]
    assert (KEPT["tasks"], len(changed), len(empty)) == (10_000, 3, 3)
    assert statistics.median(changed) - statistics.median(empty) <= AIM_S


def test_a_killed_push_lost_no_task_and_made_none_twice() -> None:
    resumed = KEPT["resumed"]
    assert (resumed["tasks"], resumed["twice"], resumed["lost"]) == (1000, 0, 0)
    assert 0 < resumed["there_when_killed"] < 1000, "it was killed in the middle"
    assert KEPT["deletion_noticed_by_the_next_pull"]


@pytest.mark.parametrize(("name", "said"), [("twice", "7 stood there twice"), ("lost", "7 were lost")])
def test_what_fails_is_said(name: str, said: str) -> None:
    assert said in document({**KEPT, "resumed": KEPT["resumed"] | {name: 7}})
