"""The table, from the results alone."""

from __future__ import annotations

from typing import Any

from benchmarks.selection.aims import aims, pairwise_ratios

HEAD = """# How fast frames are chosen

`python -m benchmarks.selection` measured this and wrote this page; `python -m benchmarks.selection --report` writes it again from
`benchmarks/results/selection.json`. 512-d unit vectors; one thread; every contender in a process of its own, every peer in an
environment of its own. CPU seconds are the choice's, without reading the data. They vary with what else the machine does, so compare
within a row group: "times" is how much more CPU a contender takes than the first of its group, smallest to largest over all pairs of
runs. Memory is what the process took at most, over the size of the vectors given, those
included where they are read into memory.
"""
LIMITS = """What is not compared: k-center continued from a tenth of a million rows, where the plain loop and lightly-mundig would compare
a hundred times as many pairs at the start as at a tenth of both; the picks from ten million rows, which no contender takes from a map.
The default's cells cover less than herding's own, by what the groups below show; herding's share of the plain loop is not of one run.
"""
TITLES = {
    "clustered": "k-center: clusters of Zipf sizes, bursts, strays",
    "isotropic": "k-center: no structure",
    "copies": "k-center: every row a hundred times",
    "continued": "k-center, continued from labeled frames",
    "continued at a tenth": "k-center, continued from labeled frames, smaller",
    "at a tenth": "k-center, smaller",
    "small": "k-center, smallest",
    "mapped": "k-center from a float16 memory map",
    "herding": "Herding, and as the default does it",
    "herding, small": "Herding in cells, and exactly",
    "herding, sampled 0.4": (
        "Herding in cells, as the default does it, and exactly; few picks, kernel of scale .4: within bursts"
    ),
    "herding, sampled 0.8": "The same, of scale .8: within clusters, as is estimated at a million rows",
    "facility location": "Facility location",
    "default": "The default (hybrid), nothing but vectors known",
    "default, a half": "The same, half the rows",
    "default, a quarter": "The same, a quarter of the rows",
    "default, all known": (
        "The default, with labeled frames, conditions, bursts, near-duplicates and expected loss"
    ),
}
NAMES = {
    "mundig": "lightly-mundig 0.1.16",
    "plain": "plain numpy loop",
    "fps": "fpsample 0.3.3",
    "apricot": "apricot-select 0.6.1",
    "submodlib": "submodlib-py 0.0.3",
}
COLUMNS = "| contender | runs | CPU s | times | memory | quality | load |\n|---|---|---|---|---|---|---|"


def document(results: dict[str, Any]) -> str:
    groups = [_group(name, results[name]) for name in TITLES if name in results]
    return "\n".join([HEAD, _aims(results), LIMITS, *groups])


def _aims(results: dict[str, Any]) -> str:
    rows = [
        f"| {aim} | {measured} | {'yes' if holds else '**no**'} |" for aim, measured, holds in aims(results)
    ]
    return "\n".join(["| aim | measured | holds |\n|---|---|---|", *rows, ""])


def _group(name: str, result: dict[str, Any]) -> str:
    labeled = f", {result['labeled']:,} labeled" if result["labeled"] else ""
    title = f"## {TITLES[name]}\n\n{result['rows']:,} rows, {result['k']:,} chosen{labeled}.\n"
    base = next(iter(result["runs"].values()))
    rows = [_row(who, runs, base, result["quality"]) for who, runs in result["runs"].items()]
    return "\n".join([title, COLUMNS, *rows, ""])


def _row(
    who: str, runs: list[dict[str, float]], base: list[dict[str, float]], quality: dict[str, Any]
) -> str:
    cpu = [run["cpu"] for run in runs]
    times = "1" if runs is base else _spread(pairwise_ratios(runs, base))
    memory = max(run["memory"] for run in runs)
    load = _spread([run["load"] for run in runs])
    cells = (
        NAMES.get(who, who),
        str(len(runs)),
        _spread(cpu),
        times,
        f"{memory:.2f}",
        _said(quality.get(who)),
        load,
    )
    return "| " + " | ".join(cells) + " |"


def _spread(values: list[float]) -> str:
    low, high = (f"{value:.3g}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def _said(quality: dict[str, float] | None) -> str:
    if not quality:
        return ""
    if "radius" not in quality:
        return ", ".join(f"{name} {value:.5f}" for name, value in quality.items())
    said = f"radius {quality['radius']:.4f}"
    if "same_picks" in quality:
        said += (
            f"; {quality['same_picks']:,.0f} of the plain loop's picks, in its order up to pick"
            f" {quality['same_until']:,.0f}, distances within {quality['radii_differ']:.1e}"
        )
    return said
