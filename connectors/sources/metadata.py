"""What is known of a frame beside its pixels, and which of several voices is believed.

From the most to the least believed: the sidecar beside the file, the path pattern, the options
given for the whole source, EXIF. The more deliberately somebody said it of this very file, the more
it counts. EXIF comes last because its camera is a model name that a whole fleet shares; it is not
even read when the others say all. The one start that is given for a whole source comes after the
time that EXIF notes for each image, and before the creation time that a video carries.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

from connectors.errors import SourceError
from connectors.times import in_utc, since_1970, zone

CAMERA_LENGTH, SITE_LENGTH, SEQUENCE_LENGTH = 120, 120, 200


@dataclass(frozen=True, slots=True)
class Facts:
    """What one voice says of a frame, None where it is silent.

    captured_at: aware, UTC.
    zone_assumed: it was written without a zone.
    """

    camera: str | None = None
    site: str | None = None
    sequence: str | None = None
    captured_at: datetime | None = None
    zone_assumed: bool = False

    def over(self, weaker: Facts) -> Facts:
        """These facts, with the silent ones taken from a voice that counts less."""
        return Facts(
            self.camera or weaker.camera,
            self.site or weaker.site,
            self.sequence or weaker.sequence,
            self.captured_at or weaker.captured_at,
            self.zone_assumed if self.captured_at else weaker.zone_assumed,
        )


@dataclass(frozen=True, slots=True)
class Defaults:
    """Options for a whole source.

    timezone: what times without an offset mean, such as Europe/Rome.
    started_at: when a video begins, or about when all images were taken.
    columns: what sidecars call file, camera, site, sequence and captured_at, where it is unusual.
    """

    camera: str | None = None
    site: str | None = None
    sequence: str | None = None
    timezone: str = "UTC"
    started_at: datetime | None = None
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def facts(self) -> Facts:
        """These options as one more voice."""
        return Facts(
            clean(self.camera, CAMERA_LENGTH),
            clean(self.site, SITE_LENGTH),
            clean(self.sequence, SEQUENCE_LENGTH),
        )

    @property
    def start(self) -> Facts:
        """The start as the weakest voice. Raises SourceError for a time that UTC cannot express."""
        try:
            start = self.started_at and in_utc(self.started_at, zone(self.timezone))
            naive = self.started_at is not None and self.started_at.tzinfo is None
            return Facts(captured_at=start, zone_assumed=naive)
        except ValueError as error:
            raise SourceError(f"started_at: {error}") from error


def read_time(value: object, assumed: tzinfo) -> datetime:
    """A time as sidecars write it: ISO 8601, or seconds, milli- or microseconds since 1970. Raises
    ValueError.
    """
    if isinstance(value, str):
        try:
            return in_utc(_as_datetime(value), assumed)
        except ValueError:
            value = _number(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return since_1970(value)
    raise ValueError(
        f"expected a time such as 2026-11-24T08:30:00+01:00 or seconds since 1970, got {value!r}"
    )


def says_zone(value: object) -> bool:
    """Whether a time as sidecars write it has a zone of its own."""
    if not isinstance(value, str) or not isinstance(_number(value), str):
        return True
    try:
        return _as_datetime(value).tzinfo is not None
    except ValueError:
        return True


def _as_datetime(text: str) -> datetime:
    """Of ISO 8601, of EXIF (2026:11:24 08:30:00) or with the day first and dots between
    (24.11.2026 08:30). Raises ValueError.
    """
    text = re.sub(r"^(\d{4}):(\d{2}):(\d{2})\b", r"\1-\2-\3", text.strip())
    return datetime.fromisoformat(re.sub(r"^(\d{2})\.(\d{2})\.(\d{4})\b", r"\3-\2-\1", text))


def clean(value: str | None, length: int) -> str | None:
    """A name fit for a table: printable, trimmed, at most `length` characters; None when nothing is
    left.
    """
    if value is None:
        return None
    return "".join(c if c.isprintable() else " " for c in value).strip()[:length].strip() or None


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
