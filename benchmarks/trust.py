"""How often is expected loss trusted that means nothing, and how far one that means something?

    python -m benchmarks.trust

Held-out frames as many batches draw them: 8 to 60 camera-days of 1 to 10 frames whose expected loss
and real loss resemble one another within a day. Half of the frames show a gap, which a twelfth of
production shows, so ordinary frames stand for 5 to 80 others each. `before` is trust as it was
learned, by a bootstrap over camera-days from all frames alike. The result is
benchmarks/results/trust.json.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import markdown
from benchmarks.scale.__main__ import commit
from loop.base.arrays import Bools, Ints, Reals
from loop.math.statistics.rank_correlation import FEW_GROUPS, MOST, spearman, trust_of

RESULTS = Path(__file__).parent / "results" / "trust.json"
WORLDS = 300
MOST_GROUPS = 60
WITHIN_DAY = 0.5
"""Of the variance of either number, what frames of one day share."""
STANDS_FOR = (5.0, 10.0, 20.0, 40.0, 80.0)
"""Ordinary frames that one which was drawn stands for, by the batch that drew it."""
GAP_WORSE = 1.5
"""Standard deviations by which frames in the gap are worse, and thought worse."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """Held-out frames. expected, loss, group, weight: (N,). gap: (N,) its number, -1 for ordinary."""

    expected: Reals
    loss: Reals
    group: Ints
    weight: Reals
    gap: Ints

    def take(self, rows: Bools) -> Drawn:
        """Those of these rows."""
        return Drawn(
            self.expected[rows], self.loss[rows], self.group[rows], self.weight[rows], self.gap[rows]
        )


@dataclass(frozen=True)
class Case:
    """name: what expected loss tells.

    aim: what should be.
    draw: a world.
    among: the frames of which trust is asked.
    """

    name: str
    aim: str
    draw: Callable[[np.random.Generator], Drawn]
    among: Callable[[Drawn], Bools]


@dataclass(frozen=True)
class Told:
    """Of many worlds: mean trust, and the share in which there was any."""

    mean: float
    positive: float

    @property
    def text(self) -> str:
        return f"{self.mean:.2f}; above 0 in {self.positive:.3f}"


def main() -> None:
    RESULTS.write_text(json.dumps(measured(WORLDS), indent=1) + "\n", encoding="utf-8")
    print(table())


def measured(worlds: int) -> dict[str, object]:
    """Every case in so many worlds."""
    rows = []
    for case in cases():
        drawn = [case.draw(np.random.default_rng([seed, 1])) for seed in range(worlds)]
        before = [trust_before(each.expected, each.loss, each.group, seed) for seed, each in enumerate(drawn)]
        now = [trust_now(each.take(case.among(each)), seed) for seed, each in enumerate(drawn)]
        told = {"before": asdict(_told(before)), "now": asdict(_told(now))}
        rows.append({"case": case.name, "aim": case.aim} | told)
    return {"commit": commit(), "worlds": worlds, "cases": rows}


def table() -> str:
    """The result as a Markdown table."""
    found = json.loads(RESULTS.read_text(encoding="utf-8"))
    rows = [
        [each["case"], each["aim"], Told(**each["before"]).text, Told(**each["now"]).text]
        for each in found["cases"]
    ]
    return markdown.table(["case", "aim", "before", "now"], rows)


def cases() -> Iterator[Case]:
    seldom = "above 0 in at most .05"
    yield Case("gap from ordinary, nothing else; among ordinary", seldom, draw_frames, ordinary)
    yield Case("one gap from another, nothing else; within gaps", seldom, two_gaps, in_gaps)
    for days in (8, 15, 30, 60):
        draw = partial(draw_frames, groups=days, apart=0.0)
        yield Case(f"nothing, {days} days", seldom, draw, ordinary)
    for days in (8, 30):
        name = f"nothing, {days} days; most frames without expected loss, most of the highest loss"
        yield Case(name, seldom, partial(draw_skewed, groups=days), ordinary)
    for days in (15, 30, 60):
        draw = partial(draw_frames, groups=days, shared=0.5)
        yield Case(f"correlation .5 among ordinary, {days} days", "above 0, below .5", draw, ordinary)


def draw_frames(
    rng: np.random.Generator, groups: int | None = None, apart: float = GAP_WORSE, shared: float = 0.0
) -> Drawn:
    """apart: by how much gap and ordinary differ. shared: correlation of the two numbers elsewhere."""
    days = int(rng.integers(FEW_GROUPS, MOST_GROUPS + 1)) if groups is None else groups
    group = np.repeat(np.arange(days), rng.integers(1, 11, days))
    gap = np.where(rng.random(len(group)) < 0.5, 0, -1)
    loss, other = (_by_day(rng, group) for _ in range(2))
    expected = shared * loss + np.sqrt(1 - shared**2) * other
    worse = apart * (gap >= 0)
    weight = np.where(gap >= 0, 2.0, rng.choice(STANDS_FOR, len(group)))
    return Drawn(expected + worse, loss + worse, group, weight, gap)


def two_gaps(rng: np.random.Generator) -> Drawn:
    """The second gap is far worse than the first, and thought so."""
    drawn = draw_frames(rng)
    second = (drawn.gap >= 0) & (rng.random(len(drawn.gap)) < 0.5)
    worse = GAP_WORSE * second
    return replace(drawn, expected=drawn.expected + worse, loss=drawn.loss + worse, gap=drawn.gap + second)


def draw_skewed(rng: np.random.Generator, groups: int) -> Drawn:
    """Nothing is told. Most expected losses are 0, most losses the highest: ties at opposite ends."""
    drawn = draw_frames(rng, groups, apart=0.0)
    expected, loss = np.maximum(drawn.expected - 0.8, 0.0), np.minimum(drawn.loss + 0.8, 0.0)
    return replace(drawn, expected=expected, loss=loss)


def ordinary(drawn: Drawn) -> Bools:
    return drawn.gap < 0


def in_gaps(drawn: Drawn) -> Bools:
    return drawn.gap >= 0


def trust_now(drawn: Drawn, seed: int) -> float:
    return trust_of(drawn.expected, drawn.loss, drawn.group, seed, weight=drawn.weight, stratum=drawn.gap)


def trust_before(expected: Reals, loss: Reals, group: Ints, seed: int, draws: int = 200) -> float:
    """The lower 90 % bound by the percentile bootstrap over groups, all frames counting the same."""
    code = np.unique(group, return_inverse=True)[1]
    groups = int(code.max(initial=-1)) + 1
    if groups < FEW_GROUPS:
        return 0.0
    rows = np.split(np.argsort(code, kind="stable"), np.cumsum(np.bincount(code))[:-1])
    rng = np.random.default_rng(seed)
    drawn = [np.concatenate([rows[g] for g in rng.integers(0, groups, groups)]) for _ in range(draws)]
    bound = float(np.quantile([spearman(expected[each], loss[each]) for each in drawn], 0.1))
    return min(max(bound, 0.0), MOST)


def _told(trusts: list[float]) -> Told:
    return Told(round(float(np.mean(trusts)), 4), round(float(np.mean(np.array(trusts) > 0)), 4))


def _by_day(rng: np.random.Generator, group: Ints) -> Reals:
    day = rng.normal(size=int(group.max()) + 1)[group]
    own: Reals = np.sqrt(WITHIN_DAY) * day + np.sqrt(1 - WITHIN_DAY) * rng.normal(size=len(group))
    return own


if __name__ == "__main__":
    main()
