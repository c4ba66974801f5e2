"""Samplers: numpy arrays in, a selection of frames out; no torch, no database, no network."""

from __future__ import annotations

from samplers.evaluation_sample import Draw, Need, draw_evaluation
from samplers.pool import Pool, PoolError, Selection, Strategy
from samplers.strategies.class_balanced import class_balanced
from samplers.strategies.coverage_deficit import CoverageSettings, coverage_deficit
from samplers.strategies.diversity import k_center, random
from samplers.strategies.herding import HerdingSettings, facility_location, herding, uncertainty_herding
from samplers.strategies.hybrid import HybridSettings, hybrid
from samplers.strategies.ppal import PPALSettings, ppal
from samplers.strategies.prob_cover import ProbCoverSettings, prob_cover
from samplers.strategies.stratified import StratifiedSettings, stratified
from samplers.strategies.streaming import StreamSettings, streaming
from samplers.strategies.targeted import TargetedSettings, targeted
from samplers.strategies.typiclust import TypiClustSettings, typiclust
from samplers.strategies.uncertainty import UncertaintySettings, least_confidence, margin, uncertainty

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
    "Draw",
    "HerdingSettings",
    "HybridSettings",
    "Need",
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
