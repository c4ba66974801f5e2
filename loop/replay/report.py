"""The report of a replay, regenerated from its files alone: Markdown tables of every sampler and
seed, and plots.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

import numpy as np

from connectors.files import write_atomically
from loop.base.arrays import Reals
from loop.math.statistics.multiple_testing import holm
from loop.math.statistics.paired import not_worse, paired
from loop.replay.aims import DEFAULT, MARGIN, aims
from loop.replay.compared import (
    CONTROL,
    FEWEST_SEEDS,
    area_test,
    areas_of,
    interval_of,
    ranks_of,
    saving_of,
    span_of,
    table_of,
    told_saving,
)
from loop.replay.curves import AXES, OVERALL, Curves, curves_of
from loop.replay.plots import plot_curves, plot_slices
from loop.replay.results import About, read_about, read_results

CONTROLLED = f" {CONTROL} is another draw of random: a control, which is not ranked and not adjusted for."
PARTS = ((0.5, "middle"), (1.0, "final"))
NOTES = "notes.md"
"""In a folder of results: what its reader should know that no file tells, such as why an aim was
missed.
"""
INTRO = (
    "Written by `fieldloop bench report` from the files in `{folder}`; AP is mAP50-95 in points of 100 unless"
    " it says AP50. Every row of a seed shares its initial set, budget, base checkpoint, number of image"
    " passes and evaluation."
)


def write_report(results: Path, docs: Path, shown: str = "") -> Path:
    """docs/replay-<data>.md with its plots beside it, of one folder of results.

    shown: what the folder is called in it.

    What a file `notes.md` in the folder says (Markdown) stands below the aims.
    Raises ConfigError, ValueError when there is nothing whole to report.
    """
    about, curves = read_about(results), curves_of(read_results(results))
    docs.mkdir(parents=True, exist_ok=True)
    name = f"replay-{about.data}"
    plot_curves(curves, docs / f"{name}.png", about.data)
    sliced = plot_slices(curves, docs / f"{name}-slices.png", about.data)
    notes = results / NOTES
    told = notes.read_text(encoding="utf-8").strip() if notes.is_file() else ""
    text = "\n".join(_lines(about, curves, shown or results.as_posix(), name, sliced, told))
    file = docs / f"{name}.md"
    write_atomically(file, text + "\n")
    return file


def _lines(about: About, curves: Curves, folder: str, name: str, sliced: bool, notes: str) -> Iterable[str]:
    yield f"# Replay: {about.data}"
    yield ""
    yield INTRO.format(folder=folder)
    yield ""
    yield from _setting(about, curves)
    if DEFAULT in curves.samplers[1:] and len(curves.seeds) > 1:
        yield from _section(f"In short: {DEFAULT}, which `fieldloop select` uses", aims(curves))
    if notes:
        yield from _section("Notes", [notes])
    for measure in curves.measures:
        yield from _section(f"Against random: {measure}", _against(curves, measure))
    yield from _section("Area under the curve, by what is counted", _areas(curves))
    yield from _section("Labels needed to reach what random reaches", _labels(curves))
    yield from _section("Not worse than random", _worse(curves))
    yield f"\n![AP by what was labeled]({name}.png)\n"
    if sliced:
        yield from _section("By slice, after the last round", _by_slice(about, curves))
        yield f"\n![AP by slice]({name}-slices.png)\n"
    yield from _section("By class, after the last round (AP50)", _by_class(curves))
    if len(curves.seeds) > 1:
        yield from _section("Against random, by slice and by class", _against_parts(curves))
    if about.shares:
        yield from _section("What was chosen, in percent of all chosen frames", _chosen(about, curves))
    if len(curves.seeds) > 1:
        yield from _section("How alike the choices of two seeds are", _alike(curves))
    yield from _section("Every sampler and seed", _every(curves))
    yield from _section("Computing, median seconds a round", _spent(curves))


def _section(title: str, lines: Iterable[str]) -> Iterable[str]:
    yield f"\n## {title}\n"
    yield from lines


def _setting(about: About, curves: Curves) -> Iterable[str]:
    told = about.told
    parts = ", ".join(f"{part} {count} ({about.groups[part]} groups)" for part, count in about.parts.items())
    judged = len(curves.classes)
    classes = f"{len(about.classes)}" + (
        "" if judged == len(about.classes) else f", of which {judged} are shown in what judges"
    )
    yield (
        f"- Frames: {parts}. Classes: {classes}. Groups are camera-days, sequences, or frames of which"
        " neither is known; none judges in part."
    )
    yield (
        f"- {len(curves.seeds)} seeds ({', '.join(map(str, curves.seeds))}), {curves.rounds} rounds of"
        f" {told['budget']} frames. Every training: {told['epochs']} epochs of {told['passes']} image passes"
        f" from the base checkpoint `{about.base}`, {told['imgsz']} px; judged by {told['judge']}."
    )
    yield (
        f"- Labeling is taken to cost {told['seconds_per_frame']:g} s a frame and {told['seconds_per_box']:g}"
        f" s a box. Vectors: `{about.embedder}`."
    )
    versions = Counter(each.code for table in curves.results.values() for row in table for each in row[1:])
    codes = ", ".join(
        f"`{code}` {count}" if code else f"not recorded {count}" for code, count in sorted(versions.items())
    )
    yield f"- Data `{about.digest}`, settings `{about.settings}`. Results by version of the code: {codes}."
    if about.rare:
        shares = ", ".join(f"{name} ({about.shares[name]:.1%})" for name in about.rare)
        yield (
            f"- Rare slices (at most {told['rare_share']:.0%} of the pool): {shares}. A slice that is named"
            " after a class counts that class alone."
        )
    else:
        yield "- No slice is rare."
    if told["weight_by"]:
        yield f"- Overall is weighted by {told['weight_by']} as the pool is composed."
    if curves.missing:
        yield f"- **Not finished, left out of every table**: {', '.join(curves.missing)}."
    if curves.left_out:
        yield (
            "- **Finished, but left out so that all rows have the same seeds**:"
            f" {', '.join(curves.left_out)}."
        )


def _against(curves: Curves, measure: str) -> Iterable[str]:
    """Area under the curve and the last round, paired by seed."""
    low, high = span_of(curves, "frames")
    yield (
        f"AUBC: mean AP between {low:g} and {high:g} labeled frames (trapezoids). Differences by seed: mean,"
        f" 95 % t interval, exact sign-flip p, adjusted for {len(set(curves.samplers[1:]) - {CONTROL})}"
        " comparisons (Holm). Rank: mean over seeds of AUBC, 1 is"
        f" best.{CONTROLLED if CONTROL in curves.samplers else ''}\n"
    )
    areas = {sampler: areas_of(curves, sampler, measure) for sampler in curves.samplers}
    last = {sampler: curves.points(sampler, measure)[:, -1] for sampler in curves.samplers}
    ranks = ranks_of(curves, areas)
    head = [
        "sampler",
        "AUBC",
        "against random",
        "p",
        "p Holm",
        "seeds lost",
        "last round",
        "against random",
        "p",
        "p Holm",
        "rank",
    ]
    both = [_tests(curves, table) for table in (areas, last)]
    rows = []
    for place, sampler in enumerate(curves.samplers):
        row = [sampler]
        for table, tests in zip((areas, last), both, strict=True):
            row += [f"{table[sampler].mean():.2f}", *tests.get(sampler, ["", "", ""])]
            if table is areas:
                row.append("" if place == 0 else str(int((areas[sampler] < areas[curves.samplers[0]]).sum())))
        rows.append([*row, f"{ranks[sampler]:.2f}" if sampler in ranks else ""])
    yield from table_of(head, rows)


def _tests(curves: Curves, values: dict[str, Reals]) -> dict[str, list[str]]:
    baseline, *others = curves.samplers
    if len(curves.seeds) < 2 or not others:
        return {}
    tests = {sampler: paired(values[sampler], values[baseline]) for sampler in others}
    compared = [sampler for sampler in others if sampler != CONTROL]
    adjusted = holm([tests[sampler].p for sampler in compared])
    told = {sampler: f"{p:.3f}" for sampler, p in zip(compared, adjusted, strict=True)}
    return {
        sampler: [
            interval_of(test), f"{test.p:.3f}", told.get(sampler, "")
        ]
        for sampler, test in tests.items()
    }  # fmt: skip


def _areas(curves: Curves) -> Iterable[str]:
    spans = {axis: span_of(curves, axis) for axis in AXES}
    head = ["sampler", "measure", *(f"{axis} {low:g} to {high:g}" for axis, (low, high) in spans.items())]
    yield from table_of(
        head,
        [
            [sampler, measure, *(f"{areas_of(curves, sampler, measure, axis).mean():.2f}" for axis in AXES)]
            for measure in curves.measures
            for sampler in curves.samplers
        ],
    )


def _labels(curves: Curves) -> Iterable[str]:
    yield (
        "By random's labels, so that .50 is half; a rising curve is fitted to the mean over seeds (isotonic)"
        " and read off at what random reaches half way and at the end. 95 % by bootstrap over seeds:"
        " approximate, rather too narrow, for this division of the data alone, and not given below"
        f" {FEWEST_SEEDS} seeds. `~`: reached within the first round, where nothing was measured, so read off"
        " a straight line from the start. `<` and `>`: the level lies before the first, or beyond the last"
        " round, also as an end of an interval. Frames kept for evaluation (tuning) and held out of"
        " training, from which trust in expected loss is learned, are not counted for anybody.\n"
    )
    head = ["sampler", "measure", *(f"{axis}, {word}" for axis in AXES for _, word in PARTS)]
    rows = []
    for measure in curves.measures:
        for sampler in curves.samplers[1:]:
            cells = [
                told_saving(saving_of(curves, sampler, measure, axis, part), len(curves.seeds))
                for axis in AXES
                for part, _ in PARTS
            ]
            rows.append([sampler, measure, *cells])
    yield from table_of(head, rows)


def _worse(curves: Curves) -> Iterable[str]:
    """Non-inferiority of the area, overall."""
    if len(curves.seeds) < 2:
        yield "Two seeds are needed."
        return
    yield f"Overall AP, one-sided 95 % t bound over seeds; not worse: above -{MARGIN:g} points.\n"
    baseline = curves.samplers[0]
    rows = []
    for sampler in curves.samplers[1:]:
        pairs = [
            (areas_of(curves, sampler, OVERALL), areas_of(curves, baseline, OVERALL)),
            (curves.points(sampler, OVERALL)[:, -1], curves.points(baseline, OVERALL)[:, -1]),
        ]
        tests = [paired(*pair) for pair in pairs]
        cells = [f"{test.lower:+.2f} {'yes' if not_worse(test, MARGIN) else 'no'}" for test in tests]
        rows.append([sampler, *cells])
    yield from table_of(["sampler", "AUBC", "last round"], rows)


def _by_slice(about: About, curves: Curves) -> Iterable[str]:
    head = ["slice", "of the pool", "start", *curves.samplers]
    rows = []
    for name in curves.slices:
        start = np.nanmean(curves.points(curves.samplers[0], name)[:, 0])
        means = [_mean(curves.points(sampler, name)[:, -1]) for sampler in curves.samplers]
        rows.append([name, f"{about.shares.get(name, 0):.1%}", f"{start:.2f}", *means])
    yield from table_of(head, rows)


def _by_class(curves: Curves) -> Iterable[str]:
    rows = [
        [
            name,
            _mean(curves.points(curves.samplers[0], name, "ap50")[:, 0]),
            *(_mean(curves.points(sampler, name, "ap50")[:, -1]) for sampler in curves.samplers),
        ]
        for name in curves.classes
    ]
    yield from table_of(["class", "start", *curves.samplers], rows)


def _against_parts(curves: Curves) -> Iterable[str]:
    """Where an overall difference comes from, and what it hides."""
    yield (
        "AUBC, difference to random by seed: mean and 95 % t interval, for many things at once and adjusted"
        " for none.\n"
    )
    others = curves.samplers[1:]
    rows = [
        [name, *(interval_of(area_test(curves, sampler, name)) for sampler in others)]
        for name in (*curves.slices, *curves.classes)
    ]
    yield from table_of(["slice or class", *others], rows)


def _chosen(about: About, curves: Curves) -> Iterable[str]:
    rows = []
    for name in about.shares:
        cells = []
        for sampler in curves.samplers:
            rounds = [each for row in curves.results[sampler] for each in row[1:]]
            total = sum(len(each.chosen) for each in rounds)
            cells.append(f"{100 * sum(each.shown.get(name, 0) for each in rounds) / max(total, 1):.1f}")
        rows.append([name, f"{100 * about.shares[name]:.1f}", *cells])
    yield from table_of(["slice", "pool", *curves.samplers], rows)


def _alike(curves: Curves) -> Iterable[str]:
    """A seed is a draw of the choice only where it changes the choice."""
    yield (
        "Share of what was chosen so far that two seeds have in common, mean over pairs. Where it is 1.00,"
        " every seed chose the same frames, and differences between seeds are those of training alone:"
        " intervals then say nothing of how the sampler would do on another pool.\n"
    )
    rows = []
    for sampler in curves.samplers:
        sets = [
            [
                {name for each in row[1 : number + 2] for name in each.chosen}
                for row in curves.results[sampler]
            ]
            for number in range(curves.rounds)
        ]
        shares = [
            np.mean([len(a & b) / max(len(a), len(b), 1) for a, b in combinations(each, 2)]) for each in sets
        ]
        rows.append([sampler, *(f"{share:.2f}" for share in shares)])
    yield from table_of(["sampler", *(f"round {n + 1}" for n in range(curves.rounds))], rows)


def _every(curves: Curves) -> Iterable[str]:
    head = ["sampler", "seed", "frames", "boxes", "hours"]
    for measure in curves.measures:
        head += [
            f"{measure}: AUBC",
            *(f"round {number}" for number in range(curves.rounds + 1)),
            "AP50 at the end",
        ]
    rows = []
    for sampler in curves.samplers:
        areas = {measure: areas_of(curves, sampler, measure) for measure in curves.measures}
        for place, seed in enumerate(curves.seeds):
            last = curves.results[sampler][place][-1]
            row = [sampler, str(seed), str(last.frames), str(last.boxes), f"{last.seconds / 3600:.2f}"]
            for measure in curves.measures:
                points = curves.points(sampler, measure)[place]
                end = curves.points(sampler, measure, "ap50")[place, -1]
                row += [f"{areas[measure][place]:.2f}", *(f"{value:.2f}" for value in points), f"{end:.2f}"]
            rows.append(row)
    yield from table_of(head, rows)


def _spent(curves: Curves) -> Iterable[str]:
    steps = ("choose", "train", "judge", "detect")
    rows = []
    for sampler in curves.samplers:
        rounds = [each.spent for row in curves.results[sampler] for each in row[1:]]
        rows.append(
            [sampler, *(f"{np.median([each.get(step, 0.0) for each in rounds]):.1f}" for step in steps)]
        )
    yield from table_of(["sampler", *steps], rows)


def _mean(values: Reals) -> str:
    there = values[~np.isnan(values)]
    return f"{there.mean():.2f}" if len(there) else ""
