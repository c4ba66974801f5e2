"""Are planted ties found, and none where there are none; and does the next batch loosen them?

    python -m benchmarks.bias
    python -m benchmarks.bias --part null --worlds 100

Six cameras at three sites. In null worlds six classes, common and rare, come and go by camera-day,
in runs, and with the days of a site; camera-days are uneven. A finding is any pair of a class and a
camera, site, scene or slice that is told, of 36, or of 42 with weather. Planted, forklifts have log-odds
2 more at site A.
Loosening goes through a whole project and `fieldloop select`, with and without its share.
The result is benchmarks/results/bias.json.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from scipy import stats

from benchmarks import markdown
from benchmarks.bias.locations import BOUNDS, bounds_hold
from benchmarks.bias.project import step
from benchmarks.bias.worlds import Case, found
from benchmarks.scale.__main__ import commit

RESULTS = Path(__file__).parents[1] / "results" / "bias.json"
SHARE = 0.3
NULLS = (
    Case("days differ, evenly long", 10, 20),
    Case("days differ a lot", 10, 20, by_day=1.5),
    Case("classes come in runs", 10, 20, bursts=True),
    Case("some cameras send four times as much", 10, 20, sizes=True),
    Case("days of a site share what comes", 10, 20, shared=1.0),
    Case("thirty days", 30, 8, bursts=True),
    Case("weather and classes share days at all sites", 20, 10, everywhere=1.0),
)
PLANTED = tuple(
    Case(f"{days} days of {frames} frames", days, frames, odds=2.0)
    for days in (5, 10, 20, 40)
    for frames in (5, 20)
)
SEEDS = 10


def main() -> None:
    parts: dict[str, tuple[Callable[..., list[dict[str, Any]]], Sequence[Any]]] = {
        "null": (partial(_rate, what="any"), NULLS),
        "planted": (partial(_rate, what="planted"), PLANTED),
        "bounds": (bounds_hold, BOUNDS),
        "loosened": (_loosened, (False, True)),
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--part", choices=list(parts), help="one part alone; the others stay as they are")
    parser.add_argument("--worlds", type=int, default=100, help="of each case; of loosened ten at most")
    parser.add_argument("--case", type=int, help="of the part, one case alone, from 0")
    chosen = parser.parse_args()
    result = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    for name in [chosen.part] if chosen.part else parts:
        measure, cases = parts[name]
        rows = result.setdefault(name, {})
        for place in range(len(cases)) if chosen.case is None else [chosen.case]:
            start = time.process_time()
            made = measure(cases[place], chosen.worlds)
            spent = round(time.process_time() - start)
            rows[str(place)] = {"commit": commit(), "seconds": spent, "rows": made}
            RESULTS.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(tables(result))


def _rate(case: Case, worlds: int, what: str) -> list[dict[str, Any]]:
    """How many worlds have it, with the 95 % interval of Clopper and Pearson."""
    told = [found(case, seed) for seed in range(worlds)]
    hits = sum(bool(getattr(each, what)) for each in told)
    low, high = stats.binomtest(hits, worlds).proportion_ci(method="exact")
    tested = float(np.mean([each.tested for each in told]))
    interval = [round(float(low), 3), round(float(high), 3)]
    return [asdict(case) | {"worlds": worlds, "rate": hits / worlds, "interval": interval, "tested": tested}]


def _loosened(blind: bool, seeds: int) -> list[dict[str, Any]]:
    rows = []
    for seed in range(min(seeds, SEEDS)):
        with TemporaryDirectory() as folder:
            plain = step(Path(folder) / "plain", seed, 0.0, blind)
            loosened = step(Path(folder) / "loosened", seed, SHARE, blind)
        rows.append({"blind": blind, "seed": seed, "plain": asdict(plain), "loosened": asdict(loosened)})
    return rows


def _all(result: dict[str, Any], name: str) -> list[dict[str, Any]]:
    cases = result.get(name, {})
    return [row for place in sorted(cases, key=int) for row in cases[place]["rows"]]


def tables(result: dict[str, Any]) -> str:
    """Markdown of what was measured."""
    spent = sum(case["seconds"] for part in result.values() for case in part.values())
    text = f"{spent / 60:.0f} minutes of one core.\n\n"
    for name, column in (("null", "any finding"), ("planted", "found")):
        if name in result:
            rows = [
                [row["name"], row["worlds"], f"{row['rate']:.3f}", _between(row["interval"]), row["tested"]]
                for row in _all(result, name)
            ]
            text += markdown.table([name, "worlds", column, "95 % interval", "pairs tested"], rows) + "\n"
    if "bounds" in result:
        rows = [
            [row["places"], row["days"], row["worlds"], *(f"{row[rate]:.3f}" for rate in RATES)]
            for row in _all(result, "bounds")
        ]
        head = ["places", "days of each", "worlds", *RATES.values()]
        text += markdown.table(head, rows) + "\n"
    if "loosened" in result:
        text += markdown.table(["detector", *LOOSENED], _summary(_all(result, "loosened")))
    return text


RATES = {
    "held": "all bounds hold where places are alike",
    "held_apart": "and where one has recall .5 for .8",
    "shown": "it is shown",
}
LOOSENED = (
    "seeds",
    "V halved against the same batch without",
    "log-odds halved against it",
    "V halved against before",
    "without: V halved against before",
    "V before, without, with (means)",
)


def _summary(rows: list[dict[str, Any]]) -> list[list[Any]]:
    found = []
    for blind in (False, True):
        some = [row for row in rows if row["blind"] == blind]
        before = [row["plain"]["before"] for row in some]
        plain, loosened = ([row[each]["after"] for row in some] for each in ("plain", "loosened"))
        pairs = (
            _halved(loosened, plain, "v"),
            _halved(loosened, plain, "odds"),
            _halved(loosened, before, "v"),
            _halved(plain, before, "v"),
        )
        means = [f"{np.mean([each['v'] for each in part] or [0]):.2f}" for part in (before, plain, loosened)]
        name = "half blind at site B" if blind else "sees both sites alike"
        if some:
            found.append([name, len(some), *pairs, ", ".join(means)])
    return found


def _halved(some: list[dict[str, float]], others: list[dict[str, float]], what: str) -> int:
    return sum(one[what] <= other[what] / 2 for one, other in zip(some, others, strict=True))


def _between(interval: list[float]) -> str:
    return f"{interval[0]:.3f} to {interval[1]:.3f}"


if __name__ == "__main__":
    main()
