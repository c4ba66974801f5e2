"""What to call a part of production that nobody named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from connectors.ports import Array
from loop.base.arrays import Bools, Ints
from loop.math.coverage.facets import Facet, Kind

MOSTLY = 0.8
NARROWER = 0.8
"""Of two options, less than so much of either shows both; else one of them says it alone."""
NAMING: tuple[Kind, ...] = ("metadata", "prompt")


def nearest_prompts(
    members: Array, average: Array, prompts: Sequence[tuple[str, Array]], most: int = 2
) -> tuple[tuple[str, float], ...]:
    """The prompts that members are nearer to than the average frame is, at most `most`, with the
    difference in cosine.

    members: (K, D).
    average: (D,).
    """
    if not prompts:
        return ()
    shift = members.mean(axis=0) - average
    gained = [(name, float(shift @ vector)) for name, vector in prompts]
    return tuple(sorted((pair for pair in gained if pair[1] > 0), key=lambda pair: -pair[1])[:most])


def telling_options(rows: Ints, facets: Sequence[Facet]) -> tuple[str, ...]:
    """Metadata that nearly all of these rows share and that is seldom seen elsewhere: "camera
    depot-8". Where no option is, two that are seldom seen together elsewhere: "night x cam-3".
    """
    shared = [found for facet in facets if facet.kind in NAMING if (found := _shared(rows, facet))]
    alone = [option for option in shared if _seldom_elsewhere(option.inside, rows)]
    if alone:
        return tuple(option.label for option in alone if option.label)
    for one, other in combinations(shared, 2):
        both = one.inside & other.inside
        narrower = np.count_nonzero(both) < NARROWER * min(one.frames, other.frames)
        if narrower and both[rows].mean() >= MOSTLY and _seldom_elsewhere(both, rows):
            return (f"{one.option} x {other.option}",)
    return ()


@dataclass(frozen=True, eq=False)
class _Shared:
    """label: "" for what prompts say, whose nearest stand in the name anyway.
    inside: (N,) bool, production frames that show it; frames: how many.
    """

    label: str
    option: str
    inside: Bools
    frames: int


def _shared(rows: Ints, facet: Facet) -> _Shared | None:
    """The option that nearly all of these rows show."""
    shown = facet.production[rows]
    counts = np.bincount(shown[shown >= 0], minlength=len(facet.options))
    if not len(counts) or counts.max() < MOSTLY * len(rows):
        return None
    inside, option = facet.production == counts.argmax(), facet.options[int(counts.argmax())]
    label = f"{facet.name} {option}" if facet.kind == "metadata" else ""
    return _Shared(label, option, inside, int(np.count_nonzero(inside)))


def _seldom_elsewhere(inside: Bools, rows: Ints) -> bool:
    return bool(np.count_nonzero(inside[rows]) >= 0.5 * np.count_nonzero(inside))


def describe(options: Sequence[str], prompts: Sequence[tuple[str, float]]) -> str:
    """(camera depot-8; like fog, night), or nothing. What an option says is not said again."""
    said = {part for option in options for part in option.split(" x ")}
    names = [name for name, _ in prompts if name not in said]
    like = [f"like {', '.join(names)}"] if names else []
    told = "; ".join([*options, *like])
    return f" ({told})" if told else ""
