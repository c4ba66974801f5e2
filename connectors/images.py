"""Image files: what the header says, strict decoding, and one rule for rotation.

The rule: an EXIF rotation is applied, everywhere. Width and height are those of the upright image,
and so are boxes. Browsers, cv2 and ultralytics all do so for JPEG; for other formats they disagree,
so a PNG or WebP with a rotation pending is refused. Decoded pixels follow `cv2.imread`, which the
trainer uses: alpha is dropped, of 16 bits the upper 8 stay. So that these hold the picture, one of
16 bits is stored `stretched` to 8.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image as Pil
from PIL import ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from connectors.errors import ImageRejected
from connectors.exif import ExifFacts, exif_facts
from connectors.ports import Image

MAX_PIXELS = 60_000_000
MAX_BYTES = 100_000_000
MAX_RATIO = 100
"""Of the longer side to the shorter one. What resizes the shorter side to a fixed size would make
billions of pixels of a line that is one pixel wide.
"""
END_BYTES = 64
"""Of a file, that hold the mark of its end."""
STRIP_PIXELS = 1 << 20
"""Of a picture that are converted at once."""
SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "BMP": ".bmp"}


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """Header facts.

    format: a key of SUFFIXES.
    width, height: px of the upright image.
    bits: of one value of a pixel, 8 or 16.
    """

    format: str
    width: int
    height: int
    exif: ExifFacts
    bits: int = 8

    @property
    def suffix(self) -> str:
        """The file name suffix that belongs to the format, such as .jpg."""
        return SUFFIXES[self.format]


def content_hash(data: bytes) -> str:
    """sha256 of the file's bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def inspect(data: bytes, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES) -> ImageInfo:
    """Reads the header alone; no pixel is decoded.

    Raises ImageRejected with code empty, not_an_image, unsupported, truncated, corrupt or
    oversized.
    """
    _check_bytes(data, max_bytes)
    kind = _format_of(data)
    if kind == "WEBP":  # opening one allocates its canvas
        _check_pixels(_webp_size(data), max_pixels)
    header = _open(io.BytesIO(data), kind)
    _check_pixels(header.size, max_pixels)
    exif = exif_facts(header.info.get("exif", b""))
    if exif.orientation != 1 and kind != "JPEG":
        raise ImageRejected("unsupported", _PENDING_ROTATION.format(kind=kind, orientation=exif.orientation))
    width, height = header.size if exif.orientation < 5 else header.size[::-1]
    deep = kind == "PNG" and data[12:16] == b"IHDR" and data[24] == 16
    return ImageInfo(kind, width, height, exif, 16 if deep else 8)


def ends_well(data: bytes, format: str) -> bool:
    """Whether the end of a file, its header being sound, is that of a whole one; no pixel is decoded.

    Other bytes may follow a whole picture: then it says no all the same.
    """
    if format == "JPEG":
        return b"\xff\xd9" in data[-END_BYTES:]
    if format == "PNG":
        return b"IEND\xaeB`\x82" in data[-END_BYTES:]
    place, before = (4, 8) if format == "WEBP" else (2, 0)
    return len(data) >= before + int.from_bytes(data[place : place + 4], "little")


def decode(data: bytes, info: ImageInfo | None = None) -> Image:
    """(H, W, 3) uint8 RGB, upright, whole.

    info: what `inspect` said; it is asked when None.

    Raises ImageRejected, with code truncated or corrupt when the header was fine and the pixels are
    not.
    """
    info = info or inspect(data)
    pixels = _decode_jpeg(data, 0) if info.format == "JPEG" else _decode_any(data, info.format)
    return _upright(pixels, info.exif.orientation)


def stretched(data: bytes) -> bytes:
    """A PNG of 16 bits as one of 8, its darkest and brightest thousandth of values the ends of the
    range.

    Cameras that fill 10 or 12 of the 16 bits give pictures whose upper 8 are nearly black. Colors
    are stretched alike; transparency is dropped.
    Raises ImageRejected as `decode` does.
    """
    import cv2

    decode(data)
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR)
    if pixels is None:
        raise ImageRejected("corrupt", "expected a sound PNG of 16 bits, got one that cannot be decoded")
    deep = np.asarray(pixels, dtype=np.uint16)
    table = _stretching(deep)
    flat = np.empty(deep.shape, np.uint8)
    for rows in _strips(*deep.shape[:2]):
        flat[rows] = table[deep[rows]]
    done, encoded = cv2.imencode(".png", flat)
    if not done:
        raise ImageRejected("corrupt", "expected a picture that can be written with 8 bits, got none")
    return encoded.tobytes()


def decode_scaled(data: bytes, min_side: int, info: ImageInfo | None = None) -> Image:
    """As `decode`, but a JPEG may come smaller, by its own DCT scaling, its shorter side >=
    min_side px.

    Raises ImageRejected as `decode` does.
    """
    info = info or inspect(data)
    if info.format != "JPEG":
        return decode(data, info)
    return _upright(_decode_jpeg(data, min(min_side, info.width, info.height)), info.exif.orientation)


def read_exif(path: Path) -> ExifFacts:
    """EXIF of a JPEG or PNG from the head of its file; empty when there is none to be read. Never
    raises.
    """
    try:
        with path.open("rb") as file:
            kind = _format_of(file.read(16))
            if kind not in ("JPEG", "PNG"):
                return ExifFacts()
            file.seek(0)
            return exif_facts(_open(file, kind).info.get("exif", b""))
    except (OSError, ImageRejected):
        return ExifFacts()


_PENDING_ROTATION = (
    "expected a {kind} that is stored upright, got EXIF orientation {orientation}, which programs read "
    "differently; rotate its pixels, or save it as JPEG"
)
_PLUGINS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WEBP": WebPImageFile,
    "BMP": BmpImageFile,
}
_OTHER_FORMATS = (
    (0, b"GIF8", "a GIF"),
    (0, b"II*\0", "a TIFF"),
    (0, b"MM\0*", "a TIFF"),
    (4, b"ftypavif", "an AVIF"),
    (4, b"ftyphei", "a HEIC"),
    (4, b"ftypmif1", "a HEIC"),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000"),
    (0, b"8BPS", "a Photoshop file"),
)
_VIDEOS = ((4, b"ftyp"), (8, b"AVI "), (0, b"\x1a\x45\xdf\xa3"), (0, b"\0\0\x01\xba"))


def _check_bytes(data: bytes, max_bytes: int) -> None:
    if not data:
        raise ImageRejected("empty", "expected an image, got a file of 0 bytes")
    if len(data) > max_bytes:
        raise ImageRejected("oversized", f"expected at most {max_bytes:,} bytes, got {len(data):,}")


def _check_pixels(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise ImageRejected("corrupt", f"expected an image with pixels, got {width}x{height} in the header")
    if max(width, height) > MAX_RATIO * min(width, height):
        raise ImageRejected(
            "unsupported",
            f"expected a longer side of at most {MAX_RATIO} times the shorter one, got {width}x{height};"
            " crop it",
        )
    if width * height > max_pixels:
        raise ImageRejected(
            "oversized",
            f"expected at most {max_pixels:,} pixels, got {width}x{height} = {width * height:,}; scale it"
            " down",
        )


def _format_of(head: bytes) -> str:
    if head[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM" and head[6:10] == b"\0\0\0\0":
        return "BMP"
    raise _not_ours(head)


def _not_ours(head: bytes) -> ImageRejected:
    for offset, magic, name in _OTHER_FORMATS:
        if head.startswith(magic, offset):
            return ImageRejected("unsupported", f"expected JPEG, PNG, WebP or BMP, got {name}; convert it")
    if any(head.startswith(magic, offset) for offset, magic in _VIDEOS):
        return ImageRejected("unsupported", "expected an image, got a video; give the video as the source")
    return ImageRejected("not_an_image", f"expected an image, got a file that begins with {head[:8]!r}")


def _webp_size(data: bytes) -> tuple[int, int]:
    chunk = data[12:16]
    if chunk == b"VP8X" and len(data) >= 30:
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if chunk == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 " and len(data) >= 30:
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    raise ImageRejected("corrupt", f"expected a WebP header, got the chunk {chunk!r}")


def _open(file: BinaryIO, kind: str) -> ImageFile.ImageFile:
    # Parsers of strangers' files raise nearly anything. The plugin classes are used directly because
    # Image.open adds a pixel limit of its own, which other libraries change.
    try:
        return _PLUGINS[kind](file)
    except Exception as error:
        raise _broken(kind, error) from error


def _broken(kind: str, error: Exception) -> ImageRejected:
    text = str(error) or type(error).__name__
    cut = any(word in text.lower() for word in ("truncated", "premature end of jpeg", "unexpected end"))
    code, expected = ("truncated", "a whole") if cut else ("corrupt", "a sound")
    return ImageRejected(code, f"expected {expected} {kind}, got: {text}")


def _decode_jpeg(data: bytes, min_side: int) -> Image:
    try:
        return cast(Image, simplejpeg.decode_jpeg(data, min_height=min_side, min_width=min_side, strict=True))
    except ValueError as error:
        if "Corrupt JPEG data" in str(error) or "Premature end" in str(error):
            raise _broken("JPEG", error) from error
    return _decode_any(data, "JPEG")


def _decode_any(data: bytes, kind: str) -> Image:
    image = _open(io.BytesIO(data), kind)
    try:
        image.load()
        return _rgb(image)
    except Exception as error:
        raise _broken(kind, error) from error


def _rgb(image: Pil.Image) -> Image:
    """By strips, since a conversion of the whole would need its memory several times."""
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for rows in _strips(image.height, image.width):
        pixels[rows] = _rgb_part(image.crop((0, rows.start, image.width, rows.stop)))
    return pixels


def _rgb_part(image: Pil.Image) -> Image:
    if image.mode.startswith("I"):
        gray = (np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8)
        return np.repeat(gray[..., None], 3, axis=2)
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA")
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _stretching(pixels: NDArray[np.uint16]) -> Image:
    """(65536,) uint8: what each value of 16 bits becomes. See `stretched`."""
    counts = np.zeros(1 << 16, np.int64)
    for rows in _strips(*pixels.shape[:2]):
        counts += np.bincount(pixels[rows].ravel(), minlength=1 << 16)
    low, high = _quantile(counts, 0.001), _quantile(counts, 0.999)
    levels = np.arange(1 << 16, dtype=np.float64)
    return ((levels - low) * (255 / max(high - low, 1.0))).clip(0, 255).round().astype(np.uint8)


def _quantile(counts: NDArray[np.int64], share: float) -> float:
    """Of whole numbers that occur so often, between the two nearest as `np.quantile` takes it."""
    until = np.cumsum(counts)
    place = share * (int(until[-1]) - 1)
    nearest = np.searchsorted(until, [math.floor(place), math.ceil(place)], side="right")
    below, above = int(nearest[0]), int(nearest[1])
    return below + (above - below) * (place - math.floor(place))


def _strips(height: int, width: int) -> Iterator[slice]:
    """Rows of a picture in order, about STRIP_PIXELS at a time."""
    rows = max(1, STRIP_PIXELS // width)
    return (slice(top, min(top + rows, height)) for top in range(0, height, rows))


_TURN: dict[int, Callable[[Image], Image]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


def _upright(pixels: Image, orientation: int) -> Image:
    return np.ascontiguousarray(_TURN[orientation](pixels))
