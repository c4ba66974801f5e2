"""The strategies by the names a user may give, where looking them up loads nothing."""

from __future__ import annotations

import difflib
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


def unknown_strategy(name: str) -> str:
    """What to say of a name that is none of them, "" where it is one."""
    if name in STRATEGY_NAMES:
        return ""
    near = difflib.get_close_matches(name, STRATEGY_NAMES, n=1, cutoff=0)
    return f"expected one of {', '.join(STRATEGY_NAMES)}, got {name!r}; the nearest is {near[0]!r}"
