"""Kinds of settings that are checked by the very parsers that read them later."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from connectors.errors import SourceError
from connectors.sources.pattern import compile_pattern
from connectors.times import zone
from loop.base.errors import ConfigError
from loop.settings.triggers import parse_date, parse_trigger

DEVICE = re.compile(r"cpu|cuda|(?:cuda:)?\d{1,3}")
DEVICES = re.compile(rf"{DEVICE.pattern}|\d{{1,3}}(?:,\d{{1,3}})+")
MOST_FRAMES = 1_000_000
"""Of a quota."""


def _timezone(text: str) -> str:
    return _read(text, zone)


def _pattern(text: str) -> str:
    return _read(text, compile_pattern) if text else text


def _schedule(text: str, info: ValidationInfo) -> str:
    return _read(text, lambda given: parse_trigger(f"schedule.{info.field_name}", given))


def _date(text: str, info: ValidationInfo) -> str:
    return _read(text, lambda given: parse_date(f"round.{info.field_name}", given))


def _url(text: str) -> str:
    parts = urlsplit(text)
    if text and (parts.scheme not in {"http", "https"} or not parts.hostname):
        raise ValueError(f'expected http(s)://host[:port], or "" for our own server, got {text!r}')
    return text


def _device(text: str) -> str:
    if not DEVICE.fullmatch(text):
        raise ValueError(f"expected cpu, cuda, or the number of a GPU such as 0, got {text!r}")
    return text


def _devices(text: str) -> str:
    if not DEVICES.fullmatch(text):
        raise ValueError(
            f"expected cpu, cuda, the number of a GPU such as 0, or several such as 0,1, got {text!r}"
        )
    return text


def _number_as_text(value: object) -> object:
    """YAML reads a GPU's number as a number."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _read(text: str, parse: Callable[[str], object]) -> str:
    try:
        parse(text)
    except (SourceError, ConfigError) as error:
        raise ValueError(str(error)) from error
    return text


def _sidecar_columns(columns: dict[str, str]) -> dict[str, str]:
    wanted = ("file", "camera", "site", "sequence", "captured_at")
    if other := [name for name in columns if name not in wanted]:
        raise ValueError(f"expected {', '.join(wanted)}, each with the name of its column, got {other[0]!r}")
    return columns


def is_quota(given: float) -> bool:
    """Whether it is a share of a batch, or a whole number of frames."""
    return 0 < given < 1 or (1 <= given <= MOST_FRAMES and given == int(given))


def _quotas(quotas: dict[str, float]) -> dict[str, float]:
    for name, given in quotas.items():
        if not is_quota(given):
            raise ValueError(
                f"expected a share below 1 or a whole number of frames for {name!r}, got {given:g}"
            )
    shares = sum(given for given in quotas.values() if given < 1)
    if shares > 1 + 1e-9:
        raise ValueError(f"expected shares of at most 1 together, got {shares:g}")
    return quotas


def _drawn_above(values: dict[str, float]) -> dict[str, float]:
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ValueError(f"expected a confidence of 0 to 1 for class {name!r}, got {value:g}")
    return values


def _class_names(names: dict[str, str]) -> dict[str, str]:
    if twice := sorted({name for name in names.values() if [*names.values()].count(name) > 1}):
        raise ValueError(f"expected each name for one class, got {', '.join(twice)} for several")
    return names


DrawnAbove = Annotated[dict[str, float], AfterValidator(_drawn_above)]
ClassNames = Annotated[dict[str, str], AfterValidator(_class_names)]
Quotas = Annotated[dict[str, float], AfterValidator(_quotas)]
SidecarColumns = Annotated[dict[str, str], AfterValidator(_sidecar_columns)]
Timezone = Annotated[str, AfterValidator(_timezone)]
Pattern = Annotated[str, AfterValidator(_pattern)]
Schedule = Annotated[str, AfterValidator(_schedule)]
Date = Annotated[str, AfterValidator(_date)]
Url = Annotated[str, AfterValidator(_url)]
Device = Annotated[str, BeforeValidator(_number_as_text), AfterValidator(_device)]
Devices = Annotated[str, BeforeValidator(_number_as_text), AfterValidator(_devices)]
ImageSize = Annotated[int, Field(ge=32, multiple_of=32)]
