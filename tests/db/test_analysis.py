"""Derived facts: stored once, found fast, never mixed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import Engine, text

from connectors.ports import Detections
from db.analysis import (
    load_detections,
    load_embeddings,
    load_measurements,
    packed,
    producer,
    producer_id,
    record_detections,
    record_embeddings,
    record_measurements,
    reuse_facts,
    work_count,
    work_list,
)
from db.engine import read, write
from db.errors import StateError
from db.frame_columns import boxes_view, synced
from db.progress import count_seen
from db.tables import Detection
from tests.db.world import stocked, unit_vectors


def seen(count: int, classes: int | None = 3) -> Detections:
    rng = np.random.default_rng(count)
    return Detections(
        rng.uniform(0, 640, (count, 4)).astype(np.float32),
        np.sort(rng.uniform(size=count).astype(np.float32))[::-1],
        rng.integers(0, 300, count),
        None if classes is None else rng.uniform(size=(count, classes)).astype(np.float32),
        forward_ms=12.5,
    )


def test_a_producer_is_known_by_kind_and_name(engine: Engine) -> None:
    with write(engine) as session:
        first = producer_id(session, "embedder", "clip-a", {"dim": 4})
        assert producer_id(session, "embedder", "clip-a", {"dim": 5}) == first
        assert producer_id(session, "detector", "clip-a") != first
        stored = producer(session, first)
    assert (stored.kind, stored.name, stored.details) == ("embedder", "clip-a", {"dim": 4})


def test_unknown_producers_and_kinds_are_named(lite: Engine) -> None:
    with write(lite) as session:
        with pytest.raises(StateError, match="expected a producer, got the unknown id 7"):
            producer(session, 7)
        with pytest.raises(
            ValueError, match="expected a kind of producer among embedder, detector, measure, got 'ear'"
        ):
            producer_id(session, "ear", "x")


def test_the_work_list_shrinks_as_facts_come_in(engine: Engine) -> None:
    seqs = stocked(engine, 5)
    with write(engine) as session:
        clip = producer_id(session, "embedder", "clip-a")
        assert [frame.seq for frame in work_list(session, "embedder", clip, 3)] == seqs[:3]
        record_embeddings(session, clip, seqs[:3], unit_vectors(3, 4))
        assert [frame.seq for frame in work_list(session, "embedder", clip, 9)] == seqs[3:]
        assert work_count(session, "embedder", clip) == 2
        assert work_count(session, "detector", clip) == 5


def test_a_new_producer_sees_never_seen_frames_first_and_then_all(engine: Engine) -> None:
    seqs = stocked(engine, 4)
    with write(engine) as session:
        old = producer_id(session, "embedder", "old")
        new = producer_id(session, "embedder", "new")
        record_embeddings(session, old, seqs[:2], unit_vectors(2, 4))
        assert [frame.seq for frame in work_list(session, "embedder", new, 2)] == seqs[2:]
        assert [frame.seq for frame in work_list(session, "embedder", new, 9)] == seqs
        record_embeddings(session, new, seqs, unit_vectors(4, 4))
        assert work_list(session, "embedder", new, 9) == []
        assert [frame.seq for frame in work_list(session, "embedder", old, 9)] == seqs


def test_going_back_to_a_former_producer_computes_only_what_is_missing(engine: Engine) -> None:
    seqs = stocked(engine, 5)
    with write(engine) as session:
        old, new = (producer_id(session, "detector", name) for name in ("old", "new"))
        record_detections(session, old, seqs[:3], [seen(1)] * 3)
        record_detections(session, new, seqs[1:4], [seen(2)] * 3)
        assert reuse_facts(session, "detector", old) == 2
        assert reuse_facts(session, "detector", old) == 0
        assert [frame.seq for frame in work_list(session, "detector", old, 9)] == seqs[3:]
        assert reuse_facts(session, "detector", new) == 2
        assert reuse_facts(session, "embedder", old) == 0


def test_facts_recorded_twice_stay_as_they_were_first(engine: Engine) -> None:
    seqs = stocked(engine, 2)
    with write(engine) as session:
        clip = producer_id(session, "embedder", "clip-a")
        record_embeddings(session, clip, seqs, unit_vectors(2, 4, seed=1))
        record_embeddings(session, clip, seqs, unit_vectors(2, 4, seed=2))
        _, vectors = load_embeddings(session, clip)
    np.testing.assert_array_equal(vectors, unit_vectors(2, 4, seed=1).astype(np.float16))


def test_marker_and_rows_commit_together_or_not_at_all(engine: Engine) -> None:
    seqs = stocked(engine, 2)
    with write(engine) as session:
        clip = producer_id(session, "embedder", "clip-a")

    def killed() -> None:
        with write(engine) as session:
            record_embeddings(session, clip, seqs, unit_vectors(2, 4))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed()
    with read(engine) as session:
        assert work_count(session, "embedder", clip) == 2
        assert len(load_embeddings(session, clip)[0]) == 0


def test_embeddings_of_two_producers_are_never_mixed(engine: Engine) -> None:
    seqs = stocked(engine, 6)
    with write(engine) as session:
        a, b = (producer_id(session, "embedder", name) for name in ("a", "b"))
        record_embeddings(session, a, seqs[:4], unit_vectors(4, 8, seed=1))
        record_embeddings(session, b, seqs[2:], unit_vectors(4, 5, seed=2))
    with read(engine) as session:
        ids, vectors = load_embeddings(session, a, chunk=3)
        some, some_vectors = load_embeddings(session, b, seqs=[seqs[5], seqs[0], seqs[3], seqs[3]], chunk=2)
        none, no_vectors = load_embeddings(session, b, seqs=[])
    assert (ids.dtype.name, vectors.dtype.name, vectors.shape) == ("int64", "float32", (4, 8))
    np.testing.assert_array_equal(ids, seqs[:4])
    np.testing.assert_array_equal(vectors, unit_vectors(4, 8, seed=1).astype(np.float16))
    np.testing.assert_array_equal(some, [seqs[3], seqs[5]])
    np.testing.assert_array_equal(some_vectors, unit_vectors(4, 5, seed=2)[[1, 3]].astype(np.float16))
    assert len(none) == len(no_vectors) == 0


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        (np.ones((3, 4), np.float32), r"expected finite vectors \(2, D\), got \(3, 4\)"),
        (np.ones(2, np.float32), r"expected finite vectors \(2, D\), got \(2,\)"),
        (np.full((2, 4), np.nan, np.float32), r"expected finite vectors \(2, D\), got \(2, 4\) with NaN"),
    ],
)
def test_vectors_of_another_shape_are_refused(lite: Engine, vectors: NDArray[np.float32], said: str) -> None:
    seqs = stocked(lite, 2)
    with write(lite) as session:
        clip = producer_id(session, "embedder", "clip-a")
        with pytest.raises(ValueError, match=said):
            record_embeddings(session, clip, seqs, vectors)
        assert work_count(session, "embedder", clip) == 2


def test_vectors_of_another_length_than_the_producers_are_refused(lite: Engine) -> None:
    seqs = stocked(lite, 2)
    with write(lite) as session:
        clip = producer_id(session, "embedder", "clip-a", {"dim": 8})
        with pytest.raises(ValueError, match="expected vectors of length 8 from clip-a, got 4"):
            record_embeddings(session, clip, seqs, unit_vectors(2, 4))


@pytest.mark.parametrize("given", [seen(0), seen(1), seen(7), seen(4, classes=None), seen(0, classes=None)])
def test_detections_come_back_as_they_were_given(engine: Engine, given: Detections) -> None:
    (seq,) = stocked(engine, 1)
    with write(engine) as session:
        yolo = producer_id(session, "detector", "yolo")
        record_detections(session, yolo, [seq], [given])
        assert work_count(session, "detector", yolo) == 0
    with read(engine) as session:
        found = load_detections(session, yolo)[seq]
    for name, dtype in (("xyxy", np.float32), ("confidence", np.float32), ("class_id", np.int64)):
        np.testing.assert_array_equal(getattr(found, name), getattr(given, name))
        assert getattr(found, name).dtype == dtype
    assert found.xyxy.shape == (len(given), 4)
    assert found.forward_ms == 12.5
    if given.class_scores is None:
        assert found.class_scores is None
    else:
        assert found.class_scores is not None
        np.testing.assert_array_equal(
            found.class_scores.ravel(), given.class_scores.astype(np.float16).ravel()
        )
        assert len(found.class_scores) == len(given)


def test_detections_are_read_by_producer_and_frame(engine: Engine) -> None:
    seqs = stocked(engine, 3)
    with write(engine) as session:
        old, new = (producer_id(session, "detector", name) for name in ("old", "new"))
        record_detections(session, old, seqs, [seen(1), seen(2), seen(3)])
        record_detections(session, new, seqs[:1], [seen(5)])
    with read(engine) as session:
        assert {seq: len(row) for seq, row in load_detections(session, old).items()} == dict(
            zip(seqs, [1, 2, 3], strict=True)
        )
        assert {seq: len(row) for seq, row in load_detections(session, old, seqs[1:]).items()} == {
            seqs[1]: 2,
            seqs[2]: 3,
        }
        assert {seq: len(row) for seq, row in load_detections(session, new).items()} == {seqs[0]: 5}


def test_detections_that_do_not_fit_together_are_refused() -> None:
    three, two = seen(3), seen(2)
    with pytest.raises(ValueError, match="expected xyxy and class_id of shapes"):
        packed(Detections(three.xyxy, two.confidence, two.class_id))
    with pytest.raises(ValueError, match=r"expected class_scores \(2, C\), got \(3, 3\)"):
        packed(Detections(two.xyxy, two.confidence, two.class_id, three.class_scores))


def test_a_torn_row_is_named(lite: Engine, tmp_path: Path) -> None:
    (seq,) = stocked(lite, 1)
    with write(lite) as session:
        yolo = producer_id(session, "detector", "yolo")
        torn = packed(seen(3)) | {"confidence": b"\0\0\0\0"}
        session.add(Detection(frame=seq, producer=yolo, **torn))
    with (
        read(lite) as session,
        pytest.raises(StateError, match=f"frame {seq}: expected 3 boxes, got 1; detect it again"),
    ):
        load_detections(session, yolo)
    with pytest.raises(StateError, match=f"frame {seq}: expected 3 boxes, got 1; detect it again"):
        synced(lite, tmp_path / "views", boxes_view(yolo))


def test_measurements_come_back_and_progress_counts(engine: Engine) -> None:
    seqs = stocked(engine, 3)
    with write(engine) as session:
        light = producer_id(session, "measure", "light-1")
        clip = producer_id(session, "embedder", "clip-a")
        values: list[dict[str, Any]] = [
            {"brightness": np.float32(0.25), "contrast": 0.5},
            {"brightness": 0.75, "blur": np.nan},
        ]
        record_measurements(session, light, seqs[:2], values)
        record_embeddings(session, clip, seqs, unit_vectors(3, 4))
    with read(engine) as session:
        assert load_measurements(session, light) == {
            seqs[0]: {"brightness": 0.25, "contrast": 0.5},
            seqs[1]: {"brightness": 0.75},
        }
        assert load_measurements(session, light, seqs[1:]) == {seqs[1]: {"brightness": 0.75}}
        assert [count_seen(session, "embedder", clip, 3), count_seen(session, "measure", light, 3)] == [3, 2]


def test_one_row_per_frame_is_demanded(lite: Engine) -> None:
    seqs = stocked(lite, 2)
    with (
        write(lite) as session,
        pytest.raises(ValueError, match="expected one row for each of 2 frames, got 1"),
    ):
        record_measurements(session, producer_id(session, "measure", "light-1"), seqs, [{"brightness": 1.0}])


COPY_FRAMES = """
INSERT INTO frames (content_hash, path, origin, group_id, camera, site, width, height, bytes,
    source_key, ingested_at,
                    embedded_by, detected_by, measured_by)
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
SELECT 'h' || i, 'p', 'production', group_id, 'c', 's', 1, 1, 1, 'k', ingested_at, :marker, :marker, :marker
FROM n, frames WHERE seq = 1
"""


def test_looking_for_work_does_not_read_the_finished_frames(lite: Engine) -> None:
    stocked(lite, 3)
    with write(lite) as session:
        clip = producer_id(session, "embedder", "clip-a")
        session.execute(text(COPY_FRAMES), {"marker": clip})
    with read(lite) as session:
        work_list(session, "embedder", clip, 32)
        started = time.process_time()
        for _ in range(20):
            assert len(work_list(session, "embedder", clip, 32)) == 3
        each = (time.process_time() - started) / 20
    assert each < 0.01, f"a look into the work list among 100,000 frames took {each * 1000:.1f} ms"


def test_boxes_of_many_frames_come_as_one_array(engine: Engine, tmp_path: Path) -> None:
    seqs = stocked(engine, 4)
    found = [seen(3), seen(2), seen(0), seen(1)]
    with write(engine) as session:
        made = producer_id(session, "detector", "yolo")
        record_detections(session, made, seqs[:3], found[:3])
        each = load_detections(session, made, seqs)
    boxes = synced(engine, tmp_path / "views", boxes_view(made))
    assert boxes["frame"].tolist() == seqs[:3]
    assert boxes["count"].tolist() == [len(each[seq]) for seq in seqs[:3]]
    joined = np.concatenate([each[seq].confidence for seq in seqs[:3]])
    np.testing.assert_array_equal(boxes["confidence"], joined)
    ids = np.concatenate([each[seq].class_id for seq in seqs[:3]])
    np.testing.assert_array_equal(boxes["class_id"], ids)
    assert boxes["scored"].all()
    scores = [each[seq].class_scores for seq in seqs[:2]]
    np.testing.assert_array_equal(
        boxes["class_scores"], np.concatenate([one for one in scores if one is not None])
    )
