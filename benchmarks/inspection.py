"""Random inspections of labels: how often a lot is accepted of which the claim does not hold, and how
often a good one is turned down, over ways in which errors cluster.

`python -m benchmarks.inspection` writes benchmarks/results/inspection.json and docs/inspection.md. Labels
and inspectors are simulated; plans and draws are those of the product.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from loop.base.arrays import Ints, Reals
from loop.math.quality.acceptance import Kind, consumer_risk, decide, expected_places, plan_of
from loop.math.quality.lot_sampling import Changes, drawn_places, errors_at, places_of

ROOT = Path(__file__).parents[1]
RESULTS, PAGE = ROOT / "benchmarks" / "results" / "inspection.json", ROOT / "docs" / "inspection.md"
RIGHT, CONFIDENCE = 0.98, 0.95
DAYS, ANNOTATORS = 12, 4
JUST_BAD, GOOD = 1.05, 0.25
SIZES, WORLDS = (600, 100), 8
"""Errors, in those that are allowed: just too many, and those of a good lot."""
Rng = np.random.Generator
Way = Callable[["World", Rng], Reals]


class World:
    """frames: (F,) boxes of each. day, annotator: (F,) where and by whom it was labeled."""

    def __init__(self, frames: int, rng: Rng) -> None:
        self.day = rng.integers(0, DAYS, frames)
        self.annotator = rng.integers(0, ANNOTATORS, frames)
        self.boxes: Ints = np.where(rng.random(frames) < 0.15, 0, rng.geometric(0.25, frames)).astype(
            np.int64
        )
        self.strata = [f"{day}/{who}" for day, who in zip(self.day, self.annotator, strict=True)]


def _even(world: World, rng: Rng) -> Reals:
    return np.ones(len(world.boxes))


def _one_day(world: World, rng: Rng) -> Reals:
    return np.where(world.day == 0, 1.0, 1e-9)


def _one_annotator(world: World, rng: Rng) -> Reals:
    return np.where(world.annotator == 0, 1.0, 1e-9)


def _annotator_on_one_day(world: World, rng: Rng) -> Reals:
    return np.where((world.annotator == 0) & (world.day < 4), 1.0, 1e-9)


def _whole_frames(world: World, rng: Rng) -> Reals:
    found: Reals = rng.permutation(len(world.boxes)).astype(np.float64) ** 12
    return found


def _crowded(world: World, rng: Rng) -> Reals:
    found: Reals = world.boxes.astype(np.float64) ** 4 + 1e-9
    return found


def _sparse(world: World, rng: Rng) -> Reals:
    return np.where((world.boxes > 0) & (world.boxes <= 2), 1.0, 1e-9)


def _days_differ(world: World, rng: Rng) -> Reals:
    found: Reals = rng.lognormal(0, 2, DAYS)[world.day]
    return found


def _tired(world: World, rng: Rng) -> Reals:
    found: Reals = np.linspace(0, 1, len(world.boxes), dtype=np.float64) ** 3 + 1e-9
    return found


WAYS: dict[str, tuple[Way, str]] = {
    "spread evenly": (_even, "box"),
    "all on one day": (_one_day, "box"),
    "all by one annotator": (_one_annotator, "box"),
    "one annotator on four days": (_annotator_on_one_day, "box"),
    "few frames, all boxes wrong": (_whole_frames, "frame"),
    "crowded frames": (_crowded, "box"),
    "frames with one or two boxes": (_sparse, "frame"),
    "days that differ widely": (_days_differ, "box"),
    "the end of the batch": (_tired, "box"),
    "overlooked objects, evenly": (_even, "overlooked"),
    "overlooked objects, one annotator": (_one_annotator, "overlooked"),
    "overlooked objects in crowds": (_crowded, "overlooked"),
    "frames with boxes sent in empty": (_whole_frames, "empty"),
    "frames sent in with one box of all": (_whole_frames, "begun"),
}
"""Which frames are prone to errors, and of which kind these are."""


def planted(world: World, way: Way, kind: str, allowed: float, rng: Rng) -> tuple[Ints, list[Changes]]:
    """The boxes that the labels show, and what an inspector would change in each frame, until the share of
    wrong places against boxes reaches `allowed` times what the claim allows.
    """
    shown = world.boxes.copy()
    wrong = [np.zeros(n, dtype=np.bool_) for n in shown]
    missed = np.zeros(len(shown), dtype=np.int64)
    prone = np.log(way(world, rng) + 1e-300) + rng.gumbel(size=len(shown))
    order = np.argsort(-prone)
    found = _Errors(shown, wrong, missed)
    for step in range(100_000):
        if found.share() >= allowed * (1 - RIGHT):
            break
        frame = int(order[step % len(order)])
        found.add(frame, kind, rng)
    return found.shown, found.changes()


class _Errors:
    def __init__(self, shown: Ints, wrong: list[Any], missed: Ints) -> None:
        self.shown, self.wrong, self.missed = shown, wrong, missed
        self.count = 0

    def share(self) -> float:
        return self.count / max(int(self.shown.sum()), 1)

    def add(self, frame: int, kind: str, rng: Rng) -> None:
        boxes = int(self.shown[frame])
        before = self._of(frame)
        left = {"empty": 0, "begun": 1}.get(kind)
        if left is not None:
            if boxes > left:
                self.missed[frame] += boxes - left
                self.shown[frame], self.wrong[frame] = left, np.zeros(left, dtype=np.bool_)
        elif kind == "overlooked":
            self.missed[frame] += 1
        elif kind == "frame":
            self.wrong[frame][:] = True
        elif boxes:
            self.wrong[frame][int(rng.integers(boxes))] = True
        self.count += self._of(frame) - before

    def _of(self, frame: int) -> int:
        return int(self.wrong[frame].sum() + self.missed[frame])

    def changes(self) -> list[Changes]:
        return [Changes(tuple(w.tolist()), int(m)) for w, m in zip(self.wrong, self.missed, strict=True)]


def one_lot(seed: int, name: str, kind: Kind, allowed: float) -> dict[str, Any]:
    """One lot, drawn and inspected. true: the share of its boxes and overlooked objects that are right."""
    number = seed % WORLDS
    world = World(SIZES[number % len(SIZES)], np.random.default_rng(number))
    rng = np.random.default_rng([seed, 1])
    way, what = WAYS[name]
    shown, changes = planted(world, way, what, allowed, rng)
    places = places_of(shown)
    plan = plan_of(int(shown.sum()), int(places.sum()), RIGHT, CONFIDENCE, kind)
    stages = drawn_places(plan, places, world.strata, seed)
    seen = [(sum(map(len, stage.values())), _count(stage, changes, places)) for stage in stages]
    first = decide(plan, [seen[0][0], 0], [seen[0][1], 0])
    second = first == "second"
    verdict = decide(plan, [s[0] for s in seen], [s[1] for s in seen]) if second else first
    bad, boxes = sum(one.count for one in changes), int(shown.sum())
    missed = sum(one.overlooked for one in changes)
    return {
        "accepted": verdict == "accepted",
        "true": 1 - bad / (boxes + missed),
        "per_box": 1 - bad / boxes,
        "places": plan.first + plan.second * second,
        "frames": len(set(stages[0]) | (set(stages[1]) if second else set())),
        "risks": plan.risks,
        "consumer": consumer_risk(plan),
        "expected": expected_places(plan),
    }


def measure(job: tuple[str, Kind, int]) -> dict[str, Any]:
    """Of one way and one plan: lots of which the claim just does not hold, and good ones."""
    name, kind, lots = job
    bad = [one_lot(seed, name, kind, JUST_BAD) for seed in range(lots)]
    good = [one_lot(seed, name, kind, GOOD) for seed in range(lots // 4)]
    wrong = [one for one in bad if one["true"] < RIGHT]
    return {
        "way": name,
        "plan": kind,
        "lots": len(bad),
        "claim_fails": len(wrong),
        "accepted_though": sum(one["accepted"] for one in wrong),
        "good_lots": len(good),
        "turned_down": sum(not one["accepted"] for one in good),
        "true": [round(float(np.quantile([one["true"] for one in bad], q)), 4) for q in (0, 0.5, 1)],
        "risks": sorted({one["risks"] for one in bad}),
        "frames": [round(float(np.quantile([one["frames"] for one in good], q))) for q in (0.05, 0.5, 0.95)],
        "places": [round(float(np.quantile([one["places"] for one in good], q))) for q in (0.05, 0.5, 0.95)],
    }


def page(found: dict[str, Any]) -> str:
    """docs/inspection.md."""
    rows = found["rows"]
    head = (
        "| errors | plan | claim wrong | of lots | 95 % interval | good lots turned down | frames looked at |"
    )
    lines = [head, "|---|---|---|---|---|---|---|"]
    for row in rows:
        low, high = _interval(row["accepted_though"], row["claim_fails"])
        share = row["accepted_though"] / max(row["claim_fails"], 1)
        down = row["turned_down"] / row["good_lots"]
        seen = row["frames"]
        lines.append(
            f"| {row['way']} | {row['plan']} | {share:.1%} | {row['claim_fails']} | {low:.1%} to {high:.1%} |"
            f" {down:.0%} of {row['good_lots']} | {seen[1]} ({seen[0]} to {seen[2]}) |"
        )
    worst = max(row["accepted_though"] / max(row["claim_fails"], 1) for row in rows)
    over = [f"{row['way']}, {row['plan']}" for row in rows if _surely_over(row)]
    return TEXT.format(
        table="\n".join(lines), worst=f"{worst:.1%}", over="; ".join(over) or "none", **found["settings"]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lots", type=int, default=1000, help="of each way and plan")
    parser.add_argument("--page-only", action="store_true", help="makes the page of the result file")
    asked = parser.parse_args()
    if not asked.page_only:
        jobs: list[tuple[str, Kind, int]] = [
            (name, kind, asked.lots) for name in WAYS for kind in ("zero", "double")
        ]
        began = time.monotonic()
        with ProcessPoolExecutor(2) as pool:
            rows = list(pool.map(measure, jobs))
        settings = {
            **{"lots": asked.lots, "right": RIGHT, "confidence": CONFIDENCE, "just_bad": JUST_BAD},
            **{
                "good": GOOD,
                "sizes": " and ".join(map(str, SIZES)),
                "worlds": WORLDS,
                "days": DAYS,
                "annotators": ANNOTATORS,
            },
        }
        found = {"settings": settings, "seconds": round(time.monotonic() - began), "rows": rows}
        RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    text = page(json.loads(RESULTS.read_text(encoding="utf-8")))
    PAGE.write_text(text, encoding="utf-8")
    print(text)


def _interval(hits: int, of: int) -> tuple[float, float]:
    """Clopper and Pearson's."""
    low = float(stats.beta.ppf(0.025, hits, of - hits + 1)) if hits else 0.0
    return low, float(stats.beta.ppf(0.975, hits + 1, of - hits)) if hits < of else 1.0


def _surely_over(row: dict[str, Any]) -> bool:
    return _interval(row["accepted_though"], row["claim_fails"])[0] > 1 - CONFIDENCE


def _count(stage: dict[int, list[int]], changes: Sequence[Changes], places: Ints) -> int:
    wrong = {frame: errors_at(changes[frame], int(places[frame])) for frame in stage}
    return sum(wrong[frame][place] for frame, chosen in stage.items() for place in chosen)


TEXT = """# How often an inspected lot is not what is said of it

Made by `python -m benchmarks.inspection` from `benchmarks/results/inspection.json`.

An accepted lot may be called right in at least {right:.0%} of its boxes, with {confidence:.0%}
confidence. Here labels and inspectors are simulated; plans, draws and verdicts are the product's. For
each way in which errors cluster, and for each plan, {lots} lots were made with {just_bad} times the
errors that the claim allows, and a quarter as many with {good} times. Lots have {sizes} frames in turns,
{days} camera-days and {annotators} annotators; {worlds} sets of frames stand for all lots, each with new
errors and a new draw, one seed a lot. *Claim wrong* is the share of lots that were accepted among those
of which, counting overlooked objects one by one, fewer boxes are right than is said. At most 5 % is
promised; the largest share is {worst}. *Frames looked at* is the median for good lots, with the range of
90 % of them.

{table}

Beyond the promise, with their whole interval: {over}. A frame has a bounded number of places. Where
more is overlooked on it, each place counts for several, but the frame is not drawn more often: a lot whose
errors are mostly of that kind can look better than it is. What is said of the
boxes that the labels show holds there too.
"""

if __name__ == "__main__":
    main()
