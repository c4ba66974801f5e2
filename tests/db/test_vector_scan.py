"""The frames most like a vector, by a scan that sketches them first where they are many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine

from db.analysis import producer_id, record_embeddings
from db.engine import read, write
from db.vector_scan import Inside, VectorScan
from tests.db.world import add_frames, unit_vectors

DIM = 160


def stock(engine: Engine, count: int, start: int = 0) -> tuple[int, list[int], np.ndarray]:
    """Vectors in 20 clusters. Returns the producer, the frames, and what is stored of them."""
    centers = unit_vectors(20, DIM, 5)
    vectors = centers[np.arange(start, start + count) % 20] + 0.5 * unit_vectors(count, DIM, start + 6)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    with write(engine) as session:
        made = producer_id(session, "embedder", "clip", {"dim": DIM})
        seqs = add_frames(session, count, start)
        record_embeddings(session, made, seqs, vectors.astype(np.float32))
    return made, seqs, vectors.astype(np.float32)


def all_of(ids: np.ndarray) -> np.ndarray:
    return np.ones(len(ids), np.bool_)


def even(ids: np.ndarray) -> np.ndarray:
    return np.asarray(ids % 2 == 0)


@pytest.mark.parametrize("inside", [all_of, even])
@pytest.mark.parametrize(("exact", "share"), [(10_000, 1.0), (100, 0.95)])
def test_it_finds_what_comparing_all_finds(
    engine: Engine, tmp_path: Path, inside: Inside, exact: int, share: float
) -> None:
    made, seqs, vectors = stock(engine, 2000)
    scan = VectorScan(engine, tmp_path, exact=exact, shortlist=400)
    for query in unit_vectors(20, DIM, 5)[:5]:
        with read(engine) as session:
            found = scan.most_alike(session, made, query, inside, 50)
        truth = vectors @ query
        truth[~inside(np.array(seqs))] = -2
        best = np.array(seqs)[np.argsort(-truth)[:50]]
        assert len(found.frames) == 50
        assert np.isin(best, found.frames).mean() >= share
        assert (np.diff(found.similarity) <= 0).all()
        held = dict(zip(seqs, truth.tolist(), strict=True))
        assert [held[seq] for seq in found.frames.tolist()] == pytest.approx(
            found.similarity.tolist(), abs=1e-5
        )


def test_what_came_in_since_is_found_and_sketches_follow(engine: Engine, tmp_path: Path) -> None:
    made, _, vectors = stock(engine, 600)
    scan = VectorScan(engine, tmp_path, exact=100, shortlist=200)
    with read(engine) as session:
        scan.most_alike(session, made, vectors[3], all_of, 5)
    _, new, newer = stock(engine, 300, start=600)
    for searched in (scan, VectorScan(engine, tmp_path, exact=100, shortlist=200)):
        with read(engine) as session:
            found = searched.most_alike(session, made, newer[7], all_of, 3)
        assert found.frames[0] == new[7]
    from db.frame_columns import synced, vectors_view

    synced(engine, tmp_path, vectors_view(made))
    with read(engine) as session:
        assert scan.most_alike(session, made, newer[9], all_of, 3).frames[0] == new[9]
        assert len(scan.most_alike(session, made, newer[9], lambda ids: ids < 0, 3).frames) == 0
