"""Vectors by id in FAISS: search, growth, removal, and a file that shows when it was damaged."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from connectors.files import draft_of, sha256_of_file, write_atomically
from db.errors import IndexDamaged

Array = NDArray[np.float32]
Ids = NDArray[np.int64]

EXACT_LIMIT = 300_000  # above it exact search costs more than the recall it buys
MISSING_SIMILARITY = -1.0

# The default makes exact search of a batch below some 250 queries eight times slower.
faiss.cvar.distance_compute_blas_threshold = 20 * 512


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What an index file must be.

    ids: sha256 over the sorted ids.
    kind: exact or ivf.
    """

    sha256: str
    count: int
    dim: int
    producer: int
    ids: str
    kind: str


class VectorStore:
    """Unit vectors by id, searched by cosine; safe to use from several threads.

    dim: D.
    producer: whose vectors these are.
    kind: "exact", or "ivf" for 8-bit vectors in inverted lists, which must be trained before the
    first `add` (`train`).
    """

    def __init__(
        self, dim: int, producer: int, kind: str = "exact", expected: int = 0, probes: int = 32
    ) -> None:
        self.dim, self.producer, self.kind, self.probes = dim, producer, kind, probes
        self._index = _new_exact(dim) if kind == "exact" else _new_ivf(dim, expected, probes)
        self._ids: Ids = np.empty(0, np.int64)
        self._lock = threading.RLock()  # FAISS crashes when a search meets an add

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def ids(self) -> Ids:
        """Stored ids (N,), ascending."""
        with self._lock:
            return self._ids.copy()

    def train(self, vectors: Array) -> None:
        """Learns the inverted lists from a sample (M, D); exact indexes need none."""
        with self._lock:
            if self.kind != "exact":
                self._index.train(_matrix(vectors, self.dim))

    def add(self, ids: Ids, vectors: Array) -> None:
        """Adds vectors (B, D) under ids (B,); ids that are stored already, or come twice, are left
        as they are.
        """
        ids, vectors = np.asarray(ids, np.int64), _matrix(vectors, self.dim)
        if ids.shape != (len(vectors),):
            raise ValueError(f"expected {len(vectors)} ids of at least 0, got shape {ids.shape}")
        if len(ids) and ids.min() < 0:
            raise ValueError(f"expected {len(vectors)} ids of at least 0, got {ids.min()}")
        unique, first = np.unique(ids, return_index=True)
        with self._lock:
            new = ~_contains(self._ids, unique)
            if new.any():
                self._index.add_with_ids(vectors[first[new]], unique[new])
                self._ids = np.union1d(self._ids, unique[new])

    def remove(self, ids: Ids) -> int:
        """How many of the ids were stored and are gone now."""
        with self._lock:
            gone = np.intersect1d(np.asarray(ids, np.int64), self._ids)
            if len(gone):
                self._index.remove_ids(gone)
                self._ids = np.setdiff1d(self._ids, gone, assume_unique=True)
            return len(gone)

    def search(self, queries: Array, k: int) -> tuple[Array, Ids]:
        """Cosine similarities (Q, k) float32 and ids (Q, k) int64, best first.

        Where fewer than k vectors are found the id is -1 and the similarity -1.
        """
        if k < 1:
            raise ValueError(f"expected k of at least 1, got {k}")
        queries = _matrix(queries, self.dim)
        with self._lock:
            similarity, ids = self._index.search(queries, k)
        similarity[ids < 0] = MISSING_SIMILARITY
        return np.clip(similarity, -1.0, 1.0), ids

    def reconstruct(self, ids: Ids) -> Array:
        """The vectors (B, D) as this index holds them; exact to the bit unless kind is "ivf"."""
        with self._lock:
            if missing := np.setdiff1d(ids, self._ids).tolist():
                raise KeyError(f"ids not in the index: {missing[:5]}")
            return np.asarray(self._index.reconstruct_batch(np.asarray(ids, np.int64)), np.float32)

    def save(self, path: Path) -> None:
        """Replaces the file and its sidecar; a crash in between leaves a pair that `load` refuses."""
        with draft_of(path) as draft, self._lock:
            faiss.write_index(self._index, str(draft))
            sidecar = Sidecar(
                sha256_of_file(draft), len(self), self.dim, self.producer, ids_hash(self._ids), self.kind
            )
        write_atomically(sidecar_path(path), json.dumps(asdict(sidecar), indent=1))

    @classmethod
    def load(cls, path: Path, probes: int = 32) -> VectorStore:
        """Raises IndexDamaged when a file is missing, or is not what its sidecar says."""
        sidecar = _read_sidecar(path)
        if not path.is_file() or sha256_of_file(path) != sidecar.sha256:
            raise IndexDamaged(
                f"expected {path} with sha256 {sidecar.sha256}, got another or none; rebuild it"
            )
        store = cls(sidecar.dim, sidecar.producer, "exact", probes=probes)
        store.kind, store._index = sidecar.kind, faiss.read_index(str(path))
        store._ids = np.sort(_stored_ids(store._index))
        if (len(store), ids_hash(store._ids)) != (sidecar.count, sidecar.ids):
            raise IndexDamaged(
                f"expected {sidecar.count} ids in {path}, got {len(store)} or others; rebuild it"
            )
        if store.kind != "exact":
            _set_up_ivf(store._index, probes)
        return store


def sidecar_path(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def inverted_lists(expected: int) -> int:
    """How many inverted lists suit this many vectors: 2 sqrt(N), yet enough vectors for each."""
    return int(max(1, min(65_536, 2 * expected**0.5, expected / 40)))


def ids_hash(ids: Ids) -> str:
    """sha256 over sorted ids."""
    return hashlib.sha256(np.sort(ids).astype("<i8").tobytes()).hexdigest()


def _new_exact(dim: int) -> Any:
    return faiss.IndexIDMap2(faiss.IndexFlatIP(dim))


def _new_ivf(dim: int, expected: int, probes: int) -> Any:
    lists = inverted_lists(expected)
    quantizer = faiss.IndexFlatIP(dim)
    index = faiss.IndexIVFScalarQuantizer(
        quantizer, dim, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    _set_up_ivf(index, probes)
    return index


def _set_up_ivf(index: Any, probes: int) -> None:
    index.set_direct_map_type(faiss.DirectMap.Hashtable)  # type: ignore[attr-defined]
    index.nprobe = min(probes, index.nlist)


def _stored_ids(index: Any) -> Ids:
    if hasattr(index, "id_map"):
        return np.asarray(faiss.vector_to_array(index.id_map), np.int64)
    lists = index.invlists
    sizes = {number: lists.list_size(number) for number in range(index.nlist)}
    parts = [faiss.rev_swig_ptr(lists.get_ids(number), size).copy() for number, size in sizes.items() if size]
    return np.concatenate([np.empty(0, np.int64), *parts])


def _contains(ordered: Ids, wanted: Ids) -> NDArray[np.bool_]:
    if not len(ordered):
        return np.zeros(len(wanted), bool)
    places = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
    return np.asarray(ordered[places] == wanted)


def _matrix(vectors: Array, dim: int) -> Array:
    vectors = np.ascontiguousarray(vectors, np.float32)
    if vectors.ndim != 2 or vectors.shape[1] != dim:
        raise ValueError(f"expected vectors (B, {dim}), got {vectors.shape}")
    return vectors


def _read_sidecar(path: Path) -> Sidecar:
    try:
        return Sidecar(**json.loads(sidecar_path(path).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise IndexDamaged(
            f"expected {sidecar_path(path)} to describe the index, got {error}; rebuild it"
        ) from error
