"""Who trains, who is chosen from, who judges: whole groups, drawn once, before anything is chosen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from loop.datasets.imported import DatasetError
from loop.replay.settings import ReplaySettings

Part = Literal["labeled", "held out", "pool", "tuning", "test"]
LABELED: Part = "labeled"
HELD_OUT: Part = "held out"
POOL: Part = "pool"
TUNING: Part = "tuning"
TEST: Part = "test"
FEWEST_GROUPS = 8
ALONE = "alone:"
"""Begins the group of a frame of which neither time nor sequence is known."""
Frame = tuple[str, Mapping[str, str]]
"""Its group and its columns."""


def parts_of(frames: Sequence[Frame], settings: ReplaySettings) -> tuple[Part, ...]:
    """The part of each frame; what is left of a group that is labeled in part can be chosen, never
    judges.

    Raises DatasetError when a selector fits nothing, tears a group apart, or groups are too few.
    """
    fixed = _fixed(frames, settings)
    _check_whole(frames, fixed)
    if not settings.ungrouped:
        _check_grouped(frames, fixed)
    begun = {group for (group, _), part in zip(frames, fixed, strict=True) if part is not None}
    free = sorted({group for group, _ in frames} - begun)
    drawn = _drawn(frames, fixed, free, settings)
    return tuple(part or drawn.get(group, POOL) for (group, _), part in zip(frames, fixed, strict=True))


def _fixed(frames: Sequence[Frame], settings: ReplaySettings) -> list[Part | None]:
    """By the first selector that fits: test, held out, labeled."""
    asked: list[tuple[Part, tuple[str, ...]]] = [
        (TEST, settings.test),
        (HELD_OUT, settings.held_out),
        (LABELED, settings.labeled),
    ]
    meant = [(part, _meant(each, part, frames)) for part, selectors in asked for each in selectors]
    return [
        next((part for part, (column, value) in meant if columns.get(column) == value), None)
        for _, columns in frames
    ]


def _meant(selector: str, name: str, frames: Sequence[Frame]) -> tuple[str, str]:
    column, _, value = selector.partition("=")
    if not any(columns.get(column) == value for _, columns in frames):
        values = sorted({columns.get(column, "") for _, columns in frames} - {""})
        columns_there = sorted({key for _, columns in frames for key in columns})
        there = f"{column} with {', '.join(values)}" if values else f"the columns {', '.join(columns_there)}"
        raise DatasetError(
            f"{name}: expected column=value that fits some frames, got {selector!r}; there are {there}"
        )
    return column, value


def _check_grouped(frames: Sequence[Frame], fixed: Sequence[Part | None]) -> None:
    lonely = [
        group
        for (group, _), part in zip(frames, fixed, strict=True)
        if part is None and group.startswith(ALONE)
    ]
    if lonely:
        raise DatasetError(
            f"expected a camera and a time, or a sequence, of every frame, got neither for {len(lonely)} of"
            f" {len(frames)} (such as {lonely[0].removeprefix(ALONE)}); without groups neighboring frames"
            " would lie in both pool and test: give --sidecar or --pattern, or --set ungrouped=true where"
            " frames are unrelated"
        )


def _check_whole(frames: Sequence[Frame], fixed: Sequence[Part | None]) -> None:
    seen: dict[str, set[str]] = defaultdict(set)
    for (group, _), part in zip(frames, fixed, strict=True):
        seen[group].add(part or "what is drawn")
    torn = next((group for group, parts in seen.items() if parts & {TEST, HELD_OUT} and len(parts) > 1), None)
    if torn is not None:
        raise DatasetError(
            f"expected every group on one side, got group {torn!r} in {' and '.join(sorted(seen[torn]))};"
            " neighboring frames would be on both sides: change the selectors"
        )


def _drawn(
    frames: Sequence[Frame], fixed: Sequence[Part | None], free: Sequence[str], settings: ReplaySettings
) -> dict[str, Part]:
    """The groups in random order fill test, then tuning, until each holds its share of the frames;
    the rest is the pool.
    """
    sizes: dict[str, int] = defaultdict(int)
    for (group, _), part in zip(frames, fixed, strict=True):
        sizes[group] += part is None
    total = sum(sizes[group] for group in free)
    wanted: dict[Part, float] = {} if settings.test else {TEST: settings.test_share * total}
    wanted[TUNING] = settings.tuning_share * total
    _check_enough(free)
    out: dict[str, Part] = {}
    order = iter(np.random.default_rng(settings.split_seed).permutation(len(free)))
    for part, frames_wanted in wanted.items():
        held = 0
        while held < frames_wanted:
            group = free[next(order)]
            out[group] = part
            held += sizes[group]
    return {group: out.get(group, POOL) for group in free}


def _check_enough(free: Sequence[str]) -> None:
    if len(free) < FEWEST_GROUPS:
        raise DatasetError(
            f"expected at least {FEWEST_GROUPS} groups (camera-days or sequences) to divide, got {len(free)};"
            " name finer sequences in the sidecar, or name the test frames"
        )
