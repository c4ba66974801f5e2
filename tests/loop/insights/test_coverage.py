"""Coverage as pages read it: what was found last, what changed since another day, two facets crossed."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import update

from db.engine import read, write
from db.page_facts import add_page_fact, latest_page_fact
from db.slices import slices
from db.states import SliceKind
from db.tables import PageFact, utcnow
from loop.base.errors import ConfigError
from loop.changes.audit import Who
from loop.changes.slices import give_name, retire
from loop.gaps.coverage_facts import COVERAGE, CROSSED
from loop.gaps.coverage_view import CoverageView
from loop.gaps.upkeep import compare
from loop.insights.coverage import LACKING, SHADES, compared, coverage, crossed
from loop.insights.frame_query import FrameQuery
from loop.insights.frames import frame_sets
from loop.math.coverage.facets import UNKNOWN
from tests.fakes import FakeParts, quiet

ADA = Who("Ada", "page")


def earlier(parts: FakeParts, days: int, change: Callable[[dict[str, Any]], None]) -> int:
    """The latest comparison again, changed and as if it were made so many days ago."""
    with write(parts.project.engine) as session:
        latest = latest_page_fact(session, COVERAGE)
        assert latest is not None
        value = deepcopy(latest.value)
        change(value)
        number = add_page_fact(session, COVERAGE, value)
        made = latest.made_at - timedelta(days=days)
        session.execute(update(PageFact).where(PageFact.id == number).values(made_at=made))
    return number


def test_gaps_are_those_of_the_comparison(view: CoverageView, parts: FakeParts) -> None:
    found = coverage(parts.project)
    assert found is not None
    assert [gap.slice_id for gap in found.gaps] == [view.slice_ids[gap.key] for gap in view.gaps]
    assert found.shown + found.suspected == found.gaps
    for gap, own in zip(view.gaps, found.gaps, strict=True):
        assert (own.name, own.production_share, own.interval) == (
            gap.name,
            gap.production_share,
            gap.interval,
        )
        assert own.missing == own.wanted - own.labeled > 0
        seqs = view.production.seq[gap.frames[:6]]
        assert [one.seq for one in own.examples] == seqs.tolist()
        assert (own.mark, own.then, own.retired) == ("", None, False)
    assert (found.production, found.training) == (42, 24)
    ages = {5: "just now", 70: "1 minute ago", 7300: "2 hours ago", 90_000: "1 day ago"}
    assert {seconds: replace(found, age_s=seconds).age for seconds in ages} == ages


def test_every_number_of_production_leads_to_so_many_frames(view: CoverageView, parts: FakeParts) -> None:
    found, sets = coverage(parts.project), frame_sets(parts)
    assert found is not None
    for gap in found.gaps:
        assert sets.find(gap.query).count == gap.frames
    options = [option for facet in found.facets for option in facet.options]
    assert len(options) > 3
    for option in options:
        assert sets.find(FrameQuery(slice=(option.slice_id or 0,))).count == option.production
        assert option.here is not None
        assert option.there is not None
        assert sets.find(option.here).count == option.production
        assert sets.find(option.there).count == option.training


def test_labels_that_close_a_gap_of_a_class_lead_to_the_frames_with_a_box_of_it(
    view: CoverageView, parts: FakeParts
) -> None:
    with write(parts.project.engine) as session:
        row = slices(session, [SliceKind.CLASS])[0]
        dark = slices(session, [SliceKind.MEASURED])[0]
        told = {"name": "x", "labeled": 2, "wanted": 30, "judged": 0}
        closing = [told | {"slice_id": row.id}, told | {"slice_id": dark.id}]
        add_page_fact(session, COVERAGE, _nothing() | {"closing": closing})
    found = coverage(parts.project)
    assert found is not None
    of_class, of_light = (one.trained.address() for one in found.closing)
    assert of_class == f"role=pool&counts_for={row.id}"
    assert of_light == f"role=pool&counts_for={dark.id}"


def test_cells_are_counts_and_lead_to_their_frames(view: CoverageView, parts: FakeParts) -> None:
    sets = frame_sets(parts)
    facets = {facet.key: facet for facet in view.facets}
    for row, column in (("camera", "daypart"), ("daypart", "camera"), ("camera", "brightness")):
        found = crossed(parts.project, row, column)
        assert found is not None
        assert (found.row_key, found.column_key, found.shown_as) == (row, column, LACKING)
        total = sum(cell.production for *_, cells in found.rows for cell in cells)
        assert total == len(view.production)
        for name, number, cells in found.rows:
            assert len(cells) == len(found.columns)
            for cell, (other, _) in zip(cells, found.columns, strict=True):
                assert cell.unknown == ("not known" in (name, other))
                if cell.query is not None:
                    assert sets.find(cell.query).count == cell.production
            if number is not None and row == "camera":
                code = facets["camera"].options.index(name)
                assert sum(cell.production for cell in cells) == int(
                    (facets["camera"].production == code).sum()
                )


def test_an_axis_without_a_choice_is_another_one(view: CoverageView, parts: FakeParts) -> None:
    found = crossed(parts.project)
    assert found is not None
    assert found.row_key != found.column_key
    assert crossed(parts.project, column=found.row_key).row_key != found.row_key  # type: ignore[union-attr]
    with pytest.raises(ConfigError, match=r"expected one of the facets .*, got 'nothing'"):
        crossed(parts.project, "nothing")
    with pytest.raises(ConfigError, match="expected two different facets"):
        crossed(parts.project, "camera", "camera")
    with pytest.raises(ConfigError, match="as: expected one of lacking, production, training, got 'x'"):
        crossed(parts.project, shown_as="x")


def test_it_begins_with_the_two_that_differ_most_together(parts: FakeParts) -> None:
    """Each alone is as in training; x and y meet in other cells, as y and z do of few frames."""
    even, turned = (
        [[50, 0, 0, 0], [0, 50, 0, 0], [0] * 4, [0] * 4],
        [[0, 50, 0, 0], [50, 0, 0, 0], [0] * 4, [0] * 4],
    )
    few = [[1, 0, 0, 0], [0, 1, 0, 99], [0] * 4, [0] * 4]
    axis = {"kind": "metadata", "slice_id": None, "none": False, "left_out": 0}
    options = [{"slice_id": None, "name": name} for name in ("a", "b")]
    tables = {
        "0 1": {"production": even, "training": turned},
        "0 2": {"production": even, "training": even},
        "1 2": {"production": few, "training": turned},
    }
    for order in (tables, dict(reversed(tables.items()))):
        with write(parts.project.engine) as session:
            of = add_page_fact(session, COVERAGE, _nothing())
            axes = [axis | {"key": key, "name": key, "options": options} for key in ("x", "y", "z")]
            add_page_fact(session, CROSSED, {"of": of, "axes": axes, "tables": order})
        found = crossed(parts.project)
        assert found is not None
        assert (found.row_key, found.column_key) == ("x", "y")


def test_what_was_kept_before_rarer_options_were_told_can_be_read(parts: FakeParts) -> None:
    axis = {"key": "x", "name": "x", "kind": "metadata", "none": True}
    known = {"production": 2, "training": 0}
    option = {"slice_id": None, "name": "a", "production": 1, "training": 0}
    with write(parts.project.engine) as session:
        facet = axis | {"options": [option], "known": known}
        of = add_page_fact(session, COVERAGE, _nothing() | {"facets": [facet]})
        axes = [axis | {"key": key, "options": [{"slice_id": None, "name": "a"}]} for key in ("x", "y")]
        tables = {"0 1": {"production": [[1, 0, 0]] * 3, "training": [[0, 0, 0]] * 3}}
        add_page_fact(session, CROSSED, {"of": of, "axes": axes, "tables": tables})
    found, table = coverage(parts.project), crossed(parts.project)
    assert found is not None
    assert table is not None
    assert [facet.left_out for facet in found.facets] == [0]
    assert [name for name, _ in table.columns] == ["a", "none of these", "not known"]


def test_shades_tell_which_side_has_more(parts: FakeParts) -> None:
    with write(parts.project.engine) as session:
        of = add_page_fact(session, COVERAGE, _nothing())
        axis = {"kind": "metadata", "slice_id": None, "none": False, "left_out": 0}
        options = [{"slice_id": None, "name": name} for name in ("a", "b")]
        axes = [axis | {"key": key, "name": key, "options": options} for key in ("x", "y")]
        tables = {
            "production": [[50, 0, 0, 0], [0, 50, 0, 0], [0] * 4, [0] * 4],
            "training": [[0, 20, 0, 0], [0, 20, 0, 9], [0] * 4, [0] * 4],
        }
        add_page_fact(session, CROSSED, {"of": of, "axes": axes, "tables": {"0 1": tables}})
    found = crossed(parts.project, "x", "y")
    assert found is not None
    shades = [[cell.shade for cell in cells] for *_, cells in found.rows]
    assert shades == [[SHADES, -SHADES, 0], [0, 0, 0], [0, 0, 0]]
    turned = crossed(parts.project, "y", "x")
    assert turned is not None
    np.testing.assert_array_equal(
        [[cell.shade for cell in cells] for *_, cells in turned.rows], np.transpose(shades)
    )
    assert found.rows[0][2][2].production_share is None


def _nothing() -> dict[str, Any]:
    return {"production": 100, "training": 40, "waiting": 0, "note": "", "compared": [], "gaps": []} | {
        "more_gaps": 0,
        "closing": [],
        "facets": [],
    }


def test_two_dates_tell_what_is_new_and_gone_and_changed(view: CoverageView, parts: FakeParts) -> None:
    assert compared(parts.project) is None
    [first, *_] = view.gaps

    def change(value: dict[str, Any]) -> None:
        gone = dict(value["gaps"][0], slice_id=value["facets"][0]["options"][0]["slice_id"], name="fog")
        value["gaps"] = [dict(value["gaps"][0], production_share=0.01), gone]
        option = value["facets"][0]["options"][0]
        option["production"] //= 2

    then = earlier(parts, 3, change)
    found = compared(parts.project)
    assert found is not None
    assert (found.then.id, found.now.id) == (then, coverage(parts.project).id)  # type: ignore[union-attr]
    marks = {gap.name: gap.mark for gap in found.gaps}
    assert marks[first.name] == ("grew" if first.interval and first.interval[0] > 0.01 else "")
    assert set(marks.values()) - {marks[first.name]} <= {"new"}
    assert [gap.name for gap in found.gone] == ["fog"]
    [largest, *rest] = found.changes
    facet = found.now.facets[0]
    assert (largest.facet, largest.name) == (facet.name, facet.options[0].name)
    assert largest.production_then == pytest.approx((largest.production_now or 0) / 2, abs=0.02)
    assert all(one.size <= largest.size for one in rest)
    backwards = compared(parts.project, found.now.id, then)
    assert backwards is not None
    assert "fog" in [gap.name for gap in backwards.gaps if gap.mark == "new"]
    with pytest.raises(ConfigError, match="expected the id of a comparison that is kept"):
        compared(parts.project, then=10**6)


def test_the_latest_is_marked_against_the_day_before(view: CoverageView, parts: FakeParts) -> None:
    def change(value: dict[str, Any]) -> None:
        value["gaps"] = []

    earlier(parts, 2, change)
    found = coverage(parts.project)
    assert found is not None
    assert {gap.mark for gap in found.gaps} == {"new"}


def test_names_and_retirement_are_those_of_now(view: CoverageView, parts: FakeParts) -> None:
    number = view.slice_ids[view.gaps[0].key]
    give_name(parts.project, ADA, number, "the ramp")
    retire(parts.project, ADA, number)
    found = coverage(parts.project)
    assert found is not None
    assert (found.gaps[0].name, found.gaps[0].retired) == ("the ramp", True)
    assert found.retired == ((number, "the ramp"),)
    compare(parts, quiet)
    again = coverage(parts.project)
    assert again is not None
    assert number not in [gap.slice_id for gap in again.gaps]


def test_nothing_is_there_before_the_first_comparison(parts: FakeParts) -> None:
    assert coverage(parts.project) is None
    assert compared(parts.project) is None
    assert crossed(parts.project) is None
    assert coverage(parts.project, 3) is None


def test_what_is_unknown_is_no_share(view: CoverageView, parts: FakeParts) -> None:
    found = coverage(parts.project)
    assert found is not None
    known = {facet.key: (facet.known_production, facet.known_training) for facet in found.facets}
    for facet in view.facets:
        if known.get(facet.key, (0, 1))[1] == 0:
            assert (facet.training == UNKNOWN).all()
            [own] = [each for each in found.facets if each.key == facet.key]
            assert {option.training_share for option in own.options} == {None}
    assert 0 in {training for _, training in known.values()}
    assert found.made_at <= utcnow()
    with read(parts.project.engine) as session:
        assert latest_page_fact(session, COVERAGE, found.made_at - timedelta(days=1)) is None
