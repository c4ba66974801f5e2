"""Configuration: config/default.yaml < the project's YAML < the environment.

Every default stands in config/default.yaml alone. A wrong key or value raises ConfigError that names the key, what was expected,
what was found and the nearest valid key.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

import config
from loop.errors import ConfigError
from loop.strategies import StrategyName

PREFIX = "FIELDLOOP_"
DELIMITER = "__"
NOT_SETTINGS = {"HOME", "DATA", "PROJECT", "LABEL_STUDIO_TOKEN", "WEB_TOKEN"}
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Frames(Section):
    path: str
    pattern: str
    camera: str
    site: str
    timezone: str
    settle_s: Annotated[float, Field(ge=0)]
    video_every_s: Annotated[float, Field(gt=0)]
    max_pixels: Positive
    max_bytes: Positive


class EmbedderSettings(Section):
    model: str
    pretrained: str
    device: str
    batch: Positive


class DetectorSettings(Section):
    device: str
    imgsz: Annotated[int, Field(ge=32)]
    confidence: Share
    iou: Share
    batch: Positive


class Gaps(Section):
    neighbors: Positive
    min_share: Share
    max_share: Share
    prompts: bool
    metadata: bool
    measured: bool
    regions: bool


class Select(Section):
    strategy: StrategyName
    budget: Positive
    daily_budget: Annotated[int, Field(ge=0)]
    share_of_new: Share
    evaluation_share: Share
    max_per_sequence: Positive


class Evaluation(Section):
    group_share: Share


class LabelStudioSettings(Section):
    url: str
    project_id: Annotated[int, Field(ge=0)]
    images: Literal["auto", "local_files", "upload"]
    port: Annotated[int, Field(ge=0, le=65535)]
    instructions: str


class RoundSettings(Section):
    epochs: Positive
    imgsz: Annotated[int, Field(ge=32)]
    batch: Positive
    lr0: Annotated[float, Field(gt=0)]
    device: str
    replay: Annotated[int, Field(ge=0)]
    new_repeats: Positive
    max_repeats: Positive
    approval: Literal["auto", "manual"]
    labels: Annotated[int, Field(ge=0)]
    at: str
    train: dict[str, Any]


class Gate(Section):
    margin: Share
    alpha: Annotated[float, Field(gt=0, lt=1)]
    min_groups: Positive
    max_slowdown: Annotated[float, Field(ge=1)]


class Schedule(Section):
    ingest: str
    analyze: str
    select: str
    push: str
    pull: str
    round: str


class Web(Section):
    host: str
    port: Annotated[int, Field(ge=0, le=65535)]


class Settings(BaseSettings):
    """The whole configuration, validated."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        nested_model_default_partial_update=True,
    )

    name: Annotated[str, Field(min_length=3, max_length=50)]
    seed: Annotated[int, Field(ge=0)]
    database_url: str
    frames: Frames
    embedder: EmbedderSettings
    detector: DetectorSettings
    conditions: str
    gaps: Gaps
    select: Select
    evaluation: Evaluation
    label_studio: LabelStudioSettings
    round: RoundSettings
    gate: Gate
    schedule: Schedule
    web: Web

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings


def load_settings(path: Path | None) -> Settings:
    """The configuration of one project. Raises ConfigError."""
    defaults = _read_yaml(config.FOLDER / "default.yaml")
    own = _read_yaml(path) if path else {}
    keys = sorted(valid_keys())
    source = str(path) if path else "the configuration"
    _check_keys(own, keys, source)
    _check_environment(os.environ, keys)
    try:
        return Settings(**_merged(defaults, own))
    except ValidationError as error:
        raise ConfigError(_explain(error, source)) from error
    except SettingsError as error:
        raise ConfigError(
            f"environment: {error}; expected JSON, for example FIELDLOOP_ROUND__TRAIN='{{\"mosaic\": 0}}'"
        ) from error


def valid_keys() -> set[str]:
    """Dotted names of all settings, sections included."""
    return set(default_values())


def default_values() -> dict[str, Any]:
    """The default of every setting by dotted name; a section's is the section."""
    return dict(_walk(_read_yaml(config.FOLDER / "default.yaml")))


def _walk(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        dotted = f"{prefix}{key}"
        yield dotted, value
        if isinstance(value, Mapping) and dotted not in FREE_FORM:
            yield from _walk(value, f"{dotted}.")


FREE_FORM = {"round.train"}


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: expected a configuration file, found nothing; make one with `fieldloop init`"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: expected YAML, got something unreadable: {error}; mend the file"
        ) from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(
            f"{path}: expected `key: value` lines, got a {type(tree).__name__}; see config/default.yaml"
        )
    return tree


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        if value is None and isinstance(result.get(key), Mapping):
            continue  # a section of which every line was deleted
        nested = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = _merged(result[key], value) if nested else value
    return result


def _check_keys(own: Mapping[str, Any], keys: list[str], source: str) -> None:
    for dotted, _ in _walk(own):
        if dotted not in keys:
            raise ConfigError(f"{source}: {unknown_key(dotted, keys)}")


def unknown_key(dotted: str, keys: Collection[str]) -> str:
    """What is wrong with it. Its value is not shown: it may be a secret that somebody put in the wrong place."""
    return f"unknown key {dotted!r}; {_nearest(dotted, sorted(keys))}"


def _check_environment(environment: Mapping[str, str], keys: list[str]) -> None:
    for variable in environment:
        name = variable.removeprefix(PREFIX)
        if variable == name or name in NOT_SETTINGS:
            continue
        dotted = name.lower().replace(DELIMITER, ".")
        if dotted not in keys:
            raise ConfigError(
                f"environment: unknown setting {variable} ({dotted!r}); {_nearest(dotted, keys)}"
            )


def _nearest(key: str, keys: list[str]) -> str:
    close = difflib.get_close_matches(key, keys, n=1, cutoff=0.3)
    return f"the nearest valid key is {close[0]!r}" if close else f"valid keys are {', '.join(keys)}"


def _explain(error: ValidationError, source: str) -> str:
    lines = []
    for item in error.errors():
        dotted = ".".join(str(part) for part in item["loc"])
        variable = PREFIX + dotted.upper().replace(".", DELIMITER)
        where = f"environment variable {variable}" if variable in os.environ else f"{source}: {dotted}"
        lines.append(f"{where}: expected {_expectation(item)}, got {item.get('input')!r}")
    return "\n".join([*lines, "every key is explained in config/default.yaml"])


def _expectation(item: Mapping[str, Any]) -> str:
    message = str(item["msg"])
    for opening in ("Input should be ", "Input should have ", "Value error, "):
        message = message.removeprefix(opening)
    return message
