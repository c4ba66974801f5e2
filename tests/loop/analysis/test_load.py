"""A side of the comparison is what the database says of its frames, row by row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from connectors.ports import Detections
from db.analysis import (
    load_detections,
    load_embeddings,
    load_measurements,
    producer_id,
    record_detections,
    record_embeddings,
    record_measurements,
)
from db.engine import read, write
from db.frames import frames
from db.states import Origin, Role
from db.tables import Embedding, Group
from db.vectors import VectorStore
from loop.analysis.analyze import analyze
from loop.analysis.load import (
    StoredFacts,
    StoredVectors,
    Unlike,
    load_frame_boxes,
    load_side,
    nearest,
    open_facts,
    stored_frames,
    unlike_of,
)
from loop.analysis.producers import Producers, producers
from loop.ingest.ingest import ingest
from loop.math.coverage.regions import TrainingSet, measure_novelty, nearest_of
from tests.db.world import unit_vectors
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
    side = load_side(open_facts(parts.project, made), seqs, lambda: parts.embedder().unlike)
    assert side.seq.tolist() == [row.seq for row in rows]
    assert side.group.tolist() == [row.group_id for row in rows]
    np.testing.assert_array_equal(side.vectors[:], [vectors[row.seq] for row in rows])
    np.testing.assert_array_equal(side.measures["contrast"], [measured[row.seq]["contrast"] for row in rows])
    for row, camera, seconds in zip(rows, side.by_camera.listed(), side.captured_at, strict=True):
        assert camera == (None if row.camera == "unknown" else row.camera)
        assert np.isnan(seconds) if row.captured_at is None else seconds == row.captured_at.timestamp()
    assert {"cam0", "cam1", None} == set(side.by_camera.listed())


@pytest.fixture
def facts(parts: FakeParts) -> Facts:
    ingest(parts, quiet)
    return Facts(parts)


class Facts:
    """Rows of the database by models of nobody, and what is read of them."""

    def __init__(self, parts: FakeParts) -> None:
        self.project, self.engine = parts.project, parts.project.engine
        with read(self.engine) as session:
            self.seqs = [row.seq for row in frames(session)]
        self.made = self.models("one")

    def models(self, name: str) -> Producers:
        with write(self.engine) as session:
            ids = [producer_id(session, kind, name) for kind in ("embedder", "detector", "measure")]
        return Producers(*ids)

    def embed(self, seqs: Sequence[int], seed: int = 0) -> None:
        with write(self.engine) as session:
            record_embeddings(session, self.made.embedder, seqs, unit_vectors(len(seqs), 6, seed))

    def detect(self, seqs: Sequence[int], counts: Sequence[int], scored: bool = True) -> None:
        rng = np.random.default_rng(0)
        found = [
            Detections(
                np.zeros((count, 4), np.float32),
                rng.uniform(0, 1, count).astype(np.float32),
                rng.integers(0, 2, count),
                rng.uniform(0, 1, (count, 2)).astype(np.float32) if scored else None,
                1.0,
            )
            for count in counts
        ]
        with write(self.engine) as session:
            record_detections(session, self.made.detector, seqs, found)

    def vectors(self, seqs: Sequence[int]) -> np.ndarray:
        with read(self.engine) as session:
            ids, vectors = load_embeddings(session, self.made.embedder, seqs)
        return vectors.reshape(-1, 6)[np.searchsorted(ids, seqs)]

    def open(self) -> StoredFacts:
        return open_facts(self.project, self.made)


def test_production_is_what_both_models_have_seen(facts: Facts) -> None:
    with read(facts.engine) as session:
        every = {row.seq for row in frames(session, origin=Origin.PRODUCTION)}
    assert [each.tolist() for each in facts.open().production()] == [[], sorted(every)]
    facts.embed(facts.seqs[::2])
    facts.detect(facts.seqs[::3], [0] * len(facts.seqs[::3]))
    seen, unseen = facts.open().production()
    both = every & set(facts.seqs[::2]) & set(facts.seqs[::3])
    assert (seen.tolist(), unseen.tolist()) == (sorted(both), sorted(every - both))
    seqs = np.array(facts.seqs)
    with read(facts.engine) as session:
        pool = [group_role(session, row.group_id) == Role.POOL for row in frames(session)]
    assert facts.open().in_pool(seqs[::-1]).tolist() == pool[::-1]
    assert facts.open().embedded(seqs).tolist() == facts.seqs[::2]


def group_role(session: Session, group: int) -> str:
    return session.execute(select(Group.role).where(Group.id == group)).scalar_one()


def test_nothing_is_known_of_a_project_without_frames(parts: FakeParts) -> None:
    facts = open_facts(parts.project, Facts(parts).models("one"))
    with write(parts.project.engine) as session:
        assert facts.embedded(np.array([row.seq for row in frames(session)])).tolist() == []
    assert [len(each) for each in facts.production()] == [0, 0]


@pytest.mark.parametrize("late", [False, True])
def test_vectors_are_those_of_their_frames(facts: Facts, late: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loop.analysis.load.BLOCK", 7)
    seqs = facts.seqs
    facts.embed(seqs[20:] if late else seqs)
    facts.open()
    if late:
        facts.embed(seqs[:20], seed=1)
    stored = facts.open().vectors
    for own in (seqs, seqs[5:25], seqs[::3], seqs[::-1], seqs[3:4], []):
        found, truth = StoredVectors(stored, np.array(own, np.int64)), facts.vectors(own)
        assert len(found) == len(own)
        for rows in (slice(None), slice(2, 9), slice(None, None, -2), slice(9, 2), slice(-3, 99)):
            np.testing.assert_array_equal(found[rows], truth[rows])
        mask = np.arange(len(own)) % 3 == 0
        np.testing.assert_array_equal(found[mask], truth[mask])
        for chosen in (np.flatnonzero(mask)[::-1], np.zeros(2 if own else 0, np.int64)):
            np.testing.assert_array_equal(found[chosen], truth[chosen])


def test_boxes_are_those_of_their_frames(facts: Facts) -> None:
    seqs, counts = facts.seqs, [seq % 4 for seq in facts.seqs]
    facts.detect(seqs[:10], [0] * 10)
    assert load_frame_boxes(facts.open(), np.array(seqs[:10])).class_scores is None
    facts.detect(seqs[30:], counts[30:])
    facts.open()
    facts.detect(seqs[10:20], counts[10:20], scored=False)
    facts.detect(seqs[20:30], counts[20:30])
    opened = facts.open()
    with read(facts.engine) as session:
        truth = load_detections(session, facts.made.detector)
    for own in (seqs, seqs[20:], seqs[25:40], seqs[:10] + seqs[25:], seqs[::-1], seqs[12:13], seqs[:5]):
        found = load_frame_boxes(opened, np.array(own))
        assert len(found) == len(own)
        known = all(truth[seq].class_scores is not None for seq in own if len(truth[seq]))
        assert (found.class_scores is not None) == known
        for place, seq in enumerate(own):
            np.testing.assert_array_equal(found.confidence[place], truth[seq].confidence)
            np.testing.assert_array_equal(found.class_id[place], truth[seq].class_id)
            if found.class_scores is not None and len(truth[seq]):
                np.testing.assert_array_equal(found.class_scores[place], truth[seq].class_scores)


def test_measurements_are_unknown_where_nobody_measured(facts: Facts) -> None:
    facts.embed(facts.seqs)
    rows = [{"b": seq / 2} if seq % 2 else {"a": seq / 4} for seq in facts.seqs[5:]]
    with write(facts.engine) as session:
        record_measurements(session, facts.made.measure, facts.seqs[5:], rows)
    own = np.array(facts.seqs[::-1])
    side = load_side(facts.open(), own, lambda: lambda vectors: np.zeros(len(vectors), np.bool_))
    assert list(side.measures) == ["a", "b"]
    known = np.isin(own, facts.seqs[5:])
    np.testing.assert_array_equal(side.measures["a"], np.where(known & (own % 2 == 0), own / 4, np.nan))
    np.testing.assert_array_equal(side.measures["b"], np.where(known & (own % 2 == 1), own / 2, np.nan))


def test_another_embedder_and_back(facts: Facts) -> None:
    seqs, first = np.array(facts.seqs), facts.made
    for made, seed in ((first, 0), (facts.models("two"), 1), (first, 0)):
        facts.made = made
        facts.embed(facts.seqs, seed)
        opened = facts.open()
        np.testing.assert_array_equal(StoredVectors(opened.vectors, seqs)[:], facts.vectors(facts.seqs))
        found = nearest(opened, seqs[10:], seqs[:10], 3, quiet).production
        every = facts.vectors(facts.seqs[10:]) @ facts.vectors(facts.seqs[:10]).T
        np.testing.assert_array_equal(found.rows, np.argsort(-every, axis=1))


@pytest.mark.parametrize("size", [1, 3, 12, 30])
def test_of_a_small_training_set_no_more_are_near_than_there_are(facts: Facts, size: int) -> None:
    """One frame or one burst alone is no measure of what is usual: all that is elsewhere is novel."""
    facts.embed(facts.seqs)
    training, production = np.array(facts.seqs[:size]), np.array(facts.seqs[size:])
    store = VectorStore(6, producer=0)
    store.add(training, facts.vectors(training.tolist()))
    group = np.zeros(size, np.int64)
    members = TrainingSet(training, facts.vectors(training.tolist()), group)
    vectors = facts.vectors(production.tolist())
    found = nearest(facts.open(), production, training, 5, quiet)
    whole = nearest_of(vectors, members, store.search, 5)
    for side, other in ((found.production, whole.production), (found.training, whole.training)):
        np.testing.assert_allclose(side.similarity, other.similarity, atol=1e-6)
        np.testing.assert_array_equal(side.rows, other.rows)
    here, there = (measure_novelty(vectors, members, each, 5)[0] for each in (found, whole))
    np.testing.assert_allclose(here.ratio, there.ratio, rtol=1e-2)


def test_what_is_unlike_is_asked_of_new_vectors_alone(facts: Facts) -> None:
    seqs = np.array(facts.seqs)
    asked: list[int] = []

    def unlike() -> Unlike:
        def told(vectors: np.ndarray) -> np.ndarray:
            asked.append(len(vectors))
            return np.asarray(vectors[:, 0] > 0)

        return told

    def truth(own: np.ndarray) -> list[bool]:
        return (facts.vectors(own.tolist())[:, 0] > 0).tolist()

    facts.embed(facts.seqs[10:])
    assert unlike_of(facts.open(), seqs[20:], unlike).tolist() == truth(seqs[20:])
    assert unlike_of(facts.open(), seqs[15:30][::-1], unlike).tolist() == truth(seqs[15:30][::-1])
    facts.embed(facts.seqs[:10], seed=1)
    for _ in range(2):
        assert unlike_of(facts.open(), seqs, unlike).tolist() == truth(seqs)
    assert asked == [len(seqs) - 20, 5, 15]
    with write(facts.engine) as session:
        session.execute(delete(Embedding))
    facts.embed(facts.seqs, seed=2)
    assert unlike_of(facts.open(), seqs, unlike).tolist() == truth(seqs), "another database, the same ids"
    near = nearest(facts.open(), seqs[10:], seqs[:10], 3, quiet).production
    every = facts.vectors(facts.seqs[10:]) @ facts.vectors(facts.seqs[:10]).T
    np.testing.assert_array_equal(near.rows, np.argsort(-every, axis=1))


def test_rows_are_fetched_when_they_are_asked_for(facts: Facts) -> None:
    seqs = facts.seqs[::-2]
    stored = stored_frames(facts.engine, np.array(seqs))
    assert len(stored) == len(seqs)
    assert [row.seq for row in stored] == seqs
    assert [row.seq for row in stored[3:9:2]] == seqs[3:9:2]
    assert (stored[0].seq, stored[-1].seq) == (seqs[0], seqs[-1])
    assert [row.seq for row in stored.take(np.array([4, 2, 2]))] == [seqs[4], seqs[2], seqs[2]]
    assert stored.take(np.zeros(0, np.int64)) == []
