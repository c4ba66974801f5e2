"""How the small CLIP's account of what it knows is made."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import config
from connectors.clip.embedder import load_embedder
from connectors.clip.known_images import load_known
from demo.clip_known import Sizes, learned, limited, mixtures, write_known
from demo.clip_report import separation
from demo.foreign import foreign_pictures

FOLDER = Path(config.__path__[0]) / "clip_small"
FEW = Sizes((48, 24), 72, 24, 40)


def cloud(rng: np.random.Generator, count: int, *center: float) -> np.ndarray:
    vectors = rng.normal(0, 0.1, (count, 8)) + np.pad(center, (0, 8 - len(center)))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_a_network_tells_known_from_foreign_and_what_lies_between() -> None:
    rng = np.random.default_rng(0)
    here, there, elsewhere = ((1.0,), (0.0, 1.0), (0.0, 0.0, 1.0))
    known = np.concatenate([cloud(rng, 600, *here), cloud(rng, 600, *there)])
    between = mixtures(known, 600, 0)
    network = learned(known, np.concatenate([cloud(rng, 600, *elsewhere), between]), 0)
    fresh = np.concatenate([cloud(rng, 200, *here), cloud(rng, 200, *there)])
    for strange in (cloud(rng, 200, *elsewhere), cloud(rng, 200, 1.0, 1.0)):
        assert separation(network.strangeness(fresh), network.strangeness(strange)) > 0.98
    assert limited(network, fresh, 0.05).unlike(fresh).mean() == pytest.approx(0.05)


def test_mixtures_are_unit_vectors_of_known_ones() -> None:
    known = np.eye(6, dtype=np.float32)[:4]
    mixed = mixtures(known, 50, 3)
    np.testing.assert_allclose(np.linalg.norm(mixed, axis=1), 1, atol=1e-5)
    assert (mixed[:, :4] >= 0).all()
    assert not mixed[:, 4:].any()
    np.testing.assert_array_equal(mixed, mixtures(known, 50, 3))


@pytest.mark.slow
def test_foreign_pictures_are_many_and_the_same_for_a_seed() -> None:
    scenes = np.random.default_rng(0).integers(0, 256, (4, 112, 112, 3), dtype=np.uint8)
    first, again, other = (foreign_pictures(60, seed, scenes) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first.shape, first.dtype) == ((60, 112, 112, 3), np.uint8)
    assert (first != other).any(axis=(1, 2, 3)).all()
    assert len(np.unique(first.reshape(60, -1), axis=0)) == 60


@pytest.mark.slow
def test_the_same_seed_writes_the_same_account(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "clip")
    written = []
    for _ in range(2):
        write_known(tmp_path / "clip", tmp_path / "scenes", 5, FEW)
        written.append((tmp_path / "clip" / "known.npz").read_bytes())
    assert written[0] == written[1] != (FOLDER / "known.npz").read_bytes()
    embedder = load_embedder(str(tmp_path / "clip"), batch=32)
    assert load_known(tmp_path / "clip", embedder.dim) is not None
