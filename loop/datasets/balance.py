"""Diversity-balanced replay: all that is new, a balanced sample of the old, the rare repeated
within bounds.

Repeat factors follow LVIS (Gupta et al., 2019): sqrt(threshold / share of frames), the largest over
what a frame shows, here over classes and conditions alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from loop.datasets.imported import DatasetError
from loop.datasets.units import Item


@dataclass(frozen=True, slots=True)
class Replay:
    """How an epoch is composed.

    old: frames replayed beside the new ones, 0 = all.
    new_repeats: of each new frame.
    max_repeats: bound for any frame.
    rare: classes and conditions in a smaller share of all training frames are repeated.
    rare_part: at most this part of the replayed frames is reserved for old frames that show
    something rare.
    """

    old: int
    new_repeats: int
    max_repeats: int
    rare: float = 0.03
    rare_part: float = 0.5


def repeats(
    items: Sequence[Item], splits: Mapping[int, str], replay: Replay, seed: int = 0
) -> dict[int, int]:
    """How often each training frame is seen in an epoch, 0 where it is not replayed; held-out
    frames are absent.

    Deterministic, whatever the order of items. Raises DatasetError on settings that contradict each
    other.
    """
    _check(replay)
    training = sorted((i for i in items if splits[i.frame] == "train"), key=lambda i: i.content_hash)
    new, old = [i for i in training if i.new], [i for i in training if not i.new]
    kept = _sample(old, replay, seed)
    factors = repeat_factors(training, replay.rare)
    factor = {item.frame: value for item, value in zip(training, factors, strict=True)}
    out = {item.frame: 0 for item in old}
    for item in [*kept, *new]:
        wanted = factor[item.frame] * (replay.new_repeats if item.new else 1)
        out[item.frame] = int(min(replay.max_repeats, max(1, np.floor(wanted + 0.5))))
    return out


def repeat_factors(items: Sequence[Item], threshold: float) -> list[float]:
    """max(1, sqrt(threshold / share)) over the classes and conditions of each frame; 1 for one that
    shows none.
    """
    seen = Counter(trait for item in items for trait in _traits(item))
    factor = {trait: max(1.0, float(np.sqrt(threshold * len(items) / n))) for trait, n in seen.items()}
    return [max((factor[trait] for trait in _traits(item)), default=1.0) for item in items]


def _sample(old: Sequence[Item], replay: Replay, seed: int) -> list[Item]:
    """Rare frames first, up to their part; then weighted without replacement (Efraimidis and
    Spirakis, 2006).
    """
    if replay.old == 0 or len(old) <= replay.old:
        return list(old)
    factors = np.array(repeat_factors(old, replay.rare))
    keys = np.random.default_rng(seed).random(len(old)) ** (1 / factors)
    rare = np.flatnonzero(factors > 1)
    reserved = rare[np.argsort(-keys[rare])][: int(replay.old * replay.rare_part)]
    keys[reserved] = 2.0
    chosen = np.sort(np.argsort(-keys, kind="stable")[: replay.old])
    return [old[i] for i in chosen]


def _traits(item: Item) -> set[Hashable]:
    return {("class", c) for c in item.classes} | {("condition", c) for c in item.conditions}


def _check(replay: Replay) -> None:
    if replay.old < 0 or not 1 <= replay.new_repeats <= replay.max_repeats:
        raise DatasetError(
            f"expected old >= 0 and 1 <= new_repeats <= max_repeats, got old {replay.old}, new_repeats "
            f"{replay.new_repeats}, max_repeats {replay.max_repeats}; correct round.* in the configuration"
        )
    if not (0 <= replay.rare < 1 and 0 <= replay.rare_part <= 1):
        raise DatasetError(
            f"expected rare and rare_part as shares, got {replay.rare} and {replay.rare_part}; correct them"
        )
