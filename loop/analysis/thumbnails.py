"""Small pictures of frames, one file for each content hash: made while a frame is analyzed, or when they
are first asked for.
"""

from __future__ import annotations

import io
import re
import secrets
import threading
from contextlib import suppress
from pathlib import Path

from PIL import Image as Pil

from connectors.errors import ImageRejected
from connectors.files import make_folder
from connectors.images import SUFFIXES, decode, decode_scaled, inspect
from connectors.ports import Image
from loop.base.files import FRAMES
from loop.project.project import Project

WIDTH = 256
TALLEST = 3
"""Times as high as wide; what is taller is narrower instead."""
QUALITY = 70
EFFORT = 1
"""Of the WebP encoder, 0 to 6: above it, a file takes several times as long and is hardly smaller."""
HASH = re.compile(r"[0-9a-f]{64}")
RIFF_HEADER = 8
_decoding = threading.Semaphore(2)
"""So many pictures of the store are held decoded at once, however many are asked for."""


def webp(image: Image) -> bytes:
    """The thumbnail of a picture (H, W, 3) uint8 RGB, WIDTH px wide; a smaller picture keeps its size."""
    import cv2

    height, width = image.shape[:2]
    scale = min(1.0, WIDTH / width, TALLEST * WIDTH / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    buffer = io.BytesIO()
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    Pil.fromarray(small).save(buffer, "WEBP", quality=QUALITY, method=EFFORT)
    return buffer.getvalue()


def cropped(path: Path, window: tuple[int, int, int, int]) -> bytes:
    """A part of a stored picture as WebP, at most WIDTH px wide. window: x, y, width, height in px.

    Raises OSError, ImageRejected.
    """
    x, y, width, height = window
    with _decoding:
        return webp(decode(path.read_bytes())[y : y + height, x : x + width])


def keep(project: Project, sha256: str, image: Image) -> None:
    """Keeps the thumbnail of a stored picture, unless it is there. Raises OSError."""
    path = _path(project, sha256)
    if not path.is_file():
        _write(path, webp(image))


def thumbnail(project: Project, sha256: str) -> bytes | None:
    """The thumbnail of a stored picture, made and kept where it lacks.

    None where no such picture is stored, or it cannot be decoded.
    """
    if not HASH.fullmatch(sha256):
        return None
    path = _path(project, sha256)
    with suppress(OSError):
        if _is_whole(data := path.read_bytes()):
            return data
    with _decoding:
        made = _made(project, sha256)
    if made is not None:
        with suppress(OSError):
            _write(path, made)
    return made


def _made(project: Project, sha256: str) -> bytes | None:
    folder, max_pixels = project.store / FRAMES / sha256[:2], project.settings.frames.max_pixels
    for suffix in SUFFIXES.values():
        with suppress(FileNotFoundError):
            data = (folder / f"{sha256}{suffix}").read_bytes()
            try:
                return webp(decode_scaled(data, WIDTH, inspect(data, max_pixels=max_pixels)))
            except ImageRejected:
                return None
    return None


def _path(project: Project, sha256: str) -> Path:
    return project.thumbnails / sha256[:2] / f"{sha256}.webp"


def _is_whole(data: bytes) -> bool:
    """Whether it is as long as its header says: a machine that stopped may leave less, or zeros."""
    return data[:4] == b"RIFF" and int.from_bytes(data[4:8], "little") + RIFF_HEADER == len(data)


def _write(path: Path, data: bytes) -> None:
    """For its owner alone, as the picture itself is. It is whole or not there but not synced: what a
    stop of the machine takes is made anew.
    """
    make_folder(path.parent)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        draft.touch(mode=0o600)
        draft.write_bytes(data)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
