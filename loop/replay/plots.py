"""Plots of a replay: small PNG files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from loop.replay.curves import Axis, Curves

COLORS = ("#777777", "#1b6ca8", "#d1495b", "#2a9d62", "#e09f3e", "#7b4fa3", "#00798c", "#a44a3f", "#5c6b73")
SHOWN: tuple[tuple[Axis, str, float], ...] = (
    ("frames", "labeled frames", 1.0),
    ("seconds", "hours of labeling (estimated)", 3600.0),
)


def plot_curves(curves: Curves, file: Path, title: str) -> None:
    """A row for each measure, a column for frames and one for hours: the mean over seeds, thin lines the seeds."""
    measures = curves.measures
    figure, axes = _figure(len(measures), len(SHOWN), (9.0, 3.4 * len(measures)))
    for row, measure in enumerate(measures):
        for column, (axis, label, unit) in enumerate(SHOWN):
            pane = axes[row][column]
            for color, sampler in _colored(curves):
                x, y = curves.along(sampler, axis) / unit, curves.points(sampler, measure)
                for one_x, one_y in zip(x, y, strict=True):
                    pane.plot(one_x, one_y, color=color, alpha=0.18, linewidth=0.8)
                pane.plot(
                    x.mean(axis=0),
                    y.mean(axis=0),
                    color=color,
                    label=sampler,
                    linewidth=2,
                    marker="o",
                    markersize=3,
                )
            pane.set_xlabel(label)
            pane.set_ylabel(f"mAP50-95, {measure}")
            pane.grid(alpha=0.25)
    axes[0][0].legend(fontsize=8, frameon=False)
    figure.suptitle(f"{title}: {len(curves.seeds)} seeds")
    _save(figure, file)


def plot_slices(curves: Curves, file: Path, title: str) -> None:
    """AP of every slice after the last round: bars are means over seeds, dots the seeds."""
    names = [name for name in curves.slices if not np.isnan(curves.points(curves.samplers[0], name)).all()]
    figure, axes = _figure(1, 1, (max(6.0, 1.6 + 1.2 * len(names)), 3.6))
    pane, width = axes[0][0], 0.8 / len(curves.samplers)
    for place, (color, sampler) in enumerate(_colored(curves)):
        for at, name in enumerate(names):
            values = curves.points(sampler, name)[:, -1]
            middle = at + (place - (len(curves.samplers) - 1) / 2) * width
            label = sampler if at == 0 else None
            pane.bar(
                middle, values[~np.isnan(values)].mean(), width * 0.92, color=color, label=label, alpha=0.75
            )
            pane.plot(np.full(len(values), middle), values, ".", color="black", markersize=2)
    pane.set_xticks(range(len(names)), [name.replace("=", "\n") for name in names], fontsize=8)
    pane.set_ylabel("mAP50-95 after the last round")
    pane.legend(fontsize=7, frameon=False, ncols=3)
    figure.suptitle(f"{title}: by slice, {len(curves.seeds)} seeds")
    _save(figure, file)


def _colored(curves: Curves) -> list[tuple[str, str]]:
    return [(COLORS[place % len(COLORS)], sampler) for place, sampler in enumerate(curves.samplers)]


def _figure(rows: int, columns: int, size: tuple[float, float]) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def _save(figure: Any, file: Path) -> None:
    """Without version or date, so that the same results give the same file."""
    figure.savefig(file, dpi=90, metadata={"Software": None})
