"""The benchmark of planted label errors: what it plants, what it counts, and the page of its results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.label_errors.data import LabeledFrame, LabeledSet
from benchmarks.label_errors.measures import (
    Places,
    auroc,
    found_errors,
    left_after,
    of_boxes,
    planted_errors,
)
from benchmarks.label_errors.planting import Wrong, planted
from benchmarks.label_errors.report import DOCUMENT, document
from benchmarks.label_errors.runs import ranking, review
from loop.math.boxes.matching import iou_matrix
from loop.math.quality.label_errors import Suspected
from tests.loop.math.quality.worlds import CLASSES, world

BOX = (10.0, 10.0, 50.0, 50.0)
FAR = (200.0, 200.0, 240.0, 240.0)


@pytest.fixture(scope="module")
def data() -> LabeledSet:
    frames = [
        LabeledFrame(Path(str(i)), (640, 640), each.labels_xyxy, each.labels_class, each.group)
        for i, each in enumerate(world(150, 1, recall=0.98))
    ]
    return LabeledSet("simulated", tuple("abcd"), tuple(frames), 320, 100, 2)


def test_the_page_is_made_of_the_results() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document()


def test_a_fifth_of_the_labels_is_wrong_in_each_way(data: LabeledSet) -> None:
    wrong = planted(data, 0.2, 0)
    labels = sum(len(each.class_id) for each in data.frames)
    kinds = [kind for each in wrong for kind in each.kinds]
    for kind in ("spurious", "class", "location"):
        assert kinds.count(kind) / labels == pytest.approx(0.2, abs=0.04)
    assert sum(len(each.overlooked) for each in wrong) / labels == pytest.approx(0.2, abs=0.04)


def test_what_is_planted_is_what_it_is_called(data: LabeledSet) -> None:
    for was, each in zip(data.frames, planted(data, 0.2, 0), strict=True):
        for i, kind in enumerate(each.kinds):
            box, right = each.frame.xyxy[i], each.right[i]
            if kind == "spurious":
                assert np.isnan(right).all()
                assert iou_matrix(box[None], was.xyxy).max(initial=0.0) < 0.1
                continue
            (own,) = np.flatnonzero((was.xyxy == right).all(axis=1))
            assert (each.frame.class_id[i] != was.class_id[own]) == (kind == "class")
            overlap = iou_matrix(box[None], right[None])[0, 0]
            assert (0.39 <= overlap <= 0.71) if kind == "location" else overlap == 1


def test_one_seed_plants_one_way(data: LabeledSet) -> None:
    first, again, other = (planted(data, 0.2, seed) for seed in (3, 3, 4))
    assert [each.kinds for each in first] == [each.kinds for each in again]
    assert [each.kinds for each in first] != [each.kinds for each in other]


def test_a_place_takes_the_highest_score_of_the_boxes_there() -> None:
    there = [Places(np.array([BOX, (300.0, 300, 340, 340)]), np.array([FAR]))]
    gone, score, touched = of_boxes(there, [np.array([BOX, BOX, FAR])], [np.array([0.3, 0.7, 0.2])])
    assert gone.tolist() == [True, True, False]
    assert score.tolist() == [0.7, 0.0, 0.2]
    assert touched.tolist() == [True, False, True]
    assert auroc(gone, score) == pytest.approx(0.5)


def test_a_review_finds_the_errors_it_comes_by() -> None:
    frame = LabeledFrame(Path("0"), (640, 640), np.array([BOX, FAR]), np.array([0, 0]), "")
    wrong = [Wrong(frame, ("class", ""), np.array([BOX, FAR]), np.array([(100.0, 100, 150, 150)]))]
    listed = [
        Suspected(0, "location", 1, None, BOX, 0.9, 0.9),
        Suspected(0, "class", 0, 1, None, 0.8, 0.8),
        Suspected(0, "overlooked", -1, 0, (101.0, 100, 150, 150), 0.7, 0.7),
    ]
    found = found_errors(listed, wrong)
    assert [len(each) for each in found] == [0, 1, 1]
    assert planted_errors(wrong) == 2
    assert [left_after(found, wrong, reviewed) for reviewed in (1, 2, 3)] == [1, 0.5, 0]


def test_simulated_errors_are_found_better_than_by_objectlab(data: LabeledSet) -> None:
    seen = world(150, 1, recall=0.98)
    wrong = planted(data, 0.05, 0)
    told = ranking(seen, wrong)
    for kind, aim in {"overlooked": 0.95, "spurious": 0.9, "class": 0.9, "location": 0.9}.items():
        assert told["ours"][kind] >= aim
        assert told["ours"][kind] > told["objectlab"].get(kind, 0.0)
    left = review(seen, planted(data, 0.02, 0), 0)
    assert left["left"] <= 0.4
    assert len(data.classes) == CLASSES
