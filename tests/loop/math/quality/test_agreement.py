"""Agreement of persons against the package of its authors, and against hand-counted cases."""

from __future__ import annotations

import numpy as np
import pytest

from connectors.ports import Box
from loop.math.quality.agreement import agree, alpha, compare, names, objects, task_alpha
from loop.math.quality.agreement_figures import figures
from loop.math.quality.fusion import fuse, fused_box

CLASSES = ("person", "helmet", "forklift")
A, B = Box("person", (0, 0, 10, 10)), Box("helmet", (50, 50, 60, 60))


def answers_of(rng: np.random.Generator, persons: int) -> list[list[Box]]:
    """What persons drew in a crowded picture: some missed, some with another class, all loose."""
    count = int(rng.integers(0, 9))
    corner = rng.uniform(0, 60, (count, 2))
    truth = np.hstack([corner, corner + rng.uniform(8, 30, (count, 2))])
    kinds = rng.integers(0, 3, count)
    given = []
    for _ in range(persons):
        drawn = []
        for box, kind in zip(truth, kinds, strict=True):
            if rng.random() < 0.8:
                seen = kind if rng.random() < 0.8 else rng.integers(0, 3)
                x1, y1, x2, y2 = (float(side) for side in box + rng.normal(0, 1.5, 4))
                drawn.append(Box(CLASSES[seen], (x1, y1, x2, y2)))
        given.append(drawn)
    return given


def oracle(tasks: list[list[list[Box]]]) -> tuple[float, dict[int, float], dict[str, list[float]]]:
    """Mean alpha, alpha by task, and alphas by class, of the package kalos."""
    from kalos.iaa.core import calculate_iaa

    number = 0
    processed = {}
    for index, given in enumerate(tasks):
        by_rater: dict[str, list[dict[str, object]]] = {}
        for person, boxes in enumerate(given):
            by_rater[str(person)] = []
            for box in boxes:
                x1, y1, x2, y2 = box.xyxy
                number += 1
                by_rater[str(person)].append(
                    {
                        "id": number,
                        "rater_id": str(person),
                        "category_id": CLASSES.index(box.class_name),
                        "bbox": [x1, y1, x2 - x1, y2 - y1],
                    }
                )
        processed[index] = {"rater_list": [*by_rater], "annotations_by_rater": by_rater}
    found = calculate_iaa(
        processed,
        dict(enumerate(CLASSES)),
        method="shm",
        threshold_func="bbox_iou_similarity",
        cost_func="category_lenient",
        similarity_threshold=0.5,
        calculate_vitality=False,
        calculate_difficulty=True,
        collaboration_clusters=False,
        all_raters=[str(person) for person in range(max(map(len, tasks)))],
    )
    return found[0], found[6], {name: each["alphas"] for name, each in found[4].items()}


def test_alpha_is_that_of_its_authors() -> None:
    rng = np.random.default_rng(7)
    tasks = [answers_of(rng, persons=2) for _ in range(120)]
    whole, by_task, by_class = oracle(tasks)
    ours = [task_alpha(given) for given in tasks]
    assert np.ptp(ours) > 0.5
    np.testing.assert_allclose(ours, [by_task[index] for index in range(120)], atol=1e-9, rtol=0)
    assert np.mean(ours) == pytest.approx(whole, abs=1e-9)
    for name in CLASSES:
        shown = [given for given in tasks if any(name == box.class_name for each in given for box in each)]
        np.testing.assert_allclose([task_alpha(given, name) for given in shown], by_class[name], atol=1e-9)


def test_alpha_of_names_by_hand() -> None:
    """Krippendorff's own way of counting: 3 of 4 pairs agree, by chance 24 of 56 values meet."""
    units = [["a", "a"], ["a", "a"], ["b", "b"], ["a", "b"]]
    disagreed, by_chance = 1 / 4, 2 * 5 * 3 / (8 * 7)
    assert alpha(units) == pytest.approx(1 - disagreed / by_chance)
    assert alpha([]) == alpha([["a", "a"], ["a", "a"]]) == 1.0


def test_an_object_that_one_did_not_draw_is_missing() -> None:
    assert names(([A, B], [A]), objects(([A, B], [A]))) == [["person", "person"], ["helmet", ""]]
    assert not agree([A, B], [A])
    assert agree([A, B], [B, A])
    assert agree([], [])


def test_two_boxes_of_one_class_are_paired_rather_than_the_closest() -> None:
    """A helmet drawn on a person's head meets the helmet, though the person lies closer."""
    other = Box("helmet", (0, 0, 10, 14))
    assert objects(([A, Box("helmet", (0, 0, 10, 18))], [other])) == [(0, None), (1, 0)]


def test_disagreements_are_told_apart() -> None:
    wrong = Box("forklift", (0, 0, 10, 10), occluded=True)
    found = compare([A, B], [wrong, Box("helmet", (50, 50, 60, 62)), Box("person", (80, 80, 90, 90))])
    assert (found.boxes, found.missed, found.matched, found.conflicts, found.hidden) == (5, 1, 2, 1, 1)
    assert found.iou == pytest.approx(1 + 100 / 120)
    assert found.spread == pytest.approx(4 / 4 / 2 / 110)
    only = compare([A, B], [wrong], only="helmet")
    assert (only.boxes, only.missed, only.matched) == (1, 1, 0)


def test_few_days_tell_no_interval() -> None:
    found = figures([compare([A, B], [A]), compare([A], [A])] * 2, [1, 2, 3, 4])
    assert (found.tasks, found.days, found.objects, found.missed) == (4, 4, 6, 2)
    assert found.miss_rate.value == pytest.approx(2 / 10)
    assert (found.miss_rate.low, found.alpha.low) == (None, None)
    nothing = figures([], [])
    assert (nothing.tasks, nothing.alpha.value, nothing.iou.value) == (0, None, None)


def test_fused_boxes_lie_between() -> None:
    first, second = Box("person", (0, 0, 10, 10), occluded=True), Box("person", (2, 0, 12, 10))
    assert fused_box([first, second]).xyxy == (1, 0, 11, 10)
    assert fused_box([first, second], [3, 1]).xyxy == (0.5, 0, 10.5, 10)
    assert [fused_box([first, first, second]).occluded, fused_box([first, second]).occluded] == [True, False]


def test_most_decide_of_each_object() -> None:
    other = Box("forklift", A.xyxy)
    assert fuse([[A, B], [A], [A]]).boxes == (A,)
    assert fuse([[A, B], [A, B], []]).boxes == (A, B)
    split = fuse([[A], [other], [Box("helmet", A.xyxy)]])
    assert (split.boxes, split.undecided) == ((), (("person", "forklift", "helmet"),))
    assert fuse([[A], [other], [other]]).boxes == (other,)
    assert fuse([[A], []]).undecided == (("person", ""),)
