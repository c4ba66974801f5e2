"""The conditions a user compares by: `config/conditions.yaml`, read and checked."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import config
from connectors.documents import parse_yaml
from loop.base.errors import ConfigError

METADATA = ("camera", "site", "daypart")
MEASURES = (
    "brightness",
    "contrast",
    "haze",
    "sharpness",
    "motion",
    "noise",
    "compression",
    "blockiness",
    "dirt",
)
RESERVED = ("class", "region", "collection")
ENOUGH_FRAMES = 20


@dataclass(frozen=True)
class PromptGroup:
    """Options of which a frame shows one, or none.

    prompts: the sentences of each option.
    background: rival sentences.
    id, option_ids: what stays when group and options are called otherwise; their names where the
    file says nothing else.
    """

    name: str
    options: tuple[str, ...]
    prompts: tuple[tuple[str, ...], ...]
    none_below: float = 0.5
    background: tuple[str, ...] = ()
    id: str = ""
    option_ids: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """The id of the group, then that of each option."""
        return (self.id or self.name, *(self.option_ids or self.options))


@dataclass(frozen=True)
class Bin:
    """Frames whose measurement lies beyond a quantile of the training set's."""

    name: str
    measure: str
    side: Literal["below", "above"]
    quantile: float
    per_camera: bool = False
    id: str = ""


@dataclass(frozen=True)
class Conditions:
    """dayparts: (name, from, to) in hours; a part may pass midnight.
    daypart_ids: id by name, where it is another.
    """

    groups: tuple[PromptGroup, ...]
    bins: tuple[Bin, ...]
    metadata: tuple[str, ...]
    dayparts: tuple[tuple[str, float, float], ...]
    daypart_ids: Mapping[str, str] = field(default_factory=dict)

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
        document = parse_yaml(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"conditions: expected a readable file, got {source} ({error.strerror})") from error
    except ValueError as error:
        raise ConfigError(f"{source.name}: expected YAML, got {error}") from error
    return parse_conditions(document, source.name)


def parse_conditions(document: object, source: str = "conditions.yaml") -> Conditions:
    """Checks a parsed YAML document. Raises ConfigError."""
    root = _mapping(document, source)
    _known(root, ("prompts", "measured", "metadata", "dayparts"), source)
    dayparts = [_daypart(name, body, source) for name, body in _part(root, "dayparts", source)]
    found = Conditions(
        groups=tuple(_group(name, body, source) for name, body in _part(root, "prompts", source)),
        bins=tuple(_bin(name, body, source) for name, body in _part(root, "measured", source)),
        metadata=_metadata(root.get("metadata"), source),
        dayparts=tuple((name, start, end) for name, _, start, end in dayparts),
        daypart_ids={name: own for name, own, _, _ in dayparts},
    )
    _check_ids(found, source)
    return found


def _group(name: str, body: object, source: str) -> PromptGroup:
    where = f"{source}: prompts.{name}"
    fields = _mapping(body, where)
    _known(fields, ("options", "none_below", "background", "id"), where)
    options = _mapping(fields.get("options"), f"{where}.options")
    if len(options) + ("background" in fields) < 2:
        raise _wrong(f"{where}.options", "at least two options (or one and a background)", list(options))
    background = _sentences(fields["background"], f"{where}.background") if "background" in fields else ()
    read = [_option(option, text, f"{where}.options.{option}") for option, text in options.items()]
    return PromptGroup(
        name=name,
        options=tuple(options),
        prompts=tuple(sentences for _, sentences in read),
        none_below=_number(fields.get("none_below", 0.5), f"{where}.none_below", 0, 1),
        background=background,
        id=_id(fields, name, where),
        option_ids=tuple(own for own, _ in read),
    )


def _option(name: str, body: object, where: str) -> tuple[str, tuple[str, ...]]:
    """(id, sentences): sentences alone, or a mapping of `sentences` and `id`."""
    if not isinstance(body, dict):
        return name, _sentences(body, where)
    fields = _mapping(body, where)
    _known(fields, ("sentences", "id"), where)
    return _id(fields, name, where), _sentences(fields.get("sentences"), f"{where}.sentences")


def _id(fields: Mapping[str, Any], name: str, where: str) -> str:
    given = fields.get("id", name)
    if not isinstance(given, str) or not given.strip():
        raise _wrong(f"{where}.id", "a short text that stays when the name changes", given)
    return given


def _check_ids(found: Conditions, source: str) -> None:
    """Two conditions of one id would be taken for one."""
    facets = [
        *((group.ids[0], group.ids[1:]) for group in found.groups),
        *((measure, [bin_.id for bin_ in found.bins if bin_.measure == measure]) for measure in MEASURES),
        ("daypart", list(found.daypart_ids.values())),
    ]
    reserved = (*METADATA, *MEASURES, *RESERVED)
    for group in found.groups:
        if group.ids[0] in reserved:
            raise _wrong(
                f"{source}: prompts.{group.name}", f"another name than {', '.join(reserved)}", group.ids[0]
            )
    for facet, ids in [(source, [facet for facet, _ in facets]), *facets]:
        if twice := [one for one in dict.fromkeys(ids) if list(ids).count(one) > 1]:
            raise _wrong(
                f"{source}: {facet}" if facet != source else source, "an id for each condition", twice[0]
            )


def _bin(name: str, body: object, source: str) -> Bin:
    where = f"{source}: measured.{name}"
    fields = _mapping(body, where)
    _known(fields, ("of", "below", "above", "per_camera", "id"), where)
    measure = fields.get("of")
    if measure not in MEASURES:
        raise _wrong(f"{where}.of", f"one of {', '.join(MEASURES)}", measure, MEASURES)
    if ("below" in fields) == ("above" in fields):
        raise _wrong(where, "either below or above, a quantile of the training set", sorted(fields))
    side: Literal["below", "above"] = "below" if "below" in fields else "above"
    per_camera = fields.get("per_camera", False)
    if not isinstance(per_camera, bool):
        raise _wrong(f"{where}.per_camera", "true or false", per_camera)
    quantile = _number(fields[side], f"{where}.{side}", 0, 1)
    return Bin(name, str(measure), side, quantile, per_camera, _id(fields, name, where))


def _metadata(value: object, source: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise _wrong(f"{source}: metadata", f"a list of {', '.join(METADATA)}", value)
    for column in value:
        if column not in METADATA:
            raise _wrong(f"{source}: metadata", f"one of {', '.join(METADATA)}", column, METADATA)
    return tuple(value)


def _daypart(name: str, body: object, source: str) -> tuple[str, str, float, float]:
    """(name, id, from, to): two hours, or a mapping of `hours` and `id`."""
    where = f"{source}: dayparts.{name}"
    own, hours = name, body
    if isinstance(body, dict):
        fields = _mapping(body, where)
        _known(fields, ("hours", "id"), where)
        own, hours = _id(fields, name, where), fields.get("hours")
    if not isinstance(hours, list) or len(hours) != 2:
        raise _wrong(where, "two hours [from, to]", hours)
    return name, own, _number(hours[0], where, 0, 24), _number(hours[1], where, 0, 24)


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
