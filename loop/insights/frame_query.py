"""A set of frames as an address: the one grammar of pages, API and command line.

`/frames?camera=gate&class=helmet&from=2026-11-01` names a set. The same text means the same set
everywhere. Pure: what meets a query is found by `loop.insights.frames`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

from db.states import Origin, Role, TaskStatus
from loop.base.errors import ConfigError
from loop.insights.map_area import read_area

PATH = "/frames"
MOST_VALUES = 50
"""Of one key."""
LONGEST = 400
"""Characters of one value."""
QUEUED, NO_TASK = "queued", "none"
TASKS = (QUEUED, NO_TASK, *map(str, TaskStatus))
YES, NO = "yes", "no"
MISSED, FALSE, OTHER_CLASS, NO_ERROR = "missed", "false", "class", "none"
NOT_KNOWN = "unknown"
"""It has no label, or the model has not seen it."""
MODEL_ERRORS = (MISSED, FALSE, OTHER_CLASS, NO_ERROR, NOT_KNOWN)
NEWEST, OLDEST, CLEAREST, WORTH, ALIKE = "newest", "oldest", "clearest", "worth", "alike"
ORDERS = (NEWEST, OLDEST, CLEAREST, WORTH, ALIKE)
KINDS = ("embedder", "detector", "measure")
PEOPLE, IMPORTED, UNSEEN, TWICE, CONTESTED, OUTDATED = LABELS = (
    *("people", "imported", "unseen"),
    *("twice", "contested", "outdated"),
)
SIDES = ("production", "training")
SPLITS = ("train", "val", "test")
ANSWERS = re.compile(r"[pt](\d{1,9}\.(\d{1,9}|none|unknown|known)(_(?!$)|$))+", re.ASCII)
"""What a comparison took frames of production (p) or of the training set (t) for."""
Value = str | int
Params = str | Mapping[str, Any] | Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Key:
    """One key of an address.

    name: in the address.
    field: of a FrameQuery.
    read: the value of a text; raises ValueError with what was expected.
    many: it may come more than once.
    help: what it asks for, for people.
    options: all values there are, where these are always the same.
    """

    name: str
    field: str
    read: Callable[[str], Value]
    many: bool
    help: str
    options: tuple[str, ...] = ()

    @property
    def number(self) -> bool:
        """Whether its values are whole numbers."""
        return self.read is _number


@dataclass(frozen=True)
class Choices:
    """The values of keys that a project has."""

    cameras: tuple[str, ...]
    sites: tuple[str, ...]
    classes: tuple[str, ...]


def _text(text: str) -> str:
    if not text.strip():
        raise ValueError("some text")
    if len(text) > LONGEST:
        raise ValueError(f"at most {LONGEST} characters")
    if "\x00" in text:
        raise ValueError("text without the character NUL")
    return text.strip()


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < len(text) <= 18:
        raise ValueError("a whole number")
    return int(text)


def _moment(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).isoformat()
    except ValueError:
        raise ValueError("a day such as 2026-11-24, or a time such as 2026-11-24T08:30") from None


def _answers(text: str) -> str:
    if len(text) > LONGEST or not ANSWERS.fullmatch(text):
        raise ValueError(
            "a side (p or t) and the numbers of a facet and of one of its options, such as p3.7, t3.none,"
            " p3.unknown or p3.7_4.9 for two facets"
        )
    return text


def _one_of(*options: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in options:
            raise ValueError(f"one of {', '.join(options)}")
        return text

    return read


def _choice(name: str, many: bool, help: str, options: Sequence[str]) -> Key:
    return Key(name, name, _one_of(*options), many, help, tuple(map(str, options)))


KEYS = (
    Key("camera", "camera", _text, True, "taken by any of these cameras"),
    Key("site", "site", _text, True, "taken at any of these sites"),
    Key("slice", "slice", _number, True, "shows all of these slices, by number"),
    Key("not_slice", "not_slice", _number, True, "shows none of these slices"),
    Key("class", "class_name", _text, True, "has all of these classes: labeled, or suspected where not"),
    Key("not_class", "not_class", _text, True, "has none of these classes"),
    Key("from", "since", _moment, False, "taken at that time or later, in the project's zone"),
    Key("to", "until", _moment, False, "taken before that time; a day counts to its end"),
    _choice("time", False, "whether it is known when it was taken", ("known", "unknown")),
    _choice("origin", False, "seen by a camera, or imported", tuple(Origin)),
    _choice("role", False, "its camera-day may train, or only judges", tuple(Role)),
    _choice("task", True, "state of any of its tasks; queued is any that is open", TASKS),
    _choice("labeled", False, "whether it has a label", (YES, NO)),
    _choice(
        "label",
        True,
        "of people, imported, accepted unseen; given twice, contested, outdated",
        LABELS,
    ),
    Key("labeled_since", "labeled_since", _moment, False, "got its label, or another one, after that time"),
    Key("chosen_since", "chosen_since", _moment, False, "was chosen to be labeled at that time or later"),
    _choice("seen_by", True, "seen by the present embedder, the detector, or what measures", KINDS),
    _choice("not_seen_by", True, "not seen by them", KINDS),
    Key("batch", "batch", _number, True, "chosen in any of these batches"),
    Key("lot", "lot", _number, True, "in any of these lots; 0: labeled, and in no accepted lot"),
    Key("dataset", "dataset", _number, True, "in any of these dataset versions"),
    _choice("split", True, "its part of those dataset versions", SPLITS),
    _choice("model_error", True, "how the model errs on its label", MODEL_ERRORS),
    Key("model", "model", _number, False, "whose errors; the deployed model's when not given"),
    _choice("compared", False, "a side of the last comparison of production with the training set", SIDES),
    Key("facet", "facet", _answers, True, "what the last comparison took it for: p3.7, by facet and option"),
    Key("counts_for", "counts_for", _number, True, "its label counts for closing these slices"),
    Key("in", "area", read_area, False, "lies in that part of the map, by its corners: 0-0_500-0_500-400"),
    Key("q", "text", _text, False, "a sentence: the frames that look most like it"),
    Key("near", "near", _number, False, "a frame: those that look most like it"),
    _choice("order", False, "which come first", ORDERS),
)
"""In the order in which they stand in an address."""
BY_NAME = {key.name: key for key in KEYS}


@dataclass(frozen=True)
class FrameQuery:
    """A set of frames. What is left empty asks for nothing.

    Of camera, site, task, label, batch, lot, dataset, split and model_error a frame needs one; of slice,
    class_name, seen_by, facet and counts_for all, of not_slice, not_class and not_seen_by none.
    since, until: ISO days or times; without an offset they are in the project's zone.
    """

    camera: tuple[str, ...] = ()
    site: tuple[str, ...] = ()
    slice: tuple[int, ...] = ()
    not_slice: tuple[int, ...] = ()
    class_name: tuple[str, ...] = ()
    not_class: tuple[str, ...] = ()
    since: str | None = None
    until: str | None = None
    time: str | None = None
    origin: str | None = None
    role: str | None = None
    task: tuple[str, ...] = ()
    labeled: str | None = None
    label: tuple[str, ...] = ()
    labeled_since: str | None = None
    chosen_since: str | None = None
    seen_by: tuple[str, ...] = ()
    not_seen_by: tuple[str, ...] = ()
    batch: tuple[int, ...] = ()
    lot: tuple[int, ...] = ()
    dataset: tuple[int, ...] = ()
    split: tuple[str, ...] = ()
    model_error: tuple[str, ...] = ()
    model: int | None = None
    compared: str | None = None
    facet: tuple[str, ...] = ()
    counts_for: tuple[int, ...] = ()
    area: str | None = None
    text: str | None = None
    near: int | None = None
    order: str | None = None

    @classmethod
    def parse(cls, params: Params) -> FrameQuery:
        """The set that an address names. An empty value asks for nothing.

        params: an address, its part behind the `?`, a mapping, or pairs.
        Raises ConfigError for an unknown key, a value that is none, or keys that do not fit.
        """
        found: dict[str, list[Value]] = {}
        for name, text in _pairs(params):
            key = BY_NAME.get(name)
            if key is None:
                raise ConfigError(
                    f"frames: expected keys among {', '.join(BY_NAME)}, got {name!r}; leave it out"
                )
            if text.strip():
                found.setdefault(name, []).append(_read(key, text))
        named: dict[str, Any] = {BY_NAME[name].field: _value(BY_NAME[name], v) for name, v in found.items()}
        return _checked(cls(**named))

    def address(self) -> str:
        """The canonical query string, "" for all frames."""
        return urlencode(self.pairs())

    def url(self) -> str:
        """Of the page that shows the set."""
        text = self.address()
        return f"{PATH}?{text}" if text else PATH

    def pairs(self) -> list[tuple[str, str]]:
        """Each key with each of its values, in the order of an address."""
        return [(key.name, str(value)) for key in KEYS for value in _several(getattr(self, key.field))]

    def but(self, **changes: Any) -> FrameQuery:
        """The same set with other values, by key or field; None or () asks for nothing.

        Raises ConfigError.
        """
        named = {_key_of(name).field: (_key_of(name), value) for name, value in changes.items()}
        changed: dict[str, Any] = {
            field: _value(key, [_read(key, str(v)) for v in _several(value)])
            for field, (key, value) in named.items()
        }
        return _checked(replace(self, **changed))

    def less(self, name: str, value: str) -> FrameQuery:
        """Without one value of one key: what removing it leaves. Raises ConfigError."""
        key = _key_of(name)
        left = [one for one in _several(getattr(self, key.field)) if str(one) != value]
        return self.but(**{key.name: left})

    @property
    def is_search(self) -> bool:
        """Whether it asks for the frames most alike, of which there are only so many."""
        return self.text is not None or self.near is not None


def frames_url(query: FrameQuery | None = None, **params: Any) -> str:
    """Address of the page of a set: of `query` with other values, or of those values alone.

    params: by key or field; `class_` and `from_` stand for class and from, which Python keeps.
    Raises ConfigError.
    """
    named = {name.rstrip("_"): value for name, value in params.items()}
    return (query or FrameQuery()).but(**named).url()


def _key_of(name: str) -> Key:
    for key in KEYS:
        if name in (key.name, key.field):
            return key
    raise ConfigError(f"frames: expected keys among {', '.join(BY_NAME)}, got {name!r}; leave it out")


def _pairs(params: Params) -> list[tuple[str, str]]:
    if isinstance(params, str):
        query = params.partition("?")[2] if "?" in params else params
        if params.startswith("/") and "?" not in params:
            query = ""
        try:
            return parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query.strip() else []
        except ValueError as error:
            raise ConfigError(
                f"frames: expected an address such as camera=gate&labeled=no, got {params[:200]!r}; see"
                " `fieldloop frames --help`"
            ) from error
    if isinstance(params, Mapping):
        return [(name, str(one)) for name, value in params.items() for one in _several(value)]
    return [(name, value) for name, value in params]


def _several(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple, set, frozenset)) else [value]


def _read(key: Key, text: str) -> Value:
    try:
        return key.read(text)
    except ValueError as error:
        raise ConfigError(
            f"frames: {key.name}: expected {error}, got {text[:LONGEST]!r}; correct it, or leave it out"
        ) from None


def _value(key: Key, values: list[Value]) -> Value | tuple[Value, ...] | None:
    distinct = tuple(dict.fromkeys(values))
    most = MOST_VALUES if key.many else 1
    if len(distinct) > most:
        raise ConfigError(
            f"frames: {key.name}: expected at most {most} of them, got {len(distinct)}; leave some out"
        )
    if key.many:
        return distinct
    return distinct[0] if distinct else None


def _checked(query: FrameQuery) -> FrameQuery:
    wrong = (
        (query.text and query.near is not None, "either q or near, got both; leave one of them out"),
        (query.split and not query.dataset, "a dataset beside split, got none; add dataset=NUMBER"),
        (query.model is not None and not query.model_error, "model_error beside model, got none; add it"),
        (
            query.order == CLEAREST and not query.slice,
            "a slice beside order=clearest, got none; add slice=ID",
        ),
        (query.order == ALIKE and not query.is_search, "q or near beside order=alike, got neither; add one"),
    )
    for holds, expected in wrong:
        if holds:
            raise ConfigError(f"frames: expected {expected}")
    return query
