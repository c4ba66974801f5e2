"""Camera-days of frames on which two detectors of known skill agree, differ, or break, without any
image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loop.math.boxes.matching import COCO_IOUS
from loop.math.evaluation.ap import Matches

CLASSES = ("person", "car", "truck", "pallet", "forklift")
RATES = np.array([0.9, 0.6, 0.4, 0.5, 0.08])
CONDITIONS = ("day", "night", "fog", "rain")
GOOD, BLIND = 2.2, -0.9


@dataclass(frozen=True)
class World:
    """Frames of `groups` camera-days; every camera-day has one condition.

    group, condition: (N,). image, class_id: (O,) of the objects. ease: (O,) shared by all
    detectors.
    """

    group: NDArray[np.int64]
    condition: NDArray[np.int64]
    image: NDArray[np.int64]
    class_id: NDArray[np.int64]
    ease: NDArray[np.float64]

    @property
    def masks(self) -> dict[str, NDArray[np.bool_]]:
        return {name: self.condition == i for i, name in enumerate(CONDITIONS)}


def world(
    rng: np.random.Generator, groups: int, frames: int = 4, rates: NDArray[np.float64] = RATES
) -> World:
    group = np.repeat(np.arange(groups), frames)
    condition = np.repeat(np.arange(groups) % len(CONDITIONS), frames)
    count = rng.poisson(rates, (len(group), len(rates)))
    image, class_id = (
        np.repeat(axis, count.ravel()) for axis in np.divmod(np.arange(count.size), len(rates))
    )
    day, frame = rng.normal(0, 0.6, groups), rng.normal(0, 0.4, len(group))
    ease = day[group[image]] + frame[image] + rng.normal(0, 0.8, len(image))
    return World(group, condition, image, class_id, ease)


def skills(*, day: float = GOOD, gaps: float = GOOD) -> NDArray[np.float64]:
    """(conditions, classes)."""
    table = np.full((len(CONDITIONS), len(CLASSES)), gaps)
    table[0] = day
    return table


def detector(
    rng: np.random.Generator,
    scene: World,
    skill: NDArray[np.float64],
    boxes: NDArray[np.float64] | None = None,
) -> Matches:
    """One training of a detector: chance of its own by camera-day and by object, and false alarms.

    skill: (conditions, classes), or (O,) of each object.
    boxes: (2,) parameters of how well they fit (beta over IoU .5 to 1), at the thresholds of COCO;
    None: AP50 alone.
    """
    own = rng.normal(0, 0.3, scene.group.max() + 1)[scene.group[scene.image]]
    of_object = skill if skill.ndim == 1 else skill[scene.condition[scene.image], scene.class_id]
    logit = of_object + scene.ease + own
    seen = logit + rng.normal(0, 0.6, len(logit)) > 0
    alarms = rng.poisson(0.4, len(scene.group))
    alarm_image = np.repeat(np.arange(len(scene.group)), alarms)
    image = np.concatenate([scene.image[seen], alarm_image])
    kinds = np.concatenate([scene.class_id[seen], rng.integers(0, len(CLASSES), len(alarm_image))])
    sure = 1 / (1 + np.exp(-logit[seen] * 0.8 - rng.normal(0, 0.5, int(seen.sum()))))
    confidence = np.concatenate([sure, rng.beta(1.2, 5, len(alarm_image))])
    ious = np.array([0.5]) if boxes is None else COCO_IOUS
    fit = 0.5 + 0.5 * (np.ones(int(seen.sum())) if boxes is None else rng.beta(*boxes, int(seen.sum())))
    hit = np.concatenate([fit >= ious[:, None], np.zeros((len(ious), len(alarm_image)), bool)], axis=1)
    order = np.lexsort((-confidence, kinds))
    truths = np.zeros((len(scene.group), len(CLASSES)), np.int64)
    np.add.at(truths, (scene.image, scene.class_id), 1)
    return Matches(image[order], kinds[order], confidence[order], hit[:, order], truths, ious)
