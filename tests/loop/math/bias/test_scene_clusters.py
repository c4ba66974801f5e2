"""Scenes are where frames were taken, not what stands in them."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import homogeneity_score

from loop.math.bias.scene_clusters import scene_clusters


def views(seed: int, object_size: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """24 camera-days of 4 places; a class that half of the days show all the time changes vectors."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(24), 10)
    place = group % 4
    often = (group // 4) % 2 == 0
    presence = rng.random(len(group)) < np.where(often, 0.9, 0.1)
    vectors = rng.normal(size=(4, 32))[place] + 0.2 * rng.normal(size=(len(group), 32))
    vectors += object_size * presence[:, None] * rng.normal(size=32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), presence[:, None], group, place


def test_days_of_one_place_share_a_scene_whatever_stands_there() -> None:
    by_object = []
    for seed in range(5):
        vectors, presence, group, place = views(seed, object_size=4.0)
        scene = scene_clusters(vectors, presence, group, seed)
        assert all(len(np.unique(scene[group == one])) == 1 for one in range(24))
        assert homogeneity_score(place, scene) > 0.99, "no scene holds days of two places"
        untold = scene_clusters(vectors, np.zeros_like(presence), group, seed)
        by_object.append(homogeneity_score(place, untold))
    assert np.mean(by_object) < 0.9, "what stands there would make scenes of its own"


def test_what_has_too_few_frames_is_unknown() -> None:
    vectors, presence, group, _ = views(0, 0.0)
    alone = group.copy()
    alone[:2] = 900
    scene = scene_clusters(vectors, presence, alone, 0)
    assert (scene[:2] == -1).all()
    assert (scene[2:] >= 0).all()
    assert (scene_clusters(vectors[:20], presence[:20], group[:20], 0) == -1).all()
