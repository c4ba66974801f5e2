"""Our evaluator against hand-checked cases and against faster-coco-eval."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from faster_coco_eval import COCO, COCOeval_faster

from connectors.ports import Detections
from loop.math.boxes.matching import Truth
from loop.math.evaluation.ap import average_precision, average_precisions, counts, match_all

CLASSES = 4


def detections(xyxy, confidence, class_id) -> Detections:
    boxes = np.asarray(xyxy, np.float32).reshape(-1, 4)
    return Detections(boxes, np.asarray(confidence, np.float32), np.asarray(class_id, np.int64))


def truth(xyxy, class_id) -> Truth:
    return Truth(np.asarray(xyxy, np.float64).reshape(-1, 4), np.asarray(class_id, np.int64))


def random_image(rng: np.random.Generator, crowd: int = 6) -> tuple[Truth, Detections]:
    """Integer boxes and coarse confidences, so that overlaps and confidences tie often."""
    n = int(rng.integers(0, crowd))
    corner = rng.integers(0, 60, (n, 2))
    boxes = np.concatenate([corner, corner + rng.integers(4, 40, (n, 2))], axis=1)
    kinds = rng.integers(0, CLASSES - 1, n)
    seen = np.repeat(np.arange(n), rng.integers(0, 3, n))
    found = boxes[seen] + rng.integers(-3, 4, (len(seen), 4))
    found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
    extra = int(rng.integers(0, 3))
    place = rng.integers(0, 60, (extra, 2))
    alarms = np.concatenate([place, place + rng.integers(4, 30, (extra, 2))], axis=1)
    found = np.concatenate([found, alarms])
    named = np.where(rng.random(len(seen)) < 0.9, kinds[seen], 0)
    guess = np.concatenate([named, rng.integers(0, CLASSES, extra)])
    return truth(boxes, kinds), detections(found, rng.integers(1, 12, len(found)) / 16, guess)


def coco_table(images: list[tuple[Truth, Detections]]) -> np.ndarray:
    """(T, C) average precision as faster-coco-eval sees it, NaN for a class without objects."""
    annotations, results = [], []
    for image, (real, found) in enumerate(images, start=1):
        for box, kind in zip(real.xyxy.tolist(), real.class_id.tolist(), strict=True):
            wide, high = box[2] - box[0], box[3] - box[1]
            annotations.append(
                {"id": len(annotations) + 1, "image_id": image, "category_id": kind + 1, "iscrowd": 0}
                | {"bbox": [box[0], box[1], wide, high], "area": wide * high}
            )
        for box, kind, sure in zip(
            found.xyxy.tolist(), found.class_id.tolist(), found.confidence.tolist(), strict=True
        ):
            results.append(
                {"image_id": image, "category_id": kind + 1, "score": sure}
                | {"bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]]}
            )
    with contextlib.redirect_stdout(io.StringIO()):
        gt = COCO(
            {
                "images": [{"id": i + 1, "width": 100, "height": 100} for i in range(len(images))],
                "annotations": annotations,
                "categories": [{"id": c + 1, "name": str(c)} for c in range(CLASSES)],
                "info": {},
            }
        )
        run = COCOeval_faster(gt, gt.loadRes(results), iouType="bbox", print_function=lambda *a: None)
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"][:, :, :, 0, -1].mean(axis=1)
    return np.where(precision < 0, np.nan, precision)


@pytest.mark.parametrize("seed", range(8))
def test_equal_to_faster_coco_eval_with_ties_and_empty_images(seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = [random_image(rng, crowd=12 if seed % 2 else 5) for _ in range(40)]
    images[3] = (truth([], []), detections([], [], []))
    images[4] = (images[4][0], detections([], [], []))
    ours = average_precision(match_all(*zip(*images, strict=True), CLASSES)).table
    assert np.isnan(ours[:, CLASSES - 1]).all()
    np.testing.assert_allclose(ours, coco_table(images), atol=1e-6)


def test_equal_to_faster_coco_eval_beyond_a_hundred_detections() -> None:
    rng = np.random.default_rng(5)
    real, _ = random_image(rng, crowd=30)
    noise = rng.integers(0, 60, (260, 2))
    many = detections(np.concatenate([noise, noise + 12], axis=1), rng.random(260), rng.integers(0, 2, 260))
    images = [(real, many), random_image(rng)]
    ours = average_precision(match_all(*zip(*images, strict=True), CLASSES)).table
    np.testing.assert_allclose(ours, coco_table(images), atol=1e-6)


def test_by_hand_one_hit_of_two_objects() -> None:
    """Two objects, one found at IoU .81 first, one false alarm after: AP50 = 51/101, none at .85."""
    found = detections([[0, 0, 9, 9], [50, 50, 60, 60]], [0.9, 0.8], [0, 0])
    table = average_precision(match_all([truth([[0, 0, 10, 10], [20, 20, 30, 30]], [0, 0])], [found], 1))
    assert table.ap50 == pytest.approx(51 / 101)
    assert table.ap75 == pytest.approx(51 / 101)
    assert table.ap == pytest.approx(0.7 * 51 / 101)
    assert table.at(0.85)[0] == 0


def test_weights_are_repetitions() -> None:
    rng = np.random.default_rng(1)
    images = [random_image(rng) for _ in range(12)]
    # a confidence of its own for each detection: repeated ties would be ordered differently
    images = [(t, Detections(d.xyxy, rng.random(len(d)).astype(np.float32), d.class_id)) for t, d in images]
    times = rng.integers(0, 4, 12)
    repeated = [image for image, n in zip(images, times, strict=True) for _ in range(n)]
    weighted = average_precision(match_all(*zip(*images, strict=True), CLASSES), times).table
    plain = average_precision(match_all(*zip(*repeated, strict=True), CLASSES)).table
    np.testing.assert_allclose(weighted, plain, atol=0.02)
    subset = average_precision(match_all(*zip(*images, strict=True), CLASSES), np.arange(12) < 5).table
    np.testing.assert_allclose(
        subset, average_precision(match_all(*zip(*images[:5], strict=True), CLASSES)).table, atol=1e-12
    )


def test_many_weightings_at_once_are_the_single_ones() -> None:
    rng = np.random.default_rng(2)
    matches = match_all(*zip(*[random_image(rng) for _ in range(20)], strict=True), CLASSES)
    weights = rng.integers(0, 3, (7, 20))
    many = average_precisions(matches, weights, ious=[0.5])
    assert many.shape == (7, 1, CLASSES)
    for row, one in zip(many[:, 0], weights, strict=True):
        np.testing.assert_array_equal(row, average_precision(matches, one).at(0.5))


def test_a_perfect_detector_is_perfect_under_any_weights() -> None:
    """Recall is summed in another order than the truth, and may end a last bit below 1."""
    box = [[0.0, 0.0, 10.0, 10.0]]
    found = [detections(box, [0.9 - i / 1000], [0]) for i in range(60)]
    matches = match_all([truth(box, [0])] * 60, found, 1)
    weights = np.random.default_rng(0).uniform(0.01, 3, (200, 60))
    np.testing.assert_allclose(average_precisions(matches, weights)[..., 0], 1.0, atol=1e-12)


def test_counts_at_a_confidence() -> None:
    found = detections([[0, 0, 10, 10], [0, 0, 10, 10], [50, 50, 60, 60]], [0.9, 0.6, 0.3], [0, 0, 1])
    real = truth([[0, 0, 10, 10], [20, 20, 30, 30]], [0, 1])
    matches = match_all([real, truth([], [])], [found, detections([], [], [])], 2)
    at_half, at_tenth = counts(matches, 0.5), counts(matches, 0.1)
    assert at_half.tp.tolist() == [[1, 0], [0, 0]]
    assert at_half.fp.tolist() == [[1, 0], [0, 0]]
    assert at_half.fn.tolist() == [[0, 1], [0, 0]]
    assert at_tenth.fp.tolist() == [[1, 1], [0, 0]]


def test_errors_say_what_was_expected() -> None:
    nothing, empty = truth([], []), detections([], [], [])
    with pytest.raises(ValueError, match="expected one Detections per image, got 0 for 1 images"):
        match_all([nothing], [], 1)
    with pytest.raises(ValueError, match=r"expected class ids 0\.\.0, got 3\.\.3"):
        match_all([truth([[0, 0, 1, 1]], [3])], [empty], 1)
    matches = match_all([nothing], [empty], 1)
    with pytest.raises(ValueError, match=r"expected weights \(R, 1\), none negative"):
        average_precisions(matches, [[-1.0]])
    with pytest.raises(ValueError, match=r"got 0\.33"):
        average_precision(matches).at(0.33)
    assert np.isnan(average_precision(matches).ap)
