"""Many simulated rounds of each situation, on several processes, and what they say together."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from math import ceil
from multiprocessing import get_context
from typing import Any

import numpy as np

from benchmarks.gate.plays import Outcome, case_of, played, rise_of
from benchmarks.gate.situations import Situation
from benchmarks.gate.worlds import Kind, detections
from loop.math.evaluation.pair import FIRST_SHARE, GateSettings
from loop.settings.settings import load_settings

GATE = "loop.math.evaluation.gate"
NULLS = 800
"""Pairs of equal models that the oracle's bound rests on."""
_BATCH = 25
_LARGE = 400
_SCENES = 4
_HALVINGS = 11
_STEEPEST = 4.0


@dataclass(frozen=True, slots=True)
class _Batch:
    """judge: a module with a function `judge`, none where "" is given."""

    situation: Situation
    step: float
    runs: range
    judge: str


@dataclass(frozen=True, slots=True)
class _Done:
    outcomes: list[Outcome]
    cpu: float


def measured(
    wanted: Sequence[Situation], share: float = 1.0, judge: str = GATE, processes: int = 2
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(key, result) of one situation after the other, with `share` of its runs, two at least."""
    steps = {situation.key: step_of(situation) for situation in wanted}
    plan = [(one, _batches(one, steps[one.key], share, judge)) for one in wanted]
    batches = [batch for _, each in plan for batch in each]
    if processes > 1:
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            yield from _results(plan, pool.map(_done, batches))
    else:
        yield from _results(plan, map(_done, batches))


def step_of(situation: Situation) -> float:
    """Skill that the candidate must gain for the rise of AP50 that the situation asks for, found by
    halving on large scenes.
    """
    return _step(situation.targeted, situation.deployed, situation.rise) if situation.rise else 0.0


@cache
def _step(targeted: bool, kind: Kind, rise: float) -> float:
    large = Situation("power", "large", 1, _LARGE, targeted=targeted, deployed=kind, candidate=kind)
    low, high = 0.0, _STEEPEST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _mean_rise(large, middle) < rise else (low, middle)
    return (low + high) / 2


def _mean_rise(large: Situation, step: float) -> float:
    """Of the same scenes and the same luck at every step."""
    rises = []
    for seed in range(_SCENES):
        rng = np.random.default_rng([_LARGE, seed])
        case = case_of(rng, large, step)
        both = [detections(rng, case.scene, skill, large.deployed) for skill in (case.before, case.after)]
        rises.append(rise_of(case, both[0], both[1]))
    return float(np.mean(rises))


def _batches(one: Situation, step: float, share: float, judge: str) -> list[_Batch]:
    """Where power is asked for, batches of equal models without a judge follow."""
    made = [_Batch(one, step, runs, judge) for runs in _ranges(one.runs, share)]
    if one.part == "power":
        equal = replace(one, name=f"{one.name}, equal", rise=0.0)
        made += [_Batch(equal, 0.0, runs, "") for runs in _ranges(NULLS, share)]
    return made


def _ranges(runs: int, share: float) -> list[range]:
    count = max(2, ceil(runs * share))
    return [range(start, min(start + _BATCH, count)) for start in range(0, count, _BATCH)]


def _done(batch: _Batch) -> _Done:
    begun, settings = time.process_time(), _settings()
    judge = import_module(batch.judge).judge if batch.judge else None
    outcomes = [played(batch.situation, batch.step, run, judge, settings) for run in batch.runs]
    return _Done(outcomes, time.process_time() - begun)


@cache
def _settings() -> GateSettings:
    return load_settings(None).gate


def _results(
    plan: list[tuple[Situation, list[_Batch]]], done: Iterator[_Done]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for situation, batches in plan:
        answers = [(batch, next(done)) for batch in batches]
        judged = [outcome for batch, each in answers if batch.judge for outcome in each.outcomes]
        equal = [outcome for batch, each in answers if not batch.judge for outcome in each.outcomes]
        cpu = sum(each.cpu for _, each in answers)
        yield situation.key, _result(judged, equal, batches[0].step) | {"cpu": round(cpu, 2)}


def _result(judged: list[Outcome], equal: list[Outcome], step: float) -> dict[str, Any]:
    yes = Counter(name for one in judged for name, said in one.said.items() if said)
    of = Counter(name for one in judged for name in one.said)
    said = {name: [yes[name], count] for name, count in of.items()}
    if equal:
        alpha = _settings().alpha * FIRST_SHARE
        bound = float(np.nanquantile([_rise(one) for one in equal], 1 - alpha))
        said["oracle"] = [sum(_rise(one) > bound for one in judged), len(judged)]
    worth = {name: [one.worth[name] for one in judged] for name in judged[0].worth}
    means = {name: round(float(np.nanmean(values)), 4) for name, values in worth.items()}
    return {"rounds": len(judged), "step": round(step, 4), "said": said, "worth": means}


def _rise(one: Outcome) -> float:
    return one.worth["AP50 after"] - one.worth["AP50 before"]
