"""The page, from the results alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from benchmarks.scale.aims import aims
from benchmarks.scale.speed import speed_section

Version = dict[str, Any]
HEAD = """# What the loop costs as a project grows

`python -m benchmarks.scale --work DIR` measured this and wrote this page; `python -m benchmarks.scale --report` writes it again from
the files in `benchmarks/results/scale`, one for each version of the code.

Projects are amplified: rows alone, {cameras} cameras over {days} days in bursts, light and weather that prompts tell, two kinds of frame
that nobody named, 2,000 imported frames, 3,000 that people were asked about, one judged round; vectors of 512 dimensions in float16.
Embedder and detector cost nothing, so what is measured is the loop itself: loading, comparing, choosing, writing. Every measure runs in a
process of its own with one thread, and is ended after the time or at the memory that the table says. CPU seconds are user and system
seconds, those of children included, without Python's imports (`imports`). Wall seconds were taken beside other work on the same two
cores: compare CPU seconds. Peak is resident memory, imports included ({imports}). In brackets: growth per tenfold of frames since the
column to the left; 1 is no growth, 10 is growth in proportion.
"""
ROWS = (("cpu", "CPU s"), ("wall", "wall s"), ("peak_mb", "peak MB"))
TITLES = {
    "gaps": "`fieldloop gaps`",
    "gaps, new frames": "`fieldloop gaps` after 1,000 new frames",
    "gaps, new labels": "`fieldloop gaps` after 100 new labels",
    "gaps, nothing kept": "`fieldloop gaps` with no view left: all columns are read and all neighbors searched anew",
    "the page of the gaps": "Writing the page of the gaps, after that",
    "select": "`fieldloop select --budget 1000 --dry-run`, loading included",
    "freeze": "A round until it trains: backlog, comparison, freeze, export",
    "look-ups of the judge": "The judge's look-ups: held-out frames and who shows which slice",
    "status": "The read model of `fieldloop status`",
    "analyze, nothing new": "`fieldloop analyze` with nothing new",
    "analyze, new frames": "`fieldloop analyze` of 1,000 new frames",
    "frames come in": "Ingest and analysis of frames that come in, 1,000 at a time",
}
KINDS = {
    "page ": "Opening pages: CPU s",
    "command ": "Whole processes of commands that need no model, the least of five runs: CPU s",
}
"""Works of which there are several, by how their names begin."""


def document(versions: list[Version], speed: dict[str, Any] | None) -> str:
    """Markdown of all versions, oldest first."""
    if not versions:
        return HEAD_EMPTY
    sizes = sorted({int(size) for version in versions for size in version["sizes"]})
    found = {name for version in versions for name in _names(version)}
    groups = [_group(title, name, versions, sizes) for name, title in TITLES.items() if name in found]
    groups += [_kind(title, kind, versions, sizes) for kind, title in KINDS.items()]
    parts = [
        HEAD.format(cameras=50, days=365, imports=_imports(versions)),
        _aims(versions, speed),
        _worlds(versions),
        *groups,
        _memory(versions),
        speed_section(speed),
    ]
    return "\n".join(part for part in parts if part).rstrip() + "\n"


HEAD_EMPTY = "# What the loop costs as a project grows\n\nNothing is measured yet.\n"


def cost_of(version: Version, size: int, name: str) -> dict[str, float] | None:
    """What the named work cost at this size; None where it was not measured or did not end."""
    for measure in _measures(version, size).values():
        if name in measure.get("costs", {}):
            cost: dict[str, float] = measure["costs"][name]
            return cost
    return None


def growth(small: float, large: float, sizes: tuple[int, int]) -> float:
    """By how much a cost grows for each tenfold of frames."""
    before, after = sizes
    return float((large / small) ** (1 / math.log10(after / before))) if small > 0 else math.nan


def _measures(version: Version, size: int) -> dict[str, Any]:
    found: dict[str, Any] = version["sizes"].get(str(size), {}).get("measures", {})
    return found


def _names(version: Version) -> Iterator[str]:
    for size in version["sizes"]:
        for measure in _measures(version, int(size)).values():
            yield from measure.get("costs", {})


def _group(title: str, name: str, versions: list[Version], sizes: list[int]) -> str:
    head = ["code", "", *(f"{size:,}" for size in sizes)]
    rows = [
        [version["name"] if not place else "", label, *_cells(version, name, key, sizes)]
        for version in versions
        for place, (key, label) in enumerate(ROWS)
        if any(cost_of(version, size, name) for size in sizes)
    ]
    return f"## {title}\n\n{_table(head, rows)}"


def _kind(title: str, kind: str, versions: list[Version], sizes: list[int]) -> str:
    """One row for each of the works whose names begin alike; "" where there are none."""
    rows = [
        [version["name"], f"`{name.removeprefix(kind)}`", *_cells(version, name, "cpu", sizes)]
        for version in versions
        for name in sorted(set(_names(version)))
        if name.startswith(kind)
    ]
    head = ["code", "", *(f"{size:,}" for size in sizes)]
    return f"## {title}\n\n{_table(head, rows)}" if rows else ""


def _cells(version: Version, name: str, key: str, sizes: list[int]) -> Iterator[str]:
    last: tuple[int, float] | None = None
    for size in sizes:
        cost = cost_of(version, size, name)
        if cost is None:
            yield _why_not(version, size, name)
            continue
        now = cost[key]
        grown = f" (x {growth(last[1], now, (last[0], size)):.2g})" if last and last[1] > 0 else ""
        yield f"{_number(now)}{grown}"
        last = size, now


def _why_not(version: Version, size: int, name: str) -> str:
    """Of a work that has no cost: the end of the measure that it is part of."""
    measures = {
        measure
        for known in version["sizes"]
        for measure, result in _measures(version, int(known)).items()
        if name in result.get("costs", {})
    }
    ended = [
        str(result["ended"])
        for measure, result in _measures(version, size).items()
        if measure in measures and "ended" in result
    ]
    return f"ended: {ended[0]}" if ended else ""


def _aims(versions: list[Version], speed: dict[str, Any] | None) -> str:
    newest = versions[-1]
    rows = [
        [aim, measured, "yes" if holds else "**no**"] for aim, measured, holds in aims(newest, speed, cost_of)
    ]
    return (
        f"What is aimed at, and what `{newest['name']}` does:\n\n{_table(['aim', 'measured', 'holds'], rows)}"
    )


def _worlds(versions: list[Version]) -> str:
    made = {
        (int(size), version["name"]): found["made"]
        for version in versions
        for size, found in version["sizes"].items()
    }
    rows = [
        [
            f"{size:,}",
            name,
            f"{found['camera_days']:,}",
            f"{found['imported']:,}",
            f"{found['asked']:,}",
            f"{found['labels']:,}",
            f"{found['unnamed']:.1%}",
            f"{found['megabytes']:,.0f}",
        ]
        for (size, name), found in sorted(made.items())
    ]
    head = ["production", "code", "camera-days", "imported", "asked", "labels", "of no name", "database MB"]
    return f"## The projects\n\n{_table(head, rows)}"


def _memory(versions: list[Version]) -> str:
    rows = [
        [
            version["name"],
            f"{int(size):,}",
            f"{1000 * (len(memory) - 1):,}",
            ", ".join(f"{value:,.0f}" for value in thinned(memory)),
        ]
        for version in versions
        for size, memory in memories(version).items()
    ]
    head = ["code", "project", "frames that came in", "resident MB at the start, then at even steps"]
    return f"## Memory while frames come in\n\n{_table(head, rows)}" if rows else ""


def memories(version: Version) -> dict[str, list[float]]:
    """Resident MB after each thousand frames that came in, by size of the project."""
    found = {size: _measures(version, int(size)).get("service", {}) for size in version["sizes"]}
    return {size: each["facts"]["memory_mb"] for size, each in found.items() if "facts" in each}


def thinned(values: list[float], most: int = 11) -> list[float]:
    """At most so many of the values, evenly spread, first and last among them."""
    if len(values) <= most:
        return values
    return [values[round(place * (len(values) - 1) / (most - 1))] for place in range(most)]


def _imports(versions: list[Version]) -> str:
    found = [
        measure["imports"]
        for version in versions
        for size in version["sizes"]
        for measure in _measures(version, int(size)).values()
        if "imports" in measure
    ]
    cpu, peak = ([each[key] for each in found] for key in ("cpu", "peak_mb"))
    if not found:
        return "not measured"
    return f"{min(cpu):.1f} to {max(cpu):.1f} CPU s, {min(peak):,.0f} to {max(peak):,.0f} MB"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in [head, *rows]]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:], ""])
