"""A map that was made once is kept: places stay, and new frames are placed on it."""

from __future__ import annotations

import numpy as np
import pytest

from loop.analysis.analyze import analyze
from loop.analysis.producers import producers
from loop.gaps import space_map as maps
from loop.gaps.kept_map import kept_map
from loop.gaps.space_map import map_of, space_map
from loop.ingest.ingest import ingest
from loop.math.coverage.projection import project as project_plane
from tests.fakes import FakeParts, quiet


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


VECTORS = unit(np.random.default_rng(0).normal(size=(200, 16)) + 4 * np.eye(4, 16).repeat(50, axis=0))
FRAMES = np.arange(200)


def test_places_stay_and_new_frames_join_them(parts: FakeParts, monkeypatch: pytest.MonkeyPatch) -> None:
    mixed = np.sort(np.random.default_rng(1).permutation(200)[:180])
    first = space_map(parts.project, 1, mixed, VECTORS[mixed], 0)
    assert (first.added, first.plane.shape) == (0, (180, 2))
    monkeypatch.setattr(maps, "project_plane", lambda *_: pytest.fail("made anew"))
    again = space_map(parts.project, 1, FRAMES, VECTORS, 0)
    assert (again.added, again.made) == (20, first.made)
    np.testing.assert_array_equal(again.plane[mixed], first.plane)
    third = space_map(parts.project, 1, FRAMES, VECTORS, 0)
    np.testing.assert_array_equal(third.plane, again.plane)
    late = np.setdiff1d(FRAMES, mixed)
    kinds = FRAMES // 50
    distance = np.linalg.norm(again.plane[late][:, None] - first.plane[None], axis=2)
    assert (kinds[mixed][distance.argmin(axis=1)] == kinds[late]).mean() > 0.9


def test_a_map_of_mostly_new_frames_is_made_anew(parts: FakeParts) -> None:
    first = space_map(parts.project, 1, FRAMES[:100], VECTORS[:100], 0)
    second = space_map(parts.project, 1, FRAMES[50:], VECTORS[50:], 0)
    assert (second.added, second.made > first.made) == (0, True)


@pytest.mark.slow
@pytest.mark.parametrize("damage", [b"", b"no map", b"PK\x03\x04 cut"])
def test_a_damaged_map_is_made_anew(parts: FakeParts, damage: bytes) -> None:
    first = space_map(parts.project, 1, FRAMES, VECTORS, 0)
    maps.map_path(parts.project, 1).write_bytes(damage)
    np.testing.assert_array_equal(space_map(parts.project, 1, FRAMES, VECTORS, 0).plane, first.plane)


def test_a_map_made_anew_lies_as_the_one_before(parts: FakeParts) -> None:
    first = space_map(parts.project, 1, FRAMES[::2], VECTORS[::2], 0)
    second = space_map(parts.project, 1, FRAMES, VECTORS, 0)
    assert (second.added, second.made > first.made) == (0, True)
    moved = np.linalg.norm(second.plane[::2] - first.plane, axis=1)
    unlike = np.linalg.norm(project_plane(VECTORS, 3)[::2] - first.plane, axis=1)
    assert np.median(moved) < 0.15
    assert np.median(moved) < np.median(unlike)


def test_most_frames_lie_beside_landmarks_and_few_of_training_are_kept(
    parts: FakeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maps, "LANDMARKS", 60)
    monkeypatch.setattr(maps, "AT_ONCE", 32)
    told: list[tuple[int, int]] = []
    trained = FRAMES >= 180
    found = space_map(
        parts.project, 1, FRAMES, VECTORS, 0, trained, lambda done, total, what: told.append((done, total))
    )
    assert (found.landmark.sum(), found.landmark[trained].all(), found.own.all()) == (60, True, True)
    assert told[0] == (0, 200)
    assert told[-1] == (200, 200)
    distance = np.linalg.norm(found.plane[:, None] - found.plane[found.landmark][None], axis=2)
    kinds = FRAMES // 50
    assert (kinds[found.landmark][distance.argmin(axis=1)] == kinds).mean() > 0.9


def test_by_hand_it_is_made_anew(parts: FakeParts) -> None:
    first = space_map(parts.project, 1, FRAMES, VECTORS, 0)
    assert space_map(parts.project, 1, FRAMES, VECTORS, 0).made == first.made
    assert space_map(parts.project, 1, FRAMES, VECTORS, 0, anew=True).made > first.made


def test_all_analyzed_frames_are_on_the_map(parts: FakeParts, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest(parts, quiet)
    analyze(parts, quiet)
    made = producers(parts).embedder
    found = map_of(parts.project, made, quiet)
    rows, known = found.rows(np.array([3, 10**9]))
    assert (len(found), found.frames[rows[0]], known.tolist()) == (42 + 32, 3, [True, False])
    kept = kept_map(parts.project, made)
    assert kept is not None
    np.testing.assert_array_equal(kept.plane, found.plane)
    monkeypatch.setattr(maps, "MOST", 50)
    few = map_of(parts.project, made, quiet)
    assert len(few) == 50
    np.testing.assert_array_equal(few.plane, found.plane[found.rows(few.frames)[0]])
