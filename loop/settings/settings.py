"""Configuration: config/default.yaml < the project's YAML < the environment.

Every default stands in config/default.yaml alone. A wrong key or value raises ConfigError that
names the key, what was expected, what was found and the nearest valid key.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

import config
from connectors.documents import parse_yaml
from loop.base.errors import ConfigError
from loop.settings.conditions import load_conditions
from loop.settings.messages import DELIMITER, PREFIX, explain, right_place, unknown_key
from loop.settings.strategy_names import StrategyName
from loop.settings.types import (
    ClassNames,
    Date,
    Device,
    Devices,
    DrawnAbove,
    ImageSize,
    Pattern,
    Quotas,
    SidecarColumns,
    Timezone,
    Url,
)
from loop.settings.types import Schedule as Times

log = logging.getLogger(__name__)
NOT_SETTINGS = {"HOME", "DATA", "PROJECT", "LABEL_STUDIO_TOKEN", "WEB_TOKEN"}
Share = Annotated[float, Field(ge=0, le=1)]
LARGEST = 1_000_000_000
"""Of counts: larger ones are slips, and some would not fit the database."""
Positive = Annotated[int, Field(ge=1, le=LARGEST)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Frames(Section):
    path: str
    pattern: Pattern
    camera: str
    site: str
    timezone: Timezone
    settle_s: Annotated[float, Field(ge=0)]
    video_every_s: Annotated[float, Field(gt=0)]
    follow_links: bool
    columns: SidecarColumns
    max_pixels: Positive
    max_bytes: Positive


class EmbedderSettings(Section):
    model: str
    pretrained: str
    device: Device
    batch: Positive


class DetectorSettings(Section):
    device: Device
    imgsz: ImageSize
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
    quotas: Quotas
    bias_share: Share
    max_per_sequence: Positive


class Evaluation(Section):
    group_share: Share


class LabelStudioSettings(Section):
    url: Url
    project_id: Annotated[int, Field(ge=0)]
    images: Literal["auto", "local_files", "upload"]
    port: Annotated[int, Field(ge=0, le=65535)]
    compare_h: Annotated[int, Field(ge=0)]
    instructions: str


class LabelsSettings(Section):
    ask_occlusion: bool
    drawn_above: DrawnAbove
    bare_share: Share
    class_names: ClassNames
    second_share: Share
    folds: Annotated[int, Field(ge=2, le=20)]
    fold_epochs: Annotated[int, Field(ge=1, le=100_000)]
    fold_imgsz: ImageSize
    fold_weights: str
    suspect_budget: Positive
    right: Annotated[float, Field(gt=0.5, lt=1)]
    confidence: Annotated[float, Field(gt=0.5, lt=1)]


class RoundSettings(Section):
    epochs: Annotated[int, Field(ge=1, le=100_000)]
    imgsz: ImageSize
    batch: Positive
    optimizer: Literal["AdamW", "SGD", "MuSGD", "Adam", "Adamax", "NAdam", "RAdam", "RMSProp"]
    lr0: Annotated[float, Field(gt=0, le=1)]
    device: Devices
    replay: Annotated[int, Field(ge=0, le=LARGEST)]
    new_repeats: Positive
    max_repeats: Positive
    approval: Literal["auto", "manual"]
    labels: Annotated[int, Field(ge=0, le=LARGEST)]
    at: Date
    train: dict[str, Any]


class Gate(Section):
    margin: Share
    alpha: Annotated[float, Field(gt=0, lt=1)]
    min_groups: Positive
    fall_frames: Positive
    fall_objects: Positive
    fall_groups: Positive
    max_slowdown: Annotated[float, Field(ge=1)]
    required: tuple[str, ...]
    when_unjudged: Literal["wait", "promote"]


class Schedule(Section):
    ingest: Times
    analyze: Times
    select: Times
    map: Times
    coverage: Times
    push: Times
    pull: Times
    round: Times
    suspects: Times


class Web(Section):
    host: str
    port: Annotated[int, Field(ge=0, le=65535)]


class Settings(BaseSettings):
    """The whole configuration, validated."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        nested_model_default_partial_update=True,
    )

    name: Annotated[str, Field(min_length=3, max_length=50)]
    seed: Annotated[int, Field(ge=0)]
    database_url: str
    missed_dates: Literal["make_up", "say"]
    frames: Frames
    embedder: EmbedderSettings
    detector: DetectorSettings
    conditions: str
    gaps: Gaps
    select: Select
    evaluation: Evaluation
    label_studio: LabelStudioSettings
    labels: LabelsSettings
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


@dataclass(frozen=True)
class IngestRules:
    """What `ingest` takes: at most so many pixels and bytes an image.

    evaluation_share: of the camera-days, those set apart to judge.
    timezone: in which times without a zone are read.
    """

    max_pixels: int
    max_bytes: int
    evaluation_share: float
    timezone: str = "UTC"


def rules_of(settings: Settings) -> IngestRules:
    """The rules that the settings give."""
    frames = settings.frames
    return IngestRules(frames.max_pixels, frames.max_bytes, settings.evaluation.group_share, frames.timezone)


def load_settings(path: Path | None, root: Path | None = None) -> Settings:
    """The configuration of one project, in the folder `root` if it is not the file's. Raises
    ConfigError.
    """
    own = _without_former(_read_yaml(path), str(path)) if path else {}
    keys = sorted(valid_keys())
    source = str(path) if path else "the configuration"
    _check_keys(own, keys, source)
    _check_environment(os.environ, keys)
    try:
        settings = Settings(**_merged(_shipped(), own))
    except ValidationError as error:
        raise ConfigError(explain(error, source, keys)) from error
    except SettingsError as error:
        raise ConfigError(f"environment: {error}; {JSON_EXAMPLE}") from error
    _check_conditions(settings.conditions, root or (path.parent if path else Path()))
    return settings


def valid_keys() -> set[str]:
    """Dotted names of all settings, sections included."""
    return set(default_values())


def default_values() -> dict[str, Any]:
    """The default of every setting by dotted name; a section's is the section."""
    return dict(_walk(_shipped()))


def value_of(settings: Settings, key: str) -> Any:
    """What a setting holds, by its dotted name."""
    return attrgetter(key)(settings)


def _walk(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        dotted = f"{prefix}{key}"
        yield dotted, value
        if isinstance(value, Mapping) and dotted not in FREE_FORM:
            yield from _walk(value, f"{dotted}.")


FREE_FORM = {"round.train", "frames.columns", "select.quotas", "labels.drawn_above", "labels.class_names"}
FORMER = (("gate", "few_margin"),)
"""Section and name of what earlier versions had."""
JSON_EXAMPLE = "expected JSON, for example FIELDLOOP_ROUND__TRAIN='{\"mosaic\": 0}'"


@cache
def _shipped() -> Mapping[str, Any]:
    return _read_yaml(config.FOLDER / "default.yaml")


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        tree = parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: expected a configuration file, found nothing; make one with `fieldloop init`"
        ) from None
    except ValueError as error:
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


def _without_former(own: dict[str, Any], source: str) -> dict[str, Any]:
    """A project of an earlier version keeps working: what is no setting any more is left out."""
    kept = dict(own)
    for section, name in FORMER:
        held = kept.get(section)
        if isinstance(held, Mapping) and name in held:
            kept[section] = {key: value for key, value in held.items() if key != name}
            log.warning(
                "%s: %s.%s is no setting any more and does nothing; delete the line", source, section, name
            )
    return kept


def _check_keys(own: Mapping[str, Any], keys: list[str], source: str) -> None:
    for dotted, _ in _walk(own):
        if dotted not in keys:
            raise ConfigError(f"{source}: {unknown_key(dotted, keys)}")


def _check_environment(environment: Mapping[str, str], keys: list[str]) -> None:
    defaults = default_values()
    for variable, value in environment.items():
        name = variable.removeprefix(PREFIX)
        if variable == name or name in NOT_SETTINGS:
            continue
        dotted = name.lower().replace(DELIMITER, ".")
        if tuple(dotted.split(".")) in FORMER:
            continue
        if dotted not in keys:
            raise ConfigError(
                f"environment: unknown setting {variable} ({dotted!r}); {right_place(dotted, keys)}"
            )
        if isinstance(defaults[dotted], dict) and not _is_json_object(value):
            raise ConfigError(f"environment variable {variable}: {JSON_EXAMPLE}, got {value!r}")


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _check_conditions(name: str, root: Path) -> None:
    if not name:
        return
    path = root / Path(name).expanduser()
    if not path.is_file():
        raise ConfigError(
            f"conditions: expected a file (seen from the project folder), got {name!r}, which is not there; "
            'begin with a copy of config/conditions.yaml, or set "" for the built-in one'
        )
    load_conditions(path)
