"""The strategies by the names a user may give, where looking them up loads nothing."""

from __future__ import annotations

from typing import Literal, get_args

StrategyName = Literal[
    "hybrid",
    "random",
    "stratified",
    "entropy",
    "least_confidence",
    "margin",
    "k_center",
    "typiclust",
    "prob_cover",
    "herding",
    "uncertainty_herding",
    "facility_location",
    "class_balanced",
    "coverage_deficit",
    "targeted",
    "ppal",
    "streaming",
]
"""The keys of `samplers.STRATEGIES`."""

STRATEGY_NAMES: tuple[str, ...] = get_args(StrategyName)
