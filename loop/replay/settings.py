"""What a replay depends on: replay.yaml beside the dataset, overridden by options of the command."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from connectors.documents import parse_yaml
from loop.base.errors import ConfigError
from loop.selection.sampler_pool import Cost

FILE = "replay.yaml"
PLACES = frozenset({"weights", "embedder", "images", "sidecar", "device"})
"""Where things lie and where they run: what they are counts by content."""
RECIPE: dict[str, object] = {
    "nbs": 8,
    "optimizer": "AdamW",
    "lr0": 0.001,
    "lrf": 0.05,
    "weight_decay": 0.0005,
    "warmup_epochs": 0.5,
    "warmup_bias_lr": 0.0,
    "rect": True,
    "mosaic": 0.0,
    "erasing": 0.0,
    "fliplr": 0.5,
    "translate": 0.1,
    "scale": 0.2,
    "hsv_h": 0.0,
    "hsv_s": 0.1,
    "hsv_v": 0.05,
    "cache": True,
    "workers": 0,
}


class ReplaySettings(BaseModel):
    """weights: the base checkpoint of every training, seen from the YAML's folder.
    embedder: "small", a folder or an open_clip name.

    images: their folder, where they lie apart from a JSON that names them.
    sidecar: a CSV with a column file (or path), relative to the CSV; camera, site, sequence and
    captured_at have their meaning, every other column is a slice.
    pattern: of the path below the dataset's folder, where there is no sidecar.
    labeled: column=value of frames that are labeled from the start (split is a column too).
    held_out: of labeled frames that never train.
    test: of the frames that judge; empty draws whole groups at random, a share of `test_share`.
    tuning_share: of the groups kept for tuning; while test judges they are the evaluation frames
    that production would have.
    judge: which of the two judges.
    ungrouped: every frame is its own group.
    slices: columns, or columns joined by "+", all of the sidecar's when empty.
    rare_share: a slice with at most this share of the pool is rare.
    weight_by: a slice column in which the test set is weighted as the pool is composed.
    initial: share of the pool labeled at random before the first round where nothing is labeled
    from the start.
    budget: frames a round.
    rounds: how many.
    epochs, passes: every training is so many epochs of so many image passes.
    replay: frames of those labeled from the start that come with every training; what was chosen
    fills the rest, repeated evenly. passes 0: half and half, or more where what is chosen by the
    last round needs it; twice what is labeled by then where nothing is replayed.
    train: further ultralytics settings.
    confidence: below it the pool's detections are not seen.
    seconds_per_frame, seconds_per_box: what labeling is taken to cost.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights: str = ""
    embedder: str = "small"
    device: str = "cpu"
    images: str = ""
    sidecar: str = ""
    pattern: str = ""
    ungrouped: bool = False
    labeled: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    test_share: float = Field(0.2, gt=0, lt=1)
    tuning_share: float = Field(0.1, ge=0, lt=1)
    split_seed: int = Field(0, ge=0)
    judge: Literal["test", "tuning"] = "test"
    slices: tuple[str, ...] = ()
    rare_share: float = Field(0.1, ge=0, le=1)
    weight_by: str = ""
    initial: float = Field(0.03, gt=0, le=0.5)
    budget: int = Field(60, ge=1)
    rounds: int = Field(3, ge=1)
    epochs: int = Field(6, ge=1)
    passes: int = Field(0, ge=0)
    replay: int = Field(240, ge=0)
    imgsz: int = Field(320, ge=32, multiple_of=32)
    batch: int = Field(8, ge=1)
    train: dict[str, object] = Field(default_factory=dict)
    confidence: float = Field(0.05, gt=0, lt=1)
    seconds_per_frame: float = Field(Cost.frame, ge=0)
    seconds_per_box: float = Field(Cost.box, gt=0)

    @model_validator(mode="after")
    def _something_to_choose_from(self) -> ReplaySettings:
        if not self.test and self.test_share + self.tuning_share >= 1:
            raise ValueError(
                f"expected test_share and tuning_share below 1 together, got {self.test_share:g} and"
                f" {self.tuning_share:g}, which leave nothing to choose from"
            )
        return self

    @property
    def recipe(self) -> dict[str, object]:
        return RECIPE | self.train


def read_settings(dataset: Path, file: Path | None, given: Mapping[str, object]) -> ReplaySettings:
    """The settings of `file`, or of replay.yaml beside the dataset, under what is given. Paths come
    back absolute.

    Raises ConfigError naming the key.
    """
    folder = dataset if dataset.is_dir() else dataset.parent
    source = file or (folder / FILE if (folder / FILE).is_file() else None)
    content = _read(source) if source else {}
    home = (source.parent if source else folder).absolute()
    for key in ("weights", "images", "sidecar"):
        if content.get(key):
            content[key] = str(home / Path(str(content[key])).expanduser())
    if isinstance(given.get("train"), dict):
        given = {**given, "train": {**content.get("train", {}), **given["train"]}}  # type: ignore[dict-item]
    merged = content | {key: value for key, value in given.items() if value is not None}
    for key in merged:
        if key not in ReplaySettings.model_fields:
            near = difflib.get_close_matches(key, ReplaySettings.model_fields, 1, 0)
            raise ConfigError(f"{source}: expected a known key, got {key!r}; the nearest is {near[0]!r}")
    try:
        return ReplaySettings(**merged)
    except ValidationError as error:
        raise ConfigError("; ".join(_said(each) for each in error.errors())) from None


def given_settings(words: Sequence[str]) -> dict[str, object]:
    """key=value words as settings; values are read as YAML, `train.` begins a setting of the
    trainer. Raises ConfigError.
    """
    out: dict[str, object] = {}
    train: dict[str, object] = {}
    for word in words:
        key, sign, value = word.partition("=")
        if not sign:
            raise ConfigError(f"--set: expected key=value, got {word!r}")
        under, name = (train, key.removeprefix("train.")) if key.startswith("train.") else (out, key)
        under[name] = _value(key, value)
    return out | ({"train": train} if train else {})


def _value(key: str, text: str) -> Any:
    try:
        return parse_yaml(text)
    except ValueError as error:
        raise ConfigError(f"--set {key}: expected a YAML value, got {text!r} ({error}); quote it") from error


def settings_hash(settings: ReplaySettings, weights_sha256: str, embedder: str) -> str:
    """The same for the same settings, whatever the folders, the machine, and how many rounds,
    samplers or seeds are run.

    passes stands for the rounds it was derived from, so that a longer replay is another one.
    """
    told = settings.model_dump(mode="json", exclude=set(PLACES | {"rounds"}))
    told["train"] = settings.recipe
    text = json.dumps([told, weights_sha256, embedder], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _read(path: Path) -> dict[str, Any]:
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path}: expected replay settings as YAML, got {' '.join(str(error).split())}; mend the file"
        ) from None
    if not isinstance(content, dict | None):
        raise ConfigError(f"{path}: expected `key: value` lines, got a {type(content).__name__}")
    return content or {}


def _said(error: Any) -> str:
    where = ".".join(map(str, error["loc"]))
    if not where:
        return f"replay settings: {error['ctx']['error']}; lower one of them"
    return f"replay setting {where}: {error['msg']}, got {error['input']!r}; correct it"
