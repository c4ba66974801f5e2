"""One simulated round: a scene, two trainings, what they are worth and what the gate says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from benchmarks.gate.situations import BROKEN, FLAT, GAPS, GONE, HIGH, LOW, Situation
from benchmarks.gate.worlds import CLASSES, RATES, Scene, detections, scene_of
from loop.base.arrays import Bools, Reals
from loop.math.boxes.matching import COCO_IOUS
from loop.math.evaluation.ap import Matches
from loop.math.evaluation.compare import AP50, Difference, Slice, compare
from loop.math.evaluation.gate import Latency
from loop.math.evaluation.pair import GateSettings
from loop.math.evaluation.verdict import NO_FALL, Verdict

Judge = Callable[..., Verdict]
"""Called as `loop.math.evaluation.gate.judge` is."""
_LATENCY = Latency([10.0] * 30, [10.0] * 30)
_LOST = "lost"


@dataclass(frozen=True, slots=True)
class Case:
    """A scene with two skills.

    masks: the slices that the gate is told of.
    mended: (N,) the frames on which the candidate is meant to be better.
    lost: (N,) the frames that it broke.
    before, after: (O,) skill.
    """

    scene: Scene
    masks: dict[str, Bools]
    targets: tuple[str, ...]
    mended: Bools
    lost: Bools
    before: Reals
    after: Reals


@dataclass(frozen=True, slots=True)
class Outcome:
    """said: what the gate said, by name; a name that does not apply is left out.
    worth: AP by name.
    """

    said: dict[str, bool]
    worth: dict[str, float]


def played(
    situation: Situation, step: float, run: int, judge: Judge | None, settings: GateSettings
) -> Outcome:
    """step: skill that the candidate gains. Without a judge only what the models are worth."""
    rng = np.random.default_rng([crc32(situation.key.encode()), run])
    case = case_of(rng, situation, step)
    deployed = detections(rng, case.scene, case.before, situation.deployed)
    weights = np.exp(rng.normal(0, 1.5, case.scene.frames)) if situation.heavy else np.ones(case.scene.frames)
    verdicts: list[Verdict] = []
    for looks in range(situation.rounds):
        candidate = detections(rng, case.scene, case.after, situation.candidate)
        if judge is not None:
            verdicts.append(
                judge(
                    deployed,
                    candidate,
                    groups=case.scene.group.tolist(),
                    classes=CLASSES,
                    conditions=case.masks,
                    targets=case.targets,
                    weights=weights,
                    looks=np.full(case.scene.frames, looks),
                    latency=_LATENCY,
                    settings=settings,
                    seed=run,
                )
            )
    worth = _worth(case, deployed, candidate, strict=situation.part == "loose")
    return Outcome(_said(verdicts, case, deployed, candidate, settings), worth)


def case_of(rng: np.random.Generator, situation: Situation, step: float) -> Case:
    scene = scene_of(rng, situation.groups, situation.frames, situation.slices)
    gaps = tuple(scene.masks)[-GAPS:] if situation.targeted else ()
    low = (
        np.any([scene.masks[name] for name in gaps], axis=0)
        if gaps
        else np.zeros(scene.frames, dtype=np.bool_)
    )
    lost = _lost(rng, situation, scene)
    mended = (low if gaps else np.ones(scene.frames, dtype=np.bool_)) & ~lost
    usual = np.where(low & ~lost, LOW, HIGH) if gaps else np.full(scene.frames, FLAT)
    after = np.where(lost, BROKEN, usual + np.where(mended, step, 0.0))[scene.image]
    if situation.told == "class":
        after[scene.class_id == RATES.argmin()] = GONE
    named = bool(lost.any()) and situation.told in ("condition", "target")
    masks = scene.masks | ({_LOST: lost} if named else {})
    targets = (*gaps, _LOST) if named and situation.told == "target" else gaps
    return Case(scene, masks, targets, mended, lost, usual[scene.image], after)


def rise_of(case: Case, deployed: Matches, candidate: Matches) -> float:
    """AP50 that the candidate gains where it is meant to."""
    return _compared(case, deployed, candidate, case.mended).estimate


def _lost(rng: np.random.Generator, situation: Situation, scene: Scene) -> Bools:
    if situation.told == "camera":
        return next(iter(scene.masks.values()))
    return np.asarray(rng.permutation(scene.frames) < round(situation.broken * scene.frames))


def _worth(case: Case, deployed: Matches, candidate: Matches, strict: bool) -> dict[str, float]:
    """strict: mAP50-95 as well, and over all frames."""
    found = {"AP50": _compared(case, deployed, candidate, case.mended)}
    if strict:
        everywhere, ious = np.ones(case.scene.frames, dtype=np.bool_), COCO_IOUS.tolist()
        found |= {
            "mAP50-95": _compared(case, deployed, candidate, case.mended, ious),
            "AP50, all frames": _compared(case, deployed, candidate, everywhere),
            "mAP50-95, all frames": _compared(case, deployed, candidate, everywhere, ious),
        }
    return {
        f"{name} {when}": value
        for name, one in found.items()
        for when, value in (("before", one.before), ("after", one.after))
    }


def _compared(
    case: Case, deployed: Matches, candidate: Matches, where: Bools, ious: tuple[float, ...] = AP50
) -> Difference:
    """On the frames alone, however the gate weighs them."""
    slices = [Slice("all", where.astype(np.float64))]
    return compare(deployed, candidate, slices, case.scene.group, ious)


def _said(
    verdicts: list[Verdict], case: Case, deployed: Matches, candidate: Matches, settings: GateSettings
) -> dict[str, bool]:
    """Of all rounds in a row together: whether any said so."""
    if not verdicts:
        return {}
    checks = [check for verdict in verdicts for check in verdict.checks]
    alone = any(verdict.promote and not verdict.needs_approval for verdict in verdicts)
    promoted = any(verdict.promote for verdict in verdicts)
    said = {
        "promoted": promoted,
        "alone": alone,
        "blocked": not promoted,
        "fell": any(check.status == "fail" and check.name.startswith(NO_FALL) for check in checks),
        "asked": any(verdict.needs_approval for verdict in verdicts) or any(check.asks for check in checks),
        "held": not alone,
    }
    if not case.lost.any():
        return said
    one = _compared(case, deployed, candidate, case.lost)
    floors = settings.fall_frames, settings.fall_objects, settings.fall_groups
    shown = all(
        has >= floor for has, floor in zip((one.frames, one.objects, one.groups), floors, strict=True)
    )
    noticed = {"held, shown": not alone, "noticed": said["fell"] or said["asked"]}
    return said | {"shown": shown} | (noticed if shown else {})
