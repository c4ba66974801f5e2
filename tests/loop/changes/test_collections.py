"""What people make of collections: by rule, sentence and example; every change undone and on record."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from db.changes import changes
from db.engine import read
from db.errors import StateError
from db.frames import frames
from db.slice_members import load_counts, members
from db.slices import slice_totals, slices
from db.states import Origin
from loop.analysis.producers import producers
from loop.base.errors import ConfigError
from loop.changes import collections as changing
from loop.changes.audit import Who
from loop.gaps import coverage_view
from loop.gaps.arrivals import analyze
from loop.gaps.kept_map import keep_map as store_map
from loop.gaps.kept_map import map_path, stored_map
from loop.gaps.slices import record_collection
from loop.gaps.upkeep import keep_map
from loop.ingest.ingest import ingest
from loop.insights.collections import all_collections, one_collection
from loop.insights.frame_query import FrameQuery
from loop.insights.frames import frame_sets
from loop.insights.space import map_view
from loop.settings.collections import Address, Crowd
from tests.fakes import FakeParts, quiet, write_frames

ANN = Who("ann", "page")
DARK_FROM = 36


def inside(parts: FakeParts, number: int, origin: Origin = Origin.PRODUCTION) -> set[int]:
    with read(parts.project.engine) as session:
        own = {row.seq for row in frames(session, origin=origin)}
        return own & set(members(session, producers(parts).measure, number)[0].tolist())


def seqs(parts: FakeParts, dark: bool) -> list[int]:
    """Production frames, those that are dark or those that are not."""
    with read(parts.project.engine) as session:
        rows = frames(session, origin=Origin.PRODUCTION)
    return [row.seq for row in rows if (number_of(row.source_key) >= DARK_FROM) == dark]


def number_of(key: str) -> int:
    return int(Path(key).stem.split("-")[-1])


def counted(parts: FakeParts, number: int) -> int:
    with read(parts.project.engine) as session:
        return int(load_counts(session, slice_ids=[number]).inside.sum())


def test_a_rule_gathers_at_once_and_counts(analyzed: FakeParts) -> None:
    number = changing.make_by_rules(analyzed, ANN, "one camera", [Address("camera=cam0")])
    with read(analyzed.project.engine) as session:
        rows = frames(session, origin=Origin.PRODUCTION)
    assert inside(analyzed, number) == {row.seq for row in rows if row.camera == "cam0"}
    assert counted(analyzed, number) == len(inside(analyzed, number)) > 0
    with read(analyzed.project.engine) as session:
        total = slice_totals(session)[number]
    assert (total.known, total.inside) == (len(rows), counted(analyzed, number))


def test_a_sentence_gathers_what_it_describes(analyzed: FakeParts) -> None:
    number = changing.make_by_sentence(analyzed, ANN, "in the dark", "a photo at night")
    assert inside(analyzed, number) == set(seqs(analyzed, dark=True))


def test_examples_bring_those_like_them_and_stay_in(analyzed: FakeParts) -> None:
    dark, bright = seqs(analyzed, dark=True), seqs(analyzed, dark=False)
    number = changing.make_by_examples(analyzed, ANN, "like these", dark[:2] + dark[-1:])
    assert inside(analyzed, number) == set(dark)
    changing.change_examples(analyzed, ANN, number, add=bright[:1], exclude=dark[:1])
    now = inside(analyzed, number)
    assert bright[0] in now
    assert dark[0] not in now
    changing.change_examples(analyzed, ANN, number, remove=[bright[0], dark[0]])
    assert one_collection(analyzed.project, number).excluded == ()
    assert bright[0] not in inside(analyzed, number)


def test_what_somebody_looks_at_becomes_a_collection(analyzed: FakeParts) -> None:
    """A rule where frames do not leave the set by themselves, else the frames as they are now."""
    coverage_view.build(analyzed, quiet)
    dark = set(seqs(analyzed, dark=True))
    with read(analyzed.project.engine) as session:
        (night,) = [row.id for row in slices(session) if row.key == "brightness/dark"]
    made = {
        address: changing.make_from_frames(analyzed, ANN, f"set {place}", address)
        for place, address in enumerate(
            (
                f"slice={night}&order=clearest",
                "q=a+photo+at+night",
                "labeled=no&camera=cam1",
                "/frames?from=2026-03-02&to=2026-03-02",
            )
        )
    }
    by_rule, by_sentence, as_now, by_day = made.values()
    picked = changing.make_from_frames(analyzed, ANN, "picked", sorted(dark)[:3])
    assert inside(analyzed, by_sentence) == inside(analyzed, picked) == dark
    assert inside(analyzed, by_rule) == inside(analyzed, night) > dark
    found = {number: one_collection(analyzed.project, number) for number in (*made.values(), picked)}
    assert [found[number].how for number in (*made.values(), picked)] == [
        "rules",
        "sentence",
        "examples",
        "rules",
        "examples",
    ]
    assert inside(analyzed, as_now) == set(found[as_now].examples)
    with read(analyzed.project.engine) as session:
        rows = frames(session, origin=Origin.PRODUCTION)
    assert inside(analyzed, as_now) == {row.seq for row in rows if row.camera == "cam1"}
    assert inside(analyzed, by_day) == {
        row.seq for row in rows if row.captured_at and row.captured_at.date() == date(2026, 3, 2)
    }
    of_another = changing.make_from_frames(analyzed, ANN, "of another", f"slice={by_rule}")
    assert inside(analyzed, of_another) == inside(analyzed, by_rule)
    for nothing in ("", "order=oldest", "camera=nowhere&labeled=no"):
        with pytest.raises(ConfigError, match="expected"):
            changing.make_from_frames(analyzed, ANN, "nothing", nothing)


def test_frames_as_they_are_bring_no_others(analyzed: FakeParts) -> None:
    dark = seqs(analyzed, dark=True)
    number = changing.make_by_examples(analyzed, ANN, "just these", dark[:2], alike=False)
    assert inside(analyzed, number) == set(dark[:2])


@pytest.mark.parametrize("compared", [False, True])
def test_a_collection_of_ones_own_follows_what_comes_in(analyzed: FakeParts, compared: bool) -> None:
    if compared:
        coverage_view.build(analyzed, quiet)
    number = changing.make_by_sentence(analyzed, ANN, "in the dark", "a photo at night")
    if not compared:
        coverage_view.build(analyzed, quiet)
    assert inside(analyzed, number) == set(seqs(analyzed, dark=True))
    write_frames(analyzed.project.root.parent / "incoming", bright=0, dark=6, first=500)
    ingest(analyzed, quiet)
    analyze(analyzed, quiet)
    assert inside(analyzed, number) == set(seqs(analyzed, dark=True))
    assert counted(analyzed, number) == 12
    coverage_view.build(analyzed, quiet)
    assert inside(analyzed, number) == set(seqs(analyzed, dark=True))
    assert counted(analyzed, number) == 12


def test_what_is_changed_after_a_comparison_stays_through_the_next(analyzed: FakeParts) -> None:
    coverage_view.build(analyzed, quiet)
    dark = seqs(analyzed, dark=True)
    number = changing.make_by_examples(analyzed, ANN, "just these", dark[:4], alike=False)
    coverage_view.build(analyzed, quiet)
    changing.change_examples(analyzed, ANN, number, remove=dark[1:3])
    assert counted(analyzed, number) == 2
    coverage_view.build(analyzed, quiet)
    assert inside(analyzed, number) == {dark[0], dark[3]}
    assert counted(analyzed, number) == 2


def test_a_retired_one_keeps_what_it_held(analyzed: FakeParts) -> None:
    coverage_view.build(analyzed, quiet)
    number = changing.make_by_sentence(analyzed, ANN, "in the dark", "a photo at night")
    changing.retire(analyzed, ANN, number)
    write_frames(analyzed.project.root.parent / "incoming", bright=0, dark=6, first=500)
    ingest(analyzed, quiet)
    analyze(analyzed, quiet)
    for _ in range(2):
        coverage_view.build(analyzed, quiet)
        assert len(inside(analyzed, number)) == counted(analyzed, number) == 6
    assert changing.restore(analyzed, ANN, number) == counted(analyzed, number) == 12


def test_changes_are_on_record_and_undone(analyzed: FakeParts) -> None:
    project = analyzed.project
    number = changing.make_by_rules(analyzed, ANN, "crowd", [Crowd(1)])
    changing.rename(analyzed, ANN, number, "many")
    assert one_collection(project, number).name == "many"
    changing.rename(analyzed, ANN, number, "")
    assert one_collection(project, number).name == "crowd"
    changing.set_judged(analyzed, ANN, number, False)
    changing.set_tab(analyzed, ANN, number, True)
    found = one_collection(project, number)
    assert (found.judged, found.tab) == (False, True)
    changing.retire(analyzed, ANN, number)
    assert number not in [view.id for view in all_collections(project)]
    assert number in [view.id for view in all_collections(project, every=True)]
    before = inside(analyzed, number)
    assert changing.restore(analyzed, ANN, number) == len(before) > 0
    with read(project.engine) as session:
        noted = [(row.who, row.what) for row in changes(session, 20, subject=f"collection {number}")]
    assert noted == [
        ("ann", "collection restored"),
        ("ann", "collection retired"),
        ("ann", "tab of a collection wanted"),
        ("ann", "collection judged no longer"),
        ("ann", "collection renamed"),
        ("ann", "collection renamed"),
        ("ann", "collection made"),
    ]


def test_what_cannot_be_made_is_refused_and_leaves_nothing(analyzed: FakeParts) -> None:
    number = changing.make_by_rules(analyzed, ANN, "crowd", [Crowd(1)])
    for make, expected in (
        (lambda: changing.make_by_rules(analyzed, ANN, "Crowd", [Crowd(2)]), "a name of its own"),
        (lambda: changing.make_by_rules(analyzed, ANN, " \n ", [Crowd(2)]), "a name of 1 to 200"),
        (lambda: changing.make_by_rules(analyzed, ANN, "12", [Crowd(2)]), "a name that is no number"),
        (lambda: changing.make_by_rules(analyzed, ANN, "none", []), "got none"),
        (lambda: changing.make_by_sentence(analyzed, ANN, "x", "an xyzzy"), "words that the embedder knows"),
        (lambda: changing.make_by_examples(analyzed, ANN, "x", []), "1 to 20000 frames"),
        (lambda: changing.make_by_examples(analyzed, ANN, "x", [999_999]), "frames of this project"),
        (
            lambda: changing.make_by_rules(analyzed, ANN, "x", [Address(f"slice={number}")]),
            "slices that are no collections",
        ),
    ):
        with pytest.raises(ConfigError, match=expected):
            make()
    with pytest.raises(StateError, match="the number of a collection"):
        changing.rename(analyzed, ANN, number - 1, "x")
    assert [view.id for view in all_collections(analyzed.project) if not view.built_in] == [number]


def test_a_lasso_that_was_kept_holds_its_frames_when_the_map_is_made_anew(analyzed: FakeParts) -> None:
    keep_map(analyzed, quiet)
    view, sets = map_view(analyzed), frame_sets(analyzed)
    assert view is not None
    query = FrameQuery.parse(f"in={max(view.cells, key=lambda cell: cell.frames).area}&origin=production")
    found = sets.find(query)
    assert found.note.startswith("these lie in that part of the map as it is now; a collection of them keeps")
    number = changing.make_from_frames(analyzed, ANN, "a corner", query)
    kept = set(sets.ids(found).tolist())
    assert inside(analyzed, number) == kept != set()
    _turn_map(analyzed)
    later = sets.find(query)
    assert set(sets.ids(later).tolist()) != kept
    assert later.note.startswith("the map was made anew since this part of it was drawn")
    record_collection(analyzed, number, quiet)
    assert inside(analyzed, number) == kept


def _turn_map(parts: FakeParts) -> None:
    """A map that was made a minute later, on which everything lies elsewhere."""
    path = map_path(parts.project, producers(parts).embedder)
    found = stored_map(path)
    assert found is not None
    place = np.random.default_rng(0).permutation(len(found))
    store_map(path, replace(found, plane=found.plane[place], made=found.made + timedelta(minutes=1)))
