"""What a small model's training images look like to it, so that it can say of an image that it
knows nothing like it.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from connectors.errors import ModelError
from connectors.files import draft_of, sha256_of_file
from connectors.ports import Array

FILE = "known.npz"
WEIGHTS = "open_clip_model.safetensors"
LAYERS = ("first", "first_bias", "second", "bias")


@dataclass(frozen=True, eq=False)
class KnownImages:
    """A network of one hidden layer that tells the training images from all else (outlier exposure:
    Hendrycks, Mazeika and Dietterich, 2019).

    first: (D, H), first_bias: (H,), second: (H,), bias: (), all float32.
    """

    first: Array
    first_bias: Array
    second: Array
    bias: Array

    def strangeness(self, vectors: Array) -> Array:
        """(N,) float32 of (N, D) unit vectors: above 0 is unlike everything known."""
        hidden = np.maximum(vectors @ self.first + self.first_bias, 0)
        return np.asarray(hidden @ self.second + self.bias, dtype=np.float32)

    def unlike(self, vectors: Array) -> NDArray[np.bool_]:
        """(N,) bool."""
        return np.asarray(self.strangeness(vectors) > 0)


def save_known(known: KnownImages, folder: Path) -> None:
    """known.npz beside the weights that it holds for, in half precision."""
    arrays = {name: np.asarray(getattr(known, name), dtype=np.float16) for name in LAYERS}
    with draft_of(folder / FILE) as draft, draft.open("wb") as file:
        np.savez_compressed(file, weights=np.array(sha256_of_file(folder / WEIGHTS)), **arrays)  # type: ignore[arg-type]


def load_known(folder: Path, dim: int) -> KnownImages | None:
    """None where the folder has none, as those of real CLIP. Raises ModelError for a damaged one,
    or other weights'.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            weights = str(file["weights"])
            known = KnownImages(*(np.asarray(file[name], dtype=np.float32) for name in LAYERS))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise _refused(path, f"{type(error).__name__}: {error}") from error
    hidden = known.second.shape
    if (known.first.shape, known.first_bias.shape, known.bias.shape) != ((dim, *hidden), hidden, ()):
        raise _refused(path, f"layers of {known.first.shape} and {hidden} for vectors of {dim}")
    if not (folder / WEIGHTS).is_file() or weights != sha256_of_file(folder / WEIGHTS):
        raise _refused(path, "that of other weights")
    return known


def _refused(path: Path, got: str) -> ModelError:
    return ModelError(
        f"{path}: expected what goes with the weights beside it; got {got}; copy the whole folder again, or"
        " delete this file, and conditions by prompts will claim something of every image"
    )
