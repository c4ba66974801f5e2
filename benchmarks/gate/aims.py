"""What is aimed at, and whether the rates keep it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from benchmarks.gate.chances import wilson
from benchmarks.gate.situations import Part, Situation

ALPHA, SURE = 0.05, 0.95
"""How often chance may deceive, and how often what is broken must be held up."""
POWER = {15: 0.7, 30: 0.9}
"""How often a candidate that is better by .07 over all frames shall be promoted, by groups."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that is told of every situation of a part.

    name: as `plays` calls it. means: in a few words.
    """

    part: Part
    name: str
    means: str


FIGURES = (
    Figure("equal", "promoted", "promoted"),
    Figure("series", "promoted", "any of the ten promoted"),
    Figure("equal", "fell", "told to have fallen"),
    Figure("equal", "asked", "a person is asked"),
    Figure("broken", "held", "not promoted by itself"),
    Figure("broken", "held, shown", "the same, where enough shows the slice"),
    Figure("broken", "noticed", "a fall is told or a person is asked, where enough shows it"),
    Figure("broken", "shown", "enough shows the slice"),
    Figure("loose", "blocked", "not promoted"),
    Figure("power", "promoted", "promoted"),
    Figure("power", "alone", "promoted, and no person is asked"),
)


@dataclass(frozen=True, slots=True)
class Aim:
    """A rate that must be at most, or at least, so much."""

    way: Literal["at most", "at least"]
    bound: float

    @property
    def text(self) -> str:
        return f"{self.way} {self.bound:.2f}"

    def judged(self, yes: int, of: int) -> str:
        """yes, no, or "no, by chance?" where the interval still holds the bound."""
        rate, (low, high) = yes / of, wilson(yes, of)
        if rate <= self.bound if self.way == "at most" else rate >= self.bound:
            return "yes"
        return "no, by chance?" if low <= self.bound <= high else "**no**"


@dataclass(frozen=True, slots=True)
class Row:
    """One line: a situation with one of its figures."""

    situation: Situation
    figure: Figure
    aim: Aim | None

    def rate(self, results: dict[str, Any]) -> tuple[int, int] | None:
        """(yes, of); None where it was not measured."""
        yes, of = results.get(self.situation.key, {}).get("said", {}).get(self.figure.name, (0, 0))
        return (yes, of) if of else None


def rows(figure: Figure, wanted: list[Situation]) -> Iterator[Row]:
    yield from (Row(one, figure, aim_of(one, figure.name)) for one in wanted if one.part == figure.part)


def aim_of(situation: Situation, figure: str) -> Aim | None:
    """None where nothing is promised."""
    if situation.part in ("equal", "series"):
        return None if figure == "asked" else Aim("at most", ALPHA)
    if situation.part == "broken":
        promised = situation.told != "nothing" and figure in ("held", "held, shown")
        return Aim("at least", SURE) if promised else None
    if situation.part == "loose":
        return Aim("at least", SURE)
    promised = figure == "promoted" and not situation.targeted
    return Aim("at least", POWER[situation.groups]) if promised else None
