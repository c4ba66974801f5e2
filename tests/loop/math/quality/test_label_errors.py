from __future__ import annotations

import json

import numpy as np
import pytest

from loop.base.arrays import Reals
from loop.math.boxes.matching import iou_matrix
from loop.math.quality.label_errors import (
    KINDS,
    Calibration,
    JudgedFrame,
    Kind,
    Suspected,
    calibrate,
    score_labels,
    suspects,
)
from loop.math.quality.planted_errors import plant
from tests.loop.math.quality.worlds import one, world

CAR = (10.0, 10.0, 50.0, 50.0)


def score(frame: JudgedFrame, kind: Kind, label: int = 0) -> float:
    found = [each.score for each in score_labels([frame]) if (each.kind, each.label) == (kind, label)]
    assert len(found) == 1
    return found[0]


def test_an_object_without_a_label_is_as_suspect_as_the_box_is_sure() -> None:
    far = (200.0, 200.0, 240.0, 260.0)
    frame = one([(0, *CAR)], [(0.9, 0, *CAR), (0.7, 1, *far)])
    (found,) = [each for each in score_labels([frame]) if each.kind == "overlooked"]
    assert (found.label, found.fix_class, found.fix_xyxy) == (-1, 1, far)
    assert found.score == pytest.approx(0.7)
    assert np.isnan(found.probability)


def test_a_place_is_told_once_however_many_boxes_are_there() -> None:
    near = (202.0, 200.0, 242.0, 260.0)
    frame = one([], [(0.7, 1, 200, 200, 240, 260), (0.6, 1, *near), (0.5, 0, *near)])
    (found,) = score_labels([frame])
    assert found.score == pytest.approx(0.7)


def test_a_box_half_over_a_label_is_half_as_suspect() -> None:
    # 40 x 40 each, 10 of 40 px in common: IoU 400 / 2800
    frame = one([(0, *CAR)], [(0.8, 0, 40, 10, 80, 50)])
    (found,) = [each for each in score_labels([frame]) if each.kind == "overlooked"]
    assert found.score == pytest.approx(0.8 * (1 - 2 / 7))


def test_a_label_that_no_box_touches_is_spurious() -> None:
    """Labels of this size have .45 of support in the mean: e = .48 against .48 + .9 or nothing."""
    frame = one([(0, *CAR), (0, 100, 100, 140, 140)], [(0.9, 0, *CAR)])
    assert score(frame, "spurious", 0) == pytest.approx(0.48 / (0.48 + 0.9))
    assert score(frame, "spurious", 1) == pytest.approx(1.0)


def test_a_label_too_small_to_be_seen_is_less_spurious_than_a_large_one() -> None:
    """The small are never seen, the large always but for one."""
    small = one([(0, 0, 0, 5, 5)], [])
    large, missed = one([(0, *CAR)], [(0.9, 0, *CAR)]), one([(0, *CAR)], [(0.05, 0, *CAR)])
    told = [e.score for e in score_labels([small] * 9 + [large] * 9 + [missed]) if e.kind == "spurious"]
    assert told[-1] > told[9]


def test_of_two_labels_of_one_object_the_worse_is_spurious() -> None:
    frame = one([(0, 12, 10, 52, 50), (0, *CAR)], [(0.9, 0, *CAR)])
    assert score(frame, "spurious", 0) == pytest.approx(38 / 42)
    assert score(frame, "spurious", 1) < 0.6


def test_a_class_is_suspect_where_another_scores_higher() -> None:
    """Both classes are as common."""
    both = [(0.9, 0, *CAR), (0.9, 1, 100, 100, 140, 140)]
    scores = [(0.9, 0.0), (0.0, 0.9)]
    common = [one([(0, *CAR), (1, 100, 100, 140, 140)], both, scores)] * 50
    wrong = one([(0, *CAR)], [(0.9, 1, *CAR)], [(0.0, 0.9)])
    told = [each for each in score_labels([*common, wrong]) if each.kind == "class"]
    assert (told[-1].fix_class, told[0].fix_class) == (1, 1)
    assert told[-1].score > 0.8 > 0.1 > told[0].score


def test_a_class_that_its_camera_day_does_not_show_is_more_suspect() -> None:
    """Without a box; the labels of the day tell."""
    frames = [one([(0, *CAR)], [])] * 30 + [one([(1, *CAR)], [])]
    told = [each.score for each in score_labels(frames) if each.kind == "class"]
    assert told[-1] > 0.6 > 0.2 > told[0]


def test_without_scores_of_classes_the_boxes_tell_them() -> None:
    common = [one([(0, *CAR), (1, 100, 100, 140, 140)], [(0.8, 0, *CAR), (0.8, 1, 100, 100, 140, 140)])] * 5
    wrong = one([(0, *CAR)], [(0.8, 1, *CAR), (0.1, 0, *CAR)])
    told = {(e.frame, e.label): e.score for e in score_labels([*common, wrong]) if e.kind == "class"}
    assert told[5, 0] > 0.8 > 0.1 > told[0, 0]


def test_a_class_that_its_model_never_knew_is_judged_beside_others() -> None:
    """A class that was added since, beside a model that scores two classes."""
    seen = one([(2, *CAR)], [(0.9, 0, *CAR)])
    two = JudgedFrame(
        seen.labels_xyxy,
        seen.labels_class,
        seen.xyxy,
        seen.confidence,
        seen.class_id,
        np.array([[0.9, 0.05]]),
        seen.group,
    )
    assert score(two, "class") == pytest.approx(score(seen, "class"), abs=0.01)


def test_a_bad_box_is_held_against_the_consensus_of_boxes() -> None:
    # boxes 2 px left and right of the same place agree on the place between them
    boxes = [(0.9, 0, 8, 10, 48, 50), (0.9, 0, 12, 10, 52, 50)]
    good, bad = one([(0, *CAR)], boxes), one([(0, 10, 10, 50, 70)], boxes)
    told = [each for each in score_labels([good, good, good, bad]) if each.kind == "location"]
    assert told[0].score < 0.3 < 0.6 < told[3].score
    assert told[3].fix_xyxy == pytest.approx(CAR, abs=0.5)


def test_a_label_that_no_box_speaks_of_is_neither_well_nor_badly_placed() -> None:
    (found,) = [e for e in score_labels([one([(0, *CAR)], [])]) if e.kind == "location"]
    assert (found.score, found.fix_xyxy) == (0.5, None)


def test_frames_without_labels_or_boxes_or_both_have_scores_or_none() -> None:
    nothing = one([], [])
    assert score_labels([nothing]) == []
    assert [each.kind for each in score_labels([one([(0, *CAR)], [])])] == ["spurious", "class", "location"]
    assert score_labels([]) == []
    assert suspects([nothing], calibrate([nothing], 0)) == []


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected xyxy of shape \(2, 4\), got \(1, 4\)"):
        JudgedFrame(
            np.zeros((0, 4)), np.zeros(0, int), np.zeros((1, 4)), np.zeros(2), np.zeros(2, int), None, ""
        )
    with pytest.raises(ValueError, match="expected class_scores of 1 boxes, got 2 rows"):
        one([], [(0.5, 0, *CAR)], [(0.5,), (0.5,)])


@pytest.fixture(scope="module")
def planted_world() -> tuple[list[JudgedFrame], dict[tuple[int, int], Kind], list[Reals]]:
    """Frames with 5 % of the labels wrong in each way, what is wrong, and what is missing."""
    planted = plant(world(300, 0), 0.05, 99)
    wrong = {(i, label): kind for i, each in enumerate(planted) for label, kind in each.kinds.items()}
    return [each.frame for each in planted], wrong, [each.overlooked for each in planted]


@pytest.fixture(scope="module")
def learned(planted_world: World) -> Calibration:
    return calibrate(planted_world[0], 0)


World = tuple[list[JudgedFrame], dict[tuple[int, int], Kind], list[Reals]]


def is_wrong(each: Suspected, of: World) -> bool:
    _, wrong, gone = of
    if each.label >= 0:
        return (each.frame, each.label) in wrong
    return bool(iou_matrix(np.array([each.fix_xyxy]), gone[each.frame]).max(initial=0.0) >= 0.5)


def decisions(of: World, count: int, seed: int) -> list[tuple[Kind, float, bool]]:
    """Of suspects drawn from the worse half, as people would decide them."""
    listed = suspects(of[0], calibrate(of[0], 0))
    worse = listed[: len(listed) // 2]
    drawn = np.random.default_rng(seed).choice(len(worse), count, replace=False)
    return [(worse[i].kind, worse[i].score, is_wrong(worse[i], of)) for i in drawn]


@pytest.mark.parametrize("kind", KINDS)
def test_a_worse_score_is_never_less_probable(learned: Calibration, kind: Kind) -> None:
    told = learned.probability(kind, np.linspace(0, 1, 200, dtype=np.float64))
    assert (np.diff(told) >= 0).all()
    assert told[0] < 0.05 < 0.15 < told[-1] < 1


def test_probabilities_hold_after_people_decided(planted_world: World) -> None:
    learned = calibrate(planted_world[0], 0, decisions(planted_world, 200, 1))
    listed = suspects(planted_world[0], learned)
    told = np.array([each.probability for each in listed])
    true = np.array([is_wrong(each, planted_world) for each in listed])
    assert (np.diff(told) <= 0).all()
    for low, high in ((0.0, 0.1), (0.1, 0.5), (0.5, 1.0)):
        some = (told >= low) & (told < high)
        assert some.sum() >= 20
        assert told[some].mean() == pytest.approx(true[some].mean(), abs=0.15)


def test_a_tenth_of_the_labels_holds_most_of_the_errors() -> None:
    """2 % of each kind."""
    planted = plant(world(300, 3, recall=0.98), 0.02, 7)
    wrong = {(i, label): kind for i, each in enumerate(planted) for label, kind in each.kinds.items()}
    of: World = [each.frame for each in planted], wrong, [each.overlooked for each in planted]
    labels = sum(len(each.labels_class) for each in of[0])
    listed = suspects(of[0], calibrate(of[0], 0))[: labels // 10]
    errors = len(wrong) + sum(map(len, of[2]))
    assert sum(is_wrong(each, of) for each in listed) / errors >= 0.7


def test_no_label_is_listed_twice(planted_world: World, learned: Calibration) -> None:
    listed = suspects(planted_world[0], learned)
    labels = [(each.frame, each.label) for each in listed if each.label >= 0]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("kind", KINDS)
def test_what_people_confirm_makes_its_kind_more_probable(
    planted_world: World, learned: Calibration, kind: Kind
) -> None:
    """And what they refute less; other kinds stay as they are. The score is one of some doubt."""
    curve, scores = learned.curves[kind], np.array([0.3, 0.6, 0.9])
    score = float(curve.scores[np.abs(curve.ratio * curve.rate - 0.3).argmin()])
    frames = planted_world[0][:100]
    confirmed, refuted = (calibrate(frames, 0, [(kind, score, answer)] * 40) for answer in (True, False))
    assert confirmed.curves[kind].rate > refuted.curves[kind].rate
    assert confirmed.probability(kind, np.array([score])) > refuted.probability(kind, np.array([score]))
    for other in set(KINDS) - {kind}:
        np.testing.assert_array_equal(
            confirmed.probability(other, scores), refuted.probability(other, scores)
        )


def test_right_labels_are_hardly_suspected() -> None:
    """The scores themselves bound how many errors there can be."""
    clean = world(200, 5, recall=0.98, noise=0.02)
    listed = suspects(clean, calibrate(clean, 0))
    expected = sum(each.probability for each in listed)
    labels = sum(len(each.labels_class) for each in clean)
    assert expected / labels < 0.08


def test_the_same_seed_gives_the_same_calibration_and_json_brings_it_back(
    planted_world: World, learned: Calibration
) -> None:
    first = learned
    assert first.to_json() == calibrate(planted_world[0], 0).to_json()
    back = Calibration.from_json(json.loads(json.dumps(first.to_json())))
    for kind in KINDS:
        scores = np.linspace(0, 1, 50, dtype=np.float64)
        np.testing.assert_array_equal(back.probability(kind, scores), first.probability(kind, scores))


def test_other_json_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected the calibration of suspect labels .* calibrate again"):
        Calibration.from_json({"class": {"scores": [0.1]}})
    with pytest.raises(ValueError, match="2 scores for 1 ratios"):
        Calibration.from_json({"class": {"scores": [0.1, 0.2], "ratio": [1.0], "rate": 0.1}})


def test_nothing_learned_says_nothing() -> None:
    frame = one([(0, *CAR)], [(0.9, 0, *CAR)])
    assert Calibration({}).probability("class", np.array([0.5])).tolist() == [0.0]
    assert suspects([frame], Calibration({})) == []
