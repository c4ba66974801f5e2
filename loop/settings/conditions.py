"""The conditions a user compares by: `config/conditions.yaml`, read and checked."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

import config
from loop.base.errors import ConfigError

METADATA = ("camera", "site", "daypart")
MEASURES = ("brightness", "contrast", "sharpness", "blockiness")
ENOUGH_FRAMES = 20


@dataclass(frozen=True)
class PromptGroup:
    """Options of which a frame shows one, or none. prompts: the sentences of each option.

    background: rival sentences.
    """

    name: str
    options: tuple[str, ...]
    prompts: tuple[tuple[str, ...], ...]
    none_below: float = 0.5
    background: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bin:
    """Frames whose measurement lies beyond a quantile of the training set's."""

    name: str
    measure: str
    side: Literal["below", "above"]
    quantile: float
    per_camera: bool = False


@dataclass(frozen=True)
class Conditions:
    """dayparts: (name, from, to) in hours; a part may pass midnight."""

    groups: tuple[PromptGroup, ...]
    bins: tuple[Bin, ...]
    metadata: tuple[str, ...]
    dayparts: tuple[tuple[str, float, float], ...]

    def sentences(self) -> tuple[str, ...]:
        """Every sentence once, in order: what to give to `Embedder.embed_text`."""
        every = [
            sentence
            for group in self.groups
            for option in (*group.prompts, group.background)
            for sentence in option
        ]
        return tuple(dict.fromkeys(every))


def load_conditions(path: Path | None = None) -> Conditions:
    """Reads a user's file, or the built-in one.

    Raises ConfigError naming file, key, what was expected and what was found.
    """
    source = path or config.FOLDER / "conditions.yaml"
    try:
        document = yaml.safe_load(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"conditions: expected a readable file, got {source} ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source.name}: expected YAML, got {error}") from error
    return parse_conditions(document, source.name)


def parse_conditions(document: object, source: str = "conditions.yaml") -> Conditions:
    """Checks a parsed YAML document. Raises ConfigError."""
    root = _mapping(document, source)
    _known(root, ("prompts", "measured", "metadata", "dayparts"), source)
    return Conditions(
        groups=tuple(_group(name, body, source) for name, body in _part(root, "prompts", source)),
        bins=tuple(_bin(name, body, source) for name, body in _part(root, "measured", source)),
        metadata=_metadata(root.get("metadata"), source),
        dayparts=tuple(_daypart(name, body, source) for name, body in _part(root, "dayparts", source)),
    )


def _group(name: str, body: object, source: str) -> PromptGroup:
    where = f"{source}: prompts.{name}"
    fields = _mapping(body, where)
    _known(fields, ("options", "none_below", "background"), where)
    options = _mapping(fields.get("options"), f"{where}.options")
    if len(options) + ("background" in fields) < 2:
        raise _wrong(f"{where}.options", "at least two options (or one and a background)", list(options))
    background = _sentences(fields["background"], f"{where}.background") if "background" in fields else ()
    return PromptGroup(
        name=name,
        options=tuple(options),
        prompts=tuple(_sentences(text, f"{where}.options.{option}") for option, text in options.items()),
        none_below=_number(fields.get("none_below", 0.5), f"{where}.none_below", 0, 1),
        background=background,
    )


def _bin(name: str, body: object, source: str) -> Bin:
    where = f"{source}: measured.{name}"
    fields = _mapping(body, where)
    _known(fields, ("of", "below", "above", "per_camera"), where)
    measure = fields.get("of")
    if measure not in MEASURES:
        raise _wrong(f"{where}.of", f"one of {', '.join(MEASURES)}", measure, MEASURES)
    if ("below" in fields) == ("above" in fields):
        raise _wrong(where, "either below or above, a quantile of the training set", sorted(fields))
    side: Literal["below", "above"] = "below" if "below" in fields else "above"
    per_camera = fields.get("per_camera", False)
    if not isinstance(per_camera, bool):
        raise _wrong(f"{where}.per_camera", "true or false", per_camera)
    return Bin(name, str(measure), side, _number(fields[side], f"{where}.{side}", 0, 1), per_camera)


def _metadata(value: object, source: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise _wrong(f"{source}: metadata", f"a list of {', '.join(METADATA)}", value)
    for column in value:
        if column not in METADATA:
            raise _wrong(f"{source}: metadata", f"one of {', '.join(METADATA)}", column, METADATA)
    return tuple(value)


def _daypart(name: str, body: object, source: str) -> tuple[str, float, float]:
    where = f"{source}: dayparts.{name}"
    if not isinstance(body, list) or len(body) != 2:
        raise _wrong(where, "two hours [from, to]", body)
    return name, _number(body[0], where, 0, 24), _number(body[1], where, 0, 24)


def _part(root: Mapping[str, Any], key: str, source: str) -> Iterable[tuple[str, object]]:
    return _mapping(root.get(key) or {}, f"{source}: {key}").items()


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise _wrong(where, "names with values", value)
    return value


def _sentences(value: object, where: str) -> tuple[str, ...]:
    sentences = [value] if isinstance(value, str) else value
    if not isinstance(sentences, list) or not sentences:
        raise _wrong(where, "a sentence or a list of sentences", value)
    for sentence in sentences:
        if not isinstance(sentence, str) or not sentence.strip():
            raise _wrong(where, "a sentence", sentence)
    return tuple(sentences)


def _number(value: object, where: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise _wrong(where, f"a number from {low} to {high}", value)
    return float(value)


def _known(fields: Mapping[str, Any], valid: tuple[str, ...], where: str) -> None:
    for key in fields:
        if key not in valid:
            raise _wrong(where, f"the keys {', '.join(valid)}", key, valid)


def _wrong(where: str, expected: str, found: object, valid: Iterable[str] = ()) -> ConfigError:
    near = difflib.get_close_matches(str(found), list(valid), n=1, cutoff=0)
    hint = f"; nearest valid: {near[0]}" if near else ""
    return ConfigError(f"{where}: expected {expected}, got {found!r}{hint}")
