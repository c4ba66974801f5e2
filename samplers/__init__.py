"""Samplers: numpy arrays in, a selection of frames out; no torch, no database, no network."""

from __future__ import annotations

from samplers.classes import class_balanced
from samplers.coverage import CoverageSettings, coverage_deficit
from samplers.diversity import k_center, random
from samplers.evaluation import draw_evaluation
from samplers.herding import HerdingSettings, facility_location, herding, uncertainty_herding
from samplers.hybrid import HybridSettings, hybrid
from samplers.pool import Pool, PoolError, Selection, Strategy
from samplers.ppal import PPALSettings, ppal
from samplers.prob_cover import ProbCoverSettings, prob_cover
from samplers.stratified import StratifiedSettings, stratified
from samplers.streaming import StreamSettings, streaming
from samplers.targeted import TargetedSettings, targeted
from samplers.typiclust import TypiClustSettings, typiclust
from samplers.uncertainty import UncertaintySettings, least_confidence, margin, uncertainty

STRATEGIES: dict[str, Strategy] = {
    "hybrid": hybrid,
    "random": random,
    "stratified": stratified,
    "entropy": uncertainty,
    "least_confidence": least_confidence,
    "margin": margin,
    "k_center": k_center,
    "typiclust": typiclust,
    "prob_cover": prob_cover,
    "herding": herding,
    "uncertainty_herding": uncertainty_herding,
    "facility_location": facility_location,
    "class_balanced": class_balanced,
    "coverage_deficit": coverage_deficit,
    "targeted": targeted,
    "ppal": ppal,
    "streaming": streaming,
}
"""Every strategy by the name a user gives it; the first is the default."""

__all__ = [
    "STRATEGIES",
    "CoverageSettings",
    "HerdingSettings",
    "HybridSettings",
    "PPALSettings",
    "Pool",
    "PoolError",
    "ProbCoverSettings",
    "Selection",
    "Strategy",
    "StratifiedSettings",
    "StreamSettings",
    "TargetedSettings",
    "TypiClustSettings",
    "UncertaintySettings",
    "draw_evaluation",
]
