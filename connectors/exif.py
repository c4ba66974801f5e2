"""What a camera wrote beside the pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from PIL import ExifTags, Image


@dataclass(frozen=True, slots=True)
class ExifFacts:
    """What the EXIF block says, empty where it is silent.

    orientation: 1..8.
    taken: aware when the camera noted its offset, otherwise naive local time.
    camera: model and serial number.
    """

    orientation: int = 1
    taken: datetime | None = None
    camera: str | None = None


def exif_facts(block: bytes) -> ExifFacts:
    """The facts of a raw EXIF block; a damaged block counts as silent. Never raises."""
    try:
        exif = Image.Exif()
        exif.load(block)
        details = exif.get_ifd(ExifTags.IFD.Exif)
        return ExifFacts(
            _orientation(exif.get(ExifTags.Base.Orientation)),
            _taken(details),
            _camera(exif.get(ExifTags.Base.Model), details.get(ExifTags.Base.BodySerialNumber)),
        )
    except Exception:  # nothing in there makes the pixels worse
        return ExifFacts()


_TIMES = (
    (ExifTags.Base.DateTimeOriginal, ExifTags.Base.OffsetTimeOriginal),
    (ExifTags.Base.DateTimeDigitized, ExifTags.Base.OffsetTimeDigitized),
)


def _orientation(value: object) -> int:
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _taken(details: Mapping[int, object]) -> datetime | None:
    for tag, offset_tag in _TIMES:
        try:
            taken = datetime.strptime(_text(details.get(tag)), "%Y:%m:%d %H:%M:%S")
        except ValueError:
            continue
        return _with_offset(taken, _text(details.get(offset_tag)))
    return None


def _with_offset(taken: datetime, offset: str) -> datetime:
    try:
        return taken.replace(tzinfo=datetime.strptime(offset, "%z").tzinfo)
    except ValueError:
        return taken


def _camera(model: object, serial: object) -> str | None:
    return " ".join(part for part in (_text(model), _text(serial)) if part) or None


def _text(value: object) -> str:
    return value.strip("\0 ") if isinstance(value, str) else ""
