"""What was measured on real clips is told as it is, and holds for some of them anew."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks import near_duplicates_real, regions_real
from benchmarks.near_duplicates_real import by_tracks, told_apart, views
from benchmarks.real_clips import noisy, read_clip, small_clip, stored
from benchmarks.regions_real import Known, halves, judged
from connectors.clip.embedder import ClipEmbedder
from tests.studio import absent


def test_tables_tell_every_case() -> None:
    near = near_duplicates_real.table()
    cases = stored(near_duplicates_real.RESULTS)["now"]["cases"]
    assert near.count("\n") == len(cases) + 2
    assert all(f"| {case['name']} | {case['frames']:,} |" in near for case in cases)
    found = regions_real.table()
    assert found.count("\n") == 8
    assert "| nothing new: with a false region |" in found


@pytest.fixture(scope="module")
def data() -> Path:
    folder = Path(os.environ.get("FIELDLOOP_DATA") or "../shared/data")
    if not (folder / "street_cam").is_dir():
        absent(f"the real data is not in {folder}; FIELDLOOP_DATA names its folder")
    return folder


@pytest.fixture(scope="module")
def embedder() -> ClipEmbedder:
    return small_clip()


@pytest.mark.slow
def test_a_highway_and_a_still_picture_of_it_are_thinned(data: Path, embedder: ClipEmbedder) -> None:
    clip = read_clip(data, "highway", 300)
    vectors = embedder.embed(list(clip.images))
    assert 12 <= len(np.unique(views(vectors, clip.seconds))) <= 60
    pictures = embedder.embed(noisy(clip.images[0], 8, 100))
    assert len(np.unique(views(pictures, clip.seconds[:100]))) <= 3


@pytest.mark.slow
def test_a_street_is_not_thinned_beyond_what_its_tracks_show(data: Path, embedder: ClipEmbedder) -> None:
    clip = read_clip(data, "street")
    vectors = embedder.embed(list(clip.images))
    view = views(vectors, clip.seconds)
    overlap = by_tracks(data)
    assert len(np.unique(view)) <= told_apart(overlap > 0.8)
    assert near_duplicates_real.lost(overlap, view) <= 0.1
    street = Known(clip.fps, vectors, {})
    nothing = judged(regions_real.case("street, halves", [halves(street, 1)]))
    assert nothing == {"known": {"false": [], "right": []}, "unknown": {"false": [], "right": []}}
    car = embedder.embed(list(read_clip(data, "highway 2", 40).images))
    found = judged(regions_real.case("street, another camera", [halves(street, 1)], car))
    for told in found.values():
        assert sum(told["right"]) >= 20
