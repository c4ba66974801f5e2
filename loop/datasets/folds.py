"""Folds: which frames judge themselves by a model that was trained on the others alone."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from loop.datasets.units import EXCLUDED, Item, units


@dataclass(frozen=True)
class Fold:
    """number: from 0. sides: by frame, "train" for what its model learns from, "val" for what that model
    judges, EXCLUDED for near-duplicates of what it judges.
    """

    number: int
    sides: dict[int, str]

    @property
    def judged(self) -> list[int]:
        """The frames that its model judges."""
        return [frame for frame, side in self.sides.items() if side == "val"]


def folds(items: Sequence[Item], count: int, seed: int) -> list[Fold]:
    """Each frame is judged in one fold. Whole units, which are camera-days and sequences, lie on one
    side; of near-duplicates across the sides, those that would be trained on are left out.

    Units come in the order of a keyed hash, each to the fold with the fewest frames, so that the same
    labels give the same folds. There are as many folds as units where these are fewer than `count`.
    """
    unit_of = units(items)
    sizes: dict[str, int] = defaultdict(int)
    for name in unit_of.values():
        sizes[name] += 1
    held = [0] * min(count, len(sizes))
    fold_of: dict[str, int] = {}
    for name in sorted(sizes, key=lambda one: _key(one, seed)):
        fold_of[name] = held.index(min(held))
        held[fold_of[name]] += sizes[name]
    return [_fold(number, items, {f: fold_of[u] for f, u in unit_of.items()}) for number in range(len(held))]


def _fold(number: int, items: Sequence[Item], fold_of: dict[int, int]) -> Fold:
    judged = {item.cluster for item in items if fold_of[item.frame] == number} - {None}

    def side(item: Item) -> str:
        if fold_of[item.frame] == number:
            return "val"
        return EXCLUDED if item.cluster in judged else "train"

    return Fold(number, {item.frame: side(item) for item in items})


def _key(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"folds|{seed}|{name}".encode()).digest()
