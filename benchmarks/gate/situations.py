"""What is simulated: pairs of models of known worth, before the gate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from benchmarks.gate.worlds import Kind

HIGH, LOW, BROKEN, GONE = 2.2, -0.5, -3.0, -20.0
"""Skill where all is well, on a gap, on a slice that a training broke, and of a class that it forgot."""
FLAT = 0.5
"""Skill everywhere, of a detector that no gap sticks out of."""
GAPS = 3
USUAL, CALM = Kind(), Kind(own=0.15, noise=0.3)
SERIES = 10
MENDED = 0.3
"""AP50 that is gained on the gaps while something else breaks."""

Part = Literal["equal", "series", "broken", "loose", "power"]
Told = Literal["condition", "target", "camera", "class", "nothing"]


@dataclass(frozen=True, slots=True)
class Situation:
    """A kind of round. One simulated round draws a scene and two trainings.

    runs: how often it is simulated.
    groups, frames, slices: camera-days, frames of each, named parts of the frames.
    targeted: the gaps are lower in skill and named as targets; else one skill holds everywhere.
    rise: AP50 that the candidate truly gains on the gaps, or over all frames without targets.
    deployed, candidate: how the two trainings answer.
    heavy: frames have log-normal weights, sigma 1.5.
    broken: share of frames that the candidate broke, where told is not "camera" or "class".
    told: as what the gate knows of these; "camera": the first camera is broken, a slice like others;
    "class": the rarest class is forgotten.
    rounds: candidates one after the other on the same frames.
    """

    part: Part
    name: str
    runs: int
    groups: int
    frames: int = 4
    slices: int = 20
    targeted: bool = True
    rise: float = 0.0
    deployed: Kind = USUAL
    candidate: Kind = USUAL
    heavy: bool = False
    broken: float = 0.0
    told: Told = "condition"
    rounds: int = 1

    @property
    def key(self) -> str:
        return f"{self.part}: {self.name}"


def situations() -> list[Situation]:
    return [*_equal(), *_broken(), *_loose(), *_power()]


def _equal() -> Iterator[Situation]:
    for groups, runs in ((15, 300), (30, 300), (60, 100)):
        for slices in (4, 30):
            yield Situation("equal", f"{groups} x 4, {slices} slices", runs, groups, slices=slices)
    rounded, own = Kind(rounded=True), Kind(own=0.8)
    for groups in (15, 30):
        at = f"{groups} x 4, 20 slices"
        yield Situation("equal", f"{at}, confidences cubed", 200, groups, candidate=Kind(power=3.0))
        yield Situation("equal", f"{at}, ties", 200, groups, deployed=rounded, candidate=rounded)
        yield Situation("equal", f"{at}, heavy weights", 200, groups, heavy=True)
        yield Situation("equal", f"{at}, strong camera-days", 200, groups, deployed=own, candidate=own)
        yield Situation("equal", f"{at}, without targets", 200, groups, targeted=False)
        yield Situation("series", at, 150, groups, rounds=SERIES)


def _broken() -> Iterator[Situation]:
    for groups, frames, runs in ((30, 4, 200), (60, 4, 100), (30, 10, 100), (60, 10, 60)):
        at = f"{groups} x {frames}"
        yield Situation("broken", f"{at}, a condition", runs, groups, frames, rise=MENDED, broken=0.03)
        yield Situation(
            "broken", f"{at}, a target", runs, groups, frames, rise=MENDED, broken=0.03, told="target"
        )
        yield Situation("broken", f"{at}, a camera", runs // 2, groups, frames, rise=MENDED, told="camera")
    for groups, frames in ((15, 4), (30, 4), (30, 10)):
        yield Situation(
            "broken", f"{groups} x {frames}, a class", 100, groups, frames, rise=MENDED, told="class"
        )
    yield Situation(
        "broken", "30 x 10, nobody named it", 60, 30, 10, rise=MENDED, broken=0.03, told="nothing"
    )


def _loose() -> Iterator[Situation]:
    for groups in (15, 30):
        for loose, rise in ((0.4, MENDED), (0.6, MENDED), (0.4, 0.4)):
            name = f"{groups} x 4, boxes loose by {_short(loose)}, +{_short(rise)} on the gaps"
            yield Situation("loose", name, 100, groups, rise=rise, candidate=Kind(loose=loose))


def _power() -> Iterator[Situation]:
    for kind, said in ((USUAL, "usual luck"), (CALM, "calm")):
        for groups in (15, 30):
            name = f"{groups} x 4, {said}, +.07 over all frames"
            yield Situation(
                "power", name, 200, groups, targeted=False, rise=0.07, deployed=kind, candidate=kind
            )
            for rise in (0.1, 0.2, 0.4):
                name = f"{groups} x 4, {said}, +{_short(rise)} on the gaps"
                yield Situation("power", name, 100, groups, rise=rise, deployed=kind, candidate=kind)


def _short(value: float) -> str:
    return f"{value:g}".removeprefix("0")
