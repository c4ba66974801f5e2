"""Analysis: only what is missing is computed, and one dead producer stops no other."""

from __future__ import annotations

import threading
import weakref
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import event

from connectors.errors import ModelError
from connectors.images import ImageInfo, decode
from connectors.ports import Detections, Image
from db.analysis import load_detections, load_embeddings, load_measurements, producer_id, work_count
from db.engine import read, write
from db.frames import frames, rejects
from loop.analysis import analyze as analysis
from loop.analysis.analyze import analyze
from loop.analysis.producers import MEASURES_VERSION
from loop.base.errors import ProjectError
from loop.base.lease import holder_id, take
from loop.gaps import coverage_view
from loop.ingest.ingest import ingest
from loop.math.coverage.image_statistics import measure
from loop.rounds.deploy import promote, rollback
from tests.fakes import FakeEmbedder, FakeParts, add_checkpoint, quiet, weights, write_frames

ALL = 42 + 32


@pytest.fixture
def filled(parts: FakeParts) -> FakeParts:
    ingest(parts, quiet)
    return parts


def with_embedder(parts: FakeParts, name: str) -> FakeParts:
    """The same project with another one configured."""
    settings = parts.project.settings
    chosen = settings.embedder.model_copy(update={"model": name})
    project = replace(parts.project, settings=settings.model_copy(update={"embedder": chosen}))
    changed = FakeParts(project)
    changed.clip, changed.detectors = FakeEmbedder(name), parts.detectors
    return changed


def missing(parts: FakeParts, kind: str, name: str) -> int:
    with write(parts.project.engine) as session:
        return work_count(session, kind, producer_id(session, kind, name))


def test_everything_is_analyzed_once(filled: FakeParts) -> None:
    report = analyze(filled, quiet)
    assert (report.analyzed, report.unreadable, report.failures) == (ALL, 0, {})
    assert filled.clip.seen == ALL
    assert analyze(filled, quiet).analyzed == 0
    assert filled.clip.seen == ALL


def test_stored_facts_are_those_of_the_frame(filled: FakeParts) -> None:
    analyze(filled, quiet)
    project = filled.project
    with write(project.engine) as session:
        clip = producer_id(session, "embedder", filled.clip.name)
        yolo = producer_id(session, "detector", filled.detector().name)
        light = producer_id(session, "measure", MEASURES_VERSION)
        row = frames(session)[40]
        image = decode((project.store / row.path).read_bytes())
        vector = load_embeddings(session, clip, [row.seq])[1][0]
        boxes = load_detections(session, yolo, [row.seq])[row.seq]
        brightness = load_measurements(session, light, [row.seq])[row.seq]["brightness"]
    np.testing.assert_allclose(vector, FakeEmbedder().embed([image])[0], atol=1e-3)
    np.testing.assert_array_equal(boxes.xyxy, filled.detector().detect([image])[0].xyxy)
    assert brightness == pytest.approx(image.mean() / 255, abs=0.05)


def test_every_frame_has_the_facts_that_its_image_has_alone(filled: FakeParts) -> None:
    analyze(filled, quiet)
    with write(filled.project.engine) as session:
        vectors = load_embeddings(session, producer_id(session, "embedder", filled.clip.name))[1]
        boxes = load_detections(session, producer_id(session, "detector", filled.detector().name))
        values = load_measurements(session, producer_id(session, "measure", MEASURES_VERSION))
        rows = sorted(frames(session), key=lambda row: row.seq)
    images = [decode((filled.project.store / row.path).read_bytes()) for row in rows]
    alone = np.concatenate([FakeEmbedder().embed([image]) for image in images])
    np.testing.assert_array_equal(vectors, alone.astype(np.float16))
    assert values == {row.seq: measure(image) for row, image in zip(rows, images, strict=True)}
    for row, image in zip(rows, images, strict=True):
        (found,) = filled.detector().detect([image])
        np.testing.assert_array_equal(boxes[row.seq].xyxy, found.xyxy)
        np.testing.assert_array_equal(boxes[row.seq].class_id, found.class_id)


def test_the_next_batch_is_decoded_while_the_models_run_and_no_more_than_that(
    filled: FakeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    size, decoded, calls = filled.project.settings.embedder.batch, Counter[str](), Counter[str]()
    begun, held = threading.Condition(), list[weakref.ref[Image]]()
    embed = filled.clip.embed

    def counting(data: bytes, info: ImageInfo) -> Image:
        with begun:
            decoded["images"] += 1
            begun.notify_all()
        return decode(data, info)

    def waiting(images: Sequence[Image]) -> np.ndarray:
        calls["embed"] += 1
        assert all(image() is None for image in held)
        held[:] = [weakref.ref(image) for image in images]
        ahead = min(ALL, size * (calls["embed"] + 1))
        with begun:
            assert begun.wait_for(lambda: decoded["images"] == ahead, timeout=20)
        return embed(images)

    monkeypatch.setattr(analysis, "decode", counting)
    monkeypatch.setattr(filled.clip, "embed", waiting)
    assert analyze(filled, quiet).failures == {}
    assert (decoded["images"], calls["embed"]) == (ALL, -(-ALL // size))


def test_what_a_batch_taught_is_one_transaction(filled: FakeParts, monkeypatch: pytest.MonkeyPatch) -> None:
    embed, commits, before = filled.clip.embed, list[object](), list[int]()

    def counting(images: Sequence[Image]) -> np.ndarray:
        before.append(len(commits))
        return embed(images)

    monkeypatch.setattr(filled.clip, "embed", counting)
    event.listen(filled.project.engine, "commit", commits.append)
    analyze(filled, quiet)
    assert np.diff(before).tolist() == [1, 1]


def test_a_measurement_that_fails_stops_no_model(filled: FakeParts, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(image: Image) -> dict[str, float]:
        raise ValueError("not today")

    monkeypatch.setattr(analysis, "measure", fails)
    report = analyze(filled, quiet)
    assert (report.failures, report.analyzed) == ({"measure": "not today"}, ALL)
    assert missing(filled, "measure", MEASURES_VERSION) == ALL
    assert missing(filled, "embedder", filled.clip.name) == 0
    assert missing(filled, "detector", filled.detector().name) == 0


def test_what_only_a_failed_producer_wanted_is_not_counted_as_analyzed(filled: FakeParts) -> None:
    analyze(filled, quiet)
    promote(filled.project, add_checkpoint(filled.project, weights(note="second")), "by hand")
    filled.detector().fails = ModelError("gone")  # type: ignore[attr-defined]
    report = analyze(filled, quiet)
    assert report.failures == {"detector": "gone"}
    assert report.analyzed == filled.project.settings.embedder.batch


@pytest.mark.parametrize(
    "error", [ModelError("out of order"), RuntimeError("CUDA out of memory"), ValueError("no")]
)
def test_a_dead_detector_leaves_only_detections_missing(filled: FakeParts, error: Exception) -> None:
    detector = filled.detector()
    detector.fails = error  # type: ignore[attr-defined]
    report = analyze(filled, quiet)
    assert report.failures == {"detector": str(error)}
    assert missing(filled, "embedder", filled.clip.name) == 0
    assert missing(filled, "detector", detector.name) == ALL
    detector.fails = None  # type: ignore[attr-defined]
    assert analyze(filled, quiet).failures == {}
    assert filled.clip.seen == ALL
    assert missing(filled, "detector", detector.name) == 0


def test_a_detector_that_cannot_be_loaded_leaves_only_detections_missing(filled: FakeParts) -> None:
    filled.dead = {"detector"}
    assert analyze(filled, quiet).failures == {"detector": "expected a detector, got a damaged file"}
    assert missing(filled, "embedder", filled.clip.name) == 0
    filled.dead = {"embedder"}
    assert analyze(filled, quiet).failures == {"embedder": "expected CLIP weights, got none"}
    assert missing(filled, "detector", filled.detector().name) == 0


def test_an_embedder_that_answers_nonsense_is_named_and_stops_no_detector(
    filled: FakeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filled.clip, "embed", lambda images: np.full((len(images), 17), np.nan, np.float32))
    report = analyze(filled, quiet)
    assert "expected finite vectors" in report.failures["embedder"]
    assert missing(filled, "detector", filled.detector().name) == 0
    assert missing(filled, "embedder", filled.clip.name) == ALL


def test_a_detector_that_forgets_an_image_is_named_and_nothing_of_the_batch_is_kept(
    filled: FakeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = filled.detector()
    answer = detector.detect

    def forgetful(images: Sequence[Image]) -> list[Detections]:
        return answer(images)[1:]

    monkeypatch.setattr(detector, "detect", forgetful)
    assert "expected one row for each of" in analyze(filled, quiet).failures["detector"]
    assert missing(filled, "detector", detector.name) == ALL


def test_a_failure_midway_keeps_what_was_done(filled: FakeParts, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = filled.detector()
    answer, calls = detector.detect, []

    def failing(images: Sequence[Image]) -> list[Detections]:
        calls.append(len(images))
        if len(calls) == 2:
            raise ModelError("gone")
        return answer(images)

    monkeypatch.setattr(detector, "detect", failing)
    analyze(filled, quiet)
    assert missing(filled, "detector", detector.name) == ALL - calls[0]


def test_a_new_embedder_sees_every_frame_and_shares_no_comparison(filled: FakeParts) -> None:
    analyze(filled, quiet)
    detector, measured = filled.detector(), missing(filled, "measure", MEASURES_VERSION)
    seen = detector.seen  # type: ignore[attr-defined]
    filled = with_embedder(filled, "another-clip")
    with pytest.raises(
        ProjectError, match="expected training frames analyzed by the current models, found none"
    ):
        coverage_view.build(filled, quiet)
    analyze(filled, quiet)
    assert filled.clip.seen == ALL
    assert (detector.seen, measured) == (seen, 0)  # type: ignore[attr-defined]
    assert len(coverage_view.build(filled, quiet).production) == 42


def test_half_a_new_embedder_is_compared_with_its_own_half_alone(
    filled: FakeParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyze(filled, quiet)
    filled = with_embedder(filled, "another-clip")
    real = filled.clip.embed

    def half(images: Sequence[Image]) -> np.ndarray:
        if filled.clip.seen >= 64:
            raise ModelError("interrupted")
        return real(images)

    monkeypatch.setattr(filled.clip, "embed", half)
    analyze(filled, quiet)
    view = coverage_view.build(filled, quiet)
    with read(filled.project.engine) as session:
        ids, _ = load_embeddings(session, view.embedder)
    assert len(ids) == 64
    sides = [*view.frames, *view.training_frames]
    assert {row.seq for row in sides} <= set(ids.tolist())


def test_new_weights_compute_detections_alone_and_going_back_computes_nothing(filled: FakeParts) -> None:
    analyze(filled, quiet)
    first = filled.detector()
    promote(filled.project, add_checkpoint(filled.project, weights(note="second")), "by hand")
    second = filled.detector()
    analyze(filled, quiet)
    assert (second.seen, filled.clip.seen) == (ALL, ALL)  # type: ignore[attr-defined]
    rollback(filled.project)
    before = first.seen  # type: ignore[attr-defined]
    assert analyze(filled, quiet).analyzed == 0
    assert first.seen == before  # type: ignore[attr-defined]
    assert missing(filled, "detector", first.name) == 0


def test_after_going_back_only_frames_that_came_meanwhile_are_computed(
    filled: FakeParts, folder: Path
) -> None:
    analyze(filled, quiet)
    promote(filled.project, add_checkpoint(filled.project, weights(note="second")), "by hand")
    write_frames(folder / "incoming", bright=5, dark=0, first=200)
    ingest(filled, quiet)
    analyze(filled, quiet)
    rollback(filled.project)
    assert analyze(filled, quiet).analyzed == 5


def test_a_damaged_stored_file_is_reported_once_and_mended_by_putting_it_back(filled: FakeParts) -> None:
    with read(filled.project.engine) as session:
        row = frames(session)[-1]
    path = filled.project.store / row.path
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    report = analyze(filled, quiet)
    assert (report.analyzed, report.unreadable) == (ALL - 1, 1)
    again = analyze(filled, quiet)
    assert (again.analyzed, again.unreadable) == (0, 1)
    with read(filled.project.engine) as session:
        (told,) = rejects(session)
    assert (
        told.reason
        == f"expected the stored image {row.path}, got a file that is missing or damaged; copy it back"
    )
    path.write_bytes(whole)
    assert analyze(filled, quiet).analyzed == 1


def test_more_damaged_files_than_fit_a_batch_stop_nothing(filled: FakeParts) -> None:
    assert filled.project.settings.embedder.batch < 40
    with read(filled.project.engine) as session:
        rows = frames(session)
    for row in rows[:40]:
        (filled.project.store / row.path).unlink()
    report = analyze(filled, quiet)
    assert (report.analyzed, report.unreadable) == (ALL - 40, 40)


def test_a_second_process_leaves_the_work_to_the_first(filled: FakeParts) -> None:
    take(filled.project.engine, "analyze", holder_id(), 60)
    report = analyze(filled, quiet)
    assert report.busy
    assert filled.clip.seen == 0
