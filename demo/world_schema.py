"""The `world:` section of a demo's YAML: which scenes a detector was trained on, and what
production brings.
"""

import difflib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from demo.render import BURST, CAMERAS


class WorldError(ValueError):
    """A `world:` section that cannot be used; says which key, what was expected and what was found."""


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _camera(name: str) -> str:
    if name not in CAMERAS:
        near = difflib.get_close_matches(name, CAMERAS, 1)
        raise ValueError(
            f"no camera {name!r}; known are {', '.join(CAMERAS)}"
            + (f"; did you mean {near[0]}?" if near else "")
        )
    return name


_Strict = ConfigDict(extra="forbid", frozen=True)
Time = Literal["day", "dusk", "night"]
Weather = Literal["clear", "fog", "rain", "snow"]
Quality = Literal["sharp", "blurred", "compressed", "low resolution", "dirty lens"]
ClassName = Literal["person", "helmet", "car", "truck", "pallet", "extinguisher", "forklift"]
Cameras = Annotated[
    tuple[Annotated[str, AfterValidator(_camera)], ...], BeforeValidator(_listed), Field(min_length=1)
]


class Condition(BaseModel):
    """One kind of scene and how often it is drawn, relative to the others of its list."""

    model_config = _Strict
    time: Time = "day"
    weather: Weather = "clear"
    quality: Quality = "sharp"
    weight: Annotated[float, Field(gt=0)] = 1.0


class Rare(BaseModel):
    """A class of which training holds so many instances, each in a frame of its own, and usual
    production none.
    """

    model_config = _Strict
    name: ClassName = Field(alias="class")
    instances: int = Field(ge=0)


class Training(BaseModel):
    model_config = _Strict
    frames: int = Field(ge=1)
    validation: int = Field(0, ge=0)
    cameras: Cameras
    conditions: tuple[Condition, ...] = Field((Condition(),), min_length=1)
    rare: Rare | None = None

    @model_validator(mode="after")
    def _holds_the_rare(self) -> Self:
        if self.rare and self.rare.instances > self.frames:
            raise ValueError(
                f"expected at most {self.frames} instances of the rare class, one a frame, got"
                f" {self.rare.instances}"
            )
        return self


class Where(BaseModel):
    """What sets a gap apart from usual production; what is not named stays usual."""

    model_config = _Strict
    time: Time | None = None
    weather: Weather | None = None
    quality: Quality | None = None
    camera: Cameras | None = None
    object: ClassName | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("expected at least one of time, weather, quality, camera, object")
        return self

    def is_like(self, condition: Condition) -> bool:
        """Whether nothing of the condition would change."""
        wanted = (self.time, self.weather, self.quality)
        found = (condition.time, condition.weather, condition.quality)
        return all(ours in (None, theirs) for ours, theirs in zip(wanted, found, strict=True))


class Gap(BaseModel):
    model_config = _Strict
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9 _-]*$")
    share: float = Field(gt=0, lt=1)
    where: Where


class Production(BaseModel):
    model_config = _Strict
    frames: int = Field(ge=1)
    burst: int = Field(BURST, ge=1, le=BURST)
    start: date = date(2026, 3, 2)
    days: int = Field(10, ge=1)
    cameras: Cameras
    usual: str = Field("daylight", pattern=r"^[a-z0-9][a-z0-9 _-]*$")
    conditions: tuple[Condition, ...] = Field((Condition(),), min_length=1)
    gaps: tuple[Gap, ...] = ()

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.frames % self.burst:
            raise ValueError(f"expected frames to be a multiple of burst ({self.burst}), got {self.frames}")
        names = [self.usual, *(gap.name for gap in self.gaps)]
        if len(set(names)) < len(names):
            raise ValueError(f"expected the names of gaps and usual to differ, got {', '.join(names)}")
        total = sum(gap.share for gap in self.gaps)
        if total >= 1:
            raise ValueError(f"expected gap shares to sum to less than 1, got {total:g}")
        for gap in self.gaps:
            self._check(gap)
        return self

    def _check(self, gap: Gap) -> None:
        """That the gap comes, and that it is one."""
        if not round(gap.share * self.frames / self.burst):
            raise ValueError(
                f"expected gap {gap.name} to have a burst of {self.burst} of the {self.frames} frames at"
                f" least, got a share of {gap.share:g}"
            )
        new_camera = gap.where.camera and not set(gap.where.camera) & set(self.cameras)
        if not new_camera and not gap.where.object and all(map(gap.where.is_like, self.conditions)):
            raise ValueError(f"expected gap {gap.name} to differ from usual production, got the same")


class Test(BaseModel):
    model_config = _Strict
    frames_per_condition: int = Field(ge=1)


class World(BaseModel):
    """A world's description. The same description, seed included, gives the same files."""

    model_config = _Strict
    seed: int = Field(ge=0)
    classes: tuple[ClassName, ...] = Field(min_length=1)
    training: Training
    production: Production
    test: Test

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for name in self.scarce:
            if name not in self.classes:
                raise ValueError(f"expected classes to hold {name}, which is a rare class or a gap's object")
        return self

    @property
    def scarce(self) -> tuple[str, ...]:
        """Classes that usual scenes leave out."""
        rare = [self.training.rare.name] if self.training.rare else []
        return tuple(dict.fromkeys(rare + [g.where.object for g in self.production.gaps if g.where.object]))


def load_world(path: Path) -> World:
    """Reads the `world:` section of a YAML file. Raises WorldError."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not isinstance(content.get("world"), dict):
        raise WorldError(
            f"{path}: expected a section `world:`, found {_kind(content)}; see config/demo.yaml for one"
        )
    return parse_world(content["world"], str(path))


def parse_world(section: Mapping[str, Any], source: str = "world") -> World:
    """Checks a `world:` section. Raises WorldError with one line for each wrong key."""
    try:
        return World.model_validate(section)
    except ValidationError as error:
        lines = "\n".join(_line(detail) for detail in error.errors())
        raise WorldError(f"{source}: the world cannot be built\n{lines}") from None


def _kind(content: object) -> str:
    return (
        f"keys {', '.join(map(str, content))}"
        if isinstance(content, dict) and content
        else "nothing of the kind"
    )


def _line(detail: ErrorDetails) -> str:
    where = ".".join(str(part) for part in ("world", *detail["loc"]))
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(detail["loc"][-1]), _KEYS, 1)
        return f"  {where}: no such key" + (f"; did you mean {near[0]}?" if near else "; remove it")
    if detail["type"] == "missing":
        return f"  {where}: expected a value, found none"
    return f"  {where}: {detail['msg'].removeprefix('Value error, ')}; got {_short(detail['input'])}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


_KEYS = tuple(
    {
        field.alias or name
        for model in (World, Training, Production, Test, Gap, Where, Rare, Condition)
        for name, field in model.model_fields.items()
    }
)
