"""A map that was made once is kept: places stay, and new frames are placed on it."""

from __future__ import annotations

import numpy as np
import pytest

from loop.gaps import space_map as maps
from loop.gaps.space_map import space_map
from tests.fakes import FakeParts


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
    (parts.project.indexes / "map-1.npz").write_bytes(damage)
    np.testing.assert_array_equal(space_map(parts.project, 1, FRAMES, VECTORS, 0).plane, first.plane)
