"""Plots of a replay: small PNG files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pil

from connectors.files import draft_of
from loop.replay.curves import Axis, Curves

COLORS = ("#777777", "#1b6ca8", "#d1495b", "#2a9d62", "#e09f3e", "#7b4fa3", "#00798c", "#a44a3f", "#5c6b73")
SHOWN: tuple[tuple[Axis, str, float], ...] = (
    ("frames", "labeled frames", 1.0),
    ("boxes", "labeled boxes", 1.0),
    ("seconds", "hours of labeling (estimated)", 3600.0),
)


def plot_curves(curves: Curves, file: Path, title: str) -> None:
    """A row for each measure against frames, boxes and hours: the mean over seeds, thin lines the
    seeds.
    """
    _plot(curves, curves.measures, file, title, (10.5, 3.1))


def plot_slices(curves: Curves, file: Path, title: str) -> bool:
    """The same for every slice that was judged; whether there is one."""
    shown = [name for name in curves.slices if not np.isnan(curves.points(curves.samplers[0], name)).all()]
    if shown:
        _plot(curves, shown, file, title, (10.5, 2.3))
    return bool(shown)


def _plot(
    curves: Curves, measures: Sequence[str], file: Path, title: str, row_size: tuple[float, float]
) -> None:
    width, height = row_size
    figure, axes = _figure(len(measures), len(SHOWN), (width, 0.6 + height * len(measures)))
    for row, measure in enumerate(measures):
        for column, (axis, label, unit) in enumerate(SHOWN):
            _pane(axes[row][column], curves, measure, axis, unit)
            if row == len(measures) - 1:
                axes[row][column].set_xlabel(label)
        axes[row][0].set_ylabel(f"mAP50-95, {measure}", fontsize=8)
    axes[0][0].legend(fontsize=7, frameon=False)
    figure.suptitle(f"{title}: {len(curves.seeds)} seeds")
    _save(figure, file)


def _pane(pane: Any, curves: Curves, measure: str, axis: Axis, unit: float) -> None:
    for color, sampler in _colored(curves):
        x, y = curves.along(sampler, axis) / unit, curves.points(sampler, measure)
        for one_x, one_y in zip(x, y, strict=True):
            pane.plot(one_x, one_y, color=color, alpha=0.18, linewidth=0.8)
        pane.plot(
            x.mean(axis=0), y.mean(axis=0), color=color, label=sampler, linewidth=2, marker="o", markersize=3
        )
    pane.grid(alpha=0.25)


def _colored(curves: Curves) -> list[tuple[str, str]]:
    return [(COLORS[place % len(COLORS)], sampler) for place, sampler in enumerate(curves.samplers)]


def _figure(rows: int, columns: int, size: tuple[float, float]) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def _save(figure: Any, file: Path) -> None:
    """In few colors and without version or date: small, and the same results give the same file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=80, format="png", metadata={"Software": None})
    with Pil.open(buffer) as drawn, draft_of(file) as draft:
        drawn.convert("RGB").quantize(64, dither=Pil.Dither.NONE).save(draft, "PNG", optimize=True)
