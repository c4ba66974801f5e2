"""Acceptance plans: how many places of a lot of labels are inspected, and how many may be wrong.

A plan is published before anybody looks. Its risks are exact: hypergeometric where places are drawn by
simple chance without replacement (Dodge and Romig 1929), binomial where they are spread over strata.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, exp, floor, lgamma, log, log1p
from typing import Literal

import numpy as np

from loop.base.arrays import Reals

Kind = Literal["zero", "double"]
Risks = Literal["hypergeometric", "binomial"]
Decision = Literal["accepted", "rejected", "first", "second"]
"""first, second: the stage that is under inspection."""
GOOD = 0.25
"""A good lot has this part of the errors that are allowed."""
TURNED_DOWN = 0.1
"""So often, at most, a double plan turns a good lot down."""
MOST_ACCEPTED = 8
SMALL = 2.0
"""A lot with less than so many places for each that may be drawn counts as small: then places are drawn
by simple chance, because what is left of the lot tells much.
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """Of a lot with `places` places, `first` are inspected. With at most `accept` wrong ones it is accepted,
    unless there is a second stage: then with 1 to `accept` wrong ones `second` more are inspected, and at
    most `accept` of both may be wrong.

    limit: the fewest wrong places with which the claim does not hold.
    """

    kind: Kind
    risks: Risks
    places: int
    limit: int
    first: int
    second: int
    accept: int
    right: float
    confidence: float


Made = Callable[[int, int, int], Plan]
"""A plan of its first and second sample sizes and its acceptance number."""


def plan_of(boxes: int, places: int, right: float, confidence: float, kind: Kind = "double") -> Plan:
    """The plan with which a lot of so many boxes may be said to be `right`, with that confidence.

    boxes: of the lot. places: where an error can be, at least as many. right, confidence: 0..1.
    Raises ValueError for a lot without a box.
    """
    if boxes < 1 or places < boxes:
        raise ValueError(
            f"expected a lot with boxes and no fewer places, got {boxes} boxes and {places} places;"
            " draw one that shows objects"
        )
    limit = floor((1 - right) * boxes + 1e-9) + 1
    spread = _planned("binomial", kind, places, limit, right, confidence)
    if spread is not None and SMALL * (spread.first + spread.second) <= places:
        return spread
    found = _planned("hypergeometric", kind, places, limit, right, confidence)
    return found or Plan(kind, "hypergeometric", places, limit, places, 0, limit - 1, right, confidence)


def decide(plan: Plan, inspected: Sequence[int], wrong: Sequence[int]) -> Decision:
    """What the plan says. A lot is rejected as soon as nothing can save it.

    inspected, wrong: places, of the first stage and of the second.
    """
    if sum(wrong) > plan.accept:
        return "rejected"
    if inspected[0] < plan.first:
        return "first"
    if not plan.second or wrong[0] == 0 or inspected[1] >= plan.second:
        return "accepted"
    return "second"


def acceptance(plan: Plan, wrong: int) -> float:
    """The probability that a lot with so many wrong places is accepted.

    Binomial risks are the largest of all ways in which wrong places lie in strata (Hoeffding 1956).
    """
    return _accepted(plan.risks, plan.places, wrong, plan.first, plan.second, plan.accept)


def operating_curve(plan: Plan, points: int = 41) -> tuple[Reals, Reals]:
    """(points,) share of right boxes, from twice the allowed errors to none; (points,) probability of
    acceptance.
    """
    wrong = np.unique(np.linspace(0, min(2 * plan.limit, plan.places), points).round().astype(int))[::-1]
    boxes = (plan.limit - 1) / (1 - plan.right) if plan.limit > 1 else 1 / (1 - plan.right)
    return 1 - wrong / boxes, np.array([acceptance(plan, int(each)) for each in wrong])


def consumer_risk(plan: Plan) -> float:
    """How often a lot is accepted of which the claim just does not hold."""
    return acceptance(plan, plan.limit)


def producer_risk(plan: Plan) -> float:
    """How often a good lot is turned down."""
    return 1 - acceptance(plan, floor(GOOD * (plan.limit - 1)))


def expected_places(plan: Plan) -> float:
    """Places that are inspected on average where the lot is good."""
    wrong = floor(GOOD * (plan.limit - 1))
    seen = _at_most(plan.risks, plan.places, wrong, plan.first, plan.accept)
    none = _at_most(plan.risks, plan.places, wrong, plan.first, 0)
    return plan.first + plan.second * (seen - none)


@lru_cache(maxsize=256)
def _planned(
    risks: Risks, kind: Kind, places: int, limit: int, right: float, confidence: float
) -> Plan | None:
    """None where only all places would do."""

    def plan(first: int, second: int, accept: int) -> Plan:
        return Plan(kind, risks, places, limit, first, second, accept, right, confidence)

    risk = 1 - confidence
    least = _least(lambda n: _accepted(risks, places, limit, n, 0, 0) <= risk, 1, places)
    if least is None:
        return None
    if kind == "zero":
        return plan(least, 0, 0)
    found: list[Plan] = []
    for accept in range(1, min(MOST_ACCEPTED, limit - 1) + 1):
        found += [
            one
            for factor in np.linspace(1.05, 1.75, 8)
            if (one := _with_second(plan, least, float(factor), accept, risk)) is not None
        ]
        good = [one for one in found if producer_risk(one) <= TURNED_DOWN]
        if good:
            return min(good, key=expected_places)
    return min(found, key=producer_risk, default=plan(least, 0, 0))


def _with_second(plan: Made, least: int, factor: float, accept: int, risk: float) -> Plan | None:
    first = round(least * factor)
    probe = plan(first, 1, accept)
    # Hoeffding's bound of the second stage holds from a mean of `accept` wrong places on
    low = max(1, ceil(accept * probe.places / probe.limit))

    def holds(second: int) -> bool:
        return _accepted(probe.risks, probe.places, probe.limit, first, second, accept) <= risk

    second = _least(holds, low, probe.places - first)
    return None if second is None else plan(first, second, accept)


def _least(holds: Callable[[int], bool], low: int, high: int) -> int | None:
    """The least number from which on it holds; None where it does not up to high."""
    if low > high or not holds(high):
        return None
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


def _accepted(risks: Risks, places: int, wrong: int, first: int, second: int, accept: int) -> float:
    if not second:
        return _at_most(risks, places, wrong, first, accept)
    chance = _exactly(risks, places, wrong, first, 0)
    for seen in range(1, accept + 1):
        left = (places - first, wrong - seen) if risks == "hypergeometric" else (places, wrong)
        now = _exactly(risks, places, wrong, first, seen)
        chance += now * _at_most(risks, *left, second, accept - seen) if now else 0.0
    return min(chance, 1.0)


def _at_most(risks: Risks, places: int, wrong: int, drawn: int, most: int) -> float:
    return min(sum(_exactly(risks, places, wrong, drawn, seen) for seen in range(most + 1)), 1.0)


def _exactly(risks: Risks, places: int, wrong: int, drawn: int, seen: int) -> float:
    if risks == "hypergeometric":
        if not max(0, drawn + wrong - places) <= seen <= min(drawn, wrong):
            return 0.0
        ways = _ways(wrong, seen) + _ways(places - wrong, drawn - seen) - _ways(places, drawn)
        return exp(ways)
    share = wrong / places
    if seen > drawn or share in (0.0, 1.0):
        return float(seen == (drawn if share else 0))
    return exp(_ways(drawn, seen) + seen * log(share) + (drawn - seen) * log1p(-share))


def _ways(of: int, chosen: int) -> float:
    """The logarithm of the binomial coefficient."""
    return lgamma(of + 1) - lgamma(chosen + 1) - lgamma(of - chosen + 1)
