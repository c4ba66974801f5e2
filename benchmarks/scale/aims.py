"""What is promised of a million frames, and whether it is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Version = dict[str, Any]
CostOf = Callable[[Version, int, str], dict[str, float] | None]
Aim = tuple[str, str, bool]
LARGE, SMALL = 1_000_000, 10_000
FLAT = 1.05
"""The memory of a process that analyzes grows at most so much in the second half of what comes in."""
BEYOND = 1.05
"""A larger share of the bare speed is no speed of analysis."""
BUSY = 2
"""With so many times as many running processes as cores, wall seconds tell nothing."""
NOT_MEASURED = "not measured, or it did not end"


def aims(version: Version, speed: dict[str, Any] | None, cost_of: CostOf) -> Iterator[Aim]:
    """(what, what was measured, whether it holds), one by one."""

    def at(name: str) -> dict[str, float] | None:
        return cost_of(version, LARGE, name)

    yield _within("gaps: at most 10 CPU s and 1.5 GB", at("gaps"), 10, 1500)
    yield _within("select --budget 1000: at most 60 CPU s and 4 GB", at("select"), 60, 4000)
    yield _within("status: at most 1 CPU s", at("status"), 1)
    yield _together(
        "a round's freeze and the judge's look-ups: at most 5 CPU s",
        [at("freeze"), at("look-ups of the judge")],
        5,
    )
    yield _slowest("opening any page", "pages", "page ", 0.3, version)
    yield _slowest("commands that need no model", "commands", "command ", 0.7, version)
    yield _ratio(at("analyze, new frames"), cost_of(version, SMALL, "analyze, new frames"))
    yield _flat(version)
    yield _speed(speed)


def _within(aim: str, cost: dict[str, float] | None, cpu: float, peak_mb: float | None = None) -> Aim:
    if cost is None:
        return aim, NOT_MEASURED, False
    said = f"{cost['cpu']:.2f} CPU s" + (f", {cost['peak_mb']:,.0f} MB" if peak_mb else "")
    return aim, said, cost["cpu"] <= cpu and (peak_mb is None or cost["peak_mb"] <= peak_mb)


def _together(aim: str, costs: list[dict[str, float] | None], cpu: float) -> Aim:
    known = [cost["cpu"] for cost in costs if cost is not None]
    if len(known) < len(costs):
        return aim, NOT_MEASURED, False
    return aim, " + ".join(f"{each:.2f}" for each in known) + " CPU s", sum(known) <= cpu


def _slowest(what: str, measure: str, kind: str, cpu: float, version: Version) -> Aim:
    """The dearest of several works. kind: how their names begin."""
    aim = f"{what}: at most {_short(cpu)} CPU s"
    costs = version["sizes"].get(str(LARGE), {}).get("measures", {}).get(measure, {}).get("costs", {})
    if not costs:
        return aim, NOT_MEASURED, False
    slowest = max(costs, key=lambda name: float(costs[name]["cpu"]))
    return (
        aim,
        f"{costs[slowest]['cpu']:.2f} CPU s ({slowest.removeprefix(kind)})",
        costs[slowest]["cpu"] <= cpu,
    )


def _short(value: float) -> str:
    return f"{value:g}".removeprefix("0")


def _ratio(large: dict[str, float] | None, small: dict[str, float] | None) -> Aim:
    aim = "analyzing 1,000 new frames at a million: at most 1.3 times what it costs at ten thousand"
    if large is None or small is None:
        return aim, NOT_MEASURED, False
    times = large["cpu"] / small["cpu"]
    return aim, f"{times:.2f} times ({small['cpu']:.2f} and {large['cpu']:.2f} CPU s)", times <= 1.3


def _flat(version: Version) -> Aim:
    aim = f"memory while frames come in: at most {FLAT:g} times in the second half of them"
    found = [
        found["measures"]["service"]["facts"]["memory_mb"]
        for found in version["sizes"].values()
        if "facts" in found["measures"].get("service", {})
    ]
    if not found:
        return aim, NOT_MEASURED, False
    times = max(memory[-1] / memory[len(memory) // 2] for memory in found)
    frames = max(1000 * (len(memory) - 1) for memory in found)
    return aim, f"{times:.3f} times, of {frames:,} frames at most", times <= FLAT


def _speed(speed: dict[str, Any] | None) -> Aim:
    """Kept where every run keeps it.

    Analysis does all that the bare models do: a share beyond 1 tells of the machine alone.
    """
    aim = "analysis: at least .9 of the frames per second of the bare forward passes, in every run"
    if speed is None:
        return aim, NOT_MEASURED, False
    runs = speed["runs"]
    share = sorted(run["share"] for run in runs)
    said = f"{share[len(share) // 2]:.2f} ({share[0]:.2f} to {share[-1]:.2f}, {len(share)} runs)"
    busy = max(run[way]["load"] for run in runs for way in ("bare", "analysis"))
    if share[-1] > BEYOND or busy > BUSY * speed["cores"]:
        return aim, f"undecided, the machine was busy (load {busy:g}): {said}", False
    return aim, said, share[0] >= 0.9
