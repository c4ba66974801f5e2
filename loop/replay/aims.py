"""What was aimed at in a replay, what was found, and whether it is shown."""

from __future__ import annotations

from collections.abc import Iterable

from loop.math.statistics.paired import not_worse, paired
from loop.replay import stats
from loop.replay.compared import (
    FEWEST_SEEDS,
    area_test,
    areas_of,
    interval_of,
    ranks_of,
    saving_of,
    table_of,
    told_saving,
)
from loop.replay.curves import OVERALL, RARE, Curves

DEFAULT = "hybrid"
MARGIN = 0.5
"""Points of AUBC by which the default may be worse than random, at most."""
AIMED = {OVERALL: 0.7, RARE: 0.5}
"""Of random's labels, for what random reaches in the last round."""


def aims(curves: Curves) -> Iterable[str]:
    """What was aimed at, what was found, and whether it is shown to hold."""
    rows = []
    for measure in curves.measures:
        found = saving_of(curves, DEFAULT, measure, "frames", 1.0)
        rows.append(
            [
                (
                    f"{measure}: at most {AIMED[measure]:g} of random's labels for what random reaches at"
                    " the end"
                ),
                f"{told_saving(found, len(curves.seeds))} of {found.needed:.0f} frames"
                + (f"; measured: at most {found.measured:.2f}" if found.guessed else ""),
                _shown(curves, measure, found),
            ]
        )
    for measure in curves.measures:
        ranks = ranks_of(curves, {sampler: areas_of(curves, sampler, measure) for sampler in curves.samplers})
        best = min(ranks, key=ranks.__getitem__)
        rows.append(
            [
                f"{measure}: best mean rank",
                f"{ranks[DEFAULT]:.2f}" + ("" if best == DEFAULT else f", {best} {ranks[best]:.2f}"),
                "yes" if best == DEFAULT else "**no**",
            ]
        )
    test = area_test(curves, DEFAULT, OVERALL)
    rows.append(
        [
            f"overall: not worse than random by {MARGIN:g} points of AUBC",
            f"{test.mean:+.2f}, at least {test.lower:+.2f}",
            "yes" if not_worse(test, MARGIN) else "**no**",
        ]
    )
    yield from table_of(["aim", "found", "shown"], rows)
    yield from _worst(curves)


def _shown(curves: Curves, measure: str, found: stats.Saving) -> str:
    """Whether labels are shown to be saved: the whole interval has to lie below the aim, of
    something that random gains.
    """
    aim = AIMED[measure]
    points = curves.points(curves.samplers[0], measure)
    gained = paired(points[:, -1], points[:, 0])
    if gained.lower <= 0:
        return f"**says nothing**: random itself gains {interval_of(gained)}"
    if found.censored == "after" or (not found.censored and found.ratio > aim):
        return "**no**"
    if len(curves.seeds) < FEWEST_SEEDS:
        return "**not shown**: met, but the seeds are too few for an interval"
    return "yes" if found.high <= aim else "**not shown**: met, but the interval goes beyond"


def _worst(curves: Curves) -> Iterable[str]:
    """An overall gain can hide a loss."""
    tests = {name: area_test(curves, DEFAULT, name) for name in curves.slices}
    lost = [name for name, test in tests.items() if test.high < 0]
    for name in sorted(lost, key=lambda name: tests[name].mean):
        yield f"\n**Loses to random on {name}**: {interval_of(tests[name])} points of AUBC."
