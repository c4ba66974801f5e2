"""Frames that come in after a comparison are counted as the next comparison counts them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from db.engine import read
from db.slice_members import load_counts, members
from db.slices import slices
from db.states import SliceKind
from loop.analysis import producers
from loop.gaps import coverage_view
from loop.gaps.arrivals import analyze
from loop.ingest.ingest import ingest
from tests.fakes import FakeParts, picture, quiet, write_frames
from tests.loop.judged import Killed, promoted_before

Found = tuple[dict[tuple[int, int], tuple[int, int]], dict[int, set[int]]]


def recorded(parts: FakeParts) -> Found:
    """What is counted of each slice and group, and who is in each slice but the regions."""
    made = producers.producers(parts)
    with read(parts.project.engine) as session:
        counts = load_counts(session)
        rows = slices(session)
        regions = {row.id for row in rows if row.kind is SliceKind.REGION or row.key == "region"}
        inside = {
            row.id: {
                int(seq)
                for producer in (made.embedder, made.detector, made.measure)
                for seq in members(session, producer, row.id)[0]
            }
            for row in rows
            if row.id not in regions
        }
    pairs = zip(counts.slice_id.tolist(), counts.group.tolist(), strict=True)
    values = zip(counts.known.tolist(), counts.inside.tolist(), strict=True)
    counted = dict(zip(pairs, values, strict=True))
    return {key: value for key, value in counted.items() if key[0] not in regions}, inside


@pytest.fixture
def compared(parts: FakeParts) -> FakeParts:
    ingest(parts, quiet)
    analyze(parts, quiet)
    coverage_view.build(parts, quiet)
    return parts


def come_in(parts: FakeParts, first: int, **counts: int) -> None:
    write_frames(parts.project.root.parent / "incoming", first=first, **counts)
    ingest(parts, quiet)
    analyze(parts, quiet)


def test_what_comes_in_is_counted_as_a_comparison_counts_it(compared: FakeParts) -> None:
    before = recorded(compared)
    come_in(compared, 500, bright=9, dark=4)
    come_in(compared, 700, bright=3, dark=2)
    added = recorded(compared)
    assert added != before
    coverage_view.build(compared, quiet)
    assert recorded(compared) == added


def test_before_the_first_comparison_nothing_is_counted(parts: FakeParts) -> None:
    ingest(parts, quiet)
    analyze(parts, quiet)
    counted, inside = recorded(parts)
    assert (counted, inside) == ({}, {})


def test_frames_that_were_counted_are_not_counted_again(compared: FakeParts) -> None:
    come_in(compared, 500, bright=5, dark=1)
    added = recorded(compared)
    analyze(compared, quiet)
    assert recorded(compared) == added


def test_how_novel_a_frame_is_is_known_once_it_is_analyzed(
    compared: FakeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    come_in(compared, 500, bright=5, dark=1)
    monkeypatch.setattr("db.vectors.VectorStore.search", lambda *_: pytest.fail("searched again"))
    assert len(coverage_view.build(compared, quiet).production) == 48


def test_the_models_of_another_day_count_nothing(compared: FakeParts, folder: Path) -> None:
    before = recorded(compared)
    compared.dead.add("detector")
    (folder / "incoming" / "cam0" / "late.jpg").write_bytes(picture(seed=901))
    ingest(compared, quiet)
    assert analyze(compared, quiet).failures
    assert recorded(compared) == before
    compared.dead.clear()
    analyze(compared, quiet)
    counted, _ = recorded(compared)
    assert sum(known for known, _ in counted.values()) > sum(known for known, _ in before[0].values())
    assert np.array_equal(sorted(counted), sorted(recorded(compared)[0]))


def test_frames_that_a_comparison_by_new_models_did_not_see_are_counted_later(compared: FakeParts) -> None:
    def killed_halfway(done: int, total: int, what: str) -> None:
        if what == "frames" and done > total / 2:
            raise Killed

    promoted_before(compared)
    with pytest.raises(Killed):
        analyze(compared, killed_halfway)
    seen = coverage_view.build(compared, quiet)
    assert 0 < len(seen.production) < 42
    analyze(compared, quiet)
    added = recorded(compared)
    assert len(coverage_view.build(compared, quiet).production) == 42
    assert recorded(compared) == added
