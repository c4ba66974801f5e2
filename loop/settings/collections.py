"""What gathers frames into a collection: rules as they are stored, read and checked, and the built-in
collections of `config/collections.yaml`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Literal
from urllib.parse import parse_qsl

import config
from connectors.documents import parse_yaml
from loop.base.errors import ConfigError
from loop.base.wording import counted
from loop.settings.types import is_quota

LONGEST_SENTENCE = 300
"""Characters; no embedder reads more."""


@dataclass(frozen=True)
class OfSlice:
    """All frames of another slice. key: its key."""

    key: str


@dataclass(frozen=True)
class Measured:
    """Frames whose measurement lies so many spreads from what is usual of their camera."""

    measure: str
    side: Literal["below", "above"]
    spreads: float


@dataclass(frozen=True)
class Crowd:
    """Frames with so many boxes or more."""

    at_least: int


@dataclass(frozen=True)
class Overlap:
    """Frames in which others cover so large a part of so large a share of the boxes."""

    covered: float
    share: float


@dataclass(frozen=True)
class Touching:
    """Frames in which another of their class, about as large, touches so large a share of the boxes.

    gap: that may lie between them, as a part of the smaller box.
    """

    gap: float
    share: float


@dataclass(frozen=True)
class Orientation:
    """Frames with a box whose ratio of sides is so many spreads from what is usual of its class."""

    spreads: float


@dataclass(frozen=True)
class Sentence:
    """Frames that a sentence describes better than a sentence that says nothing does."""

    text: str


@dataclass(frozen=True)
class Address:
    """Frames that an address of the frames page names, such as `camera=gate`, by keys among
    ADDRESS_KEYS: what does not change of a frame.
    """

    query: str

    def values(self, key: str) -> list[str]:
        return [value for name, value in parse_qsl(self.query) if name == key]


ADDRESS_KEYS = ("camera", "site", "slice", "not_slice", "from", "to", "origin")
ORIGINS = ("production", "imported")


@dataclass(frozen=True)
class AllOf:
    """Frames of which each of some rules holds."""

    rules: tuple[Rule, ...]


Rule = OfSlice | Measured | Crowd | Overlap | Touching | Orientation | Sentence | Address | AllOf


@dataclass(frozen=True)
class Definition:
    """What decides who is in a collection.

    rules: one that holds suffices.
    examples: frames that are always in; those near them are too, where `alike`.
    excluded: frames that never are.
    judged: a round judges it, and the evaluation draw looks for it.
    tab: it is a tab in Label Studio.
    quota: the share (below 1) or number of frames of each batch that are of it; None for none.
    learned: limits that were found in the project, by rule.
    """

    rules: tuple[Rule, ...] = ()
    examples: tuple[int, ...] = ()
    excluded: tuple[int, ...] = ()
    alike: bool = True
    judged: bool = False
    tab: bool = False
    quota: float | None = None
    learned: Mapping[str, Any] = field(default_factory=dict)


def as_stored(definition: Definition) -> dict[str, Any]:
    """As JSON, from which `definition_of` reads it."""
    return {
        "rules": [stored_rule(rule) for rule in definition.rules],
        "examples": list(definition.examples),
        "excluded": list(definition.excluded),
        "alike": definition.alike,
        "judged": definition.judged,
        "tab": definition.tab,
        "quota": definition.quota,
        "learned": dict(definition.learned),
    }


def definition_of(stored: Mapping[str, Any]) -> Definition:
    """From what `as_stored` gave. Raises ConfigError."""
    return Definition(
        rules=tuple(rule_of(each) for each in stored.get("rules", ())),
        examples=tuple(stored.get("examples", ())),
        excluded=tuple(stored.get("excluded", ())),
        alike=bool(stored.get("alike", True)),
        judged=bool(stored.get("judged", False)),
        tab=bool(stored.get("tab", False)),
        quota=stored.get("quota"),
        learned=dict(stored.get("learned", {})),
    )


def quota_of_text(text: str) -> float:
    """What a person wrote of a quota: "20 %" or "0.2" for a share of each batch, "5" for frames. Raises
    ConfigError.
    """
    cleaned = text.strip().replace(",", ".")
    try:
        given = float(cleaned.removesuffix("%"))
    except ValueError:
        given = math.nan
    if cleaned.endswith("%"):
        if not 0 < given < 100:
            raise ConfigError(f"quota: expected a share above 0 % and below 100 %, got {text.strip()[:40]!r}")
        return given / 100
    if not is_quota(given):
        raise ConfigError(
            f"quota: expected a share such as 20 % or 0.2, or a whole number of frames, got"
            f" {text.strip()[:40]!r}; mend it"
        )
    return given


def quota_in_words(quota: float) -> str:
    """Of each batch: "20 %" or "5 frames"."""
    return f"{100 * quota:.4g} %" if quota < 1 else counted(int(quota), "frame")


def stored_rule(rule: Rule) -> dict[str, Any]:
    """As in `config/collections.yaml`."""
    match rule:
        case OfSlice(key):
            return {"slice": key}
        case Measured(measure, side, spreads):
            return {"measured": measure, side: spreads}
        case Crowd(at_least):
            return {"crowd": at_least}
        case Overlap(covered, share):
            return {"overlap": covered, "share": share}
        case Touching(gap, share):
            return {"touching": gap, "share": share}
        case Orientation(spreads):
            return {"orientation": spreads}
        case Sentence(text):
            return {"sentence": text}
        case Address(query):
            return {"frames": query}
        case AllOf(rules):
            return {"all": [stored_rule(each) for each in rules]}


def rule_of(stored: object, where: str = "rule") -> Rule:
    """One rule, written as `stored_rule` gives it. Raises ConfigError."""
    fields = _fields(stored, where)
    kind = next((name for name in fields if name in READERS), None)
    if kind is None:
        raise _wrong(where, f"one of {', '.join(READERS)}", dict(fields))
    read, allowed = READERS[kind]
    if unknown := [name for name in fields if name not in (kind, *allowed)]:
        raise _wrong(where, f"{kind}{' with ' + ', '.join(allowed) if allowed else ' alone'}", unknown[0])
    return read(fields, f"{where}: {kind}")


def in_words(rule: Rule) -> str:
    """A rule for people."""
    match rule:
        case OfSlice(key):
            return f"of the slice {key}"
        case Measured(measure, side, spreads):
            return f"{measure.replace('_', ' ')} {spreads:g} spreads {side} what is usual of the camera"
        case Crowd(at_least):
            return f"{at_least} boxes or more"
        case Overlap(covered, share):
            return f"{share:.0%} of the boxes or more are covered by another to {covered:.0%} or more"
        case Touching(gap, share):
            return f"{share:.0%} of the boxes or more touch another of their class (gap up to {gap:.0%})"
        case Orientation(spreads):
            return f"a box with sides {spreads:g} spreads from what is usual of its class"
        case Sentence(text):
            return f"shows “{text}”, by CLIP"
        case Address(query):
            return f"of the frames {query}"
        case AllOf(rules):
            return ", and ".join(in_words(each) for each in rules)


@cache
def built_in() -> Mapping[str, Definition]:
    """The collections of `config/collections.yaml` by name."""
    return parse_collections(_document())


@cache
def notes() -> Mapping[str, str]:
    """What measurements say of each of them, by name."""
    return {name: str(body["note"]).strip() for name, body in _document().items() if "note" in body}


def _document() -> dict[str, Any]:
    document: dict[str, Any] = parse_yaml((config.FOLDER / "collections.yaml").read_text(encoding="utf-8"))
    return document


def parse_collections(document: object, source: str = "collections.yaml") -> dict[str, Definition]:
    """Definitions by name from a parsed YAML document, whatever notes it has. Raises ConfigError."""
    found = {}
    for name, body in _fields(document, source).items():
        where = f"{source}: {name}"
        fields = _fields(body, where)
        if unknown := [key for key in fields if key not in ("rules", "note")]:
            raise _wrong(where, "rules", unknown[0])
        rules = fields.get("rules")
        if not isinstance(rules, list) or not rules:
            raise _wrong(f"{where}: rules", "a list of rules", rules)
        found[name] = Definition(tuple(rule_of(each, where) for each in rules))
    return found


def _slice(fields: Mapping[str, Any], where: str) -> Rule:
    return OfSlice(_text(fields["slice"], where))


def _measured(fields: Mapping[str, Any], where: str) -> Rule:
    if ("below" in fields) == ("above" in fields):
        raise _wrong(where, "either below or above, in spreads from what is usual", sorted(fields))
    side: Literal["below", "above"] = "below" if "below" in fields else "above"
    return Measured(_text(fields["measured"], where), side, _number(fields[side], where, 1, 100))


def _crowd(fields: Mapping[str, Any], where: str) -> Rule:
    count = fields["crowd"]
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise _wrong(where, "a whole number of boxes, 1 or more", count)
    return Crowd(count)


def _overlap(fields: Mapping[str, Any], where: str) -> Rule:
    return Overlap(
        _number(fields["overlap"], where, 0.01, 1),
        _number(fields.get("share", 0.25), f"{where}: share", 0, 1),
    )


def _touching(fields: Mapping[str, Any], where: str) -> Rule:
    return Touching(
        _number(fields["touching"], where, 0, 1),
        _number(fields.get("share", 0.5), f"{where}: share", 0, 1),
    )


def _orientation(fields: Mapping[str, Any], where: str) -> Rule:
    return Orientation(_number(fields["orientation"], where, 1, 100))


def _sentence(fields: Mapping[str, Any], where: str) -> Rule:
    return Sentence(_text(fields["sentence"], where))


def _address(fields: Mapping[str, Any], where: str) -> Rule:
    query = _text(fields["frames"], where)
    pairs = parse_qsl(query)
    if not pairs or (unknown := next((name for name, _ in pairs if name not in ADDRESS_KEYS), "")):
        raise _wrong(
            where, f"an address with the keys {', '.join(ADDRESS_KEYS)}", unknown if pairs else query
        )
    for name, value in pairs:
        if name.endswith("slice") and not value.isdecimal():
            raise _wrong(where, f"the number of a slice behind {name}", value)
        if name == "origin" and value not in ORIGINS:
            raise _wrong(where, f"one of {', '.join(ORIGINS)} behind origin", value)
        if name in ("from", "to"):
            _moment(value, where)
    return Address(query)


def _all(fields: Mapping[str, Any], where: str) -> Rule:
    rules = fields["all"]
    if not isinstance(rules, list) or len(rules) < 2:
        raise _wrong(where, "two rules or more", rules)
    return AllOf(tuple(rule_of(each, where) for each in rules))


def flat(rules: Iterable[Rule]) -> Iterator[Rule]:
    """Each rule, those within others in place of these."""
    for rule in rules:
        if isinstance(rule, AllOf):
            yield from flat(rule.rules)
        else:
            yield rule


READERS: dict[str, tuple[Callable[[Mapping[str, Any], str], Rule], tuple[str, ...]]] = {
    "slice": (_slice, ()),
    "measured": (_measured, ("above", "below")),
    "crowd": (_crowd, ()),
    "overlap": (_overlap, ("share",)),
    "touching": (_touching, ("share",)),
    "orientation": (_orientation, ()),
    "sentence": (_sentence, ()),
    "frames": (_address, ()),
    "all": (_all, ()),
}


def _fields(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise _wrong(where, "names with values", value)
    return value


def _moment(value: str, where: str) -> None:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        raise _wrong(where, "a day such as 2026-11-24, or a time", value) from None


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_SENTENCE:
        raise _wrong(where, f"a text of at most {LONGEST_SENTENCE} characters", value)
    return value.strip()


def _number(value: object, where: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise _wrong(where, f"a number from {low:g} to {high:g}", value)
    return float(value)


def _wrong(where: str, expected: str, found: object) -> ConfigError:
    return ConfigError(f"{where}: expected {expected}, got {found!r}; docs/howto/collections.md shows how")
