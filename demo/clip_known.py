"""Lets the small CLIP say that it knows nothing like an image: `python -m demo.clip_known
config/clip_small` writes known.npz beside the weights.

Five small networks, averaged into one, learn to tell rendered scenes that training never used from
pictures that no renderer made and from mixtures of scenes that cannot be (outlier exposure:
Hendrycks, Mazeika and Dietterich, 2019). No photograph is used. The limit is set on further scenes,
of every condition and of cameras not seen before: one in a hundred of them lies beyond it. The same
seed gives the same file. About 11 minutes by one core, half of them rendering.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from connectors.clip.embedder import load_embedder
from connectors.clip.known_images import FILE, KnownImages, save_known
from connectors.ports import Array, Embedder
from demo.clip_scenes import Pixels, rendered
from demo.foreign import foreign_pictures
from loop.settings.settings import load_settings

FALSE_RATE = 0.01
_NETWORKS, _HIDDEN = 5, 64
_BATCH = 256


@dataclass(frozen=True)
class Sizes:
    """How many: scenes in two lots, each with made-up cameras of its own; foreign pictures;
    mixtures; scenes for the limit.
    """

    scenes: tuple[int, int] = (12_000, 8_000)
    foreign: int = 20_000
    mixtures: int = 10_000
    limit: int = 3_000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--work", type=Path, default=Path("clip_work"), help="scenes")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    write_known(options.folder, options.work / "scenes", options.seed)


def write_known(folder: Path, work: Path, seed: int, sizes: Sizes | None = None) -> None:
    """known.npz for the weights in `folder`; scenes that lie in `work` from an interrupted run are
    kept.
    """
    sizes = sizes or Sizes()
    (folder / FILE).unlink(missing_ok=True)
    embedder = load_embedder(str(folder), batch=load_settings(None).embedder.batch, threads=1)
    lots = [rendered(work, count, seed + n, unknown=True) for n, count in enumerate(sizes.scenes, start=2)]
    scenes = lots[0] + lots[1]
    known = vectors_of(embedder, scenes.images)
    foreign = vectors_of(embedder, foreign_pictures(sizes.foreign, seed, scenes.images))
    network = learned(known, np.concatenate([foreign, mixtures(known, sizes.mixtures, seed)]), seed)
    fresh = vectors_of(embedder, rendered(work, sizes.limit, seed + 4, unknown=True).images)
    save_known(limited(network, fresh, FALSE_RATE), folder)
    print(f"written to {folder / FILE}")


def vectors_of(embedder: Embedder, images: Pixels) -> Array:
    return np.concatenate(
        [embedder.embed(list(images[i : i + _BATCH])) for i in range(0, len(images), _BATCH)]
    )


def mixtures(vectors: Array, count: int, seed: int, parts: int = 3) -> Array:
    """(count, D) unit vectors between those of `parts` scenes drawn at random: where no scene lies."""
    rng = np.random.default_rng([seed, 8])
    weights = rng.dirichlet(np.full(parts, 4.0), count).astype(np.float32)
    mixed = np.einsum("np,npd->nd", weights, vectors[rng.integers(len(vectors), size=(count, parts))])
    return np.asarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True), dtype=np.float32)


def learned(known: Array, foreign: Array, seed: int) -> KnownImages:
    """The mean of networks that differ in their first weights and in what they are stopped by."""
    vectors = np.concatenate([known, foreign])
    strange = np.repeat([0, 1], [len(known), len(foreign)])
    scaler = StandardScaler().fit(vectors)
    networks = [
        MLPClassifier(
            (_HIDDEN,), alpha=1e-3, early_stopping=True, max_iter=200, random_state=seed + number
        ).fit(scaler.transform(vectors), strange)
        for number in range(_NETWORKS)
    ]
    return _as_one(networks, scaler)


def limited(network: KnownImages, known: Array, false_rate: float) -> KnownImages:
    """The same, with a bias by which `false_rate` of `known` is unlike what is known."""
    limit = np.quantile(network.strangeness(known), 1 - false_rate)
    return replace(network, bias=np.asarray(network.bias - limit, dtype=np.float32))


def _as_one(networks: list[Any], scaler: Any) -> KnownImages:
    """Side by side, the scaling of the inputs taken in."""
    first: NDArray[np.float64] = np.hstack([each.coefs_[0] for each in networks]) / scaler.scale_[:, None]
    bias = np.hstack([each.intercepts_[0] for each in networks]) - scaler.mean_ @ first
    second = np.concatenate([each.coefs_[1][:, 0] for each in networks]) / len(networks)
    last = np.mean([each.intercepts_[1][0] for each in networks])
    return KnownImages(*(np.asarray(part, dtype=np.float32) for part in (first, bias, second, last)))


if __name__ == "__main__":
    main()
