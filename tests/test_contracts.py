"""One suite per Protocol, run over every implementation: the real ones and the fakes that stand in
for them.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
import yaml
from PIL import Image as Pil

import config
from connectors.errors import LabelConfigMismatch, ProjectGone, TrainingCancelled
from connectors.images import decode
from connectors.ports import (
    Annotation,
    Array,
    Box,
    Capture,
    Detector,
    Embedder,
    FrameSource,
    Image,
    LabelBackend,
    LabelTask,
    SourceItem,
    TaskAnswers,
    Trainer,
    TrainSpec,
    VectorIndex,
)
from connectors.sources.folder import FolderSource
from connectors.sources.video import VideoSource
from db.vectors import VectorStore
from tests.fakes import (
    CLASSES,
    FakeDetector,
    FakeEmbedder,
    FakeLabelStudio,
    FakeTrainer,
    StudioServer,
    box_of,
    picture,
    quiet,
    weights,
    write_frames,
)
from tests.studio import Person, Studio

slow = pytest.mark.slow
BASE = Path(__file__).parents[1] / "demo" / "assets" / "detector" / "base.pt"


def images() -> list[Image]:
    return [
        decode(picture(light, seed, [(seed % 2, *box_of(seed))])) for seed, light in enumerate((190, 60, 120))
    ]


@cache
def carried_clip() -> Embedder:
    from connectors.clip.embedder import load_embedder

    return load_embedder(str(config.FOLDER / "clip_small"), batch=32)


@cache
def carried_detector() -> Detector:
    from connectors.yolo.detector import load_detector

    return load_detector(BASE, imgsz=64, conf=0.001, iou=0.6)


class TestFrameSource:
    @pytest.fixture(params=["folder", "video"])
    def source(self, request: pytest.FixtureRequest, tmp_path: Path) -> FrameSource:
        if request.param == "folder":
            write_frames(tmp_path / "frames", bright=7, dark=2)
            return FolderSource(tmp_path / "frames", settle_s=0)
        return VideoSource(small_video(tmp_path / "walk.mp4"), every_s=0.2)

    def test_keys_are_unique_and_in_order(self, source: FrameSource) -> None:
        keys = [capture.key for capture in captured(source)]
        assert len(keys) == 9
        assert keys == sorted(set(keys))

    def test_a_second_scan_says_the_same(self, source: FrameSource, tmp_path: Path) -> None:
        for path in (tmp_path / "walk.json", tmp_path / "frames" / "cam0" / "2026-03-02" / "080000-0.json"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("{")
        first, second = ([_told(item) for item in source.captures()] for _ in range(2))
        assert first == second
        assert [type(item).__name__ for item in source.captures()].count("Refused") == 1

    def test_only_what_comes_after_a_key(self, source: FrameSource) -> None:
        keys = [capture.key for capture in captured(source)]
        assert [capture.key for capture in captured(source, after=keys[4])] == keys[5:]
        assert captured(source, after=keys[-1]) == []

    def test_every_capture_is_a_whole_image(self, source: FrameSource) -> None:
        for capture in captured(source):
            pixels = decode(capture.read())
            assert (pixels.dtype, pixels.ndim, pixels.shape[2]) == (np.uint8, 3, 3)
            assert capture.captured_at is None or capture.captured_at.tzinfo is not None


def captured(source: FrameSource, after: str | None = None) -> list[Capture]:
    return [item for item in source.captures(after) if isinstance(item, Capture)]


def _told(item: SourceItem) -> tuple[str, object]:
    return item.key, item.read() if isinstance(item, Capture) else item


def small_video(path: Path) -> Path:
    """9 times a fifth of a second, 10 frames a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(18):
            pixels = np.full((48, 64, 3), 10 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


class TestEmbedder:
    @pytest.fixture(params=["fake", pytest.param("open_clip", marks=slow)])
    def embedder(self, request: pytest.FixtureRequest) -> Embedder:
        if request.param == "fake":
            return FakeEmbedder()
        return carried_clip()

    def test_vectors_are_unit_rows_of_the_told_length(self, embedder: Embedder) -> None:
        for vectors, count in ((embedder.embed(images()), 3), (embedder.embed_text(["a day", "a night"]), 2)):
            assert (vectors.dtype, vectors.shape) == (np.float32, (count, embedder.dim))
            np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)

    def test_nothing_in_nothing_out(self, embedder: Embedder) -> None:
        assert embedder.embed([]).shape == (0, embedder.dim)

    def test_an_image_does_not_depend_on_its_neighbors(self, embedder: Embedder) -> None:
        together = embedder.embed(images())
        alone = np.concatenate([embedder.embed([image]) for image in images()])
        np.testing.assert_allclose(together, alone, atol=1e-3)

    def test_different_images_and_texts_have_different_vectors(self, embedder: Embedder) -> None:
        one, two, three = embedder.embed(images())
        assert max(float(one @ two), float(two @ three)) < 0.9999
        first, second = embedder.embed_text(["a photo taken at night", "a photo taken in fog"])
        assert float(first @ second) < 0.9999

    def test_the_name_says_who_it_is(self, embedder: Embedder) -> None:
        assert 0 < len(embedder.name) <= 300

    def test_it_tells_its_scale_and_the_words_it_never_met(self, embedder: Embedder) -> None:
        assert embedder.logit_scale > 1
        assert embedder.unknown_words(["a photo taken at night"]) == ()
        assert embedder.unknown_words(["a photo of a xyzzy", "xyzzy at night"]) == ("xyzzy",)

    def test_it_says_of_each_vector_whether_it_knows_anything_like_it(self, embedder: Embedder) -> None:
        vectors = embedder.embed(images())
        together = embedder.unlike(vectors)
        assert (together.dtype, together.shape) == (np.bool_, (3,))
        assert together.tolist() == [bool(embedder.unlike(vectors[[row]])[0]) for row in range(3)]
        assert embedder.unlike(vectors[:0]).shape == (0,)


class TestDetector:
    @pytest.fixture(params=["fake", pytest.param("ultralytics", marks=slow)])
    def detector(self, request: pytest.FixtureRequest) -> Detector:
        if request.param == "fake":
            return FakeDetector()
        return carried_detector()

    def test_one_answer_per_image_in_its_own_pixels(self, detector: Detector) -> None:
        found = detector.detect(images())
        assert len(found) == 3
        assert sum(len(each) for each in found) > 0
        for each, image in zip(found, images(), strict=True):
            count, height, width = len(each), *image.shape[:2]
            assert (each.xyxy.dtype, each.xyxy.shape) == (np.float32, (count, 4))
            assert (each.confidence.dtype, each.confidence.shape) == (np.float32, (count,))
            assert (each.class_id.dtype, each.class_id.shape) == (np.int64, (count,))
            assert (each.xyxy >= -0.01).all()
            assert (each.xyxy <= np.array([width, height, width, height]) + 0.01).all()
            assert (each.xyxy[:, :2] <= each.xyxy[:, 2:]).all()
            assert ((each.class_id >= 0) & (each.class_id < len(detector.classes))).all()
            assert each.forward_ms >= 0

    def test_the_best_box_comes_first_and_scores_are_those_before_suppression(
        self, detector: Detector
    ) -> None:
        for each in detector.detect(images()):
            assert (np.diff(each.confidence) <= 1e-6).all()
            assert ((each.confidence >= 0) & (each.confidence <= 1)).all()
            if each.class_scores is not None:
                assert each.class_scores.shape == (len(each), len(detector.classes))
                chosen = each.class_scores[np.arange(len(each)), each.class_id]
                np.testing.assert_allclose(chosen, each.confidence, atol=0.01)

    def test_nothing_in_nothing_out(self, detector: Detector) -> None:
        assert detector.detect([]) == []

    def test_the_same_image_is_seen_the_same(self, detector: Detector) -> None:
        first, second = (detector.detect(images())[0] for _ in range(2))
        np.testing.assert_array_equal(first.xyxy, second.xyxy)

    def test_name_and_classes_say_who_it_is(self, detector: Detector) -> None:
        assert 0 < len(detector.name) <= 300
        assert len(set(detector.classes)) == len(detector.classes) > 0


@dataclass
class Desk:
    """A backend, one image it may show, and a way to answer tasks."""

    backend: LabelBackend
    image: Path
    answer: Callable[[int, str, bool], None]
    withdraw: Callable[[Annotation], None]
    delete: Callable[[int], None]
    priorities: Callable[[int], dict[str, float]]

    def task(self, key: str, boxes: Sequence[Box] = (), priority: float = 0.5) -> LabelTask:
        return LabelTask(key, self.image, 32, 24, priority, "dark", "train", boxes, "v1")


class TestLabelBackend:
    @pytest.fixture(params=["fake", pytest.param("label studio", marks=[slow, pytest.mark.studio])])
    def desk(self, request: pytest.FixtureRequest, tmp_path: Path) -> Desk:
        if request.param == "fake":
            return fake_desk(tmp_path)
        return real_desk(request.getfixturevalue("label_studio"))

    @pytest.fixture
    def project(self, desk: Desk, request: pytest.FixtureRequest) -> Iterator[int]:
        title = f"contract {hashlib.sha256(request.node.name.encode()).hexdigest()[:12]}"
        made = desk.backend.ensure_project(title, CLASSES, "", None)
        assert made.classes == CLASSES
        yield made.external_id
        try:
            desk.delete(made.external_id)
        except (KeyError, httpx.HTTPStatusError):
            return

    def test_a_project_is_found_again_by_its_number(self, desk: Desk, project: int) -> None:
        desk.backend.push(project, [desk.task("a")])
        assert desk.backend.ensure_project("another title", CLASSES, "", project).external_id == project
        desk.backend.check(project, CLASSES)

    def test_a_project_whose_number_was_lost_is_taken_up_while_it_is_empty(self, desk: Desk) -> None:
        title = f"lost {datetime.now(UTC):%H%M%S%f}"
        made = [desk.backend.ensure_project(title, CLASSES, "", None).external_id for _ in range(2)]
        assert made[0] == made[1]
        desk.delete(made[0])

    def test_a_mark_is_kept_beside_what_a_person_wrote_and_replaces_another(self, desk: Desk) -> None:
        title = f"marked {datetime.now(UTC):%H%M%S%f}"
        number = desk.backend.ensure_project(title, CLASSES, "", None, "0a" * 16).external_id
        assert desk.backend.mark_of(number) == "0a" * 16
        for mark in ("0b" * 16, "0b" * 16 + " 12"):
            desk.backend.set_mark(number, mark)
            assert desk.backend.mark_of(number) == mark
        other = desk.backend.ensure_project(title, CLASSES, "", None, "0c" * 16).external_id
        assert other != number
        for made in (number, other):
            desk.delete(made)

    def test_classes_that_the_project_lacks_are_refused(self, desk: Desk, project: int) -> None:
        with pytest.raises(LabelConfigMismatch, match="dog"):
            desk.backend.check(project, (*CLASSES, "dog"))

    def test_a_deleted_project_is_gone(self, desk: Desk, project: int) -> None:
        desk.delete(project)
        calls: tuple[Callable[[], Any], ...] = (
            lambda: desk.backend.check(project, CLASSES),
            lambda: desk.backend.find(project, ["a"]),
            lambda: desk.backend.push(project, [desk.task("a")]),
            lambda: list(desk.backend.answers(project, None)),
            lambda: desk.backend.ensure_project("title", CLASSES, "", project),
        )
        for call in calls:
            with pytest.raises(ProjectGone):
                call()

    def test_what_was_pushed_is_found_by_its_key(self, desk: Desk, project: int) -> None:
        made = desk.backend.push(project, [desk.task("a"), desk.task("b")])
        assert desk.backend.find(project, ["b", "a", "c"]) == {"a": [made["a"]], "b": [made["b"]]}
        assert desk.backend.find(project, []) == {}

    def test_pushed_again_it_stands_there_twice_and_the_untouched_copy_can_be_removed(
        self, desk: Desk, project: int
    ) -> None:
        box = Box("person", (2.0, 2.0, 20.0, 20.0), "prediction", 0.5)
        first, second = (desk.backend.push(project, [desk.task("a", [box])])["a"] for _ in range(2))
        assert sorted(desk.backend.find(project, ["a"])["a"]) == [first, second]
        desk.answer(second, "a", False)
        desk.backend.remove(project, [first, second])
        assert desk.backend.find(project, ["a"]) == {"a": [second]}

    def test_a_task_with_another_priority_keeps_all_else_and_one_that_is_gone_is_left_out(
        self, desk: Desk, project: int
    ) -> None:
        made = desk.backend.push(project, [desk.task("a"), desk.task("b", priority=0.9)])
        desk.backend.prioritize(project, {made["a"]: 1.25, made["b"] + 1000: 2.0})
        assert desk.priorities(project) == {"a": 1.25, "b": 0.9}
        assert desk.backend.find(project, ["a", "b"]) == {"a": [made["a"]], "b": [made["b"]]}

    def test_tasks_say_what_they_are_told_and_tabs_follow(self, desk: Desk, project: int) -> None:
        made = desk.backend.push(project, [desk.task("a"), desk.task("b")])
        texts = {made["a"]: "#7 night", made["b"]: "", made["b"] + 1000: "#7 night"}
        assert desk.backend.say_of_tasks(project, "collections", texts) == 2
        assert desk.backend.say_of_tasks(project, "collections", texts) == 0
        titles = {"#7 ": "night", "#9 ": "crowds"}
        assert desk.backend.keep_tabs(project, "collections", titles) == 2
        assert desk.backend.keep_tabs(project, "collections", titles) == 0
        assert desk.backend.keep_tabs(project, "collections", {"#7 ": "by night"}) == 2
        assert desk.backend.keep_tabs(project, "collections", {}) == 1
        with pytest.raises(ProjectGone):
            desk.backend.say_of_tasks(project + 1000, "collections", texts)

    def test_answers_come_with_boxes_person_and_time_and_predictions_do_not(
        self, desk: Desk, project: int
    ) -> None:
        box = Box("helmet", (4.0, 6.0, 20.0, 18.0), "prediction", 0.5)
        made = desk.backend.push(project, [desk.task(key, [box]) for key in ("a", "b", "c")])
        desk.answer(made["a"], "a", False)
        desk.answer(made["b"], "b", True)
        seen = {each.key: each for each in desk.backend.answers(project, None)}
        assert {key: len(each.answers) for key, each in seen.items()} == {"a": 1, "b": 1, "c": 0}
        found = {key: each.answers[0] for key, each in seen.items() if each.answers}
        assert (found["a"].cancelled, found["b"].cancelled) == (False, True)
        assert found["a"].external_task_id == made["a"]
        (drawn,) = found["a"].boxes
        assert (drawn.class_name, drawn.origin) == ("helmet", "prediction")
        np.testing.assert_allclose(drawn.xyxy, box.xyxy, atol=0.01)
        assert found["a"].author
        assert found["a"].updated_at.tzinfo is not None

    def test_only_what_changed_since_a_time(self, desk: Desk, project: int) -> None:
        made = desk.backend.push(project, [desk.task("a"), desk.task("b")])
        desk.answer(made["a"], "a", False)
        first = max(each.updated_at for each in desk.backend.answers(project, None))
        assert keys(desk.backend.answers(project, first)) == ["a"]
        assert keys(desk.backend.answers(project, first + timedelta(microseconds=1))) == []
        desk.answer(made["b"], "b", False)
        assert keys(desk.backend.answers(project, first)) == ["a", "b"]
        assert keys(desk.backend.answers(project, first + timedelta(microseconds=1))) == ["b"]

    def test_a_task_whose_answer_was_deleted_comes_again_without_it(self, desk: Desk, project: int) -> None:
        made = desk.backend.push(project, [desk.task("a"), desk.task("b")])
        for key in ("a", "b"):
            desk.answer(made[key], key, False)
        before = [*desk.backend.answers(project, None)]
        (gone,) = [each.answers[0] for each in before if each.key == "a"]
        desk.withdraw(gone)
        after = max(each.updated_at for each in before) + timedelta(microseconds=1)
        (seen,) = desk.backend.answers(project, after)
        assert (seen.external_task_id, seen.key, list(seen.answers)) == (made["a"], "a", [])


def keys(seen: Iterable[TaskAnswers]) -> list[str]:
    return sorted(each.key for each in seen)


def fake_desk(folder: Path) -> Desk:
    server = StudioServer()
    image = folder / "image.jpg"
    image.write_bytes(picture())

    def answer(task_id: int, key: str, cancelled: bool) -> Annotation:
        (task,) = [task for task in server.tasks if task.id == task_id]
        return server.answer(key, task.task.predictions, cancelled=cancelled, task=task)

    return Desk(
        FakeLabelStudio(server),
        image,
        lambda *values: void(answer(*values)),
        server.delete_answer,
        server.delete_project,
        lambda project: {t.task.key: t.task.priority for t in server.tasks if t.project == project},
    )


def real_desk(studio: Studio) -> Desk:
    from connectors.label_studio.backend import LabelStudio

    backend = LabelStudio(studio.server.url, studio.server.token, document_root=studio.document_root)
    image = studio.document_root / "frames" / "contract.jpg"
    image.parent.mkdir(exist_ok=True)
    image.write_bytes(picture())
    person = Person(studio)
    return Desk(
        backend,
        image,
        lambda task_id, key, cancelled: void(person.skip(task_id) if cancelled else person.accept(task_id)),
        lambda given: void(studio.call("DELETE", f"annotations/{given.external_id}/")),
        lambda number: void(studio.call("DELETE", f"projects/{number}")),
        lambda number: {
            task["data"]["fieldloop_key"]: task["data"]["priority"]
            for task in studio.call("GET", f"tasks?project={number}&fields=all")["tasks"]
        },
    )


def void(answer: object) -> None:
    """Says nothing of it."""


class TestTrainer:
    @pytest.fixture(params=["fake", pytest.param("ultralytics", marks=slow)])
    def trainer(self, request: pytest.FixtureRequest) -> Trainer:
        if request.param == "fake":
            return FakeTrainer(weights(note="trained"))
        from connectors.yolo.trainer import YoloTrainer

        return YoloTrainer(poll_s=0.1)

    @pytest.fixture
    def spec(self, tmp_path: Path) -> TrainSpec:
        return TrainSpec(
            training_set(tmp_path / "data"),
            BASE,
            tmp_path / "run",
            epochs=2,
            seed=0,
            imgsz=32,
            batch=4,
            threads=1,
            overrides={"mosaic": 0.0},
        )

    def test_a_candidate_with_its_hash_comes_back(self, trainer: Trainer, spec: TrainSpec) -> None:
        epochs: list[int] = []
        result = trainer.train(spec, lambda done, total, what: epochs.append(done), lambda: False)
        assert result.weights.is_relative_to(spec.run_dir)
        assert result.sha256 == hashlib.sha256(result.weights.read_bytes()).hexdigest()
        assert (result.epochs, epochs[-1]) == (2, 2)
        assert epochs == sorted(epochs)
        again = trainer.train(spec, quiet, lambda: False)
        assert again.sha256 == result.sha256

    def test_cancelled_it_says_so_and_goes_on_later(self, trainer: Trainer, spec: TrainSpec) -> None:
        seen: list[int] = []
        with pytest.raises(TrainingCancelled, match="cancelled after epoch"):
            trainer.train(spec, lambda done, total, what: seen.append(done), lambda: 1 in seen)
        assert trainer.train(spec, quiet, lambda: False).epochs == 2


def training_set(folder: Path) -> Path:
    """Four small pictures with a box each, for the classes of the carried detector."""
    for number in range(4):
        image, label = (
            folder / name / "train" / f"{number}{end}"
            for name, end in (("images", ".jpg"), ("labels", ".txt"))
        )
        for path in (image, label):
            path.parent.mkdir(parents=True, exist_ok=True)
        image.write_bytes(larger(picture(190, number, [(0, *box_of(number))])))
        label.write_text("0 0.5 0.5 0.3 0.3\n")
    names = yaml.safe_load((BASE.parent / "base.json").read_text()).get("classes") or list(CLASSES)
    tree = {"path": ".", "train": "images/train", "val": "images/train", "names": list(names)}
    (folder / "data.yaml").write_text(yaml.safe_dump(tree))
    return folder / "data.yaml"


def larger(data: bytes) -> bytes:
    file = io.BytesIO()
    Pil.open(io.BytesIO(data)).resize((64, 48)).save(file, "JPEG", quality=95)
    return file.getvalue()


class BruteForce:
    """The plainest VectorIndex there is."""

    def __init__(self, dim: int) -> None:
        self._rows: dict[int, Array] = {}
        self._dim = dim

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, ids: np.ndarray, vectors: Array) -> None:
        for number, row in zip(ids.tolist(), vectors, strict=True):
            self._rows.setdefault(number, row)

    def remove(self, ids: np.ndarray) -> int:
        return sum(self._rows.pop(number, None) is not None for number in set(ids.tolist()))

    def search(self, queries: Array, k: int) -> tuple[Array, np.ndarray]:
        held = np.array(sorted(self._rows), dtype=np.int64)
        matrix = np.array([self._rows[n] for n in held], np.float32).reshape(-1, self._dim)
        similarity = queries @ matrix.T
        order = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
        gap = ((0, 0), (0, k - order.shape[1]))
        best = np.take_along_axis(similarity, order, axis=1).astype(np.float32)
        return np.pad(best, gap, constant_values=-1), np.pad(held[order], gap, constant_values=-1)


class TestVectorIndex:
    @pytest.fixture(params=["faiss", "faiss, saved and loaded", "brute force"])
    def index(self, request: pytest.FixtureRequest, tmp_path: Path) -> VectorIndex:
        ids, vectors = stored()
        made: VectorIndex = BruteForce(8) if request.param == "brute force" else VectorStore(8, producer=1)
        made.add(ids, vectors)
        if isinstance(made, VectorStore) and "saved" in request.param:
            made.save(tmp_path / "index.faiss")
            return VectorStore.load(tmp_path / "index.faiss")
        return made

    def test_the_nearest_come_first_under_their_ids(self, index: VectorIndex) -> None:
        ids, vectors = stored()
        similarity, found = index.search(vectors[:5], 4)
        assert (similarity.dtype, similarity.shape) == (np.float32, (5, 4))
        assert (found.dtype, found.shape) == (np.int64, (5, 4))
        np.testing.assert_array_equal(found[:, 0], ids[:5])
        expected = np.sort(vectors[:5] @ vectors.T, axis=1)[:, ::-1][:, :4]
        np.testing.assert_allclose(similarity, expected, atol=1e-5)

    def test_what_is_missing_is_minus_one(self, index: VectorIndex) -> None:
        similarity, found = index.search(stored()[1][:1], 60)
        assert (found[0, :50] >= 0).all()
        assert (found[0, 50:] == -1).all()
        assert (similarity[0, 50:] == -1).all()

    def test_the_same_id_again_changes_nothing(self, index: VectorIndex) -> None:
        ids, vectors = stored()
        index.add(ids[:3], vectors[10:13])
        assert len(index) == 50
        np.testing.assert_array_equal(index.search(vectors[:3], 1)[1][:, 0], ids[:3])

    def test_removed_ids_are_found_no_more(self, index: VectorIndex) -> None:
        ids, vectors = stored()
        assert index.remove(np.array([ids[0], ids[1], 999_999], dtype=np.int64)) == 2
        assert index.remove(ids[:1]) == 0
        assert len(index) == 48
        assert not set(ids[:2].tolist()) & set(index.search(vectors[:2], 48)[1].ravel().tolist())


def stored() -> tuple[np.ndarray, Array]:
    drawn = np.random.default_rng(3).normal(size=(50, 8))
    return 7 * np.arange(50, dtype=np.int64), (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(
        np.float32
    )
