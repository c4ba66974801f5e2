"""What a comparison found is kept in numbers: they are those of the view, small, and one for each day."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import numpy as np
import pytest

from db.engine import read
from db.page_facts import latest_page_fact, page_fact_dates
from db.slices import slices
from loop.analysis.analyze import analyze
from loop.gaps import coverage_facts, coverage_view
from loop.gaps.coverage_facts import COVERAGE, CROSSED, KEPT_NEWEST, axes_of, crossed, too_old
from loop.gaps.coverage_view import CoverageView
from loop.gaps.upkeep import compare_anew, keep_map
from loop.ingest.ingest import ingest
from loop.math.coverage.facets import NONE, UNKNOWN, Facet
from tests.fakes import FakeParts, quiet
from tests.loop.judged import label_all


def facet(name: str, options: tuple[str, ...], production: list[int], training: list[int]) -> Facet:
    codes = np.array(production, np.int32), np.array(training, np.int32)
    return Facet(name, "measured", options, *codes, np.zeros(len(production)))


def test_what_is_kept_is_what_the_view_says(view: CoverageView, parts: FakeParts) -> None:
    with read(parts.project.engine) as session:
        row = latest_page_fact(session, COVERAGE)
        table = latest_page_fact(session, CROSSED)
        names = {each.id: each for each in slices(session)}
    assert row is not None
    assert table is not None
    told = row.value
    assert (told["production"], told["training"]) == (len(view.production), len(view.training))
    assert [gap["slice_id"] for gap in told["gaps"]] == [view.slice_ids[gap.key] for gap in view.gaps]
    for gap, kept in zip(view.gaps, told["gaps"], strict=True):
        assert (kept["production_share"], kept["shown"]) == (gap.production_share, gap.shown)
        assert kept["certainty"] == coverage_view.certainty(view, gap)
        assert kept["wanted"] >= 30 >= kept["labeled"]
    for axis in told["facets"]:
        for option in axis["options"]:
            [code] = [
                (of, place)
                for of in view.facets
                for place, key in enumerate(of.keys)
                if key == names[option["slice_id"]].key
            ]
            assert option["production"] == int((code[0].production == code[1]).sum())
            assert option["training"] == int((code[0].training == code[1]).sum())
    for cells in table.value["tables"].values():
        assert np.sum(cells["production"]) == len(view.production)
        assert np.sum(cells["training"]) == len(view.training)
    assert len(json.dumps(told)) < 30_000


def test_every_two_axes_are_crossed_with_none_and_unknown_apart() -> None:
    low = facet("light", ("dark",), [0, 0, NONE, NONE, UNKNOWN], [NONE, NONE])
    high = facet("light", ("glaring",), [NONE, NONE, 0, NONE, UNKNOWN], [UNKNOWN, 0])
    camera = facet("camera", ("gate", "ramp"), [1, 0, 1, 1, 1], [0, NONE])
    axes = axes_of([low, high, camera])
    assert [(axis.name, axis.options, axis.none) for axis in axes] == [
        ("light", ("dark", "glaring"), True),
        ("camera", ("ramp", "gate"), True),
    ]
    found = crossed(axes, {"light/dark": 7})
    assert found["axes"][0]["options"] == [
        {"slice_id": 7, "name": "dark"},
        {"slice_id": None, "name": "glaring"},
    ]
    # rows: dark, glaring, none, unknown; columns: ramp, gate, none, unknown
    assert found["tables"]["0 1"]["production"] == [[1, 1, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]
    assert found["tables"]["0 1"]["training"] == [[0, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]


def test_many_options_are_told_together() -> None:
    many = facet("camera", tuple(f"cam-{i}" for i in range(100)), [*range(100), 3], [5])
    [axis] = axes_of([many])
    assert len(axis.options) == coverage_facts.MOST_OPTIONS
    assert axis.options[0] == "cam-3"
    assert axis.left_out == 100 - coverage_facts.MOST_OPTIONS
    assert (axis.production == NONE).sum() == 100 - coverage_facts.MOST_OPTIONS


def test_the_newest_and_one_of_each_day_are_kept() -> None:
    start = datetime(2026, 1, 1)
    kept = [(hour, start + timedelta(hours=hour)) for hour in range(24 * 120)]
    gone = set(too_old(kept))
    left = [number for number, _ in kept if number not in gone]
    assert left[-KEPT_NEWEST:] == list(range(24 * 120))[-KEPT_NEWEST:]
    assert len(left) == coverage_facts.KEPT_DAYS + KEPT_NEWEST
    assert all(number % 24 == 23 for number in left[:-KEPT_NEWEST])
    assert too_old([]) == []


def test_production_is_compared_anew_where_anything_is_new(parts: FakeParts) -> None:
    assert (compare_anew(parts, quiet), keep_map(parts, quiet)) == ("", "")
    ingest(parts, quiet)
    assert compare_anew(parts, quiet) == ""
    analyze(parts, quiet)
    assert compare_anew(parts, quiet) == "0 gaps shown, 1 suspected"
    assert compare_anew(parts, quiet) == ""
    assert keep_map(parts, quiet) == "a map of 74 frames made"
    assert keep_map(parts, quiet) == ""
    label_all(parts.project)
    assert compare_anew(parts, quiet) != ""
    with read(parts.project.engine) as session:
        assert len(page_fact_dates(session, COVERAGE)) == 2
        assert len(page_fact_dates(session, CROSSED)) == 1


def test_what_is_kept_in_an_older_form_is_made_anew(
    analyzed: FakeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert compare_anew(analyzed, quiet) != ""
    assert compare_anew(analyzed, quiet) == ""
    monkeypatch.setattr("loop.gaps.upkeep.COVERAGE", "coverage/next")
    assert compare_anew(analyzed, quiet) != ""
