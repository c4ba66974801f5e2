"""What a verdict says: checks with their numbers, and reasons for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np

from loop.base.wording import counted
from loop.math.evaluation.compare import Difference

Status = Literal["pass", "fail", "unverifiable"]
NO_FALL = "no fall: "
UNLABELED = "no object of it was labeled"
GONE = "is found no more"
LOOK = "; look at it"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the verdict. statistic is held against bound; before, after: AP of deployed model
    and candidate; low, high: 95 % interval of after - before.

    slice_id: of the condition or class that it is about.
    asks: too little is held out to tell, and a person should look.
    """

    name: str
    status: Status
    statistic: float | None
    bound: float | None
    groups: int
    text: str
    before: float | None = None
    after: float | None = None
    slice_id: int | None = None
    frames: int = 0
    objects: int = 0
    asks: bool = False
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """promote: the candidate passed.
    needs_approval: a person must agree, because too little is held out to tell.

    reasons: for people, the deciding ones first.
    frames: seq of those it rests on.
    production_only: what is said of all held-out frames is of those of production.
    """

    promote: bool
    reasons: list[str] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    needs_approval: bool = False
    frames: list[int] = field(default_factory=list)
    production_only: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For JSON; numbers that are not there are None."""
        return asdict(self)

    def with_slices(self, ids: Mapping[str, int]) -> Verdict:
        """Every check knows its slice. ids: by "condition NAME" and "class NAME"."""
        checks = [replace(check, slice_id=ids.get(check.name.removeprefix(NO_FALL))) for check in self.checks]
        return replace(self, checks=checks)


def check_of(
    name: str, status: Status, statistic: float | None, bound: float | None, one: Difference, text: str
) -> Check:
    """A check of a difference, with what it rests on."""
    before, after = _finite(one.before), _finite(one.after)
    return Check(
        name,
        status,
        _finite(statistic),
        bound,
        one.groups,
        text,
        before,
        after,
        frames=one.frames,
        objects=one.objects,
    )


def with_interval(check: Check, interval: tuple[float, float]) -> Check:
    """The check with the interval of its difference, where that is a number."""
    low, high = (_finite(end) for end in interval)
    return replace(check, low=low, high=high)


def told(one: Difference, measure: str = "AP50") -> str:
    """Before, after, and on how much it rests."""
    held = f"{counted(one.frames, 'frame')} of {counted(one.groups, 'group')}"
    return f"{moved(one, measure)}, {held}"


def moved(one: Difference, measure: str = "AP50") -> str:
    """Before and after."""
    return f"{measure} {one.before:.3f} -> {one.after:.3f} ({one.estimate:+.3f})"


def percent(share: float) -> str:
    """Two digits that count."""
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"


def _finite(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)
