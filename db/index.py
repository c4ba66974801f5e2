"""The vector index of one producer: loaded when it agrees with the database, rebuilt from it when
not.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from db.analysis import CHUNK, count_embeddings, embedded_ids, embedding_chunks, load_embeddings, producer
from db.engine import read
from db.errors import IndexDamaged, StateError
from db.vectors import EXACT_LIMIT, VectorStore, inverted_lists, sidecar_path

__all__ = ["EXACT_LIMIT", "VectorStore", "open_index", "update_index"]

Ids = NDArray[np.int64]
CHECK_ALL = 20_000  # up to so many vectors all are compared with the database, beyond it a random sample
SAMPLE = 2_000
TRAIN_PER_LIST = 64
SQ8_AGREEMENT = 0.98  # cosine; 8 bits per number cost about .0002

log = logging.getLogger(__name__)


def open_index(
    engine: Engine,
    producer_id: int,
    path: Path,
    subset: Iterable[int] | None = None,
    *,
    exact_limit: int = EXACT_LIMIT,
    probes: int = 32,
    chunk: int = CHUNK,
) -> VectorStore:
    """The index over this producer's stored vectors (of the frames in `subset`, or all), saved at
    `path`.

    A file that is missing, damaged, of another producer, or disagrees with the stored vectors is
    rebuilt from the database; one that only lacks or exceeds some ids is brought up to date. Above
    `exact_limit` vectors the search is approximate. Raises StateError when the producer is unknown
    or nothing tells the length of its vectors.
    """
    with read(engine) as session:
        wanted = _wanted(session, producer_id, subset)
        kind = "exact" if len(wanted) <= exact_limit else "ivf"
        fresh = VectorStore(_dim(session, producer_id, wanted), producer_id, kind, len(wanted), probes)
        store = _saved(session, path, fresh, wanted)
        if store is None:
            store = _trained(session, fresh, wanted)
        if _bring_up_to_date(session, store, wanted, chunk) or not path.is_file():
            store.save(path)
    return store


def update_index(
    engine: Engine, store: VectorStore, subset: Iterable[int] | None = None, chunk: int = CHUNK
) -> bool:
    """Brings an open index up to date with the database, in memory only; True when something
    changed.
    """
    with read(engine) as session:
        return _bring_up_to_date(session, store, _wanted(session, store.producer, subset), chunk)


def _wanted(session: Session, producer_id: int, subset: Iterable[int] | None) -> Ids:
    return embedded_ids(session, producer_id, subset)


def _saved(session: Session, path: Path, like: VectorStore, wanted: Ids) -> VectorStore | None:
    if not path.exists() and not sidecar_path(path).exists():
        return None
    try:
        store = VectorStore.load(path, like.probes)
        expected, found = (like.producer, like.dim, like.kind), (store.producer, store.dim, store.kind)
        if expected != found:
            raise IndexDamaged(
                f"expected producer, dim and kind {expected} in {path}, got {found}; rebuild it"
            )
        common = np.intersect1d(store.ids, wanted, assume_unique=True)
        if 2 * len(common) < len(store):
            raise IndexDamaged(
                f"expected {path} to hold vectors of the database, got mostly others; rebuild it"
            )
        _compare(session, store, _sample(common), path)
    except IndexDamaged as damage:
        log.warning("the vector index is made anew from the database: %s", damage)
        return None
    return store


def _sample(ids: Ids) -> Ids:
    if len(ids) <= CHECK_ALL:
        return ids
    return np.sort(np.random.default_rng().choice(ids, SAMPLE, replace=False))


def _compare(session: Session, store: VectorStore, ids: Ids, path: Path) -> None:
    for start in range(0, len(ids), CHUNK):
        part, truth = load_embeddings(session, store.producer, ids[start : start + CHUNK].tolist())
        held = store.reconstruct(part)
        if store.kind == "exact":
            wrong = (held != truth).any(axis=1)
        else:
            lengths = np.linalg.norm(held, axis=1) * np.linalg.norm(truth, axis=1)
            wrong = (held * truth).sum(axis=1) < SQ8_AGREEMENT * lengths
        if wrong.any():
            raise IndexDamaged(
                f"expected the stored vectors in {path}, got another for frame {part[wrong][0]}; rebuild it"
            )


def _trained(session: Session, store: VectorStore, wanted: Ids) -> VectorStore:
    if store.kind != "exact":
        size = min(len(wanted), TRAIN_PER_LIST * inverted_lists(len(wanted)))
        chosen = np.random.default_rng(0).choice(wanted, size, replace=False)
        store.train(load_embeddings(session, store.producer, chosen.tolist())[1])
    return store


def _bring_up_to_date(session: Session, store: VectorStore, wanted: Ids, chunk: int) -> bool:
    before = store.ids
    removed = store.remove(np.setdiff1d(before, wanted, assume_unique=True))
    missing = np.setdiff1d(wanted, before, assume_unique=True)
    if len(missing):
        every = len(missing) == len(wanted) == count_embeddings(session, store.producer)
        for ids, vectors in embedding_chunks(session, store.producer, None if every else missing, chunk):
            store.add(ids, vectors)
    return bool(removed or len(missing))


def _dim(session: Session, producer_id: int, wanted: Ids) -> int:
    details = producer(session, producer_id).details
    if len(wanted):
        return int(load_embeddings(session, producer_id, [int(wanted[0])])[1].shape[1])
    if "dim" in details:
        return int(details["dim"])
    raise StateError(
        f"expected stored vectors or a dim of producer {producer_id}, got neither; embed some frames first"
    )
