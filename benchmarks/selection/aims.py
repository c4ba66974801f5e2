"""What was aimed at, and what the results say of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

WORLDS = {
    "clustered": "clusters",
    "isotropic": "no structure",
    "copies": "copies",
    "continued at a tenth": "continued",
}
SIZES = ("default, a quarter", "default, a half", "default")


def aims(results: dict[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """Aim, what was measured (median CPU seconds where times are compared), whether it holds."""
    compared = [
        name for name in WORLDS if name in results and {"mundig", "plain"} <= set(results[name]["runs"])
    ]
    for name in compared:
        yield from _k_center(WORLDS[name], results[name])
    if "mapped" in results:
        used = max(run["memory"] for run in results["mapped"]["runs"]["fieldloop"])
        yield "from a memory map in at most .1 of the map's size", f"{used:.3f}", used <= 0.1
    if {"herding", "clustered"} <= set(results):
        share = cpu(results["herding"], "fieldloop") / cpu(results["clustered"], "plain")
        yield (
            "herding in less CPU than the plain k-center loop",
            f"{share:.2f} of what it took in its own contest",
            share < 1,
        )
    for name in [name for name in results if name.startswith("herding, ")]:
        found = {who: each["covered"] for who, each in results[name]["quality"].items()}
        share = found["fieldloop"] / found["exact"]
        yield (
            (
                f"{name.replace('sampled', 'scale')}: within 1 % of exact ({results[name]['k']} of"
                f" {results[name]['rows']:,})"
            ),
            f"{share:.4f}",
            share >= 0.99,
        )
    for name in [name for name in ("default", "default, all known") if name in results]:
        times = cpu(results[name], "hybrid") / cpu(results[name], "k_center")
        pairs = pairwise_ratios(results[name]["runs"]["hybrid"], results[name]["runs"]["k_center"])
        yield (
            f"the {name} in at most three times k-center alone",
            f"{times:.2f} times ({min(pairs):.2f} to {max(pairs):.2f} over pairs of runs)",
            times <= 3,
        )
    if set(SIZES) <= set(results):
        for who in ("k_center", "herding", "hybrid"):
            seconds = [cpu(results[name], who) for name in SIZES]
            said = ", ".join(f"{each:.2f}" for each in seconds) + " s"
            yield (
                f"{who}: four times the rows in at most four times the CPU",
                said,
                seconds[2] <= 4 * seconds[0],
            )


def pairwise_ratios(runs: list[dict[str, float]], base: list[dict[str, float]]) -> list[float]:
    """CPU seconds of every run by those of every run of the other."""
    return [mine["cpu"] / other["cpu"] for mine in runs for other in base]


def cpu(result: dict[str, Any], who: str) -> float:
    return float(np.median([run["cpu"] for run in result["runs"][who]]))


def _k_center(world: str, result: dict[str, Any]) -> Iterator[tuple[str, str, bool]]:
    rows = f"{result['rows']:,} rows, {world}"
    share = cpu(result, "fieldloop") / cpu(result, "mundig")
    yield f"k-center in a tenth of lightly-mundig's CPU ({rows})", f"{share:.3f}", share <= 0.1
    used = max(run["memory"] for run in result["runs"]["fieldloop"])
    yield f"memory at most 1.1 times the matrix ({rows})", f"{used:.3f}", used <= 1.1
    own, plain = (result["quality"][who]["radius"] for who in ("fieldloop", "plain"))
    yield f"the plain loop's radius ({rows})", f"{own:.4f}, plain {plain:.4f}", abs(own - plain) < 1e-3
