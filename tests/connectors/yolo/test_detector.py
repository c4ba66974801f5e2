"""The detector against stock ultralytics, on a small network with random weights."""

from __future__ import annotations

import os
import pickle
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from connectors.errors import ModelError, WeightsUnavailable
from connectors.ports import Detections, Image
from connectors.yolo.detector import YoloDetector, load_detector, read_classes
from connectors.yolo.environment import import_ultralytics, unchanged_process

CLASSES = ("person", "car", "pallet")
SETTINGS = {"imgsz": 128, "conf": 0.004, "iou": 0.5, "max_det": 40}


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("weights") / "tiny.pt", "yolo11n.yaml")


@pytest.fixture(scope="session")
def detector(weights: Path) -> YoloDetector:
    return load_detector(weights, **SETTINGS)  # type: ignore[arg-type]


def write_checkpoint(path: Path, architecture: str) -> Path:
    """An untrained network whose class head is loud enough to give boxes, saved the way ultralytics
    saves.
    """
    import_ultralytics()
    from ultralytics.nn.tasks import ClassificationModel, DetectionModel

    task = "classify" if "cls" in architecture else "detect"
    with unchanged_process():
        torch.manual_seed(4)
        if task == "classify":
            model = ClassificationModel(architecture, nc=3, verbose=False)
        else:
            model = DetectionModel(architecture, nc=len(CLASSES), verbose=False)
            head = model.model[-1]
            for branch in [*head.cv3, *(getattr(head, "one2one_cv3", None) or [])]:
                torch.nn.init.normal_(branch[-1].weight, std=0.5)
                torch.nn.init.constant_(branch[-1].bias, -3.0)
        model.names = dict(enumerate(CLASSES))
        torch.save({"model": model.half(), "epoch": -1, "train_args": {"task": task}}, path)
    return path


def images(count: int, height: int = 96, width: int = 128) -> list[Image]:
    rng = np.random.default_rng(count)
    blocks = rng.integers(0, 255, (count, height // 16, width // 16, 3), dtype=np.uint8)
    return [np.kron(block, np.ones((16, 16, 1), np.uint8)) for block in blocks]


def stock(weights: Path, batch: list[Image]) -> list[NDArray[np.float32]]:
    ultralytics = import_ultralytics()
    with unchanged_process():
        model = ultralytics.YOLO(str(weights))
        results = model.predict([image[..., ::-1] for image in batch], verbose=False, save=False, **SETTINGS)
    return [result.boxes.data.numpy() for result in results]


def as_rows(found: Detections) -> NDArray[np.float64]:
    return np.column_stack([found.xyxy, found.confidence, found.class_id])


def test_boxes_are_those_of_stock_predict(weights: Path, detector: YoloDetector) -> None:
    batch = images(5)
    found = detector.detect(batch)
    assert sum(map(len, found)) > 20
    for ours, theirs in zip(found, stock(weights, batch), strict=True):
        np.testing.assert_array_equal(as_rows(ours), theirs.astype(np.float64))


@pytest.mark.parametrize("architecture", ["yolov8n.yaml", "yolov10n.yaml", "yolo26n.yaml"])
def test_other_families(tmp_path: Path, architecture: str) -> None:
    path = write_checkpoint(tmp_path / "other.pt", architecture)
    found = load_detector(path, **SETTINGS).detect(images(2))  # type: ignore[arg-type]
    for ours, theirs in zip(found, stock(path, images(2)), strict=True):
        assert len(ours) > 5
        np.testing.assert_array_equal(as_rows(ours), theirs.astype(np.float64))
        assert ours.class_scores is not None
        np.testing.assert_array_equal(ours.class_scores.max(axis=1), ours.confidence)


def test_class_scores_belong_to_the_box_beside_them(detector: YoloDetector) -> None:
    for found in detector.detect(images(3)):
        assert found.class_scores is not None
        assert found.class_scores.shape == (len(found), len(CLASSES))
        np.testing.assert_array_equal(found.class_scores.max(axis=1), found.confidence)
        np.testing.assert_array_equal(found.class_scores.argmax(axis=1), found.class_id)
        assert (np.diff(found.confidence) <= 0).all()
        for array in (found.xyxy, found.confidence, found.class_scores):
            assert array.dtype == np.float32
        assert found.class_id.dtype == np.int64
        assert found.forward_ms > 0


def test_without_class_scores_the_boxes_stay_the_same(weights: Path, detector: YoloDetector) -> None:
    bare = load_detector(weights, class_scores=False, **SETTINGS)  # type: ignore[arg-type]
    for with_scores, without in zip(detector.detect(images(2)), bare.detect(images(2)), strict=True):
        assert without.class_scores is None
        np.testing.assert_array_equal(as_rows(with_scores), as_rows(without))


def test_an_image_keeps_its_boxes_whatever_stands_beside_it(detector: YoloDetector) -> None:
    wide, tall = images(1)[0], images(1, height=128, width=64)[0]
    mixed = detector.detect([wide, tall, wide])
    np.testing.assert_array_equal(as_rows(mixed[0]), as_rows(mixed[2]))
    np.testing.assert_allclose(as_rows(mixed[1]), as_rows(detector.detect([tall])[0]), atol=1e-3)
    assert mixed[1].xyxy[:, 2].max() <= 64


def test_more_images_than_one_forward_takes(detector: YoloDetector) -> None:
    batch = images(19)
    together = detector.detect(batch)
    assert len(together) == 19
    np.testing.assert_allclose(together[18].confidence, detector.detect(batch[16:])[2].confidence, atol=1e-5)


def test_nothing_to_see(detector: YoloDetector) -> None:
    assert detector.detect([]) == []
    found = load_like(detector, conf=0.999).detect(images(1))[0]
    assert (len(found), found.xyxy.shape) == (0, (0, 4))
    assert found.class_scores is not None
    assert found.class_scores.shape == (0, len(CLASSES))


def load_like(detector: YoloDetector, conf: float) -> YoloDetector:
    return load_detector(Path(detector._predictor.model.model.pt_path), **{**SETTINGS, "conf": conf})  # type: ignore[arg-type]


def test_the_color_order_is_rgb(detector: YoloDetector) -> None:
    image = images(1)[0]
    swapped = np.ascontiguousarray(image[..., ::-1])
    assert not np.array_equal(
        detector.detect([image])[0].confidence, detector.detect([swapped])[0].confidence
    )


@pytest.mark.slow
def test_name_changes_with_whatever_changes_boxes(
    weights: Path, detector: YoloDetector, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.pt"
    copy.write_bytes(weights.read_bytes())
    assert load_detector(copy, **SETTINGS).name == detector.name  # type: ignore[arg-type]
    for changed in ({"conf": 0.1}, {"iou": 0.9}, {"imgsz": 160}, {"max_det": 7}):
        assert load_detector(copy, **{**SETTINGS, **changed}).name != detector.name  # type: ignore[arg-type]


def test_classes_by_id(weights: Path, detector: YoloDetector) -> None:
    assert read_classes(weights) == CLASSES == detector.classes


def test_threads_and_dice_of_the_process_are_untouched(weights: Path) -> None:
    import cv2

    before = torch.get_num_threads(), cv2.getNumThreads(), os.environ.get("OMP_NUM_THREADS")
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = random.random(), np.random.rand(), torch.rand(1).item()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    load_detector(weights, threads=1, **SETTINGS).detect(images(2))  # type: ignore[arg-type]
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == expected
    assert (torch.get_num_threads(), cv2.getNumThreads(), os.environ.get("OMP_NUM_THREADS")) == before


@pytest.mark.slow
def test_a_fresh_process_keeps_its_threads_and_gets_no_trackers(weights: Path, tmp_path: Path) -> None:
    code = (
        "import torch, cv2, os; torch.set_num_threads(2); cv2.setNumThreads(3)\n"
        "from pathlib import Path; from connectors.yolo.detector import load_detector\n"
        f"load_detector(Path({str(weights)!r}), imgsz=64, conf=0.05, iou=0.6)\n"
        "from ultralytics import settings; from ultralytics.utils import ONLINE, AUTOINSTALL\n"
        "assert (torch.get_num_threads(), cv2.getNumThreads()) == (2, 3)\n"
        "assert 'OMP_NUM_THREADS' not in os.environ\n"
        "assert not any(settings[k] for k in ('sync', 'mlflow', 'clearml', 'comet', 'dvc', 'wandb'))\n"
        "assert not ONLINE and not AUTOINSTALL\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("YOLO_", "OMP_"))}
    environment |= {
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "HOME": str(tmp_path),
        "PYTHONPATH": repository(),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def repository() -> str:
    return str(Path(__file__).parents[3])


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(detector: YoloDetector, bad: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match=r"image 1: expected RGB uint8 of shape \(H, W, 3\), got"):
        detector.detect([images(1)[0], bad])


def test_missing_weights(tmp_path: Path) -> None:
    with pytest.raises(
        WeightsUnavailable, match="expected a YOLO checkpoint, got no such file; give the path"
    ):
        load_detector(tmp_path / "best.pt", **SETTINGS)  # type: ignore[arg-type]


@pytest.mark.parametrize("content", ["truncated", "empty", "text", "tensor", "unknown module"])
def test_files_that_are_no_checkpoint(weights: Path, tmp_path: Path, content: str) -> None:
    path = tmp_path / "best.pt"
    if content == "truncated":
        path.write_bytes(weights.read_bytes()[:-5000])
    elif content == "tensor":
        torch.save(torch.zeros(3), path)
    elif content == "unknown module":
        path.write_bytes(pickle.dumps(CLASSES).replace(b"person", b"persom"))
    else:
        path.write_text({"empty": "", "text": "weights: none\n" * 9}[content])
    with pytest.raises(
        ModelError, match="expected an ultralytics checkpoint, got a file that does not load"
    ) as caught:
        load_detector(path, **SETTINGS)  # type: ignore[arg-type]
    assert "copy it again, or export it again" in str(caught.value)


def test_another_task(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "cls.pt", "yolo11n-cls.yaml")
    with pytest.raises(ModelError, match="expected a detection model, got one for the task 'classify'"):
        read_classes(path)


def test_another_format(tmp_path: Path) -> None:
    path = tmp_path / "best.onnx"
    path.write_bytes(b"onnx")
    with pytest.raises(ModelError, match=r"expected a PyTorch checkpoint that ends in .pt, got '.onnx'"):
        load_detector(path, **SETTINGS)  # type: ignore[arg-type]


def test_a_device_that_is_not_there(weights: Path) -> None:
    with pytest.raises(ModelError, match="expected device 'cpu' or the number of a GPU that is there"):
        load_detector(weights, device="63", **SETTINGS)  # type: ignore[arg-type]
