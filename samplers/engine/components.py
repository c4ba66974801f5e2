"""The components a strategy is made of, and how they take turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from samplers.pool import NOBODY, Bools, Ints, Pool, Reals, Selection
from samplers.reason import Reason

LOOK_AHEAD = 256
Pick = tuple[int, float, Reason]
"""A row, its gain, and why."""


class Component(Protocol):
    """Proposes one frame at a time."""

    @property
    def reason(self) -> Reason: ...
    @property
    def weight(self) -> float: ...
    def propose(self, open_rows: Bools) -> tuple[int, float] | None:
        """Its best row among the open ones and that row's value; None when it has none left."""

    def observe(self, row: int) -> None:
        """Some component took this row."""

    def reopen(self) -> None:
        """Rows that were closed may be open from now on; between two calls rows only close."""


class Queue:
    """Rows in an order that does not depend on what was chosen before."""

    def __init__(self, reason: Reason, order: Ints, value: Reals, weight: float = 1.0) -> None:
        """order: (M,) rows, best first.
        value: (N,) what each row of the pool is worth.
        """
        self.reason, self.weight = reason, weight
        self._order, self._value, self._next = order, value, 0

    def propose(self, open_rows: Bools) -> tuple[int, float] | None:
        while self._next < len(self._order):
            ahead = open_rows[self._order[self._next : self._next + LOOK_AHEAD]]
            if ahead.any():
                self._next += int(ahead.argmax())
                row = int(self._order[self._next])
                return row, float(self._value[row])
            self._next += LOOK_AHEAD
        return None

    def observe(self, row: int) -> None:
        pass

    def reopen(self) -> None:
        self._next = 0


class Quota:
    """A component that hands its turns to another once so many of its frames are chosen, by
    whomever, or it has none left.
    """

    def __init__(self, component: Component, rows: Bools, wanted: int, heir: Component) -> None:
        """rows: (N,) bool, the frames that count.
        heir: a component that takes turns of its own too.
        """
        self._component, self._heir, self._rows, self._left = component, heir, rows, wanted
        self.weight, self.reason = component.weight, component.reason

    def propose(self, open_rows: Bools) -> tuple[int, float] | None:
        own = self._component.propose(open_rows) if self._left > 0 else None
        found = self._heir.propose(open_rows) if own is None else own
        self.reason = self._heir.reason if own is None else self._component.reason
        return found

    def observe(self, row: int) -> None:
        self._component.observe(row)
        self._left -= bool(self._rows[row])

    def reopen(self) -> None:
        self._component.reopen()


class Reserve:
    """A component, and what it goes on with, for that one's reason, when it has none left."""

    def __init__(self, component: Component, rest: Component) -> None:
        self.reason, self.weight = component.reason, component.weight
        self._components = (component, rest)

    def propose(self, open_rows: Bools) -> tuple[int, float] | None:
        for component in self._components:
            if (found := component.propose(open_rows)) is not None:
                self.reason = component.reason
                return found
        return None

    def observe(self, row: int) -> None:
        for component in self._components:
            component.observe(row)

    def reopen(self) -> None:
        for component in self._components:
            component.reopen()


class Admission:
    """Which rows may still be chosen: one per near-duplicate cluster, none excluded, so many per
    sequence and per slice.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._clusters, self._sequences = _Members(pool.cluster), _Members(pool.sequence)
        used = pool.cluster[pool.excluded & (pool.cluster != NOBODY)]
        self._open = ~pool.excluded & ~np.isin(pool.cluster, used)
        self._open &= np.append(pool.quotas != 0, True)[pool.slices]
        self._taken: dict[int, int] = {}
        self._left, self._owed = pool.quotas.copy(), pool.floors.copy()

    def open_rows(self) -> Bools:
        """(N,) bool."""
        return self._open

    def owed_rows(self) -> Bools:
        """(N,) bool: open, and of a slice whose floor is not met."""
        owed: Bools = self._open & np.append(self._owed > 0, False)[self._pool.slices]
        return owed

    def take(self, row: int) -> None:
        self._open[row] = False
        cluster, sequence = int(self._pool.cluster[row]), int(self._pool.sequence[row])
        if cluster != NOBODY:
            self._open[self._clusters.of(cluster)] = False
        self._taken[sequence] = self._taken.get(sequence, 0) + 1
        if sequence != NOBODY and self._taken[sequence] == self._pool.max_per_sequence:
            self._open[self._sequences.of(sequence)] = False
        self._count(int(self._pool.slices[row]))

    def _count(self, code: int) -> None:
        if code == NOBODY:
            return
        self._owed[code] = max(self._owed[code] - 1, 0)
        self._left[code] -= 1
        if self._left[code] == 0:
            self._open &= self._pool.slices != code


class _Members:
    """The rows of a code, without a look at every row."""

    def __init__(self, codes: Ints) -> None:
        self._order = np.argsort(codes, kind="stable")
        self._sorted = codes[self._order]

    def of(self, code: int) -> Ints:
        first, end = np.searchsorted(self._sorted, (code, code + 1))
        return self._order[first:end]


def take_turns(pool: Pool, k: int, components: Sequence[Component], values: dict[str, Reals]) -> Selection:
    """Up to k frames; the next turn belongs to the component with the largest weight / (turns had +
    1/2).

    This is Webster's apportionment: every prefix shares the turns in proportion to the weights, and
    what a component cannot use goes to the others. A single component's gains are its own values;
    several components' gains are those quotients, whatever their frames are worth. What the pool's
    floors demand is chosen first, by the same components, and counts as much as what follows.
    values: {name: (N,) what there is to tell of each row}.
    Raises ValueError when k is negative.
    """
    if k < 0:
        raise ValueError(f"budget: expected 0 or more frames, got {k}")
    admission, turns = Admission(pool), [0] * len(components)
    picks: list[Pick] = []
    if pool.floors.any():
        _fill(components, turns, admission, admission.owed_rows, k, picks)
        for component in components:
            component.reopen()
    _fill(components, turns, admission, admission.open_rows, k, picks)
    return _selection(picks, values)


def _fill(
    components: Sequence[Component],
    turns: list[int],
    admission: Admission,
    open_rows: Callable[[], Bools],
    k: int,
    picks: list[Pick],
) -> None:
    live = list(range(len(components)))
    while live and len(picks) < k:
        turn = max(live, key=lambda place: components[place].weight / (turns[place] + 0.5))
        proposal = components[turn].propose(open_rows())
        if proposal is None:
            live.remove(turn)
            continue
        row, value = proposal
        gain = value if len(components) == 1 else components[turn].weight / (turns[turn] + 0.5)
        picks.append((row, gain, components[turn].reason))
        turns[turn] += 1
        admission.take(row)
        for component in components:
            component.observe(row)


def _selection(picks: list[Pick], values: dict[str, Reals]) -> Selection:
    chosen = np.array([row for row, _, _ in picks], dtype=np.int64)
    gains = np.array([gain for _, gain, _ in picks], dtype=np.float64)
    contributions = {name: value[chosen] for name, value in values.items()}
    reasons = tuple(reason for _, _, reason in picks)
    return Selection(chosen, np.maximum.accumulate(gains[::-1])[::-1], contributions, reasons)
