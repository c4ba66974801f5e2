"""Do the figures of agreement recover what was planted, and do their intervals hold it?

    python -m benchmarks.agreement

Two simulated people label the same images of 8, 20 or 40 camera-days, 1 to 6 images a day of 1 to 8
objects of three classes. Each of them misses objects, takes another class, draws sides loosely and marks
occlusion wrongly, more on hard days than on easy ones: each rate of a day is drawn around what is
planted. What a figure should say follows from what is planted; of K-alpha and IoU it is what the same
two say on TRUTH_DAYS camera-days. The result is benchmarks/results/agreement.json, its table stands in
docs/agreement.md.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks import markdown
from benchmarks.scale.__main__ import commit
from connectors.ports import Box
from loop.base.arrays import Bools, Ints, Reals
from loop.math.quality.agreement import Compared, compare
from loop.math.quality.agreement_figures import Figure, Figures, figures

RESULTS = Path(__file__).parent / "results" / "agreement.json"
PAGE = Path(__file__).parent.parent / "docs" / "agreement.md"
WORLDS, TRUTH_DAYS = 300, 3000
DAYS = (8, 20, 40)
CLASSES = ("person", "helmet", "forklift")
SIDE = 40.0
OCCLUDED = 0.3
EVEN = 20.0
"""How alike days are: the sum of both parameters of the beta distribution of their rates."""
HEADING = """# How well agreement is told

`python -m benchmarks.agreement` has two simulated people label the same images: 1 to 6 images of each camera-day, 1 to 8 objects of three
classes in each. Both miss objects, take another class, draw sides loosely and mark occlusion wrongly, more on hard days than on easy ones.
Of {worlds} worlds each: what was planted, what the figures say in the mean, in what share of worlds an interval of 95 % is given, and in
what share of those it holds what was planted. Of K-alpha and IoU "planted" is what the same people say on {truth_days} camera-days.

Boxes of two people that lie so far apart that their IoU is below .5 count as two objects, not as one drawn loosely: with careless people
that raises what is missed a little over what was planted, and lowers how far sides stray.

Where few camera-days show a disagreement no interval is given, rather than one that does not hold; "too few" stands where fewer than 30
worlds give one. Measured at commit {commit}; seeds are the numbers of the worlds. [What the figures mean](howto/second-person.md).

"""
HEAD = ("figure", "planted", "told: mean (sd over worlds)", "intervals given", "of them, hold it")


@dataclass(frozen=True)
class People:
    """What is planted, the same for both. missed, confused, flagged: rates. loose: standard deviation of a
    side in parts of the object's size.
    """

    name: str
    missed: float
    confused: float
    loose: float
    flagged: float


PLANTED = (
    People("careful", 0.05, 0.03, 0.03, 0.05),
    People("careless", 0.20, 0.15, 0.08, 0.15),
)


def main() -> None:
    RESULTS.write_text(json.dumps(measured(WORLDS, DAYS, TRUTH_DAYS), indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")
    print(table())


def measured(worlds: int, days: Sequence[int], truth_days: int) -> dict[str, object]:
    """Every figure of both kinds of people, in so many worlds of each number of camera-days."""
    cases = []
    for number, people in enumerate(PLANTED):
        right = planted(people, figures(*world(people, truth_days, np.random.default_rng([number, 0]))))
        for count in days:
            seeds = ([number, count, seed] for seed in range(1, worlds + 1))
            told = [figures(*world(people, count, np.random.default_rng(seed))) for seed in seeds]
            rows = [_row(name, value, [getattr(one, name) for one in told]) for name, value in right.items()]
            cases.append({"people": asdict(people), "days": count, "figures": rows})
    return {"commit": commit(), "worlds": worlds, "truth_days": truth_days, "cases": cases}


def planted(people: People, many: Figures) -> dict[str, float]:
    """What each figure should say. many: what the same people say on very many days."""
    missed, confused, flagged = (_moments(rate) for rate in (people.missed, people.confused, people.flagged))
    assert many.alpha.value is not None
    assert many.iou.value is not None
    return {
        "alpha": many.alpha.value,
        "iou": many.iou.value,
        "miss_rate": (missed[0] - missed[1]) / (1 - missed[0]),
        "conflict_rate": 2 * confused[0] - 1.5 * confused[1],
        "spread": people.loose,
        "hidden_rate": 2 * (flagged[0] - flagged[1]),
    }


def world(people: People, days: int, rng: np.random.Generator) -> tuple[list[Compared], list[int]]:
    """Compared tasks, and the camera-day of each."""
    found, day_of = [], []
    for day in range(days):
        rates = [_rate(rate, rng) for rate in (people.missed, people.confused, people.flagged)]
        for _ in range(int(rng.integers(1, 7))):
            count = int(rng.integers(1, 9))
            kinds, hidden = rng.integers(0, 3, count), rng.random(count) < OCCLUDED
            one, other = (_answer(kinds, hidden, people.loose, rates, rng) for _ in range(2))
            found.append(compare(one, other))
            day_of.append(day)
    return found, day_of


def page() -> str:
    """The page of the documentation, all of it made from the result."""
    kept = json.loads(RESULTS.read_text(encoding="utf-8"))
    return HEADING.format(**kept) + table()


def table() -> str:
    """The result as Markdown, a table for each case."""
    kept = json.loads(RESULTS.read_text(encoding="utf-8"))
    parts = []
    for case in kept["cases"]:
        rows = [
            [row["figure"], f"{row['planted']:.3f}", row["told"], f"{row['given']:.2f}", row["held"]]
            for row in case["figures"]
        ]
        head = f"**{case['people']['name']} people, {case['days']} camera-days, {kept['worlds']} worlds**\n\n"
        parts.append(head + markdown.table(HEAD, rows))
    return "\n".join(parts)


def _answer(
    kinds: Ints, occluded: Bools, loose: float, rates: Sequence[float], rng: np.random.Generator
) -> list[Box]:
    """What one person draws of objects that stand apart from one another."""
    missed, confused, flagged = rates
    drawn = []
    for place, (kind, hidden) in enumerate(zip(kinds.tolist(), occluded.tolist(), strict=True)):
        x, y = 100.0 * (place % 4) + 50, 100.0 * (place // 4) + 50
        sides = np.array([x, y, x + SIDE, y + SIDE]) + rng.normal(0, loose * SIDE, 4)
        called = (kind + int(rng.integers(1, 3))) % 3 if rng.random() < confused else kind
        marked = hidden != (rng.random() < flagged)
        if rng.random() >= missed:
            x1, y1, x2, y2 = (float(side) for side in sides)
            drawn.append(Box(CLASSES[called], (x1, y1, x2, y2), occluded=bool(marked)))
    return drawn


def _rate(mean: float, rng: np.random.Generator) -> float:
    return float(rng.beta(mean * EVEN, (1 - mean) * EVEN))


def _moments(mean: float) -> tuple[float, float]:
    """First and second moment of a day's rate."""
    return mean, mean**2 + mean * (1 - mean) / (EVEN + 1)


def _row(name: str, right: float, told: Sequence[Figure]) -> dict[str, object]:
    values: Reals = np.array([one.value for one in told if one.value is not None])
    limits = [(one.low, one.high) for one in told if one.low is not None and one.high is not None]
    held = [low <= right <= high for low, high in limits]
    return {
        "figure": name,
        "planted": round(right, 4),
        "told": f"{values.mean():.3f} ({values.std():.3f})",
        "mean": round(float(values.mean()), 4),
        "given": round(len(limits) / len(told), 4),
        "held": round(float(np.mean(held)), 4) if len(held) >= 30 else None,
    }


if __name__ == "__main__":
    main()
