"""Scenes and detectors of known skill: what a camera saw, what is in it, and what a model finds.

A scene is made of groups (camera-days), each of a few frames. Every object has an ease of its own,
which it shares in part with its frame and its group. A detector finds an object where its skill,
the ease and the luck of one training add up to more than 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loop.base.arrays import Bools, Ints, Reals
from loop.math.boxes.matching import COCO_IOUS
from loop.math.evaluation.ap import Matches

CLASSES = ("person", "car", "truck", "pallet", "forklift")
RATES = np.array([0.9, 0.6, 0.4, 0.5, 0.08])
"""Objects of each class that a frame shows on average."""
_EASE = {"group": 0.6, "frame": 0.4, "object": 0.8}
_ALARMS = 0.4


@dataclass(frozen=True, slots=True)
class Scene:
    """Held-out frames with their objects.

    group: (N,) of each frame.
    image, class_id, ease: (O,) of each object.
    masks: (N,) bool by the name of a slice; each holds somewhere.
    """

    group: Ints
    image: Ints
    class_id: Ints
    ease: Reals
    masks: dict[str, Bools]

    @property
    def frames(self) -> int:
        return len(self.group)


@dataclass(frozen=True, slots=True)
class Kind:
    """How a detector answers, and how far two trainings of it lie apart.

    own: deviation that a training has in each group, in the units of skill.
    noise: that it has at each object.
    power: to which confidences are raised; this changes no ranking.
    rounded: confidences have one digit, so many are equal.
    loose: how much of its fit a box loses, 0 to 1; it still counts at IoU .5.
    """

    own: float = 0.3
    noise: float = 0.6
    power: float = 1.0
    rounded: bool = False
    loose: float = 0.0


def scene_of(rng: np.random.Generator, groups: int, frames: int, slices: int) -> Scene:
    """frames: of each group. A third of the slices are cameras, which are whole groups; the others
    are conditions, which come in spells.
    """
    group = np.repeat(np.arange(groups), frames)
    n = len(group)
    counts = rng.poisson(RATES, (n, len(RATES)))
    image, class_id = (
        np.repeat(each, counts.ravel()) for each in np.divmod(np.arange(counts.size), len(RATES))
    )
    ease = (
        rng.normal(0, _EASE["group"], groups)[group[image]]
        + rng.normal(0, _EASE["frame"], n)[image]
        + rng.normal(0, _EASE["object"], len(image))
    )
    return Scene(group, image, class_id, ease, _masks(rng, group, slices))


def _masks(rng: np.random.Generator, group: Ints, slices: int) -> dict[str, Bools]:
    """One more condition is drawn than named: what is ordinary has no name."""
    n, groups, cameras = len(group), int(group.max()) + 1, max(1, slices // 3)
    conditions = slices - cameras
    camera = rng.integers(0, cameras, groups)[group]
    share = rng.dirichlet(np.full(conditions + 1, 1.5))
    alone, spell = (rng.choice(conditions + 1, size, p=share) for size in (n, groups))
    condition = np.where(rng.random(n) < 0.5, spell[group], alone)
    masks = {f"camera {one}": camera == one for one in range(cameras)}
    masks |= {f"condition {one}": condition == one for one in range(conditions)}
    return {name: mask for name, mask in masks.items() if mask.any()}


def detections(rng: np.random.Generator, scene: Scene, skill: Reals, kind: Kind) -> Matches:
    """One training's answers, matched at the IoU thresholds of COCO.

    skill: (O,) at each object.
    As many numbers are drawn whatever the skill is, so that two skills can share their luck.
    """
    objects = len(scene.image)
    logit = skill + scene.ease + rng.normal(0, kind.own, int(scene.group.max()) + 1)[scene.group[scene.image]]
    seen = logit + rng.normal(0, kind.noise, objects) > 0
    sure = 1 / (1 + np.exp(-0.8 * logit - rng.normal(0, kind.noise * 5 / 6, objects)))
    fit = 0.5 + 0.5 * rng.beta(4, 2, objects) - 0.5 * kind.loose * rng.beta(4, 2, objects)
    alarm = np.repeat(np.arange(scene.frames), rng.poisson(_ALARMS, scene.frames))
    image = np.concatenate([scene.image[seen], alarm])
    class_id = np.concatenate([scene.class_id[seen], rng.integers(0, len(RATES), len(alarm))])
    confidence = np.concatenate([sure[seen], rng.beta(1.2, 5, len(alarm))]) ** kind.power
    if kind.rounded:
        confidence = confidence.round(1)
    hit = _hits(fit[seen].clip(0.5, 1), len(alarm))
    order = np.lexsort((rng.random(len(image)), -confidence, class_id))
    truths = np.zeros((scene.frames, len(RATES)), dtype=np.int64)
    np.add.at(truths, (scene.image, scene.class_id), 1)
    return Matches(image[order], class_id[order], confidence[order], hit[:, order], truths, COCO_IOUS)


def _hits(fit: Reals, alarms: int) -> NDArray[np.bool_]:
    """(T, D) of the boxes that lie on an object, then of those that lie on none."""
    return np.concatenate(
        [fit >= COCO_IOUS[:, None], np.zeros((len(COCO_IOUS), alarms), dtype=np.bool_)], axis=1
    )
