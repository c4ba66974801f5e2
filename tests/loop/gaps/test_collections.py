"""Collections: rules gather frames, examples bring those like them, and what comes in is added."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from db.engine import read
from db.frames import frames
from db.slice_members import load_counts, members
from db.slices import slice_totals, slices
from db.states import Origin, SliceKind
from loop.analysis.producers import producers
from loop.changes.audit import Who
from loop.changes.collections import make_by_rules
from loop.gaps import coverage_view
from loop.gaps import slices as recording
from loop.gaps.arrivals import analyze
from loop.ingest.ingest import ingest
from loop.settings.collections import Address, built_in
from tests.fakes import FakeParts, quiet, write_frames


def member_names(parts: FakeParts) -> dict[str, list[int]]:
    measure = producers(parts).measure
    with read(parts.project.engine) as session:
        rows = slices(session, [SliceKind.COLLECTION])
        return {row.name: members(session, measure, row.id)[0].tolist() for row in rows}


def dark_frames(parts: FakeParts) -> list[int]:
    with read(parts.project.engine) as session:
        rows = frames(session, origin=Origin.PRODUCTION)
    return [row.seq for row in rows if int(Path(row.source_key).stem.split("-")[-1]) >= 36]


def test_a_comparison_gathers_the_built_in_collections(analyzed: FakeParts) -> None:
    coverage_view.build(analyzed, quiet)
    found = member_names(analyzed)
    assert set(found) == set(built_in())
    assert found["night"] == dark_frames(analyzed)
    assert found["crowds"] == []


def test_a_comparison_that_finds_the_same_writes_nothing(
    analyzed: FakeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    coverage_view.build(analyzed, quiet)
    make_by_rules(analyzed, Who("ann", "page"), "gate", [Address("camera=cam0")])
    coverage_view.build(analyzed, quiet)
    writes: list[object] = []
    for name in ("record_members", "record_counts", "save_recorded"):
        monkeypatch.setattr(recording, name, lambda *given, **more: writes.append(given))
    coverage_view.build(analyzed, quiet)
    assert writes == []


def test_what_comes_in_is_added_as_a_comparison_would(analyzed: FakeParts) -> None:
    coverage_view.build(analyzed, quiet)
    before = member_names(analyzed)["night"]
    write_frames(analyzed.project.root.parent / "incoming", bright=6, dark=6, first=500)
    ingest(analyzed, quiet)
    analyze(analyzed, quiet)
    added = member_names(analyzed)
    assert len(added["night"]) == len(before) + 6
    with read(analyzed.project.engine) as session:
        counted, totals = load_counts(session), slice_totals(session)
        ids = {row.name: row.id for row in slices(session, [SliceKind.COLLECTION])}
    assert totals[ids["night"]].inside == len(added["night"])
    coverage_view.build(analyzed, quiet)
    assert member_names(analyzed) == added
    with read(analyzed.project.engine) as session:
        again = load_counts(session)
    own = [np.isin(counts.slice_id, list(ids.values())) for counts in (counted, again)]
    for name in ("group", "slice_id", "known", "inside"):
        np.testing.assert_array_equal(getattr(counted, name)[own[0]], getattr(again, name)[own[1]])
