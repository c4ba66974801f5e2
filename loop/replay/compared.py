"""What the curves of a replay yield when samplers are compared with random, and how it is told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from loop.base.arrays import Reals
from loop.math.statistics.paired import Paired, mean_ranks, paired
from loop.replay import stats
from loop.replay.curves import Axis, Curves

CONTROL = "random2"
FEWEST_SEEDS = 4
"""With fewer, a bootstrap over them says too little of how sure a ratio is."""


def areas_of(curves: Curves, sampler: str, measure: str, axis: Axis = "frames") -> Reals:
    """(seeds,) area under the curve, on the scale that all samplers and seeds share."""
    low, high = span_of(curves, axis)
    pairs = zip(curves.along(sampler, axis), curves.points(sampler, measure), strict=True)
    return np.array([stats.aubc(x, y, low, high) for x, y in pairs])


def span_of(curves: Curves, axis: Axis) -> tuple[float, float]:
    ends = np.concatenate([curves.along(sampler, axis)[:, [0, -1]] for sampler in curves.samplers])
    return float(ends[:, 0].max()), float(ends[:, 1].min())


def area_test(curves: Curves, sampler: str, measure: str) -> Paired:
    return paired(areas_of(curves, sampler, measure), areas_of(curves, curves.samplers[0], measure))


def ranks_of(curves: Curves, areas: dict[str, Reals]) -> dict[str, float]:
    """Mean over seeds, 1 is best. random2 is random again, so it takes no rank from others."""
    ranked = [sampler for sampler in curves.samplers if sampler != CONTROL]
    ranks = mean_ranks(np.stack([areas[sampler] for sampler in ranked], axis=1))
    return dict(zip(ranked, ranks.tolist(), strict=True))


def saving_of(curves: Curves, sampler: str, measure: str, axis: Axis, part: float) -> stats.Saving:
    baseline = curves.samplers[0]
    return stats.saving(
        curves.along(sampler, axis), curves.points(sampler, measure),
        curves.along(baseline, axis), curves.points(baseline, measure), part,
    )  # fmt: skip


def told_saving(found: stats.Saving, seeds: int) -> str:
    sign = {"before": "<", "after": ">", "": "~" if found.guessed else ""}[found.censored]
    interval = f" ({_end(found.low)} to {_end(found.high)})" if seeds >= FEWEST_SEEDS else ""
    return f"{sign}{found.ratio:.2f}{interval}"


def interval_of(test: Paired) -> str:
    return f"{test.mean:+.2f} ({test.low:+.2f} to {test.high:+.2f})"


def table_of(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """A Markdown table."""
    yield "| " + " | ".join(head) + " |"
    yield "|" + "|".join("---" for _ in head) + "|"
    yield from ("| " + " | ".join(row) + " |" for row in rows)


def _end(value: float) -> str:
    return "<" if value == 0 else ">" if np.isinf(value) else f"{value:.2f}"
