"""What a round asks of the trainer, and what is said of what the trainer did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from connectors.errors import TrainingFailed
from connectors.ports import TrainResult
from connectors.yolo.train_settings import check_run, in_words
from connectors.yolo.train_values import refused_values
from loop.base.errors import ConfigError
from loop.settings.messages import explain
from loop.settings.settings import RoundSettings

CHOSEN = (
    *("epochs", "imgsz", "batch", "optimizer", "lr0", "device", "replay", "new_repeats", "max_repeats"),
    *("approval", "train"),
)
"""Settings of a round that may be chosen for one alone; the others say when rounds begin."""


def overrides_of(settings: Mapping[str, Any]) -> dict[str, object]:
    """By the trainer's names, what the settings of a round (settings.round) ask beside its spec.

    round.train goes before the settings that have a name of their own. A round of an earlier
    version names no optimizer.
    """
    named = {name: settings[name] for name in ("optimizer", "lr0") if name in settings}
    return {**named, **settings["train"]}


def with_chosen(usual: RoundSettings, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of one round: those of the project, but for what was chosen for it. Raises
    ConfigError for what cannot be chosen, or not so.
    """
    for name in chosen:
        if name not in CHOSEN:
            raise ConfigError(f"expected a setting of one round ({', '.join(CHOSEN)}), got {name!r}; drop it")
    settings = usual.model_dump()
    try:
        return RoundSettings.model_validate(settings | dict(chosen)).model_dump()
    except ValidationError as error:
        raise ConfigError(explain(error, "this round", set(settings))) from error


def check_training(settings: Mapping[str, Any]) -> None:
    """Raises ConfigError for a setting of a round that its training would not follow."""
    try:
        check_run(overrides_of(settings), settings["epochs"], settings["device"])
    except TrainingFailed as error:
        raise ConfigError(f"round.train: {error}") from error
    if settings["train"] and (why := refused_values(overrides_of(settings))):
        raise ConfigError(f"round.train: {why}")


def recorded(result: TrainResult) -> dict[str, Any]:
    """What is kept with a round of how it was trained."""
    return {**result.settings, "epochs_done": result.epochs, "epoch_kept": result.kept}


def trained_line(settings: Mapping[str, Any]) -> str:
    """Of a round's settings, what it was really trained with; "" where that is not known."""
    trained = settings.get("trained") or {}
    if "optimizer" not in trained:
        return ""
    done, kept = trained["epochs_done"], trained["epoch_kept"]
    best = ", the best when evaluated," if trained.get("val") else ""
    return f"trained with {in_words(trained)}; the weights of epoch {kept} of {done}{best} count"
