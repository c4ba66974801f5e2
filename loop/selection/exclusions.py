"""What keeps frames out of a batch, and why it holds fewer than were asked for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import assert_never

import numpy as np

from connectors.ports import Purpose
from loop.base.arrays import Bools, Ints
from loop.base.errors import PurposeError
from loop.base.wording import either


@dataclass(frozen=True, eq=False)
class Asked:
    """One part of a batch.

    eligible: (N,) production frames of its side.
    chosen: (k,) rows that were found.
    """

    purpose: Purpose
    wanted: int
    eligible: Bools
    chosen: Ints


@dataclass(frozen=True, eq=False)
class Rules:
    """What keeps frames out.

    in_pool: (N,) frames that may train; the others judge.
    engaged: (N,) labeled, queued or skipped.
    cluster, sequence: (N,) codes, sequence -1 for none.
    skipped: rows of those that a labeler skipped.
    judging: clusters of frames that judge models, labeled or asked for; what is nearly the same as
    one of them never trains.
    """

    strategy: str
    in_pool: Bools
    engaged: Bools
    cluster: Ints
    sequence: Ints
    per_sequence: int
    skipped: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    judging: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


@dataclass(frozen=True)
class _Side:
    """How the frames of a purpose are called, where they are found, and where the others are."""

    called: str
    own: str
    other: str


POOL = _Side("training", "in the pool", "kept for evaluation")
HELD_OUT = _Side("evaluation", "kept for evaluation", "in the pool")


def after(rules: Rules, chosen: Ints) -> Rules:
    """The rules for the rest of a batch: these rows are as good as queued, and their sequences give
    no more.
    """
    engaged = rules.engaged.copy()
    engaged[chosen] = True
    full = np.unique(rules.sequence[chosen])
    closed = np.isin(rules.sequence, full[full >= 0]) & ~engaged
    return replace(rules, engaged=engaged, in_pool=rules.in_pool & ~closed)


def why_fewer(asked: Asked, rules: Rules, camera_days: int) -> list[str]:
    """One line that accounts for every frame that was not chosen; none where the part is full."""
    if len(asked.chosen) >= asked.wanted:
        return []
    side, total = _side(asked.purpose), int(np.count_nonzero(asked.eligible))
    if not total:
        days = (
            "the one camera-day so far is"
            if camera_days == 1
            else f"all {camera_days} camera-days so far are"
        )
        return [f"no {side.called} frames: {days} {side.other}; more come with more camera-days"]
    found = f"{len(asked.chosen)} of {asked.wanted}" if len(asked.chosen) else "no"
    if (asked.eligible & ~rules.engaged).sum() == 0:
        every = either(total, "the only one is", f"all {total} are")
        return [f"{found} {side.called} frames: {every} labeled or queued already"]
    counts = [f"{count} {why}" for why, count in _left_out(asked, rules).items() if count]
    if not counts:
        return [f"{found} {side.called} frames: no more are {side.own}"]
    return [f"{found} {side.called} frames: of {total} {side.own}, {', '.join(counts)}"]


def _side(purpose: Purpose) -> _Side:
    match purpose:
        case Purpose.TRAIN:
            return POOL
        case Purpose.EVALUATION:
            return HELD_OUT
        case Purpose.CONSENSUS | Purpose.SUSPECT | Purpose.INSPECTION | Purpose.REPORT:
            raise PurposeError("select", purpose)
        case _:
            assert_never(purpose)


def _left_out(asked: Asked, rules: Rules) -> dict[str, int]:
    open_rows = asked.eligible.copy()
    counts = {"labeled or queued": _close(open_rows, rules.engaged)}
    open_rows[asked.chosen] = False
    if asked.purpose == Purpose.TRAIN:
        taken = asked.eligible & rules.engaged
        taken[asked.chosen] = True
        near = np.isin(rules.cluster, rules.cluster[taken])
        counts["nearly the same as one that is labeled, queued or in this batch"] = _close(open_rows, near)
        judged = np.isin(rules.cluster, rules.judging)
        counts["nearly the same as one that judges models"] = _close(open_rows, judged)
        limit = f"beyond {rules.per_sequence} of one sequence (select.max_per_sequence)"
        counts[limit] = _close(open_rows, _full(asked.chosen, rules))
    counts[f"passed over by {rules.strategy}"] = int(open_rows.sum())
    return counts


def _full(chosen: Ints, rules: Rules) -> Bools:
    """(N,) frames of sequences of which as many were chosen as may be."""
    names, sizes = np.unique(rules.sequence[chosen], return_counts=True)
    full: Bools = np.isin(rules.sequence, names[(names >= 0) & (sizes >= rules.per_sequence)])
    return full


def _close(open_rows: Bools, reason: Bools) -> int:
    """How many open rows the reason closes; they are closed now."""
    closed = open_rows & reason
    open_rows[closed] = False
    return int(closed.sum())
