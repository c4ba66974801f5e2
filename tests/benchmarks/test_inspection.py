"""The page on inspected lots: made from its file, and what it promises."""

from __future__ import annotations

import json

from benchmarks.inspection import CONFIDENCE, PAGE, RESULTS, WAYS, page

KEPT = json.loads(RESULTS.read_text(encoding="utf-8"))


def test_the_page_is_made_from_the_file() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(KEPT)


def test_a_claim_fails_as_seldom_as_is_promised_wherever_errors_can_be_counted() -> None:
    rows = KEPT["rows"]
    assert {(row["way"], row["plan"]) for row in rows} == {(w, p) for w in WAYS for p in ("zero", "double")}
    over = [row for row in rows if row["accepted_though"] > (1 - CONFIDENCE) * row["claim_fails"]]
    assert [(row["way"], row["plan"]) for row in over] == [("frames sent in with one box of all", "double")]
    assert "with their whole interval: frames sent in with one box of all, double." in page(KEPT)
