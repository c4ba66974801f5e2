"""What the list of gaps says of worlds whose truth is known: simulated, some minutes on one core.

    python -m benchmarks.gaps [--share 1.0]

Conditions are drawn that production and training show alike, or that training lacks; frames of a
camera-day are correlated. Counted are false gaps, gaps that are found beside what exchanging
camera-days by frames finds, intervals that hold the share, and how far the ranking agrees with what
is truly lost. "Before" is the list as it was: whatever production showed half as often again,
percentile bootstrap, ranked by the drop of confidence. Results go to benchmarks/results/gaps.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.markdown import table
from loop.math.coverage.facets import measured_facets
from loop.math.coverage.frame_arrays import Named
from loop.math.coverage.gaps import (
    LIFT,
    Candidate,
    Gap,
    Reference,
    by_camera,
    candidates_of,
    rank_gaps,
)
from loop.math.statistics.multiple_testing import benjamini_hochberg
from loop.math.statistics.rank_correlation import spearman
from loop.math.statistics.shares import interval
from loop.settings.conditions import load_conditions
from samplers.expected_loss import expected_loss, missed_objects

Ints = NDArray[np.int64]
Reals = NDArray[np.float64]
RESULTS = Path(__file__).parent / "results" / "gaps.json"
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
LEAST, MOST = 0.005, 0.25
"""Shares of production between which a condition is a gap; see `gaps.min_share`, `gaps.max_share`."""
EXCHANGES = 2000
FRAMES = (10, 60)
"""Of a camera-day."""


@dataclass(frozen=True, eq=False)
class Side:
    """hits: (S, G) frames of each camera-day that show each condition. frames: (G,)."""

    hits: Ints
    frames: Ints


def side(
    rng: np.random.Generator,
    shares: Reals,
    correlation: float,
    days: int,
    frames: tuple[int, int] = FRAMES,
) -> Side:
    """Beta-binomial counts: a condition's share varies from day to day."""
    size = rng.integers(*frames, days)
    rate = (1 - correlation) / correlation
    day = rng.beta(shares[:, None] * rate + 1e-9, (1 - shares[:, None]) * rate + 1e-9, (len(shares), days))
    return Side(rng.binomial(size, day), size)


def images(rng: np.random.Generator, shares: Reals, count: int) -> Side:
    """A training set of images that came one by one."""
    return Side(
        (rng.random((len(shares), count)) < shares[:, None]).astype(np.int64), np.ones(count, np.int64)
    )


def listed(production: Side, training: Side) -> list[Gap]:
    """What the product says."""
    group, inside = _frames(production)
    there, with_it = _frames(training)
    known, all_known = np.ones(len(group), dtype=bool), np.ones(len(there), dtype=bool)
    candidates = [
        Candidate(
            str(number),
            "prompt",
            rows,
            known,
            np.ones(len(group)),
            float(reference.mean()),
            Reference(reference, all_known, there),
        )
        for number, (rows, reference) in enumerate(zip(inside, with_it, strict=True))
    ]
    return rank_gaps(candidates, group, np.full(len(group), 0.2), min_share=LEAST, max_share=MOST)


def listed_before(production: Side, training: Side) -> NDArray[np.bool_]:
    """(S,) what the list as it was said."""
    here = production.hits.sum(axis=1) / production.frames.sum()
    there = training.hits.sum(axis=1) / training.frames.sum()
    usual = (here > MOST) & (here < 5 * there)
    found: NDArray[np.bool_] = (here > LIFT * there) & (here >= LEAST) & ~usual
    return found


def exchanged(rng: np.random.Generator, production: Side, training: Side) -> Reals:
    """(S,) p-values of the share of all frames, by exchanging camera-days between the sides."""
    hits = np.concatenate([production.hits, training.hits], axis=1)
    frames = np.concatenate([production.frames, training.frames])
    mine = np.zeros((EXCHANGES, len(frames)))
    mine[:, : len(production.frames)] = 1
    mine[1:] = rng.permuted(mine[1:], axis=1)
    apart = (mine @ hits.T) / (mine @ frames)[:, None] - ((1 - mine) @ hits.T) / ((1 - mine) @ frames)[
        :, None
    ]
    p: Reals = (apart >= apart[0] - 1e-12).mean(axis=0)
    return p


def bootstrapped(rng: np.random.Generator, hits: Ints, frames: Ints) -> tuple[float, float]:
    """95 % percentile bootstrap over camera-days."""
    times = rng.multinomial(len(frames), np.full(len(frames), 1 / len(frames)), size=1000)
    low, high = np.quantile((times @ hits) / np.maximum(times @ frames, 1), [0.025, 0.975])
    return float(low), float(high)


def false_gaps(runs: int) -> Iterator[dict[str, Any]]:
    """Both sides come from one distribution."""
    kinds: list[tuple[str, int, Callable[..., Side]]] = [
        (
            f"{days} days against {others} days",
            days,
            lambda rng, shares, each, n=others: side(rng, shares, each, n),
        )
        for days, others in ((5, 5), (10, 10), (30, 30), (100, 30))
    ]
    kinds.append(
        ("30 days against 8 of 200 to 400 frames", 30, lambda r, s, each: side(r, s, each, 8, (200, 400)))
    )
    kinds.append(
        (
            "100 days of 30 to 40 frames against 5 of 9 to 12",
            100,
            lambda r, s, each: side(r, s, each, 5, (9, 12)),
        )
    )
    kinds.append(("30 days against 500 images", 30, lambda rng, shares, _: images(rng, shares, 500)))
    for name, days, other in kinds:
        for conditions in (10, 60):
            for correlation in (0.05, 0.3, 0.8):
                rng = np.random.default_rng([len(name), conditions, int(100 * correlation)])
                before = now = 0
                for _ in range(runs):
                    shares = rng.choice(SHARES, conditions)
                    production, training = (
                        side(rng, shares, correlation, days),
                        other(rng, shares, correlation),
                    )
                    before += bool(listed_before(production, training).any())
                    now += any(gap.shown for gap in listed(production, training))
                yield {
                    "world": name,
                    "conditions": conditions,
                    "correlation": correlation,
                    "runs": runs,
                    "before": before / runs,
                    "now": now / runs,
                }


MEASURES = ("brightness", "contrast", "haze", "sharpness", "noise", "compression")
A_DAY = 30
SHIFT = -6.0
"""Standard deviations of a frame."""


def measured(runs: int) -> Iterator[dict[str, Any]]:
    """Conditions with a limit of each camera; days differ by `between` standard deviations of a frame."""
    for cameras, training, production in ((10, 1, 10), (10, 3, 10), (5, 5, 20), (3, 10, 30), (10, 10, 10)):
        for between in (0.25, 1.0):
            rng = np.random.default_rng([cameras, training, int(4 * between)])
            found = np.zeros(3)
            for _ in range(runs):
                values = _values(rng, cameras, training, production, between, 0.0)
                found += [any(_shown(values, told)) for told in (False, True)] + [0]
                found[2] += "brightness: dark" in _shown(
                    _values(rng, cameras, training, production, between, 0.2), True
                )
            yield {
                "cameras": cameras,
                "training days": training,
                "production days": production,
                "between days": between,
                "runs": runs,
                "before": found[0] / runs,
                "now": found[1] / runs,
                "found": found[2] / runs,
            }


@dataclass(frozen=True, eq=False)
class Measured:
    """values: (N,) by measure. camera, day: (N,)."""

    values: dict[str, Reals]
    camera: Ints
    day: Ints


def _values(
    rng: np.random.Generator, cameras: int, training: int, production: int, between: float, dark: float
) -> tuple[Measured, Measured]:
    """Production and training. dark: share of production's days that are."""
    usual = {name: rng.normal(size=cameras) for name in MEASURES}
    sides = []
    for days in (production, training):
        camera = np.repeat(np.arange(cameras), days * A_DAY)
        day = np.arange(len(camera)) // A_DAY
        values = {
            name: usual[name][camera]
            + between * rng.normal(size=cameras * days)[day]
            + rng.normal(size=len(day))
            for name in MEASURES
        }
        sides.append(Measured(values, camera, day))
    sides[0].values["brightness"] += SHIFT * (rng.random(cameras * production) < dark)[sides[0].day]
    return sides[0], sides[1]


def _shown(values: tuple[Measured, Measured], told: bool) -> list[str]:
    """told: with limits of other days, tested over cameras; else as it was."""
    here, there = values
    names = tuple(f"camera {number}" for number in range(int(here.camera.max()) + 1))
    bins = [each for each in load_conditions(None).bins if each.measure in MEASURES]
    facets = measured_facets(
        bins,
        here.values,
        there.values,
        Named(here.camera, names),
        Named(there.camera, names),
        there.day if told else None,
    )
    imported = np.ones(len(there.day), dtype=bool)
    candidates = [one for facet in facets for one in candidates_of(facet, there.day, imported)]
    if told:
        candidates = [by_camera(one, here.camera, there.camera) for one in candidates]
    loss = np.full(len(here.day), 0.2)
    return [
        gap.name
        for gap in rank_gaps(candidates, here.day, loss, min_share=LEAST, max_share=MOST)
        if gap.shown
    ]


def power(runs: int) -> Iterator[dict[str, Any]]:
    """One condition of twenty is not in training at all."""
    kinds = [
        (10, FRAMES, 0.05, 0.02),
        (10, (80, 160), 0.05, 0.02),
        (10, FRAMES, 0.05, 0.05),
        (30, FRAMES, 0.3, 0.05),
        (30, FRAMES, 0.3, 0.1),
        (10, FRAMES, 0.3, 0.2),
        (30, FRAMES, 0.8, 0.2),
    ]
    for days, frames, correlation, share in kinds:
        rng = np.random.default_rng([days, frames[0], int(100 * share)])
        found = np.zeros(2)
        for _ in range(runs):
            shares = rng.choice(SHARES, 20)
            here, there = shares.copy(), shares.copy()
            here[0], there[0] = share, 0.0
            production = side(rng, here, correlation, days, frames)
            training = side(rng, there, correlation, days, frames)
            found[0] += any(gap.shown and gap.name == "0" for gap in listed(production, training))
            found[1] += benjamini_hochberg(exchanged(rng, production, training))[0] <= 0.05
        yield {
            "days": days,
            "frames": list(frames),
            "correlation": correlation,
            "share": share,
            "runs": runs,
            "found": found[0] / runs,
            "exchanged": found[1] / runs,
        }


def intervals(runs: int) -> Iterator[dict[str, Any]]:
    """Of shares that are known, from few and many camera-days."""
    for days in (5, 10, 20, 30, 60, 100):
        for correlation in (0.05, 0.3, 0.8):
            for share in (0.02, 0.05, 0.2, 0.4):
                rng = np.random.default_rng([days, int(100 * correlation), int(100 * share)])
                told, held, before = 0, 0, 0
                for _ in range(runs):
                    one = side(rng, np.array([share]), correlation, days)
                    low, high = bootstrapped(rng, one.hits[0], one.frames)
                    before += low <= share <= high
                    found = interval(one.hits[0], one.frames)
                    told += found is not None
                    held += found is not None and found[0] <= share <= found[1]
                yield {
                    "days": days,
                    "correlation": correlation,
                    "share": share,
                    "runs": runs,
                    "told": told / runs,
                    "held": held / told if told >= 0.05 * runs else None,
                    "before": before / runs,
                }


@dataclass(frozen=True, slots=True)
class Sight:
    """How a detector sees: objects of a frame, share that is found, how sure of them, false boxes."""

    objects: float
    found: float
    sure: float
    false: float
    false_sure: float = 0.2


ORDINARY = Sight(3, 0.95, 0.85, 0.1)
SIGHTS = (
    Sight(3, 0.5, 0.7, 0.2),  # half blind
    Sight(3, 0.15, 0.5, 0.1),  # blind
    Sight(3, 0.9, 0.45, 0.1),  # unsure
    Sight(0.1, 0.9, 0.8, 0.15),  # empty
    Sight(3, 0.9, 0.7, 2, 0.35),  # false boxes
    ORDINARY,
    Sight(10, 0.75, 0.6, 0.3),  # crowded
    Sight(3, 0.6, 0.4, 0.5, 0.3),  # unsure and half blind
)
NEAREST = 10


@dataclass(frozen=True, eq=False)
class Frame:
    """scores: (K,) of its boxes. near: (k,) objects in labeled frames that look like it."""

    scores: Reals
    loss: float
    near: Ints


def frame(rng: np.random.Generator, sight: Sight) -> Frame:
    """One frame, what the detector says of it and what it truly lost there."""
    objects = rng.poisson(sight.objects)
    hit = rng.random(objects) < sight.found
    sure = rng.beta(8 * sight.sure, 8 * (1 - sight.sure), int(hit.sum()))
    false = rng.beta(8 * sight.false_sure, 8 * (1 - sight.false_sure), rng.poisson(sight.false))
    lost = objects - sure.sum() + false.sum()
    there = objects + false.sum()
    return Frame(
        np.concatenate([sure, false]), lost / there if there else 0.0, rng.poisson(sight.objects, NEAREST)
    )


def agreement(rng: np.random.Generator, equal: bool) -> tuple[float, float]:
    """Rank correlation over eight gaps of one world with what is truly lost there, before and now."""
    order = rng.permutation(len(SIGHTS))
    parts = np.full(len(SIGHTS), 0.04) if equal else rng.choice([0.01, 0.02, 0.04, 0.08], len(SIGHTS))
    kind = rng.choice(len(SIGHTS) + 1, 3000, p=[*parts, 1 - parts.sum()])
    frames = [frame(rng, ORDINARY if one == len(SIGHTS) else SIGHTS[order[one]]) for one in kind]
    scores = [one.scores for one in frames]
    loss = expected_loss(scores, missed=missed_objects(scores, np.stack([one.near for one in frames])))
    true = np.array([one.loss for one in frames])
    sure = np.array([one.mean() if len(one) else 0.0 for one in scores])
    known, training = (
        np.ones(3000, dtype=bool),
        Reference(np.zeros(900, bool), np.ones(900, bool), np.arange(900)),
    )
    candidates = [
        Candidate(str(number), "prompt", kind == number, known, np.ones(3000), 0.0, training)
        for number in range(len(SIGHTS))
    ]
    gaps = rank_gaps(candidates, np.arange(3000) % 60, loss, min_share=0.001, max_share=1.0)
    rows = [kind == int(gap.name) for gap in gaps]
    lost = np.array([inside.mean() * (true[inside].mean() - true[~inside].mean()) for inside in rows])
    drops = [np.clip(1 - sure[inside].mean() / sure[~inside].mean(), 0, 1) for inside in rows]
    before = np.array([inside.mean() * (0.25 + drop) for inside, drop in zip(rows, drops, strict=True)])
    return spearman(before, lost), spearman(np.array([gap.score for gap in gaps]), lost)


def ranking(runs: int) -> Iterator[dict[str, Any]]:
    """Eight gaps that training lacks, seen well or badly in eight ways."""
    for equal in (False, True):
        rng = np.random.default_rng(int(equal))
        told = np.array([agreement(rng, equal) for _ in range(runs)])
        yield {
            "world": "equal shares" if equal else "mixed shares",
            "runs": runs,
            "before": told[:, 0].mean(),
            "now": told[:, 1].mean(),
            "spread": told[:, 1].std(),
        }


def _frames(one: Side) -> tuple[Ints, list[NDArray[np.bool_]]]:
    """(N,) camera-day of each frame, and of each condition which frames show it."""
    group = np.repeat(np.arange(len(one.frames)), one.frames)
    place = np.arange(len(group)) - np.repeat(np.cumsum(one.frames) - one.frames, one.frames)
    return group, [place < hits[group] for hits in one.hits]


COLUMNS = {
    "false gaps": {
        "world": "world",
        "conditions": "conditions",
        "correlation": "correlation",
        "aim": "aim",
        "before": "before",
        "now": "now",
    },
    "measured": {
        "cameras": "cameras",
        "training days of each": "training days",
        "production days": "production days",
        "days differ by": "between days",
        "aim": "aim",
        "before: any gap": "before",
        "now: any gap": "now",
        "now: a fifth of days dark is shown": "found",
    },
    "power": {
        "days": "days",
        "frames a day": "frames",
        "correlation": "correlation",
        "share": "share",
        "aim: by exchange of frames": "exchanged",
        "now": "found",
    },
    "intervals": {
        "days": "days",
        "correlation": "correlation",
        "share": "share",
        "before: holds": "before",
        "now: told": "told",
        "now: holds": "held",
    },
    "ranking": {
        "world": "world",
        "aim": "aim",
        "before": "before",
        "now": "now",
        "standard deviation over worlds": "spread",
    },
}
"""Of each table, what a column is called and which value stands in it."""
AIMS = {"mixed shares": "≥ .8", "equal shares": "≥ .6"}


def tables() -> dict[str, str]:
    """The results as Markdown tables, by what they tell."""
    found = json.loads(RESULTS.read_text(encoding="utf-8"))
    return {
        name: table(list(columns), [[_shown_as(row, key) for key in columns.values()] for row in found[name]])
        for name, columns in COLUMNS.items()
    }


def _shown_as(row: dict[str, Any], key: str) -> Any:
    if key == "aim":
        return AIMS.get(row.get("world", ""), "≤ .07")
    return "{} to {}".format(*row[key]) if key == "frames" else row[key]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--share", type=float, default=1.0, help="of the simulated worlds")
    given = parser.parse_args()

    def runs(usual: int) -> int:
        return max(int(usual * given.share), 2)

    results = {
        "false gaps": list(_told(false_gaps(runs(300)))),
        "measured": list(_told(measured(runs(300)))),
        "power": list(_told(power(runs(300)))),
        "intervals": list(_told(intervals(runs(600)))),
        "ranking": list(_told(ranking(runs(60)))),
    }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def _told(rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in rows:
        print(row, flush=True)
        yield row


if __name__ == "__main__":
    main()
