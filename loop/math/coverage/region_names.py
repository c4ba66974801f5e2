"""What to call a part of production that nobody named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from connectors.ports import Array
from loop.base.arrays import Ints

MOSTLY = 0.8
Tags = Mapping[str, Sequence[str | None]]
"""column -> (N,) values of the production frames, such as their camera."""


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


def telling_tags(rows: Ints, tags: Tags) -> tuple[str, ...]:
    """Values that nearly all of these rows share and that are seldom seen elsewhere: "camera
    depot-8".
    """
    told = []
    for column, values in tags.items():
        everywhere = np.array(values, dtype=object)
        known = sorted({value for value in everywhere[rows] if value})
        for value in known:
            has = everywhere == value
            if has[rows].mean() >= MOSTLY and has[rows].sum() >= 0.5 * has.sum():
                told.append(f"{column} {value}")
    return tuple(told)


def describe(tags: Sequence[str], prompts: Sequence[tuple[str, float]]) -> str:
    """(camera depot-8; like fog, night), or nothing."""
    like = [f"like {', '.join(name for name, _ in prompts)}"] if prompts else []
    said = "; ".join([*tags, *like])
    return f" ({said})" if said else ""
