"""Path patterns: `{site}/{camera}/{date:%Y-%m-%d}/{time:%H%M%S}-{n}.jpg` read back into facts.

Fields: site, camera, sequence (any text within one folder or file name), n (digits, ignored), date,
time and datetime (with strptime directives after the colon; several add up, as in
{date:%Y}/{date:%m}/{date:%d}). {datetime:%s} is a number since 1970: seconds, or by its length milli-
or microseconds. `*` is any text within one name. A text field that occurs twice must
be the same twice. Upper and lower case are the same.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from string import Formatter

from connectors.errors import SourceError
from connectors.pushed import is_pushed
from connectors.sources.metadata import CAMERA_LENGTH, SEQUENCE_LENGTH, SITE_LENGTH, Facts, clean
from connectors.times import in_utc, since_1970

TEXT_FIELDS = ("site", "camera", "sequence")
TIME_FIELDS = {"date": "%Y-%m-%d", "time": "%H%M%S", "datetime": "%Y%m%dT%H%M%S"}
FIELDS = (*TEXT_FIELDS, *TIME_FIELDS, "n")
MAX_FREE = 4
SINCE_1970 = "%s"


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A compiled pattern.

    regex: over the whole key.
    time_format: of the joined time groups, empty without any.
    """

    text: str
    regex: re.Pattern[str]
    time_format: str
    has_date: bool
    has_time: bool

    def facts(self, key: str, assumed: tzinfo) -> Facts | None:
        """What the key says, or None when it does not fit, or is that of a frame that was handed over.

        assumed: the zone of its times.

        A date without a time means noon of that day. Raises ValueError for a day that no calendar
        has, and for a number since 1970 that no clock shows.
        """
        found = None if is_pushed(key) else self.regex.fullmatch(key)
        if found is None:
            return None
        parts = found.groupdict()
        return Facts(
            clean(parts.get("camera"), CAMERA_LENGTH),
            clean(parts.get("site"), SITE_LENGTH),
            clean(parts.get("sequence"), SEQUENCE_LENGTH),
            (moment := self._moment(parts, assumed)),
            moment is not None and "%z" not in self.time_format and SINCE_1970 not in self.time_format,
        )

    def _moment(self, parts: dict[str, str], assumed: tzinfo) -> datetime | None:
        if SINCE_1970 in self.time_format:
            return since_1970(float(next(text for name, text in parts.items() if name.startswith("t_"))))
        if not self.has_date:
            return None
        text = " ".join(value for name, value in parts.items() if name.startswith("t_"))
        moment = datetime.strptime(text, self.time_format)
        return in_utc(moment if self.has_time else moment.replace(hour=12), assumed)


def compile_pattern(text: str) -> PathPattern:
    """Raises SourceError that names the field or directive at fault."""
    regex: list[str] = []
    formats: list[str] = []
    for literal, name, directives in _pieces(text):
        regex.append(re.escape(literal).replace(r"\*", "[^/]*"))
        if name in TIME_FIELDS:
            formats.append(directives or TIME_FIELDS[name])
            regex.append(f"(?P<t_{len(formats)}>{_time_regex(text, name, formats[-1])})")
        elif name is not None:
            regex.append(_text_regex(name, regex))
    _check_freedom(text)
    time_format = " ".join(formats)
    _check_times(text, time_format)
    return PathPattern(
        text,
        re.compile("".join(regex), re.IGNORECASE),
        time_format,
        any(d in time_format for d in ("%d", "%j")),
        any(d in time_format for d in ("%H", "%I")),
    )


_DIRECTIVES = {
    **dict.fromkeys("ymdHMSI", r"\d{2}"),
    "Y": r"\d{4}",
    "j": r"\d{3}",
    "f": r"\d{1,6}",
    "b": "[a-z]{3}",
    "p": "[ap]m",
    "z": r"(?:z|[+-]\d{2}:?\d{2})",
    "s": r"(?:\d{16}|\d{13}|\d{9,10}(?:\.\d{1,6}(?=\D))?)",
    "%": "%",
}


def _pieces(text: str) -> Iterator[tuple[str, str | None, str]]:
    try:
        pieces = list(Formatter().parse(text))
    except ValueError as error:
        raise _wrong(text, f"expected every {{ to have its }}, got: {error}") from error
    for literal, name, directives, _ in pieces:
        if name is not None and name not in FIELDS:
            near = difflib.get_close_matches(name, FIELDS, 1)
            hint = f"; did you mean {{{near[0]}}}?" if near else ""
            raise _wrong(text, f"expected one of the fields {', '.join(FIELDS)}, got {{{name}}}{hint}")
        if directives and name not in TIME_FIELDS:
            raise _wrong(text, f"expected {{{name}}} without a format, got {{{name}:{directives}}}")
        yield literal, name, directives or ""


def _text_regex(name: str, before: list[str]) -> str:
    if name == "n":
        return r"\d+"
    return f"(?P={name})" if any(f"(?P<{name}>" in piece for piece in before) else f"(?P<{name}>[^/]+?)"


def _time_regex(text: str, name: str, directives: str) -> str:
    def one(found: re.Match[str]) -> str:
        if found[1] is None:
            return re.escape(found[0])
        if found[1] not in _DIRECTIVES:
            known = " ".join(f"%{d}" for d in _DIRECTIVES)
            raise _wrong(text, f"field {{{name}}}: expected the directives {known}, got %{found[1]}")
        return _DIRECTIVES[found[1]]

    return re.sub(r"%(.)|[^%]|%$", one, directives, flags=re.DOTALL)


def _check_freedom(text: str) -> None:
    # Free fields within one name multiply the ways to try a name that does not fit.
    if side := re.search(r"(\{(?:site|camera|sequence)\}|\*)(\{(?:site|camera|sequence)\}|\*)", text):
        raise _wrong(text, f"expected a character between {side[1]} and {side[2]}, got none")
    for name in text.split("/"):
        free = len(re.findall(r"\{(?:site|camera|sequence|n)\}|\*", name))
        if free > MAX_FREE:
            raise _wrong(
                text, f"expected at most {MAX_FREE} free fields between two slashes, got {free} in {name!r}"
            )


def _check_times(text: str, time_format: str) -> None:
    if SINCE_1970 in time_format:
        if time_format != SINCE_1970:
            raise _wrong(text, f"expected {SINCE_1970} to be the whole time, got {time_format!r}")
        return
    sample = datetime(2026, 11, 24, 13, 14, 15).strftime(time_format.replace("%z", "+0000"))
    try:
        datetime.strptime(sample, time_format)
    except (ValueError, re.error) as error:
        raise _wrong(
            text, f"expected each part of a time once, got the formats {time_format!r}: {error}"
        ) from error
    if re.search("%[HIMSf]", time_format) and not re.search("%[dj]", time_format):
        raise _wrong(
            text, f"expected a date beside the time, got {time_format!r} alone; add {{date:%Y-%m-%d}}"
        )


def _wrong(text: str, problem: str) -> SourceError:
    return SourceError(f"pattern {text!r}: {problem}")
