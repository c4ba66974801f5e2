"""The connectors of a replay, and its folders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from connectors.ports import Detector, Embedder, Trainer
from loop.base.errors import ConfigError
from loop.project.wiring import build_embedder, check_device
from loop.replay.settings import ReplaySettings
from loop.settings.settings import EmbedderSettings, Settings, load_settings

JUDGED_FROM = 0.01
"""Confidence below which a detection hardly moves average precision any more."""


@dataclass(frozen=True)
class Tools:
    """detector: of a checkpoint, showing nothing below a confidence."""

    embedder: Embedder
    trainer: Trainer
    detector: Callable[[Path, float], Detector]


def build_tools(settings: ReplaySettings, threads: int) -> Tools:
    """The real ones. Raises ConfigError without base weights, WeightsUnavailable, ModelError."""
    from connectors.yolo.detector import load_detector
    from connectors.yolo.trainer import YoloTrainer

    check_device("device", settings.device)
    product = product_settings()
    asked = product.embedder.model_dump() | {"model": settings.embedder, "device": settings.device}

    def detector(weights: Path, confidence: float) -> Detector:
        return load_detector(
            weights,
            device=settings.device,
            imgsz=settings.imgsz,
            conf=confidence,
            iou=product.detector.iou,
            threads=threads,
        )

    return Tools(build_embedder(Path.cwd(), EmbedderSettings(**asked)), YoloTrainer(), detector)


def product_settings() -> Settings:
    """What a project that changes nothing has: a replay shows what users get."""
    return load_settings(None)


def weights_of(settings: ReplaySettings) -> Path:
    """Raises ConfigError when no base checkpoint is named, or none is there."""
    if not settings.weights or not Path(settings.weights).is_file():
        raise ConfigError(
            "weights: expected the checkpoint that every training starts from, got"
            f" {settings.weights or 'nothing'!r}; give --weights, or name it in replay.yaml beside the"
            " dataset"
        )
    return Path(settings.weights)
