"""The map for pages: its points are the frames, its layers the sets that they are said to be."""

from __future__ import annotations

import numpy as np
import pytest

from connectors.ports import Box
from db.engine import read, write
from db.frames import frames
from db.labels import set_label
from loop.analysis.analyze import analyze
from loop.gaps import coverage_view
from loop.gaps.upkeep import keep_map
from loop.ingest.ingest import ingest
from loop.insights.frame_query import FrameQuery
from loop.insights.frames import frame_sets
from loop.insights.lasso import frames_in
from loop.insights.space import LAYERS, NO_CLASS, map_points, map_view, point_frame
from loop.selection import select
from loop.selection.select import Request
from tests.fakes import FakeParts, quiet


@pytest.fixture
def mapped(parts: FakeParts) -> FakeParts:
    ingest(parts, quiet)
    analyze(parts, quiet)
    view = coverage_view.build(parts, quiet)
    select.select_from(parts.project, view, Request(8, "hybrid"))
    with write(parts.project.engine) as session:  # a box where the detector sees none
        set_label(session, 3, [Box(parts.project.classes[0], (0.0, 0.0, 4.0, 4.0))], "train", "annotation")
    keep_map(parts, quiet)
    return parts


def test_without_a_map_there_is_nothing(parts: FakeParts) -> None:
    assert map_points(parts) is None
    assert map_view(parts) is None
    assert frames_in(parts.project, "0-0_9-9_9-0").tolist() == []
    assert point_frame(parts.project, 10**6) is None


@pytest.mark.parametrize("layer", list(LAYERS))
def test_each_layer_shows_the_set_that_its_number_leads_to(mapped: FakeParts, layer: str) -> None:
    points, view = map_points(mapped), map_view(mapped)
    assert points is not None
    assert view is not None
    bit, address = LAYERS[layer]
    sets = frame_sets(mapped)
    wanted = sets.ids(sets.find(FrameQuery.parse(address)))
    assert sorted(wanted.tolist()) == points.frames[(points.layer & bit) > 0].tolist()
    assert view.counts[layer] == len(wanted) > 0


def test_a_point_has_ten_bytes(mapped: FakeParts) -> None:
    points = map_points(mapped)
    assert points is not None
    body, n = points.body(), len(points)
    assert (n, len(body)) == (74, 740)
    seq = np.frombuffer(body, "<u4", n)
    x, y = np.frombuffer(body, "<u2", 2 * n, 4 * n).reshape(2, n)
    layer, kind = np.frombuffer(body, "u1", 2 * n, 8 * n).reshape(2, n)
    np.testing.assert_array_equal(seq, points.frames)
    np.testing.assert_allclose(np.column_stack([x, y]) / 65535, points.plane, atol=1e-5)
    np.testing.assert_array_equal(layer, points.layer)
    assert set(kind.tolist()) <= {0, 1, NO_CLASS}


def test_the_class_of_a_point_is_that_of_its_surest_box(mapped: FakeParts) -> None:
    points = map_points(mapped)
    assert points is not None
    view = coverage_view.build(mapped, quiet)
    for row, seq in enumerate(view.production.seq.tolist()):
        found = view.detections[row]
        surest = int(found.class_id[np.argmax(found.confidence)]) if len(found.confidence) else NO_CLASS
        assert points.class_id[points.frames == seq].tolist() == [surest]


def test_a_part_of_the_map_is_a_set_of_frames(mapped: FakeParts) -> None:
    points, view, sets = map_points(mapped), map_view(mapped), frame_sets(mapped)
    assert points is not None
    assert view is not None
    for cell in view.cells:
        found = sets.ids(sets.find(FrameQuery.parse({"in": cell.area})))
        assert sorted(found.tolist()) == frames_in(mapped.project, cell.area).tolist()
        square = (points.plane >= [cell.x, cell.y]) & (
            points.plane < [cell.x + cell.size, cell.y + cell.size]
        )
        assert set(found.tolist()) ^ set(points.frames[square.all(axis=1)].tolist()) <= set(
            points.frames[(points.plane == 1).any(axis=1)].tolist()
        )
    assert sum(cell.frames for cell in view.cells) == len(points)


def test_what_stands_beside_the_points(mapped: FakeParts) -> None:
    view = map_view(mapped)
    assert view is not None
    assert (view.frames, view.points, view.added) == (74, 74, 0)
    assert sum(map(len, view.drawn.values())) == 74
    assert view.classes == mapped.project.classes
    for region in view.regions:
        sets = frame_sets(mapped)
        assert sets.find(FrameQuery.parse(f"slice={region.slice_id}")).count == region.frames
        assert region.known
    assert view.regions
    with read(mapped.project.engine) as session:
        [row] = frames(session, seqs=[3])
    told = point_frame(mapped.project, 3)
    assert told is not None
    assert (told.content_hash, told.file, told.camera) == (row.content_hash, row.source_key, row.camera)
