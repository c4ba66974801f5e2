"""What must never be torn apart, and on which side of the split it lies.

Frames of one camera-day or one sequence are tied together by union-find; a unit, which is a
connected component, lies on one side of the split as a whole. Near-duplicates across the split are
left out instead: on fixed cameras they chain every day to every other, and one held-out day would
drag all of them along.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from connectors.ports import Purpose
from loop.datasets.imported import DatasetError, PixelBox

EXCLUDED = "excluded"
SAME_SEQUENCE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Item:
    """One labeled frame.

    path: below the store, POSIX.
    boxes: (class id, x1, y1, x2, y2) px.
    origin: imported or production.
    group: its camera-day, "camera|day".
    captured_at: UTC.
    cluster: near-duplicates share one; None where it has none.
    split: the side an imported frame had.
    new: not in the dataset that the base model was trained on.
    """

    frame: int
    content_hash: str
    path: str
    width: int
    height: int
    boxes: tuple[PixelBox, ...]
    origin: str
    group: str
    sequence: str | None = None
    captured_at: datetime | None = None
    cluster: int | None = None
    conditions: tuple[str, ...] = ()
    purpose: Purpose = Purpose.TRAIN
    split: str | None = None
    new: bool = False

    @property
    def classes(self) -> frozenset[int]:
        return frozenset(box[0] for box in self.boxes)


def split_groups(
    items: Sequence[Item],
    fractions: Mapping[str, float] | None = None,
    seed: int = 0,
    evaluation: str = "test",
) -> dict[int, str]:
    """Split by frame; whole units only, stable while the dataset grows.

    fractions: shares of units among splits, by default train .9 and val .1.
    A unit with an evaluation frame goes to `evaluation`; one with an imported test or val frame
    goes there; the others go by a keyed hash. Of near-duplicates on several sides, those that lie
    with an evaluation frame stay, or else the most; the others are EXCLUDED.
    Raises DatasetError when fractions do not sum to 1.
    """
    shares = dict(fractions or {"train": 0.9, "val": 0.1})
    if abs(sum(shares.values()) - 1) > 1e-9 or min(shares.values()) < 0:
        raise DatasetError(f"expected split fractions that sum to 1, got {shares}; correct them")
    by_unit = _members(items)
    pinned = {name: _pinned(members, evaluation) for name, members in by_unit.items()}
    out = {name: side or _drawn(name, shares, seed) for name, side in pinned.items()}
    _fill_empty(out, {name for name, side in pinned.items() if side is None}, shares, seed)
    sides = {item.frame: out[name] for name, members in by_unit.items() for item in members}
    return sides | dict.fromkeys(_leaks(items, sides), EXCLUDED)


def units(items: Sequence[Item]) -> dict[int, str]:
    """Unit name by frame: connected components over camera-days and sequences."""
    return {item.frame: name for name, members in _members(items).items() for item in members}


def _members(items: Sequence[Item]) -> dict[str, list[Item]]:
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for one, other in _sequence_ties(items):
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    out: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        out[root(f"group:{item.group}")].append(item)
    return dict(sorted(out.items()))


def _leaks(items: Sequence[Item], sides: Mapping[int, str]) -> Iterator[int]:
    """Frames whose near-duplicates stay on another side."""
    clusters: dict[int, list[Item]] = defaultdict(list)
    for item in items:
        if item.cluster is not None:
            clusters[item.cluster].append(item)
    for members in clusters.values():
        keeper = _keeper(members, sides)
        yield from (item.frame for item in members if sides[item.frame] != keeper)


def _keeper(members: Sequence[Item], sides: Mapping[int, str]) -> str:
    """The side of an evaluation frame, else of most frames, else the held-out one."""
    for item in members:
        if item.purpose == Purpose.EVALUATION:
            return sides[item.frame]
    count = Counter(sides[item.frame] for item in members)
    return max(sorted(count), key=lambda side: (count[side], side != "train"))


def _sequence_ties(items: Sequence[Item]) -> Iterator[tuple[str, str]]:
    """A sequence ties camera-days where it runs on from one into the next.

    Names such as "morning" or "001" come back every day; more than an hour apart they are two
    sequences. Without times the same name on the same camera counts as the same sequence.
    """
    runs: dict[tuple[str, str], dict[str, list[datetime | None]]] = defaultdict(lambda: defaultdict(list))
    for item in items:
        if item.sequence is not None:
            runs[item.group.rpartition("|")[0] or item.origin, item.sequence][item.group].append(
                item.captured_at
            )
    for groups in runs.values():
        timeless = [group for group, times in groups.items() if None in times]
        spans = sorted(
            (min(known), max(known), group)
            for group, times in groups.items()
            if (known := [t for t in times if t is not None]) and group not in timeless
        )
        for (_, end, one), (start, _, other) in pairwise(spans):
            if start - end <= SAME_SEQUENCE:
                yield f"group:{one}", f"group:{other}"
        for group in timeless:
            yield f"group:{timeless[0]}", f"group:{group}"


def _pinned(members: Sequence[Item], evaluation: str) -> str | None:
    if any(item.purpose == Purpose.EVALUATION for item in members):
        return evaluation
    named = {item.split for item in members}
    return next((split for split in ("test", "val") if split in named), None)


def _drawn(name: str, shares: Mapping[str, float], seed: int) -> str:
    place, total = _place(name, seed), 0.0
    for split, share in shares.items():
        total += share
        if place < total:
            return split
    return list(shares)[-1]


def _place(name: str, seed: int) -> float:
    """Where in [0, 1) a unit falls; the same in every round."""
    return int.from_bytes(hashlib.sha256(f"{seed}|{name}".encode()).digest()[:8]) / 2**64


def _fill_empty(out: dict[str, str], free: set[str], shares: Mapping[str, float], seed: int) -> None:
    """With few units the hash can leave a side empty: it gets one of a side that has several."""
    for split in shares:
        if shares[split] == 0 or split in out.values():
            continue
        spare = Counter(out[name] for name in free)
        movable = [name for name in free if spare[out[name]] > 1]
        if movable:
            out[min(movable, key=lambda name: _place(name, seed))] = split
