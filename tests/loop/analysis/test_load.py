"""A side of the comparison is what the database says of its frames, row by row."""

from __future__ import annotations

import numpy as np

from db.analysis import load_embeddings, load_measurements
from db.engine import read
from db.frames import frames
from loop.analysis.analyze import analyze
from loop.analysis.load import load_side, open_facts
from loop.analysis.producers import producers
from loop.ingest.ingest import ingest
from tests.fakes import FakeParts, picture, quiet


def test_a_side_is_what_is_stored_of_its_frames(parts: FakeParts) -> None:
    incoming = parts.project.root.parent / "incoming"
    (incoming / "nobody-knows-where.jpg").write_bytes(picture(seed=900))
    ingest(parts, quiet)
    analyze(parts, quiet)
    made = producers(parts)
    with read(parts.project.engine) as session:
        rows = frames(session)[::-1]
        vectors = dict(zip(*load_embeddings(session, made.embedder), strict=True))
        measured = load_measurements(session, made.measure)
    seqs = np.array([row.seq for row in rows])
    side = load_side(open_facts(parts.project, made), seqs, np.zeros(len(seqs), np.bool_))
    assert side.seq.tolist() == [row.seq for row in rows]
    assert side.group.tolist() == [row.group_id for row in rows]
    np.testing.assert_array_equal(side.vectors[:], [vectors[row.seq] for row in rows])
    np.testing.assert_array_equal(side.measures["contrast"], [measured[row.seq]["contrast"] for row in rows])
    for row, camera, seconds in zip(rows, side.by_camera.listed(), side.captured_at, strict=True):
        assert camera == (None if row.camera == "unknown" else row.camera)
        assert np.isnan(seconds) if row.captured_at is None else seconds == row.captured_at.timestamp()
    assert {"cam0", "cam1", None} == set(side.by_camera.listed())
