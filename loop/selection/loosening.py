"""Frames that loosen a tie between a class and a place: a share of each batch is theirs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loop.base.arrays import Bools, Ints, Reals
from loop.gaps.bias import Bias, expected_counts
from loop.gaps.bias_report import Tie, at_place
from loop.gaps.coverage_view import CoverageView
from loop.math.bias.evening import evening
from loop.math.coverage.gaps import spread_examples
from loop.selection.exclusions import Rules
from samplers.pool import NOBODY
from samplers.reason import LONGEST

COMPONENT = "tied class"
OF_A_DAY = 3
"""So many frames of a camera-day that seem to show a class are chosen before others are."""
LEAST = 0.1
"""A tie that a person wants loosened has turns, whatever its log-odds."""
NAME = 32
"""Characters of a name within a line."""


@dataclass(frozen=True, eq=False)
class Loosening:
    """Frames of a batch that loosen ties. rows: (k,) of production, best first. reasons: (k,)."""

    rows: Ints
    reasons: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)


NOTHING = Loosening(np.zeros(0, dtype=np.int64), ())


@dataclass(frozen=True, eq=False)
class _Wanted:
    """order: rows, best first. left: how many are wanted. weight: of its turns."""

    order: Ints
    left: int
    weight: float
    reason: str


def loosening(view: CoverageView, bias: Bias, rules: Rules, most: int, others: int, seed: int) -> Loosening:
    """At most `most` frames of the pool, as many as even out what is labeled together with `others`
    frames of the same batch.

    Ties take turns by their least log-odds, and the kinds of frames of each by how many are wanted.
    Where a class should be shown the surest frames come first, three of a camera-day; where it
    should not, camera-days in random order.
    None is labeled, queued, a near-duplicate of another, or beyond what a sequence may give.
    """
    rng = np.random.default_rng([seed, 5])
    open_rows = rules.in_pool & ~rules.engaged & ~np.isin(rules.cluster, rules.judging)
    open_rows &= ~np.isin(rules.cluster, rules.cluster[rules.engaged & rules.in_pool])
    targets = [tie for tie in bias.report.ties if tie.targeted]
    wanted = [one for tie in targets for one in _wanted(view, bias, tie, open_rows, (most, others), rng)]
    return _taken(wanted, open_rows, rules, most)


def _wanted(
    view: CoverageView,
    bias: Bias,
    tie: Tie,
    open_rows: Bools,
    sizes: tuple[int, int],
    rng: np.random.Generator,
) -> list[_Wanted]:
    counts = expected_counts(bias.report, tie, *sizes)
    available = bias.available(tie, open_rows)
    plan = evening(*counts, sizes[0], available, bias.right[tie.class_name])
    weight = max(tie.strength, LEAST) / max(int(plan.sum()), 1)
    names = bias.factors[tie.kind, tie.factor].levels
    score = view.scores[:, view.classes.index(tie.class_name)]
    found = []
    for level, column in np.argwhere(plan > 0).tolist():
        with_class, count = column == 0, int(plan[level, column])
        rows = np.flatnonzero(bias.rows(tie, level, with_class) & open_rows)
        strength: Reals = score if with_class else rng.random(len(score))
        order = surest_first(rows, strength, view.production.group, OF_A_DAY if with_class else 1)
        found.append(_Wanted(order, count, weight * count, reason_of(tie, names[level], with_class)))
    return found


def surest_first(rows: Ints, strength: Reals, group: Ints, each: int) -> Ints:
    """rows, the strongest first; of every group `each` come before its next ones."""
    spread = spread_examples(rows, strength, group)
    place = np.empty(len(spread), dtype=np.int64)
    codes, code = np.unique(group[spread], return_inverse=True)
    for one in range(len(codes)):
        own = np.flatnonzero(code == one)
        place[own] = np.arange(len(own)) // each
    ordered: Ints = spread[np.lexsort((-strength[spread], place))]
    return ordered


def _taken(wanted: Sequence[_Wanted], open_rows: Bools, rules: Rules, most: int) -> Loosening:
    """Turns as `take_turns` gives them, by weight."""
    left = [one.left for one in wanted]
    turns, place = [0] * len(wanted), [0] * len(wanted)
    rows: list[int] = []
    reasons: list[str] = []
    taken: dict[int, int] = {}
    live = [number for number, one in enumerate(wanted) if one.left > 0]
    while live and len(rows) < most:
        turn = max(live, key=lambda number: wanted[number].weight / (turns[number] + 0.5))
        one = wanted[turn]
        ahead = np.flatnonzero(open_rows[one.order[place[turn] :]])
        if not len(ahead):
            live.remove(turn)
            continue
        place[turn] += int(ahead[0])
        row = int(one.order[place[turn]])
        rows.append(row)
        reasons.append(one.reason)
        turns[turn] += 1
        left[turn] -= 1
        if not left[turn]:
            live.remove(turn)
        _close(row, open_rows, rules, taken)
    return Loosening(np.array(rows, dtype=np.int64), tuple(reasons))


def _close(row: int, open_rows: Bools, rules: Rules, taken: dict[int, int]) -> None:
    open_rows[row] = False
    open_rows[rules.cluster == rules.cluster[row]] = False
    sequence = int(rules.sequence[row])
    taken[sequence] = taken.get(sequence, 0) + 1
    if sequence != NOBODY and taken[sequence] >= rules.per_sequence:
        open_rows[rules.sequence == sequence] = False


def reason_of(tie: Tie, level: str, with_class: bool) -> str:
    """What a labeler reads, one line."""
    name = _short(tie.class_name)
    if with_class:
        line = f"{name} is labeled mostly elsewhere; it seems to be here, {_short(at_place(tie, level))}"
    else:
        line = f"{name} is labeled often {_short(at_place(tie, level))}; this image seems to be without it"
    return line[:LONGEST]


def _short(name: str) -> str:
    line = " ".join(name.split())
    return line if len(line) <= NAME else f"{line[: NAME - 1].rstrip()}…"
