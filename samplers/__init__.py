"""Samplers: numpy arrays in, a selection of frames out; no torch, no database, no network."""

from __future__ import annotations

from functools import partial

from samplers.coverage import CoverageSettings, coverage_deficit
from samplers.diversity import k_center, random
from samplers.evaluation import draw_evaluation
from samplers.hybrid import HybridSettings, hybrid
from samplers.pool import Pool, PoolError, Selection, Strategy
from samplers.uncertainty import UncertaintySettings, uncertainty

STRATEGIES: dict[str, Strategy] = {
    "hybrid": hybrid,
    "random": random,
    "entropy": uncertainty,
    "least_confidence": partial(uncertainty, settings=UncertaintySettings(measure="least_confidence")),
    "margin": partial(uncertainty, settings=UncertaintySettings(measure="margin")),
    "k_center": k_center,
    "coverage_deficit": coverage_deficit,
}
"""Every strategy by the name a user gives it; the first is the default."""

__all__ = [
    "STRATEGIES",
    "CoverageSettings",
    "HybridSettings",
    "Pool",
    "PoolError",
    "Selection",
    "Strategy",
    "UncertaintySettings",
    "draw_evaluation",
]
